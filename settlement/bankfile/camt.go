package bankfile

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// Namespaces of account statements that are taken unless a profile lists
// others.
var Namespaces = []string{"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}

// Statement is what an account statement says besides its entries.
type Statement struct {
	MessageID string
	ID        string
	Sequence  uint64 // ElctrncSeqNb, one more than that of the statement before
	From, To  time.Time
	Opening   si.Fen // booked balance, negative if overdrawn
	Closing   si.Fen
	Closed    si.BusinessDate // date of the closing balance
	Credits   int
	CreditSum si.Fen
	Debits    int
	DebitSum  si.Fen
	Size      int64
	SHA256    [32]byte
}

// Entry is one booked line of a statement.
type Entry struct {
	Offset   int64 // of the bytes behind its start tag
	Ref      string
	Amount   si.Fen // 1 to si.MaxFen
	Credit   bool   // the account grew
	Reversal bool   // it takes back an earlier entry; Credit says which way the money went
	Booked   si.BusinessDate
	Value    si.BusinessDate
	BankRef  string // AcctSvcrRef
	TxCode   string // domain/family/subfamily, or the bank's own code
}

// WantStatement is what a caller knows of a statement before it is read.
type WantStatement struct {
	Date       si.BusinessDate // of its closing balance
	Flag       *Flag           // nil if the bank sends none
	Previous   *Statement      // the one before of the same account; nil: this is the first
	Namespaces []string        // accepted; none: Namespaces
}

// ReadStatement takes a camt.053 message with one statement of one page whole,
// and hands each entry to each in the order of the message. As with Read, no
// entry counts unless the answer is without error, and a fault of the file is a
// *Quarantine.
func ReadStatement(src io.ReaderAt, size int64, want WantStatement, each func(*Entry) error) (Statement, error) {
	if size < 0 {
		return Statement{}, fmt.Errorf("bankfile: size %d of a file", size)
	}
	if size > MaxSize {
		return Statement{}, &Quarantine{Code: OverLimit, Offset: MaxSize, Why: "the file has more than 2 GiB"}
	}
	if want.Flag != nil && want.Flag.Size != size {
		return Statement{}, &Quarantine{Code: HashDiffers, Offset: min(size, want.Flag.Size), Why: "the size is not that of the flag file"}
	}
	if want.Namespaces == nil {
		want.Namespaces = Namespaces
	}
	whole := sha256.New()
	g := newGuard(io.TeeReader(io.NewSectionReader(src, 0, size), whole), want.Namespaces)
	s := &statement{g: g, d: xml.NewTokenDecoder(g), want: want, each: each, out: Statement{Size: size}}
	if err := s.message(); err != nil {
		return Statement{}, s.verdict(err, size)
	}
	whole.Sum(s.out.SHA256[:0])
	if n, _ := src.ReadAt(make([]byte, 1), size); n > 0 { // an error means that it ends here, as it should
		return Statement{}, &Quarantine{Code: HashDiffers, Offset: size, Why: "the file has grown while it was read"}
	}
	if want.Flag != nil && want.Flag.SHA256 != s.out.SHA256 {
		return Statement{}, &Quarantine{Code: HashDiffers, Offset: size, Why: "the hash is not that of the flag file"}
	}
	return s.out, nil
}

// statement is one message on its way in.
type statement struct {
	g    *guard
	d    *xml.Decoder
	want WantStatement
	each func(*Entry) error
	out  Statement

	opening, closing         bool
	credits, debits          int
	creditSum, debitSum      si.Fen
	summary                  *summaryXML
	messages, ids, sequences int
}

// callback marks an error of the caller's own.
type callback struct{ err error }

func (c callback) Error() string { return c.err.Error() }

// verdict turns what ended the reading into what the caller is told.
func (s *statement) verdict(err error, size int64) error {
	if own, ok := errors.AsType[callback](err); ok {
		return own.err
	}
	if q, ok := errors.AsType[*Quarantine](err); ok {
		return q
	}
	at, line := s.g.place()
	if s.g.in.broken != nil {
		return fmt.Errorf("bankfile: read at byte %d: %w", at, s.g.in.broken)
	}
	e, syntax := errors.AsType[*xml.SyntaxError](err)
	if syntax && e.Msg == "unexpected EOF" || errors.Is(err, io.EOF) {
		return &Quarantine{Code: Truncated, Offset: size, Line: line, Why: "the message ends before its last element does"}
	}
	return &Quarantine{Code: BadForm, Offset: at, Line: line, Why: "this is not well-formed XML in UTF-8"}
}

// fail is a check of the statement that does not hold.
func (s *statement) fail(field, why string) error { return s.code(BadStatement, field, why) }

func (s *statement) code(c Code, field, why string) error {
	at, line := s.g.place()
	return &Quarantine{Code: c, Offset: at, Line: line, Field: field, Why: why}
}

// message walks Document, BkToCstmrStmt, and of that GrpHdr and one Stmt.
func (s *statement) message() error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if root.Name.Local != "Document" {
		return s.fail("Document", "the message is no account statement")
	}
	if err := s.children(func(start xml.StartElement) error {
		if start.Name.Local != "BkToCstmrStmt" {
			return s.fail("Document", "the message is no account statement")
		}
		s.messages++
		return s.children(s.part)
	}); err != nil {
		return err
	}
	if s.messages != 1 || s.out.MessageID == "" || s.ids != 1 {
		return s.fail("BkToCstmrStmt", "the message has not one header and one statement")
	}
	if err := s.balance(); err != nil {
		return err
	}
	for { // nothing but space and the end
		switch t, err := s.d.Token(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		default:
			if c, ok := t.(xml.CharData); !ok || strings.TrimSpace(string(c)) != "" {
				return s.code(Truncated, "", "something stands after the message")
			}
		}
	}
}

func (s *statement) part(start xml.StartElement) error {
	switch start.Name.Local {
	case "GrpHdr":
		var h headXML
		if err := s.d.DecodeElement(&h, &start); err != nil {
			return err
		}
		s.out.MessageID = h.MsgId
		if h.MsgId == "" || !yes(h.MsgPgntn.LastPgInd) || h.MsgPgntn.PgNb != "1" {
			return s.fail("GrpHdr", "it wants MsgId, page number 1 and the mark of the last page: a statement comes as one page")
		}
		return nil
	case "Stmt":
		s.ids++
		return s.children(s.inStatement)
	}
	return s.d.Skip()
}

func (s *statement) inStatement(start xml.StartElement) error {
	switch start.Name.Local {
	case "Id":
		return s.d.DecodeElement(&s.out.ID, &start)
	case "ElctrncSeqNb":
		var v string
		if err := s.d.DecodeElement(&v, &start); err != nil {
			return err
		}
		n, ok := wholeNumber(v)
		if !ok {
			return s.fail("ElctrncSeqNb", "is no whole number")
		}
		s.out.Sequence = n
		s.sequences++
		return nil
	case "FrToDt":
		var v spanXML
		if err := s.d.DecodeElement(&v, &start); err != nil {
			return err
		}
		from, okFrom := isoTime(v.FrDtTm)
		to, okTo := isoTime(v.ToDtTm)
		if !okFrom || !okTo || to.Before(from) {
			return s.fail("FrToDt", "is no span of time")
		}
		s.out.From, s.out.To = from, to
		return nil
	case "Bal":
		var v balanceXML
		if err := s.d.DecodeElement(&v, &start); err != nil {
			return err
		}
		return s.addBalance(&v)
	case "TxsSummry":
		s.summary = new(summaryXML)
		return s.d.DecodeElement(s.summary, &start)
	case "Ntry":
		var v entryXML
		e := Entry{Offset: s.g.offset()}
		if err := s.d.DecodeElement(&v, &start); err != nil {
			return err
		}
		if err := s.entry(&v, &e); err != nil {
			return err
		}
		if err := s.each(&e); err != nil {
			return callback{err}
		}
		return nil
	}
	return s.d.Skip()
}

func (s *statement) addBalance(v *balanceXML) error {
	n, ok := v.Amt.fen()
	day, isDay := v.Dt.day()
	if !ok || !isDay || v.CdtDbtInd != "CRDT" && v.CdtDbtInd != "DBIT" {
		return s.fail("Bal", "amount, currency, sign or date is wrong")
	}
	if v.CdtDbtInd == "DBIT" {
		n = -n
	}
	switch {
	case v.Code == "OPBD" && !s.opening:
		s.opening, s.out.Opening = true, n
	case v.Code == "CLBD" && !s.closing:
		s.closing, s.out.Closing, s.out.Closed = true, n, day
	case v.Code == "OPBD", v.Code == "CLBD":
		return s.fail("Bal", "a booked balance comes twice")
	}
	return nil
}

func (s *statement) entry(v *entryXML, e *Entry) error {
	amount, ok := v.Amt.fen()
	booked, okBooked := v.BookgDt.day()
	value, okValue := v.ValDt.day()
	status := v.Sts.Cd + strings.TrimSpace(v.Sts.Text) // a code of its own element, or in older versions the text
	tx := v.BkTxCd.Domn.Cd + "/" + v.BkTxCd.Domn.Fmly.Cd + "/" + v.BkTxCd.Domn.Fmly.SubFmlyCd
	if tx == "//" {
		tx = v.BkTxCd.Prtry.Cd
	}
	switch {
	case v.NtryRef == "" || v.AcctSvcrRef == "" || tx == "":
		return s.fail("Ntry", "reference, the bank's reference or transaction code is missing")
	case !ok || amount < 1 || amount > si.MaxFen:
		return s.fail("Amt", "is not 0.01 to 9999999999.99 in CNY with at most two decimals")
	case v.CdtDbtInd != "CRDT" && v.CdtDbtInd != "DBIT":
		return s.fail("CdtDbtInd", "is neither CRDT nor DBIT")
	case !yes(v.RvslInd) && v.RvslInd != "" && v.RvslInd != "false" && v.RvslInd != "0":
		return s.fail("RvslInd", "is neither true nor false")
	case status != "BOOK":
		return s.fail("Sts", "is not BOOK: a statement holds booked entries only")
	case !okBooked || !okValue:
		return s.fail("BookgDt", "booking or value date is none")
	}
	*e = Entry{e.Offset, v.NtryRef, amount, v.CdtDbtInd == "CRDT", yes(v.RvslInd), booked, value, v.AcctSvcrRef, tx}
	if booked != s.want.Date {
		return s.code(OtherDate, "BookgDt", "the entry is of another date than the statement")
	}
	if e.Credit {
		s.credits, s.creditSum = s.credits+1, s.creditSum+amount
	} else {
		s.debits, s.debitSum = s.debits+1, s.debitSum+amount
	}
	return nil
}

// balance holds the whole together once all of it has been seen.
func (s *statement) balance() error {
	o, p := &s.out, s.want.Previous
	o.Credits, o.CreditSum, o.Debits, o.DebitSum = s.credits, s.creditSum, s.debits, s.debitSum
	switch {
	case o.ID == "" || s.sequences == 0 || o.From.IsZero():
		return s.fail("Stmt", "Id, ElctrncSeqNb or FrToDt is missing")
	case !s.opening || !s.closing:
		return s.fail("Bal", "the opening or the closing booked balance is missing")
	case s.summary == nil:
		return s.fail("TxsSummry", "is missing")
	case !s.summary.TtlCdtNtries.says(s.credits, s.creditSum):
		return s.fail("TtlCdtNtries", "count or sum is not that of the entries")
	case !s.summary.TtlDbtNtries.says(s.debits, s.debitSum):
		return s.fail("TtlDbtNtries", "count or sum is not that of the entries")
	case s.summary.TtlNtries != nil && !s.summary.TtlNtries.says(s.credits+s.debits, s.creditSum+s.debitSum):
		return s.fail("TtlNtries", "count or sum is not that of the entries")
	case o.Opening+s.creditSum-s.debitSum != o.Closing:
		return s.fail("Bal", "opening balance and entries do not come to the closing balance")
	case o.Closed != s.want.Date:
		return s.code(Misplaced, "Bal", "the closing balance is of another date than was asked for")
	case s.want.Date < si.DateOf(o.From) || s.want.Date > si.DateOf(o.To):
		return s.fail("FrToDt", "the span is not that of the closing balance")
	case p != nil && o.Sequence != p.Sequence+1:
		return s.fail("ElctrncSeqNb", "does not follow that of the statement before")
	case p != nil && o.Opening != p.Closing:
		return s.fail("Bal", "the opening balance is not the closing balance of the statement before")
	}
	return nil
}

// open gives the first start element.
func (s *statement) open() (xml.StartElement, error) {
	for {
		t, err := s.d.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t, nil
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return xml.StartElement{}, s.code(BadForm, "", "text stands before the message")
			}
		}
	}
}

// children hands each element inside the one that is open to f, which takes it
// whole.
func (s *statement) children(f func(xml.StartElement) error) error {
	for {
		t, err := s.d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := f(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return s.fail("", "text stands between elements")
			}
		}
	}
}

// wholeNumber reads up to 18 digits.
func wholeNumber(v string) (uint64, bool) {
	if v == "" || len(v) > sumDigits || onlyDigits([]byte(v)) != "" {
		return 0, false
	}
	n := uint64(0)
	for _, c := range []byte(v) {
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// decimalFen reads yuan with at most two decimals: 12, 12.3 and 12.30 are the
// forms that the standard's decimal has.
func decimalFen(v string) (si.Fen, bool) {
	whole, part, point := strings.Cut(v, ".")
	if point && (part == "" || len(part) > 2) || len(whole) > sumDigits-2 || len(whole) > 1 && whole[0] == '0' {
		return 0, false
	}
	n, ok := wholeNumber(whole + (part + "00")[:2])
	return si.Fen(n), ok && whole != ""
}

// isoTime reads a date and time of the standard; without a zone it is China
// time.
func isoTime(v string) (time.Time, bool) {
	if len(v) > 40 {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return t, plausible(t)
	}
	t, err := time.ParseInLocation("2006-01-02T15:04:05", v, si.China)
	return t, err == nil && plausible(t)
}

func plausible(t time.Time) bool { return t.Year() >= 2000 && t.Year() < lastYear }

func yes(v string) bool { return v == "true" || v == "1" }
