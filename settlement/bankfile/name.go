package bankfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/si"
)

// Kind is what a file holds: its letter in names and headers.
type Kind byte

// The kinds.
const (
	Totals   Kind = 'T' // 结算汇总
	Details  Kind = 'D' // 结算明细
	Account  Kind = 'A' // 账户汇总
	Mandates Kind = 'M' // signed, confirmed, cancelled
	Debits   Kind = 'B' // batch debit: orders, receipt, results
	Refunds  Kind = 'R' // instructions and answers
)

const kinds = "TDAMBR"

// Bounds of a name's parts.
const (
	MaxBank    = 8   // characters of a bank's code: a-z and 0-9
	MaxSeq     = 999 // files of a kind and date, from 1
	MaxVersion = 99  // versions of a file, from 1
)

// ErrName is returned for a text that is no name of a bank file.
var ErrName = errors.New("bankfile: not a file name such as ccb_330110_D_20261122_001_v1.txt")

// Name says which file a file is. Its text is
// {bank}_{region}_{kind}_{YYYYMMDD}_{seq}_v{n}.txt.
type Name struct {
	Bank    string      // the code of its profile
	Region  si.AreaCode // six digits
	Kind    Kind
	Date    si.BusinessDate // settlement date
	Seq     uint16
	Version uint8
}

// String is the file's name.
func (n Name) String() string {
	return fmt.Sprintf("%s_%06d_%c_%s_%03d_v%d.txt", n.Bank, uint32(n.Region), byte(n.Kind), n.Date.Compact(), n.Seq, n.Version)
}

// FlagName is the name of the flag file that is written last.
func (n Name) FlagName() string { return n.String() + ".ok" }

// ParseName reads a name and nothing that is only like one: ErrName.
func ParseName(s string) (Name, error) {
	stem, ok := strings.CutSuffix(s, ".txt")
	p := strings.Split(stem, "_")
	if !ok || len(s) > 64 || len(p) != 6 || len(p[2]) != 1 || len(p[5]) < 2 || p[5][0] != 'v' {
		return Name{}, ErrName
	}
	date, isDate := dateOf([]byte(p[3]))
	region, noRegion := strconv.ParseUint(p[1], 10, 32)
	seq, noSeq := strconv.ParseUint(p[4], 10, 16)
	version, noVersion := strconv.ParseUint(p[5][1:], 10, 8)
	n := Name{Bank: p[0], Region: si.AreaCode(region), Kind: Kind(p[2][0]), Date: date, Seq: uint16(seq), Version: uint8(version)}
	if !isDate || noRegion != nil || noSeq != nil || noVersion != nil || !n.valid() || n.String() != s {
		return Name{}, ErrName
	}
	return n, nil
}

func (n Name) valid() bool {
	if n.Bank == "" || len(n.Bank) > MaxBank || strings.IndexByte(kinds, byte(n.Kind)) < 0 || n.Date == 0 ||
		n.Region < 100_000 || n.Region > 999_999 || n.Seq < 1 || n.Seq > MaxSeq || n.Version < 1 || n.Version > MaxVersion {
		return false
	}
	for i := range len(n.Bank) {
		if c := n.Bank[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// MaxFlag bounds a flag file, in bytes.
const MaxFlag = 160

// Flag is what a flag file says of its file: name, size in bytes, SHA-256 over
// all of it. Its text is name|size|sha256| and a line end.
type Flag struct {
	Name   string
	Size   int64
	SHA256 [32]byte
}

// Append writes the flag file with LF at its end.
func (f Flag) Append(dst []byte) []byte {
	return fmt.Appendf(dst, "%s|%d|%x|\n", f.Name, f.Size, f.SHA256)
}

// ParseFlag reads a flag file; the line may end in LF, CR LF or not at all. A
// fault is a Quarantine with HashDiffers.
func ParseFlag(b []byte) (Flag, error) {
	bad := func(why string) (Flag, error) {
		return Flag{}, &Quarantine{Code: HashDiffers, Line: 1, Field: "flag file", Why: why}
	}
	if len(b) > MaxFlag {
		return bad("it is longer than " + strconv.Itoa(MaxFlag) + " bytes")
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	p := strings.Split(line, "|")
	if len(p) != 4 || p[3] != "" {
		return bad("it is not name|size|sha256|")
	}
	f := Flag{Name: p[0]}
	size, err := strconv.ParseInt(p[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != p[1] {
		return bad("the size is no number")
	}
	f.Size = size
	if len(p[2]) != 2*len(f.SHA256) || !isHex([]byte(p[2]), 'a') {
		return bad("the hash is not 64 lower-case hexadecimal digits")
	}
	unhex(f.SHA256[:], []byte(p[2]))
	if _, err := ParseName(f.Name); err != nil {
		return bad("the name is none of a bank file")
	}
	return f, nil
}

// Known is a file that was registered for the same bank, region, kind and date.
type Known struct {
	Seq     uint16
	Version uint8
	SHA256  [32]byte
}

// Standing is what a file is beside those that are known.
type Standing uint8

// The standings.
const (
	First      Standing = iota + 1 // the next of its sequence
	Again                          // the same bytes: no effect
	Superseder                     // a higher version of a known one
)

// Stand tells what a file is beside those known, in any order. A gap in the
// sequence, and other bytes under a version that is not higher, are a Quarantine
// with Misplaced.
func Stand(known []Known, now Known) (Standing, error) {
	var last uint16
	var version uint8
	for _, k := range known {
		if k.Seq == now.Seq && k.SHA256 == now.SHA256 {
			return Again, nil
		}
		if k.Seq == now.Seq {
			version = max(version, k.Version)
		}
		last = max(last, k.Seq)
	}
	switch {
	case version > 0 && now.Version > version:
		return Superseder, nil
	case version > 0:
		return 0, &Quarantine{Code: Misplaced, Line: 1, Field: "version", Why: "other bytes came under this sequence number, and the version is not higher"}
	case now.Seq != last+1:
		return 0, &Quarantine{Code: Misplaced, Line: 1, Field: "seq", Why: "the sequence of this date has a gap before it"}
	}
	return First, nil
}
