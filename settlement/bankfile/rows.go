package bankfile

import (
	"bytes"
	"strings"

	"github.com/shebao-pay/shebao/si"
)

// row is one kind of detail line. Row types are plain structs; what ties them to
// a file is here.
type row interface {
	kind() Kind
	columns() []column
	take(s *scan)             // from fields that fit their columns
	check(l *Layout) fault    // what columns alone cannot say
	put(p *pen)               // fields in the order of columns
	add(t *tally) string      // to the sums; what does not fit them
	key(dst []byte) []byte    // what no other row of the file has
	number() uint32           // line number
	settled() si.BusinessDate // date that must be the file's; 0: none
}

// Type is what a detail line is about.
type Type byte

// The types.
const (
	Pay         Type = 'P'
	Reversal    Type = 'R'
	Refund      Type = 'F'
	BatchCredit Type = 'B'
)

// Detail is one line of a details file: one act of the bank. It holds no clear
// account number.
//
// The slices are views of the reader's buffer: they live until the callback
// returns, or, from [Reread], as long as the row. Arrays and numbers may be
// kept. An empty field is an empty slice or an array of zeros.
type Detail struct {
	Offset     int64  // of the line's first byte in the file; not written
	Line       uint32 // number of the line, 1 to the count, each once
	Type       Type
	HostSerial []byte   // the bank's own number of the act: 1 to 20 characters
	RRN        [12]byte // DE 37; P and R have it
	STAN       [6]byte  // DE 11; P and R have it
	DE7        [10]byte // MMDDhhmmss; P and R have it
	DE32       []byte   // acquirer: up to 11 digits
	DE41       [8]byte  // terminal; P and R have it
	TxnDate    si.BusinessDate
	TxnTime    [6]byte         // hhmmss, China time
	Settle     si.BusinessDate // the file's date
	Amount     si.Fen          // 1 to si.MaxFen
	Sign       byte            // C: the agency's account grew; D: it shrank. With DebitView the reverse
	Account    []byte          // masked: first six, asterisks, last four digits; may be empty
	Reference  []byte          // notice or payment reference: up to 32 characters
	Alias      []byte          // beneficiary account: up to 8 characters
	Response   [2]byte         // DE 39; P and R have it
	Original   []byte          // host serial of what R or F undoes: up to 20 characters
	Note       []byte          // in the file's character set, up to 120 bytes; 27 in the fixed-width layout
}

// Columns of a detail.
const (
	detailType = iota + 1
	detailSerial
	detailRRN
	detailSTAN
	detailDE7
	detailDE32
	detailDE41
	detailTxnDate
	detailTxnTime
	detailSettle
	detailAmount
	detailSign
	detailAccount
	detailReference
	detailAlias
	detailResponse
	detailOriginal
	detailNote
)

var detailColumns = []column{
	{"line", count, 1, 8, ""},
	{"type", choice, 1, 1, "PRFB"},
	{"host serial", printable, 1, 20, ""},
	{"RRN", printable, 0, 12, ""},
	{"STAN", digits, 0, 6, ""},
	{"DE7", stamp, 0, 10, ""},
	{"DE32", digits, 0, 11, ""},
	{"DE41", printable, 0, 8, ""},
	{"txn date", date, 8, 8, ""},
	{"txn time", clock, 6, 6, ""},
	{"settle date", date, 8, 8, ""},
	{"amount", amount, 1, 13, ""},
	{"D/C", choice, 1, 1, "DC"},
	{"account", masked, 0, 19, ""},
	{"reference", printable, 0, 32, ""},
	{"alias", printable, 0, 8, ""},
	{"response", printable, 0, 2, ""},
	{"original serial", printable, 0, 20, ""},
	{"note", text, 0, 120, ""},
}

func (*Detail) kind() Kind                 { return Details }
func (*Detail) columns() []column          { return detailColumns }
func (d *Detail) number() uint32           { return d.Line }
func (d *Detail) settled() si.BusinessDate { return d.Settle }

func (d *Detail) take(s *scan) {
	*d = Detail{
		Line: uint32(s.number(0)), Type: Type(s.letter(detailType)), HostSerial: s.v[detailSerial], DE32: s.v[detailDE32],
		TxnDate: s.day(detailTxnDate), Settle: s.day(detailSettle), Amount: s.money(detailAmount), Sign: s.letter(detailSign),
		Account: s.v[detailAccount], Reference: s.v[detailReference], Alias: s.v[detailAlias],
		Original: s.v[detailOriginal], Note: s.v[detailNote],
	}
	copy(d.RRN[:], s.v[detailRRN])
	copy(d.STAN[:], s.v[detailSTAN])
	copy(d.DE7[:], s.v[detailDE7])
	copy(d.DE41[:], s.v[detailDE41])
	copy(d.TxnTime[:], s.v[detailTxnTime])
	copy(d.Response[:], s.v[detailResponse])
}

func (d *Detail) check(l *Layout) fault {
	wire := d.Type == Pay || d.Type == Reversal
	undoes := d.Type == Reversal || d.Type == Refund
	for _, x := range []struct {
		col  int
		last byte // of the field's array: a short one ends in zero
		some byte
	}{
		{detailRRN, d.RRN[11], d.RRN[0]}, {detailSTAN, d.STAN[5], d.STAN[0]}, {detailDE7, d.DE7[9], d.DE7[0]},
		{detailDE41, d.DE41[7], d.DE41[0]}, {detailResponse, d.Response[1], d.Response[0]},
	} {
		if x.last == 0 && (wire || x.some != 0) {
			return fault{x.col, "has not its full length"}
		}
	}
	credit := d.Sign == 'C'
	switch {
	case d.Amount < 1 || d.Amount > si.MaxFen:
		return fault{detailAmount, "is outside 0.01 to 9999999999.99 yuan"}
	case credit != (undoes == l.DebitView):
		return fault{detailSign, "does not fit the type"}
	case undoes != (len(d.Original) > 0):
		return fault{detailOriginal, "must stand with R and F, and only there"}
	}
	return fault{}
}

func (d *Detail) put(p *pen) {
	p.count(uint64(d.Line))
	p.letter(byte(d.Type))
	p.bytes(d.HostSerial)
	p.fixed(d.RRN[:])
	p.fixed(d.STAN[:])
	p.fixed(d.DE7[:])
	p.bytes(d.DE32)
	p.fixed(d.DE41[:])
	p.date(d.TxnDate)
	p.fixed(d.TxnTime[:])
	p.date(d.Settle)
	p.fen(d.Amount)
	p.letter(d.Sign)
	p.bytes(d.Account)
	p.bytes(d.Reference)
	p.bytes(d.Alias)
	p.fixed(d.Response[:])
	p.bytes(d.Original)
	p.bytes(d.Note)
}

func (d *Detail) add(t *tally) string {
	switch d.Type {
	case Pay:
		t.p += d.Amount
		t.net += d.Amount
	case BatchCredit:
		t.net += d.Amount
	case Reversal:
		t.r += d.Amount
		t.net -= d.Amount
	case Refund:
		t.f += d.Amount
		t.net -= d.Amount
	}
	return ""
}

func (d *Detail) key(dst []byte) []byte {
	return append(append(dst, byte(d.Type)), d.HostSerial...)
}

// items are what a totals file counts: payments, reversals, refunds, batch
// credits, inquiries.
const items = "PRFBI"

// Total is one line of a totals file. With Fund, DE41 and Batch empty it is the
// whole of its item; else it is a part, by fund or by batch. The parts of an
// item, where there are any, come to its whole.
type Total struct {
	Line  uint32
	Item  byte   // P, R, F, B, or I inquiries
	Fund  string // insurance type, such as PENSION_RES; empty: all
	DE41  string // terminal of a batch; empty: all
	Batch string // six digits; empty: all
	Count uint64
	Sum   si.Fen // of I: 0
}

var totalColumns = []column{
	{"line", count, 1, 8, ""},
	{"item", choice, 1, 1, items},
	{"fund", printable, 0, 16, ""},
	{"DE41", printable, 0, 8, ""},
	{"batch", digits, 0, 6, ""},
	{"count", count, 1, 9, ""},
	{"sum", amount, 1, sumLen, ""},
}

func (*Total) kind() Kind               { return Totals }
func (*Total) columns() []column        { return totalColumns }
func (x *Total) number() uint32         { return x.Line }
func (*Total) settled() si.BusinessDate { return 0 }

func (x *Total) take(s *scan) {
	*x = Total{uint32(s.number(0)), s.letter(1), string(s.v[2]), string(s.v[3]), string(s.v[4]), s.number(5), s.money(6)}
}

func (x *Total) check(*Layout) fault {
	switch {
	case (x.DE41 == "") != (x.Batch == "") || x.Batch != "" && (len(x.Batch) != 6 || len(x.DE41) != 8 || x.Fund != ""):
		return fault{4, "a batch has its terminal and six digits, and no fund"}
	case x.Sum != 0 && x.Item == 'I', x.Sum != 0 && x.Count == 0:
		return fault{6, "is a sum of nothing"}
	}
	return fault{}
}

func (x *Total) put(p *pen) {
	p.count(uint64(x.Line))
	p.letter(x.Item)
	p.text(x.Fund)
	p.text(x.DE41)
	p.text(x.Batch)
	p.count(x.Count)
	p.fen(x.Sum)
}

func (x *Total) add(t *tally) string {
	it := &t.items[strings.IndexByte(items, x.Item)]
	part := &it.whole
	switch {
	case x.Fund != "":
		part = &it.funds
	case x.Batch != "":
		part = &it.batches
	default:
		switch x.Item {
		case 'P':
			t.p += x.Sum
			t.net += x.Sum
		case 'B':
			t.net += x.Sum
		case 'R':
			t.r += x.Sum
			t.net -= x.Sum
		case 'F':
			t.f += x.Sum
			t.net -= x.Sum
		}
	}
	return oneOf(part.add(x.Count, x.Sum), "a sum does not fit")
}

func (x *Total) key(dst []byte) []byte {
	dst = append(append(dst, x.Item), x.Fund...)
	return append(append(append(append(dst, '|'), x.DE41...), '|'), x.Batch...)
}

// AccountLine is one line of an account file. The lines of an account stand
// together: its opening balance, its entries, its closing balance, which they
// must come to.
type AccountLine struct {
	Line      uint32
	Item      byte   // O opening balance, E entry, C closing balance
	Account   string // alias of the account, never its number
	Booked    si.BusinessDate
	Value     si.BusinessDate
	Amount    si.Fen // of an entry at least 1
	Sign      byte   // C or D; of a balance D is overdrawn
	Serial    string // the bank's number of an entry
	Reference string // ours
	Note      []byte // in the file's character set; lives as Detail's
}

var accountColumns = []column{
	{"line", count, 1, 8, ""},
	{"item", choice, 1, 1, "OEC"},
	{"account", printable, 1, 32, ""},
	{"booked", date, 8, 8, ""},
	{"value date", date, 8, 8, ""},
	{"amount", amount, 1, sumLen, ""},
	{"D/C", choice, 1, 1, "DC"},
	{"serial", printable, 0, 35, ""},
	{"reference", printable, 0, 35, ""},
	{"note", text, 0, 120, ""},
}

func (*AccountLine) kind() Kind                 { return Account }
func (*AccountLine) columns() []column          { return accountColumns }
func (x *AccountLine) number() uint32           { return x.Line }
func (x *AccountLine) settled() si.BusinessDate { return x.Booked }

func (x *AccountLine) take(s *scan) {
	*x = AccountLine{uint32(s.number(0)), s.letter(1), string(s.v[2]), s.day(3), s.day(4), s.money(5), s.letter(6), string(s.v[7]), string(s.v[8]), s.v[9]}
}

func (x *AccountLine) check(*Layout) fault {
	switch {
	case (x.Item == 'E') != (x.Serial != ""):
		return fault{7, "must stand with an entry, and only there"}
	case x.Item == 'E' && (x.Amount < 1 || x.Amount > si.MaxFen):
		return fault{5, "is outside 0.01 to 9999999999.99 yuan"}
	}
	return fault{}
}

func (x *AccountLine) put(p *pen) {
	p.count(uint64(x.Line))
	p.letter(x.Item)
	p.text(x.Account)
	p.date(x.Booked)
	p.date(x.Value)
	p.fen(x.Amount)
	p.letter(x.Sign)
	p.text(x.Serial)
	p.text(x.Reference)
	p.bytes(x.Note)
}

func (x *AccountLine) add(t *tally) string {
	a, change := &t.account, x.Amount
	if x.Sign == 'D' {
		change = -change
	}
	same := a.open && string(bytes.TrimRight(a.name[:], "\x00")) == x.Account
	switch {
	case x.Item == 'O' && a.open, x.Item != 'O' && !same:
		return "the lines of an account do not stand together, from its opening to its closing"
	case x.Item == 'O':
		a.open, a.balance, a.name = true, change, [32]byte{}
		copy(a.name[:], x.Account)
	case x.Item == 'C' && change != a.balance:
		return "opening balance and entries do not come to the closing balance"
	case x.Item == 'C':
		a.open = false
	default:
		a.balance += change
		t.net += change
		if change > 0 {
			t.p += change
		} else {
			t.r -= change
		}
	}
	return ""
}

func (x *AccountLine) key(dst []byte) []byte {
	return append(append(append(append(dst, x.Item), x.Account...), '|'), x.Serial...)
}

// Mandate is one line of a mandates file.
type Mandate struct {
	Line      uint32
	No        string // mandate number
	Action    byte   // S signed, C cancelled
	Cipher    string // account under the bank's data key, upper-case hexadecimal; empty in an answer and in C
	Limit     si.Fen // of one debit; 0: none
	Agreement string // the bank's number; empty before the bank has given one
	Result    string // two characters in the bank's answer, else empty
}

var mandateColumns = []column{
	{"line", count, 1, 8, ""},
	{"mandate no", printable, 1, 32, ""},
	{"action", choice, 1, 1, "SC"},
	{"enciphered account", upperHex, 0, 128, ""},
	{"limit", amount, 1, 13, ""},
	{"agreement no", printable, 0, 32, ""},
	{"result", printable, 0, 2, ""},
}

func (*Mandate) kind() Kind               { return Mandates }
func (*Mandate) columns() []column        { return mandateColumns }
func (x *Mandate) number() uint32         { return x.Line }
func (*Mandate) settled() si.BusinessDate { return 0 }

func (x *Mandate) take(s *scan) {
	*x = Mandate{uint32(s.number(0)), string(s.v[1]), s.letter(2), string(s.v[3]), s.money(4), string(s.v[5]), string(s.v[6])}
}

func (x *Mandate) check(*Layout) fault {
	switch {
	case len(x.Result) == 1:
		return fault{6, "has not its full length"}
	case x.Limit > si.MaxFen:
		return fault{4, "is more than 9999999999.99 yuan"}
	}
	return fault{}
}

func (x *Mandate) put(p *pen) {
	p.count(uint64(x.Line))
	p.text(x.No)
	p.letter(x.Action)
	p.text(x.Cipher)
	p.fen(x.Limit)
	p.text(x.Agreement)
	p.text(x.Result)
}

func (*Mandate) add(*tally) string { return "" }

func (x *Mandate) key(dst []byte) []byte { return append(append(dst, x.Action), x.No...) }

// DebitOrder is one line of a batch debit file as we send it.
type DebitOrder struct {
	Line      uint32
	Agreement string // the bank's number of the mandate
	Amount    si.Fen // 1 to si.MaxFen
}

var orderColumns = []column{
	{"line", count, 1, 8, ""},
	{"agreement no", printable, 1, 32, ""},
	{"amount", amount, 1, 13, ""},
}

func (*DebitOrder) kind() Kind               { return Debits }
func (*DebitOrder) columns() []column        { return orderColumns }
func (x *DebitOrder) number() uint32         { return x.Line }
func (*DebitOrder) settled() si.BusinessDate { return 0 }

func (x *DebitOrder) take(s *scan) {
	*x = DebitOrder{uint32(s.number(0)), string(s.v[1]), s.money(2)}
}

func (x *DebitOrder) check(*Layout) fault {
	if x.Amount < 1 || x.Amount > si.MaxFen {
		return fault{2, "is outside 0.01 to 9999999999.99 yuan"}
	}
	return fault{}
}

func (x *DebitOrder) put(p *pen) {
	p.count(uint64(x.Line))
	p.text(x.Agreement)
	p.fen(x.Amount)
}

func (x *DebitOrder) add(t *tally) string {
	t.p += x.Amount
	t.net += x.Amount
	return ""
}

// An agreement may be debited for several dues: the line is the row.
func (x *DebitOrder) key(dst []byte) []byte { return appendLine(dst, x.Line) }

func appendLine(dst []byte, n uint32) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// DebitResult is the bank's answer to one line of a batch debit file: the order
// has the same line number.
type DebitResult struct {
	Line   uint32
	Code   string          // 00 debited; any other: not debited
	Serial string          // the bank's number of the debit
	Date   si.BusinessDate // of the debit
	Amount si.Fen          // debited; 0 where Code is not 00
}

var resultColumns = []column{
	{"line", count, 1, 8, ""},
	{"result", printable, 2, 2, ""},
	{"host serial", printable, 0, 20, ""},
	{"debit date", date, 0, 8, ""},
	{"amount", amount, 1, 13, ""},
}

func (*DebitResult) kind() Kind               { return Debits }
func (*DebitResult) columns() []column        { return resultColumns }
func (x *DebitResult) number() uint32         { return x.Line }
func (*DebitResult) settled() si.BusinessDate { return 0 }

func (x *DebitResult) take(s *scan) {
	*x = DebitResult{uint32(s.number(0)), string(s.v[1]), string(s.v[2]), s.day(3), s.money(4)}
}

func (x *DebitResult) check(*Layout) fault {
	done := x.Code == "00"
	switch {
	case done != (x.Amount > 0) || x.Amount > si.MaxFen:
		return fault{4, "is debited with result 00, and only then"}
	case done && (x.Serial == "" || x.Date == 0):
		return fault{2, "a debit has its number and date"}
	}
	return fault{}
}

func (x *DebitResult) put(p *pen) {
	p.count(uint64(x.Line))
	p.text(x.Code)
	p.text(x.Serial)
	p.date(x.Date)
	p.fen(x.Amount)
}

func (x *DebitResult) add(t *tally) string {
	t.p += x.Amount
	t.net += x.Amount
	return ""
}

func (x *DebitResult) key(dst []byte) []byte { return appendLine(dst, x.Line) }

// DebitReceipt is the one line of the bank's receipt of a batch debit file: what
// it has got.
type DebitReceipt struct {
	Line   uint32
	Order  string // name of the file of orders
	Count  uint64
	Sum    si.Fen
	SHA256 [32]byte // of the file of orders
	State  byte     // A accepted, N not processed and never will be
}

var receiptColumns = []column{
	{"line", count, 1, 8, ""},
	{"order file", printable, 1, 64, ""},
	{"count", count, 1, 8, ""},
	{"sum", amount, 1, sumLen, ""},
	{"digest", lowerHex, 64, 64, ""},
	{"state", choice, 1, 1, "AN"},
}

func (*DebitReceipt) kind() Kind               { return Debits }
func (*DebitReceipt) columns() []column        { return receiptColumns }
func (x *DebitReceipt) number() uint32         { return x.Line }
func (*DebitReceipt) settled() si.BusinessDate { return 0 }

func (x *DebitReceipt) take(s *scan) {
	*x = DebitReceipt{Line: uint32(s.number(0)), Order: string(s.v[1]), Count: s.number(2), Sum: s.money(3), State: s.letter(5)}
	unhex(x.SHA256[:], s.v[4])
}

func (x *DebitReceipt) check(*Layout) fault {
	if n, err := ParseName(x.Order); err != nil || n.Kind != Debits {
		return fault{1, "is no name of a batch debit file"}
	}
	return fault{}
}

func (x *DebitReceipt) put(p *pen) {
	p.count(uint64(x.Line))
	p.text(x.Order)
	p.count(x.Count)
	p.fen(x.Sum)
	p.hex(x.SHA256[:])
	p.letter(x.State)
}

func (*DebitReceipt) add(*tally) string { return "" }

func (x *DebitReceipt) key(dst []byte) []byte { return append(dst, x.Order...) }

// RefundLine is one line of a refunds file: our instruction, or with Result the
// bank's answer.
type RefundLine struct {
	Line     uint32
	No       string // refund id
	Original string // host serial of the payment
	Date     si.BusinessDate
	RRN      string // of the payment, twelve characters
	Amount   si.Fen
	Cipher   string // account under the bank's data key, where the bank needs it; else empty
	Result   string // two characters in the bank's answer, else empty
}

var refundColumns = []column{
	{"line", count, 1, 8, ""},
	{"refund id", printable, 1, 32, ""},
	{"original serial", printable, 1, 20, ""},
	{"date", date, 8, 8, ""},
	{"RRN", printable, 12, 12, ""},
	{"amount", amount, 1, 13, ""},
	{"enciphered account", upperHex, 0, 128, ""},
	{"result", printable, 0, 2, ""},
}

func (*RefundLine) kind() Kind               { return Refunds }
func (*RefundLine) columns() []column        { return refundColumns }
func (x *RefundLine) number() uint32         { return x.Line }
func (*RefundLine) settled() si.BusinessDate { return 0 }

func (x *RefundLine) take(s *scan) {
	*x = RefundLine{uint32(s.number(0)), string(s.v[1]), string(s.v[2]), s.day(3), string(s.v[4]), s.money(5), string(s.v[6]), string(s.v[7])}
}

func (x *RefundLine) check(*Layout) fault {
	switch {
	case x.Amount < 1 || x.Amount > si.MaxFen:
		return fault{5, "is outside 0.01 to 9999999999.99 yuan"}
	case len(x.Result) == 1:
		return fault{7, "has not its full length"}
	}
	return fault{}
}

func (x *RefundLine) put(p *pen) {
	p.count(uint64(x.Line))
	p.text(x.No)
	p.text(x.Original)
	p.date(x.Date)
	p.text(x.RRN)
	p.fen(x.Amount)
	p.text(x.Cipher)
	p.text(x.Result)
}

func (x *RefundLine) add(t *tally) string {
	t.f += x.Amount
	t.net -= x.Amount
	return ""
}

func (x *RefundLine) key(dst []byte) []byte { return append(dst, x.No...) }
