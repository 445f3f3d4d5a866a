package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// Shape of a CUPS frame (docs/spec/bank-wire.md).
const (
	headLen  = 46
	maxFrame = 2048
	bodyAt   = headLen + 4 + 16 // after message type and two bitmaps
)

// template is one payment request laid out from the profile, to be patched for
// each payment.
type template struct {
	p     *profile.Profile
	frame []byte
	at    [129]int // where each element's value begins, 0 for none
	size  [129]int
}

// counterTeller is what the record OP says.
const counterTeller = "LOAD1"

func newTemplate(p *profile.Profile) (*template, error) {
	r := &p.Rules[profile.NoticePay].Request
	if p.Dialect != profile.CUPS || p.MACScope != profile.MACFull || p.MACField != 128 || !r.Used() {
		return nil, fmt.Errorf("load: bank %s: the generator speaks the CUPS dialect with the code over the whole message, for counters; take ccb", p.Code)
	}
	t := &template{p: p}
	values := map[int]string{
		3: r.Proc, 4: "000000000000", 7: "0000000000", 11: "000000", 12: "000000", 13: "0000", 15: "0000",
		32: "48330110" + strconv.Itoa(int(p.Number)), 33: "0010330110", 37: "000000000000",
		41: fmt.Sprintf("%-8s", p.TerminalB), 42: fmt.Sprintf("%-15s", p.MerchantB), 49: "156",
		p.RecordField: "NN02000000000000000000000CH003CTROP" + fmt.Sprintf("%03d", len(counterTeller)) + counterTeller,
		128:           "\x00\x00\x00\x00\x00\x00\x00\x00",
	}
	for de, v := range r.Fixed {
		values[de] = v
	}
	f := fmt.Appendf(nil, "%c%c0000%-11s%-11s%s", headLen, 0, p.HeaderSource, p.HeaderDest, "000"+"0"+"00000000"+"0"+"00000")
	f[1] = p.HeaderFlag
	f = append(append(f, r.MTI...), make([]byte, 16)...)
	fields := slices.Sorted(slices.Values(r.Mandatory))
	word := [2]uint64{1 << 63, 0}
	for _, de := range fields {
		v, ok := values[de]
		if !ok {
			return nil, fmt.Errorf("load: bank %s: the generator does not know what to put into DE %d", p.Code, de)
		}
		if d := p.Fields[de].LengthDigits; d > 0 {
			f = fmt.Appendf(f, "%0*d", d, len(v))
		}
		word[(de-1)/64] |= 1 << (63 - (de-1)%64)
		t.at[de], t.size[de] = len(f), len(v)
		f = append(f, v...)
	}
	binary.BigEndian.PutUint64(f[headLen+4:], word[0])
	binary.BigEndian.PutUint64(f[headLen+12:], word[1])
	n := len(f)
	switch p.LengthScope {
	case "excludes":
		n -= headLen
	case "includes-less-length":
		n -= 4
	}
	copy(f[2:], fmt.Sprintf("%04d", n))
	t.frame = f
	for _, de := range []int{3, 4, 7, 11, 15, 37, p.RecordField, 128} {
		if t.at[de] == 0 {
			return nil, fmt.Errorf("load: bank %s: a notice payment without DE %d", p.Code, de)
		}
	}
	return t, nil
}

// value is an element's place in a frame of the template.
func (t *template) value(frame []byte, de int) []byte {
	return frame[t.at[de] : t.at[de]+t.size[de]]
}

// put appends the frame of a payment to out, coded under key.
func (t *template) put(out []byte, p *payment, key *mac.Key) []byte {
	begin := len(out)
	out = append(out, t.frame...)
	f := out[begin:]
	digits(t.value(f, 4), uint64(p.amount))
	copy(t.value(f, 7), p.de7[:])
	digits(t.value(f, 11), uint64(p.stan))
	if t.at[12] > 0 {
		copy(t.value(f, 12), p.de7[4:])
	}
	if t.at[13] > 0 {
		copy(t.value(f, 13), p.de7[:4])
	}
	copy(t.value(f, 15), p.de7[:4])
	digits(t.value(f, 37), p.serial)
	p.notice.Append(t.value(f, t.p.RecordField)[5:5])
	code := key.Sum(f[headLen : len(f)-8])
	copy(t.value(f, 128), code[:])
	return out
}

// digits writes v with leading zeros.
func digits(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
}

// errWire is returned for bytes that are no answer to a payment.
var errWire = errors.New("load: the server's frame does not fit the profile")

// next tells the length of the first whole frame in b, 0 when more must come.
func (t *template) next(b []byte) (int, error) {
	if len(b) < 6 {
		return 0, nil
	}
	n := 0
	for _, c := range b[2:6] {
		if c < '0' || c > '9' {
			return 0, errWire
		}
		n = n*10 + int(c-'0')
	}
	switch t.p.LengthScope {
	case "excludes":
		n += headLen
	case "includes-less-length":
		n += 4
	}
	if b[0] != headLen || n < headLen+12 || n > maxFrame {
		return 0, errWire
	}
	if len(b) < n {
		return 0, nil
	}
	return n, nil
}

// reply is one answer taken apart. Its slices are parts of the frame.
type reply struct {
	field   [129][]byte
	receipt []byte
	payment []byte
	hasMAC  bool
	goodMAC bool
}

// read takes a whole frame apart. In error, r is of no use.
func (t *template) read(frame []byte, key *mac.Key, r *reply) error {
	*r = reply{}
	if len(frame) < headLen+12 || string(frame[headLen:headLen+4]) != t.p.Rules[profile.NoticePay].Reply.MTI {
		return errWire
	}
	words := [2]uint64{binary.BigEndian.Uint64(frame[headLen+4:])}
	at := headLen + 12
	if words[0]>>63 == 1 {
		if len(frame) < bodyAt {
			return errWire
		}
		words[0] &^= 1 << 63
		words[1], at = binary.BigEndian.Uint64(frame[headLen+12:]), bodyAt
	}
	for i, w := range words {
		for w != 0 {
			lead := bits.LeadingZeros64(w)
			w &^= 1 << (63 - lead)
			de := i*64 + lead + 1
			f := &t.p.Fields[de]
			n := f.Length
			if f.LengthDigits > 0 {
				if len(frame) < at+f.LengthDigits {
					return errWire
				}
				n = 0
				for _, c := range frame[at : at+f.LengthDigits] {
					if c < '0' || c > '9' {
						return errWire
					}
					n = n*10 + int(c-'0')
				}
				at += f.LengthDigits
			}
			if n == 0 || n > f.Length || len(frame) < at+n {
				return errWire
			}
			r.field[de] = frame[at : at+n]
			at += n
		}
	}
	if at != len(frame) || len(r.field[39]) != 2 {
		return errWire
	}
	if code := r.field[128]; code != nil {
		r.hasMAC, r.goodMAC = true, key.Verify(frame[headLen:len(frame)-8], [8]byte(code))
	}
	return r.records(r.field[t.p.RecordField])
}

// records finds the receipt and the payment id.
func (r *reply) records(b []byte) error {
	for len(b) > 0 {
		if len(b) < 5 {
			return errWire
		}
		n, err := strconv.Atoi(string(b[2:5]))
		if err != nil || n < 0 || len(b) < 5+n {
			return errWire
		}
		switch string(b[:2]) {
		case "RN":
			r.receipt = b[5 : 5+n]
		case "PY":
			r.payment = b[5 : 5+n]
		}
		b = b[5+n:]
	}
	return nil
}

// echoes tells whether the answer repeats what makes it this payment's.
func (t *template) echoes(r *reply, p *payment) bool {
	var b [12]byte
	is := func(de int, v uint64) bool {
		digits(b[:t.size[de]], v)
		return string(r.field[de]) == string(b[:t.size[de]])
	}
	for _, de := range [...]int{3, 32, 33, 41, 42, 49} {
		if t.at[de] > 0 && string(r.field[de]) != string(t.value(t.frame, de)) {
			return false
		}
	}
	return is(4, uint64(p.amount)) && is(11, uint64(p.stan)) && is(37, p.serial) &&
		string(r.field[7]) == string(p.de7[:]) && string(r.field[15]) == string(p.de7[:4])
}

// payment is one payment from its making to its answer.
type payment struct {
	notice  si.NoticeNo
	amount  si.Fen
	serial  uint64 // DE 37, twelve digits
	stan    uint32
	de7     [10]byte
	began   int64 // when it was due or made, nanoseconds on the run's clock
	live    bool
	again   bool // asked for a second time on purpose
	receipt si.ReceiptNo
}
