package bankmsg

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// callDrift is how many days the DE 15 of a bank's call may lie from ours. A
// status question or a reversal may concern an earlier date; the ledger judges
// the date itself.
const callDrift = 31

// channels are the values of the record CH.
var channels = map[string]si.Channel{"CTR": si.ChannelCounter, "EBK": si.ChannelEBank, "MOB": si.ChannelEBank}

// BankCall is what a bank asks of our server: an inquiry, a payment of a
// notice, a question after one, or a reversal of one.
type BankCall struct {
	Kind      profile.Kind
	Repeat    bool
	STAN      uint32
	DE7       [10]byte
	Acquirer  string          // DE 32
	Forwarder string          // DE 33, empty in the POS dialect
	Serial    [12]byte        // DE 37, the bank's serial of the payment
	Date      si.BusinessDate // DE 15, 0 in an inquiry
	Amount    si.Fen          // payment and reversal
	Reason    [2]byte         // DE 39 of a reversal
	Notice    si.NoticeNo     // inquiry and payment
	ID        si.IDNumber     // inquiry without a notice number
	Channel   si.Channel
	Teller    string
	Original  OriginalData // status and reversal
}

// ReadCall reads a decoded request of the bank whose code was found good.
// today is our own date, near which DE 15 must lie. An error says why the bank
// is answered 30.
func (c *Codec) ReadCall(m *Message, in *Inbound, today si.BusinessDate, b *BankCall) error {
	*b = BankCall{Kind: in.Kind, Repeat: in.Repeat, Channel: si.ChannelCounter,
		Acquirer: string(m.Field(32)), Forwarder: string(m.Field(33))}
	if in.Reply || in.Kind < profile.Inquiry || in.Kind > profile.PayReversal {
		return refuse(0, whyUnmatched)
	}
	stan, _ := m.Number(11)
	b.STAN = uint32(stan)
	copy(b.DE7[:], m.Field(7))
	copy(b.Serial[:], m.Field(37))
	copy(b.Reason[:], m.Field(39))
	if !validTime(b.DE7, today) {
		return refuseText(7, "is no date and time")
	}
	if f := m.Field(15); f != nil {
		d, ok := nearDate(f, today, callDrift)
		if !ok {
			return refuseText(15, "is no date near ours")
		}
		b.Date = d
	}
	if amount, ok := m.Number(4); ok {
		b.Amount = si.Fen(amount)
	}
	if f := m.Field(c.p.RecordField); f != nil {
		if err := Records(f, func(tag string, v []byte) error { return b.record(c.p.RecordField, tag, v) }); err != nil {
			return err
		}
	}
	return c.checkCall(m, b)
}

// record reads one record of a request. An unknown tag refuses the request.
func (b *BankCall) record(de int, tag string, v []byte) (err error) {
	switch tag {
	case RecNotice:
		if b.Notice, err = si.ParseNoticeNo(string(v)); err != nil {
			return refuseText(de, "notice number is not 20 digits with good check digits")
		}
	case RecID:
		if b.ID, err = si.ParseIDNumber(string(v)); err != nil || b.Kind != profile.Inquiry {
			return refuseText(de, "no ID number that fits this message")
		}
	case RecChannel:
		ch, ok := channels[string(v)]
		if !ok {
			return refuseText(de, "channel is none of CTR, EBK, MOB")
		}
		b.Channel = ch
	case RecTeller:
		if len(v) == 0 || len(v) > 16 || !allOf(v, isPrint) {
			return refuseText(de, "teller is not 1 to 16 printable characters")
		}
		b.Teller = string(v)
	case RecOriginal:
		o, ok := parseOriginal(v)
		if !ok {
			return refuseText(de, "original data is not 42 digits")
		}
		b.Original = o
	default:
		return refuseText(de, "record of an unknown tag")
	}
	return nil
}

// checkCall holds the call to what its kind needs.
func (c *Codec) checkCall(m *Message, b *BankCall) error {
	de := c.p.RecordField
	switch b.Kind {
	case profile.Inquiry:
		if (b.Notice == 0) == b.ID.IsZero() {
			return refuseText(de, "needs either a notice number or an ID number")
		}
	case profile.NoticePay:
		if b.Notice == 0 {
			return refuseText(de, "needs a notice number")
		}
		if b.Amount <= 0 {
			return refuseText(4, "must be over zero")
		}
	case profile.PayStatus, profile.PayReversal:
		if f := m.Field(90); f != nil {
			o, ok := parseOriginal(f)
			if !ok {
				return refuseText(90, "original data is not 42 digits")
			}
			b.Original = o
		}
		if b.Original.MTI == 0 {
			return refuseText(de, "needs the original data")
		}
	}
	return nil
}

// PaymentID is the id under which the ledger knows the bank's payment: midnight
// of the settlement date in Unix milliseconds, then SHA-256 over bank, DE 32,
// 33, 7, 11 and 37, cut. A repeat of the payment has the id of the first; a
// status question or a reversal, which carries the payment's DE 15 and 37 and
// names the rest in its original data, has it as well. Another body under the
// same id is the ledger's to refuse.
func (b *BankCall) PaymentID(bank si.Bank) si.PaymentID {
	stan, de7, acquirer, forwarder := b.STAN, b.DE7, b.Acquirer, b.Forwarder
	if b.Kind == profile.PayStatus || b.Kind == profile.PayReversal {
		o := &b.Original
		stan, de7, acquirer, forwarder = o.STAN, o.DE7, o.Acquirer, o.Forwarder
	}
	// DE 90 fills the institutions with zeros, so those in front count nowhere.
	var room [96]byte
	text := strconv.AppendUint(room[:0], uint64(bank), 10)
	text = append(append(text, '|'), strings.TrimLeft(acquirer, "0")...)
	text = append(append(text, '|'), strings.TrimLeft(forwarder, "0")...)
	text = append(append(append(text, '|'), de7[:]...), '|')
	for unit := uint32(100_000); unit > 1 && stan < unit; unit /= 10 { // six digits
		text = append(text, '0')
	}
	text = append(strconv.AppendUint(text, uint64(stan), 10), '|')
	text = append(text, b.Serial[:]...)
	sum := sha256.Sum256(text)
	var id si.PaymentID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(b.Date.Time().UnixMilli()))
	copy(id[:6], ms[2:])
	copy(id[6:], sum[:])
	return id
}

// validTime tells whether MMDDhhmmss is a time of this year or a neighbour.
func validTime(de7 [10]byte, today si.BusinessDate) bool {
	if !allOf(de7[:], isDigit) {
		return false
	}
	two := func(at int) int { return int(de7[at]-'0')*10 + int(de7[at+1]-'0') }
	month, day := two(0), two(2)
	if month < 1 || month > 12 || day < 1 || two(4) > 23 || two(6) > 59 || two(8) > 59 {
		return false
	}
	last := [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && day == 29 {
		year := today.Time().Year()
		return leap(year) || leap(year-1) || leap(year+1)
	}
	return day <= last
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// BankAnswer is what our server answers a bank's call.
type BankAnswer struct {
	Code    string // DE 39, or one of our own codes N1 to N6
	Auth    string // DE 38, six characters
	Amount  si.Fen // inquiry: the total of the dues; 0 for none
	Notice  si.NoticeNo
	Term    string // TS
	Fund    si.Fund
	Count   int
	Name    string // masked by whoever asks the HSM process for it
	Receipt si.ReceiptNo
	Payment si.PaymentID
	Detail  string // ER, at most 40 printable characters
}

// echoInAnswer are the elements that an answer takes from its request.
var echoInAnswer = [...]int{3, 4, 7, 11, 12, 13, 15, 32, 33, 37, 41, 42, 49, 60, 70, 90, 100, 53}

// Answer fills m with the answer to the request req.
func (c *Codec) Answer(m, req *Message, in *Inbound, a *BankAnswer) error {
	r, err := c.answer(m, req, in, c.p.OwnCode(a.Code))
	if err != nil {
		return err
	}
	if in.Kind == profile.Inquiry && a.Amount > 0 {
		m.SetNumber(4, uint64(a.Amount), 12)
	}
	if a.Auth != "" && r.may.has(38) {
		m.SetString(38, a.Auth)
	}
	recs, err := a.records()
	if err != nil {
		return err
	}
	if len(recs) > 0 && r.may.has(c.p.RecordField) {
		m.Set(c.p.RecordField, recs)
	}
	return nil
}

// AnswerNet fills m with the answer to a message of the link itself: peer
// sign-on, peer echo, key delivery, cutover.
func (c *Codec) AnswerNet(m, req *Message, in *Inbound, code string) error {
	_, err := c.answer(m, req, in, code)
	return err
}

func (c *Codec) answer(m, req *Message, in *Inbound, code string) (*rule, error) {
	r := c.rule(in.Kind, true)
	if r == nil {
		return nil, refuse(0, whyUnmatched)
	}
	m.Reset(r.mti)
	for _, de := range echoInAnswer {
		if v := req.Field(de); v != nil && r.may.has(de) {
			m.Set(de, v)
		}
	}
	m.SetString(39, code)
	return r, nil
}

// records writes the records of the answer in a fixed order.
func (a *BankAnswer) records() ([]byte, error) {
	out := make([]byte, 0, 128)
	add := func(tag, v string) {
		if v != "" {
			out = AppendRecord(out, tag, v)
		}
	}
	if a.Notice != 0 {
		add(RecNotice, a.Notice.String())
	}
	add(RecTerm, a.Term)
	if a.Fund.Valid() {
		add(RecFund, a.Fund.String())
	}
	if a.Count > 0 {
		add(RecCount, fmt.Sprint(a.Count))
	}
	if a.Name != "" {
		gb, err := simplifiedchinese.GB18030.NewEncoder().String(a.Name)
		if err != nil {
			return nil, refuseText(0, "name does not fit GB 18030")
		}
		add(RecName, gb)
	}
	if a.Receipt != (si.ReceiptNo{}) {
		out = append(out, RecReceipt+"020"...)
		out = a.Receipt.Append(out)
	}
	if !a.Payment.IsZero() {
		out = append(out, RecPayment+"032"...)
		out = hex.AppendEncode(out, a.Payment[:])
	}
	add(RecDetail, a.Detail)
	return out, nil
}
