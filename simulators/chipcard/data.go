package chipcard

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/sscard"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/si"
)

// ErrData is returned for card data of the wrong form.
var ErrData = errors.New("chipcard: card data")

// Data is a card as plain data. Social or Bank may be missing: a card of another
// kind, or one whose financial application was never put on.
type Data struct {
	ID      string  `json:"id"`            // names the card on a tray and in its saved state
	ATR     string  `json:"atr,omitempty"` // hexadecimal; empty: the usual form with area and serial of the card
	Social  *Social `json:"social,omitempty"`
	Bank    *Bank   `json:"bank,omitempty"`
	Faults  []Fault `json:"faults,omitempty"`
	Blocked bool    `json:"blocked,omitempty"` // the whole card: everything answers 6A81
}

// Social is the social security application. Dates are YYYYMMDD.
type Social struct {
	Cipher     int    `json:"cipher"`  // 1 3DES, 2 SSF33, 3 SM4; 0: the FCI names none
	Version    string `json:"version"` // 1.00, 2.00, 3.00
	CardID     string `json:"card_id"` // 32 hexadecimal digits
	Class      string `json:"class"`
	Issued     string `json:"issued"`
	ValidUntil string `json:"valid_until"`
	CardNo     string `json:"card_no"`
	IDNumber   string `json:"id_number"`
	Name       string `json:"name"`
	NameBytes  string `json:"name_bytes,omitempty"` // hexadecimal, instead of Name: to break it on purpose
	Sex        string `json:"sex,omitempty"`        // empty: as the ID number says
	Nation     string `json:"nation,omitempty"`     // empty: 01
	BirthPlace string `json:"birth_place,omitempty"`
	BirthDate  string `json:"birth_date,omitempty"` // empty: as the ID number says
	Blocked    bool   `json:"blocked,omitempty"`    // SELECT answers 9303
}

// Bank is the bank application. Empty fields take the usual values.
type Bank struct {
	PAN         string `json:"pan"`
	PSN         string `json:"psn,omitempty"`       // 01
	Expiry      string `json:"expiry"`              // YYMMDD
	Effective   string `json:"effective,omitempty"` // YYMMDD, 200101
	TrackPAN    string `json:"track_pan,omitempty"` // of track 2, where it is to differ
	Cipher      string `json:"cipher"`              // 3DES or SM4
	IMK         string `json:"imk,omitempty"`       // issuer master key, 32 hexadecimal digits; or:
	UDK         string `json:"udk,omitempty"`       // the card's own key
	KeyIndex    byte   `json:"key_index,omitempty"` // 1
	CipherID    byte   `json:"cipher_id,omitempty"` // of the IAD: 1 3DES, 4 SM4
	HolderID    string `json:"holder_id,omitempty"` // 9F61; "-": the card has none; empty: that of Social
	HolderName  string `json:"holder_name,omitempty"`
	AID         string `json:"aid,omitempty"`      // A000000333010101
	AIP         string `json:"aip,omitempty"`      // 7C00
	PDOL        string `json:"pdol,omitempty"`     // "-": the FCI has none
	CDOL1       string `json:"cdol1,omitempty"`    //
	CVMList     string `json:"cvm_list,omitempty"` //
	NoDirectory bool   `json:"no_directory,omitempty"`
	Blocked     bool   `json:"blocked,omitempty"`
	MustProve   bool   `json:"must_prove,omitempty"` // no TC without the issuer's proof
}

// State is what a card keeps without power.
type State struct {
	ATC     uint16 `json:"atc"`
	Blocked bool   `json:"blocked,omitempty"` // bank application, by an issuer script
}

// Usual values of a bank application.
const (
	usualAID     = "A000000333010101"
	usualAIP     = "7C00"
	usualPDOL    = "9F7A019F02065F2A02"
	usualCDOL1   = "9F02069F03069F1A0295055F2A029A039C019F37049F21039F4E14"
	usualCDOL2   = "8A029F02069F03069F1A0295055F2A029A039C019F37049F2103"
	usualCVMList = "00000000000000004203" + "0203" + "1F00"
)

// social is Social in bytes: record values by tag, in the order of the files.
type social struct {
	fci        []byte
	issuer     tlv.List
	holder     tlv.List
	holderFree bool
	blocked    bool
}

// bank is Bank in bytes.
type bank struct {
	aid, pse     []byte // nil pse: no directory
	fci, psefci  []byte
	pdol         tlv.DOL
	aip, afl     []byte
	cdol1, cdol2 tlv.DOL
	directory    []byte             // record 1 of the directory
	records      map[[2]byte][]byte // by SFI and number
	cipher       emv.Cipher
	udk          emv.Key
	iad          [3]byte // key index, version 01, cipher
	mustProve    bool
}

func or(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}

// build turns Social into records.
func (s *Social) build() (*social, error) {
	id, err := si.ParseIDNumber(s.IDNumber)
	if err != nil {
		return nil, fmt.Errorf("%w: id_number: %w", ErrData, err)
	}
	cardID, err := hex.DecodeString(s.CardID)
	if err != nil || len(cardID) != 16 {
		return nil, fmt.Errorf("%w: card_id is not 32 hexadecimal digits", ErrData)
	}
	sex := or(s.Sex, "2")
	if s.Sex == "" && id.Male() {
		sex = "1"
	}
	name, more, err := s.nameParts()
	if err != nil {
		return nil, err
	}
	b := &social{blocked: s.Blocked, holderFree: !strings.HasPrefix(s.Version, "3")}
	var bad error
	digits := func(field, v string) []byte {
		out, err := hex.DecodeString(v)
		if err != nil {
			bad = fmt.Errorf("%w: %s %q is not pairs of digits", ErrData, field, v)
		}
		return out
	}
	b.issuer = tlv.List{
		{Tag: 0x01, Value: cardID}, {Tag: 0x02, Value: []byte(or(s.Class, "3"))}, {Tag: 0x03, Value: []byte(s.Version)},
		{Tag: 0x04, Value: digits("area", "9156000002"+s.CardID[:6]+s.CardID[:6]+"01")},
		{Tag: 0x05, Value: digits("issued", s.Issued)}, {Tag: 0x06, Value: digits("valid_until", s.ValidUntil)},
		{Tag: 0x07, Value: []byte(s.CardNo)},
	}
	b.holder = tlv.List{{Tag: 0x08, Value: []byte(s.IDNumber)}, {Tag: 0x09, Value: pad(name, 0x1E)}}
	if !strings.HasPrefix(s.Version, "1") {
		b.holder = append(b.holder, tlv.Item{Tag: 0x4E, Value: pad(more, 0x14)})
	}
	b.holder = append(b.holder, tlv.List{
		{Tag: 0x0A, Value: []byte(sex)}, {Tag: 0x0B, Value: digits("nation", or(s.Nation, "01"))},
		{Tag: 0x0C, Value: digits("birth_place", or(s.BirthPlace, s.IDNumber[:6]))},
		{Tag: 0x0D, Value: digits("birth_date", or(s.BirthDate, s.IDNumber[6:14]))},
	}...)
	inner := []byte{0x88, 0x01, 0x1E}
	if s.Cipher != 0 {
		inner = tlv.Append(inner, 0x9F0C, []byte{0x86, 0x01, byte(s.Cipher)})
	}
	b.fci = fci(sscard.Name, inner)
	return b, bad
}

// nameParts cuts the name's GB 18030 bytes into 姓名 (30) and 姓名扩展 (20),
// wherever the cut falls.
func (s *Social) nameParts() (name, more []byte, err error) {
	b, err := hex.DecodeString(s.NameBytes)
	if s.NameBytes == "" {
		b, err = simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s.Name))
	}
	if err != nil || len(b) > 0x1E+0x14 {
		return nil, nil, fmt.Errorf("%w: name is not at most 50 bytes of GB 18030", ErrData)
	}
	if len(b) > 0x1E {
		return b[:0x1E], b[0x1E:], nil
	}
	return b, nil, nil
}

// pad fills text with zeros to its full length.
func pad(b []byte, n int) []byte { return append(b[:len(b):len(b)], make([]byte, n-len(b))...) }

// fci is a file control information template.
func fci(name, proprietary []byte) []byte {
	return tlv.Append(nil, emv.TagFCI,
		tlv.Append(tlv.Append(nil, emv.TagDFName, name), emv.TagProprietary, proprietary))
}

// build turns Bank into records and keys. holder is the ID number of Social.
func (k *Bank) build(holder string) (*bank, error) {
	if _, err := si.ParsePAN(k.PAN); err != nil {
		return nil, fmt.Errorf("%w: pan: %w", ErrData, err)
	}
	b := &bank{mustProve: k.MustProve}
	if err := b.takeKey(k); err != nil {
		return nil, err
	}
	var bad error
	bytesOf := func(field, v string) []byte {
		out, err := hex.DecodeString(v)
		if err != nil {
			bad = fmt.Errorf("%w: %s %q is not hexadecimal", ErrData, field, v)
		}
		return out
	}
	dol := func(field, v string) tlv.DOL {
		d, err := tlv.ParseDOL(bytesOf(field, v))
		if err != nil {
			bad = fmt.Errorf("%w: %s: %w", ErrData, field, err)
		}
		return d
	}
	b.aid = bytesOf("aid", or(k.AID, usualAID))
	b.aip = bytesOf("aip", or(k.AIP, usualAIP))
	b.cdol1 = dol("cdol1", or(k.CDOL1, usualCDOL1))
	b.cdol2 = dol("cdol2", usualCDOL2)
	inner := tlv.Append(tlv.Append(nil, emv.TagLabel, []byte("PBOC DEBIT")), emv.TagPriority, []byte{1})
	if pdol := or(k.PDOL, usualPDOL); pdol != "-" {
		b.pdol = dol("pdol", pdol)
		inner = tlv.Append(inner, emv.TagPDOL, bytesOf("pdol", pdol))
	}
	b.fci = fci(b.aid, tlv.Append(inner, emv.TagLanguage, []byte("zh")))
	if !k.NoDirectory {
		b.pse = []byte("1PAY.SYS.DDF01")
		b.psefci = fci(b.pse, tlv.Append(nil, emv.TagSFI, []byte{1}))
	}
	entry := tlv.Append(tlv.Append(nil, emv.TagAID, b.aid), emv.TagPriority, []byte{1})
	b.directory = tlv.Append(nil, emv.TagRecord, tlv.Append(nil, emv.TagDirEntry, entry))
	b.afl = []byte{1 << 3, 1, 1, 0, 2 << 3, 1, 1, 0, 3 << 3, 1, 1, 0}
	b.records = k.records(holder, bytesOf)
	return b, bad
}

// takeKey keeps the card's key, or derives it from the issuer's.
func (b *bank) takeKey(k *Bank) error {
	id := byte(1)
	switch k.Cipher {
	case "3DES":
		b.cipher = emv.TDES
	case "SM4":
		b.cipher, id = emv.SM4, 4
	default:
		return fmt.Errorf("%w: cipher %q is neither 3DES nor SM4", ErrData, k.Cipher)
	}
	if k.CipherID != 0 {
		id = k.CipherID
	}
	b.iad = [3]byte{max(k.KeyIndex, 1), 1, id}
	key, err := hex.DecodeString(or(k.UDK, k.IMK))
	if err != nil || len(key) != len(b.udk) {
		return fmt.Errorf("%w: udk or imk is not 32 hexadecimal digits", ErrData)
	}
	b.udk = emv.Key(key)
	if k.UDK == "" {
		b.udk, err = emv.CardKey(b.cipher, b.udk, k.PAN, or(k.PSN, "01"))
	}
	return err
}

// records lays out the files of the bank application: track and holder in SFI
// 1, account number and dates in SFI 2, lists in SFI 3.
func (k *Bank) records(holder string, bytesOf func(field, v string) []byte) map[[2]byte][]byte {
	bcd := func(v string) string { return v + strings.Repeat("F", len(v)%2) }
	track := bcd(or(k.TrackPAN, k.PAN) + "D" + k.Expiry[:min(4, len(k.Expiry))] + "2010000000000")
	type pair struct {
		tag   tlv.Tag
		value []byte
	}
	record := func(pairs ...pair) []byte {
		var b []byte
		for _, p := range pairs {
			if len(p.value) > 0 {
				b = tlv.Append(b, p.tag, p.value)
			}
		}
		return tlv.Append(nil, emv.TagRecord, b)
	}
	if k.HolderID != "" {
		holder = strings.TrimPrefix(k.HolderID, "-")
	}
	idType := []byte{0x00}
	if holder == "" {
		idType = nil
	}
	name, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(or(k.HolderName, " /")))
	if err != nil {
		name = []byte(" /")
	}
	return map[[2]byte][]byte{
		{1, 1}: record(pair{emv.TagTrack2, bytesOf("track", track)}, pair{emv.TagHolderName, name},
			pair{emv.TagHolderID, []byte(holder)}, pair{emv.TagHolderIDType, idType}),
		{2, 1}: record(pair{emv.TagPAN, bytesOf("pan", bcd(k.PAN))}, pair{emv.TagExpiry, bytesOf("expiry", k.Expiry)},
			pair{emv.TagEffective, bytesOf("effective", or(k.Effective, "200101"))},
			pair{emv.TagPSN, bytesOf("psn", or(k.PSN, "01"))}, pair{emv.TagAUC, []byte{0xFF, 0x00}}),
		{3, 1}: record(pair{emv.TagCDOL1, bytesOf("cdol1", or(k.CDOL1, usualCDOL1))}, pair{emv.TagCDOL2, bytesOf("cdol2", usualCDOL2)},
			pair{emv.TagCVMList, bytesOf("cvm_list", or(k.CVMList, usualCVMList))},
			pair{emv.TagCardVersion, []byte{0, 0x30}}, pair{emv.TagAppCurrency, []byte{0x01, 0x56}}),
	}
}

// Example is a card of a fictional citizen, number n: a version 2.00 card of
// area 330100 with a debit application of the first demo bank under a test key.
// It is good until 2049. Callers change what their story needs.
func Example(n int) Data {
	first17 := fmt.Sprintf("330199%d%02d%02d%03d", 1950+n%50, 1+n%12, 1+n%28, 1+n%999)
	check, err := si.IDCheckDigit(first17)
	if err != nil {
		panic("chipcard: example: " + err.Error()) // n is negative
	}
	first8 := fmt.Sprintf("D%07d", n)
	noCheck, err := sscard.CardNoCheck(first8)
	if err != nil {
		panic("chipcard: example: " + err.Error())
	}
	return Data{
		ID: "example-" + strconv.Itoa(n),
		Social: &Social{
			Cipher: 3, Version: "2.00", CardID: fmt.Sprintf("330100D156000005%08dFFFFFFFF", n),
			Class: "3", Issued: "20240102", ValidUntil: "20491231", CardNo: first8 + string(noCheck),
			IDNumber: first17 + string(check), Name: "李示例" + string(rune('甲'+n%3)),
		},
		Bank: &Bank{
			PAN: Account("62990001", 16, n), Expiry: "491231", Cipher: "3DES",
			IMK: "0123456789ABCDEFFEDCBA9876543210",
		},
	}
}

// Account is the n-th account number of a prefix: digits long, with a good Luhn
// digit.
func Account(prefix string, digits, n int) string {
	s := prefix + fmt.Sprintf("%0*d", digits-1-len(prefix), n)
	luhn, err := si.LuhnDigit(s)
	if err != nil {
		panic("chipcard: account: " + err.Error()) // prefix is not digits
	}
	return s + string(luhn)
}
