package acceptor

import (
	"errors"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// eachDialect runs a test against one bank of each dialect.
func eachDialect(t *testing.T, test func(*testing.T, string)) {
	for _, code := range []string{"rcb", "ccb"} {
		t.Run(code, func(t *testing.T) { test(t, code) })
	}
}

func TestPayment(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.ready()
		a := p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
		if len(a.auth) != 6 || len(a.records[bankmsg.RecReceipt]) != 20 || len(a.records[bankmsg.RecPayment]) != 32 || a.amount != uint64(testAmount) {
			t.Errorf("answer %+v has no receipt, payment id, authorisation or amount", a)
		}
		again := p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
		if again.records[bankmsg.RecReceipt] != a.records[bankmsg.RecReceipt] || again.auth != a.auth {
			t.Errorf("the same payment again: got %v, want the first answer %v", again.records, a.records)
		}
		if a := p.want("94", profile.NoticePay, p.pay(noticeOpen, testAmount+1, 1)); a.records[bankmsg.RecReceipt] != "" {
			t.Errorf("same key, other body: got a receipt")
		}
		refusals := []struct {
			name   string
			notice si.NoticeNo
			amount si.Fen
			want   string
		}{
			{"amount differs", noticeOpen, testAmount - 1, "N3"}, {"paid", noticePaid, testAmount, "N1"},
			{"held", noticeHeld, testAmount, "N5"}, {"ahead", noticeAhead, testAmount, "12"}, {"expired", noticeOld, testAmount, "N2"},
			{"unknown", noticeUnknown, testAmount, "25"}, {"not payable here", noticeOther, testAmount, "N6"},
		}
		for i, c := range refusals {
			t.Run(c.name, func(t *testing.T) {
				a := p.want(own(r.prof, c.want), profile.NoticePay, p.pay(c.notice, c.amount, 100+i))
				if a.records[bankmsg.RecDetail] == "" || a.records[bankmsg.RecReceipt] != "" || a.auth != "" {
					t.Errorf("refusal carries %v, authorisation %q; want a detail and no receipt", a.records, a.auth)
				}
			})
		}
		if st := r.s.Stats(); st.Payments != 2 || st.Answers != st.Requests || st.BadCodes != 0 {
			t.Errorf("counters %+v, want 2 payments and an answer to each request", st)
		}
	})
}

func TestReversal(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.ready()
		p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
		st := p.want("00", profile.PayStatus, p.original(1))
		if len(st.records[bankmsg.RecReceipt]) != 20 {
			t.Errorf("status of a payment: got %v, want its receipt", st.records)
		}
		p.want("00", profile.PayReversal, p.original(1))
		p.want("00", profile.PayReversal, p.original(1)) // the second time the same
		if a := p.want("25", profile.PayStatus, p.original(1)); a.records[bankmsg.RecReceipt] != "" {
			t.Error("status of a payment taken back carries a receipt")
		}
		// What was taken back is not paid, whoever asks again.
		if a := p.want("12", profile.NoticePay, p.pay(noticeOpen, testAmount, 1)); a.records[bankmsg.RecReceipt] != "" {
			t.Error("repeat of a payment taken back carries a receipt")
		}
		// A reversal that overtakes its payment: recorded, the payment refused.
		p.want("25", profile.PayStatus, p.original(2))
		p.want("25", profile.PayReversal, p.original(2))
		p.want("25", profile.PayReversal, p.original(2))
		p.want("12", profile.NoticePay, p.pay(noticeOpen, testAmount, 2))
		// Another settlement date. The date is part of the key of a payment, so
		// the book never saw this one; with the right one it is refused.
		set := p.original(3)
		set[15] = "1121"
		p.want("25", profile.PayReversal, set)
		r.book.set(func(b *book) { b.pays[p.lastID(set)] = &entry{state: ledgerapi.PayPosted} })
		p.want("22", profile.PayReversal, set)
		// Still under way.
		set = p.original(4)
		r.book.set(func(b *book) { b.pays[p.lastID(set)] = &entry{state: ledgerapi.PayReserved} })
		p.want("09", profile.PayStatus, set)
	})
}

// lastID is the payment id that a status question or a reversal names.
func (p *peer) lastID(set map[int]string) si.PaymentID {
	p.r.t.Helper()
	frame := p.frame(profile.PayReversal, set)
	var m bankmsg.Message
	var in bankmsg.Inbound
	var call bankmsg.BankCall
	if err := errors.Join(p.codec.Decode(frame, &m, &in), p.codec.ReadCall(&m, &in, today, &call)); err != nil {
		p.r.t.Fatal(err)
	}
	return call.PaymentID(p.r.prof.Number)
}

func TestInquiry(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.ready()
		ask := func(want string, pairs ...string) answer {
			t.Helper()
			return p.want(own(r.prof, want), profile.Inquiry, p.records(pairs...))
		}
		a := ask("00", bankmsg.RecNotice, noticeOpen.String())
		if a.amount != uint64(testAmount) || a.records[bankmsg.RecCount] != "2" || a.records[bankmsg.RecTerm] != "2025/2026" ||
			a.records[bankmsg.RecFund] != si.MedRes.String() || a.records[bankmsg.RecName] == "" || strings.Contains(a.records[bankmsg.RecName], "李") {
			t.Errorf("inquiry: amount %d, records %v", a.amount, a.records)
		}
		for notice, want := range map[si.NoticeNo]string{noticePaid: "N1", noticeOld: "N2", noticeHeld: "N5", noticeAhead: "12", noticeUnknown: "25"} {
			if a := ask(want, bankmsg.RecNotice, notice.String()); a.amount != 0 {
				t.Errorf("%s: an amount of %d", want, a.amount)
			}
		}
		// By ID number: a person who owes, one who owes nothing, a stranger.
		a = ask("00", bankmsg.RecID, idOf(t, 1), bankmsg.RecTeller, "T1")
		if a.records[bankmsg.RecNotice] != noticeOpen.String() || a.amount != uint64(testAmount) || a.records[bankmsg.RecID] != "" {
			t.Errorf("by ID number: amount %d, records %v; want the live notice and no ID number", a.amount, a.records)
		}
		ask("N1", bankmsg.RecID, idOf(t, 2), bankmsg.RecTeller, "T1")
		ask("25", bankmsg.RecID, idOf(t, 0), bankmsg.RecTeller, "T1")
	})
}

// own is the code that the bank is sent for one of ours.
func own(p *profile.Profile, code string) string {
	if c := p.OwnCodes[code]; c != "" {
		return c
	}
	return code
}

// idOf is an ID number whose hash the test's HSM makes of the digit n.
func idOf(t testing.TB, n int) string {
	t.Helper()
	first := "3301991980010100" + string(rune('0'+n))
	last, err := si.IDCheckDigit(first)
	if err != nil {
		t.Fatal(err)
	}
	return first + string(last)
}

// TestTellerAllowance uses up a teller's inquiries by ID number; another teller,
// and inquiries by notice, go on.
func TestTellerAllowance(t *testing.T) {
	r := start(t, "ccb", func(p *profile.Profile, _ *Server) { p.Limits.InquiryPerMin = 3 })
	p := r.ready()
	ask := func(want, teller string) {
		t.Helper()
		p.want(want, profile.Inquiry, p.records(bankmsg.RecID, idOf(t, 1), bankmsg.RecTeller, teller))
	}
	for range 3 {
		ask("00", "T1")
	}
	ask("12", "T1")
	ask("00", "T2")
	p.want("00", profile.Inquiry, p.records(bankmsg.RecNotice, noticeOpen.String(), bankmsg.RecTeller, "T1"))
	if got := r.s.Stats().InquiryDenied; got != 1 {
		t.Errorf("%d inquiries denied, want 1", got)
	}
	if r.book.notices != 4 {
		t.Errorf("%d notices asked of the ledger, want 4", r.book.notices)
	}
}

// TestTellersAreBounded fills the memory of tellers; those beyond share one
// allowance.
func TestTellersAreBounded(t *testing.T) {
	r := start(t, "ccb", func(p *profile.Profile, _ *Server) { p.Limits.InquiryPerMin = 1 })
	for i := range maxTellers {
		if !r.s.mayInquire(string(rune(i + 256))) {
			t.Fatalf("teller %d was denied the first inquiry", i)
		}
	}
	if !r.s.mayInquire("one more") || r.s.mayInquire("and another") || len(r.s.tellers) != maxTellers+1 {
		t.Errorf("beyond %d tellers: %d are kept; want one shared allowance", maxTellers, len(r.s.tellers))
	}
}

func TestForm(t *testing.T) {
	r := start(t, "ccb", nil)
	p := r.ready()
	before := r.book.count()
	good := p.pay(noticeOpen, testAmount, 1)
	for name, change := range map[string]map[int]string{
		"check digits": {48: "NN02033011026000000000600"},
		"no notice":    {48: "CH003CTR"},
		"unknown tag":  {48: good[48] + "ZZ0011"},
		"channel":      {48: "NN020" + noticeOpen.String() + "CH003ATM"},
		"date":         {15: "0701"},
		"time":         {7: "1322120000"},
		"amount":       {4: "000000000000"},
		"ID number":    {48: good[48] + "ID018" + idOf(t, 1)},
	} {
		set := map[int]string{}
		for de, v := range good {
			set[de] = v
		}
		for de, v := range change {
			set[de] = v
		}
		if a := p.ask(profile.NoticePay, set); a.code != "30" || !a.goodMAC {
			t.Errorf("%s: got %q, want 30", name, a.code)
		}
	}
	if r.book.count() != before {
		t.Error("a malformed request reached the ledger")
	}
}
