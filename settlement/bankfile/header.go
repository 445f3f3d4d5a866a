package bankfile

import (
	"encoding/hex"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// Columns of a header, in the order of its fields.
const (
	headLayout = iota
	headKind
	headBank
	headRegion
	headDate
	headSeq
	headVersion
	headCount
	headSum
	headCreated
	headDay
	headChain
)

var headColumns = []column{
	headLayout:  {"layout", printable, 1, titleLen, ""},
	headKind:    {"kind", choice, 1, 1, kinds},
	headBank:    {"bank", printable, 1, MaxBank, ""},
	headRegion:  {"region", digits, 6, 6, ""},
	headDate:    {"settle date", date, 8, 8, ""},
	headSeq:     {"seq", digits, 3, 3, ""},
	headVersion: {"version", digits, 2, 2, ""},
	headCount:   {"count", count, 1, 8, ""},
	headSum:     {"sum", signed, 1, sumLen + 1, ""},
	headCreated: {"created", created, 14, 14, ""},
	headDay:     {"day head", dayHead, 0, 73, ""},
	headChain:   {"chain head", lowerHex, 0, 64, ""},
}

// sumDigits bounds a sum: what is sure to fit 64 bits. sumLen has room for the
// point. Five million greatest amounts have one digit more; no district has them.
const (
	sumDigits = 18
	sumLen    = sumDigits + 1
)

// Columns of a trailer.
const (
	tailCount = iota
	tailP
	tailR
	tailF
	tailDigest
)

var tailColumns = []column{
	tailCount:  {"count", count, 1, 8, ""},
	tailP:      {"sum P", amount, 1, sumLen, ""},
	tailR:      {"sum R", amount, 1, sumLen, ""},
	tailF:      {"sum F", amount, 1, sumLen, ""},
	tailDigest: {"digest", lowerHex, 64, 64, ""},
}

// Header is the first line of a file: which one it is, what it holds, and, in
// files of ours, the ledger's heads.
type Header struct {
	Name
	Count     int       // detail lines
	Sum       si.Fen    // signed net of the details: P + B − R − F
	Created   time.Time // China time, in seconds
	DayHead   DayHead   // latest signed day head; zero: none
	ChainHead [32]byte  // the log's head at this cutover; zero: none
}

// DayHead names a signed day head.
type DayHead struct {
	Date   si.BusinessDate
	SHA256 [32]byte // of its bytes
}

// Summary is what a file that was taken, or written, came to.
type Summary struct {
	Header
	P, R, F si.Fen   // sums of the trailer
	Lines   int      // header and trailer among them
	Size    int64    // bytes
	SHA256  [32]byte // over all of it
}

func (s *scan) header() Header {
	h := Header{
		Name: Name{Bank: string(s.v[headBank]), Region: si.AreaCode(s.number(headRegion)), Kind: Kind(s.letter(headKind)),
			Date: s.day(headDate), Seq: uint16(s.number(headSeq)), Version: uint8(s.number(headVersion))},
		Count: int(s.number(headCount)), Sum: s.money(headSum),
	}
	c := s.v[headCreated]
	h.Created = time.Date(two(c)*100+two(c[2:]), time.Month(two(c[4:])), two(c[6:]), two(c[8:]), two(c[10:]), two(c[12:]), 0, si.China)
	if v := s.v[headDay]; len(v) > 0 {
		h.DayHead.Date, _ = dateOf(v[:8])
		unhex(h.DayHead.SHA256[:], v[9:])
	}
	unhex(h.ChainHead[:], s.v[headChain])
	return h
}

// unhex reads digits that were checked; none leave dst as it is.
func unhex(dst, v []byte) {
	if len(v) == 2*len(dst) {
		_, _ = hex.Decode(dst, v) // only hexadecimal digits get here
	}
}

// put appends the header's fields in order.
func (h *Header) put(p *pen, l *Layout) {
	p.text(l.Title)
	p.letter(byte(h.Kind))
	p.text(h.Bank)
	p.digits(uint64(h.Region), 6)
	p.date(h.Date)
	p.digits(uint64(h.Seq), 3)
	p.digits(uint64(h.Version), 2)
	p.count(uint64(h.Count))
	p.fen(h.Sum)
	p.text(h.Created.In(si.China).Format("20060102150405"))
	if h.DayHead.Date == 0 {
		p.text("")
	} else {
		p.text(h.DayHead.Date.Compact() + ":" + hex.EncodeToString(h.DayHead.SHA256[:]))
	}
	if h.ChainHead == [32]byte{} {
		p.text("")
	} else {
		p.text(hex.EncodeToString(h.ChainHead[:]))
	}
}
