package termsrv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/termapi"
)

var update = flag.Bool("update", false, "write si/termapi/openapi.json anew")

const openAPIFile = "../../si/termapi/openapi.json"

// fake is a hub with two persons. Envelopes are plain names of cards.
type fake struct {
	t        *testing.T
	now      time.Time
	server   *Server
	proof    engine.ProofAnswer
	proofs   []engine.Proof
	proving  func() // while the bank judges
	answer   engine.Answer
	paid     []engine.Intent
	outcomes []engine.CardOutcome
	closed   map[si.PaymentID]bool
	known    map[si.PaymentID]ledgerapi.Payment
	up       bool
	account  bool
	ready    error
	leader   bool
	state    ledgerapi.TerminalState
	serial   byte
}

func hash(s string) (h si.Hash) {
	sum := sha256.Sum256([]byte(s))
	copy(h[:], sum[:])
	return h
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, si.China), up: true, account: true, leader: true,
		state: ledgerapi.TerminalInService, closed: map[si.PaymentID]bool{}, known: map[si.PaymentID]ledgerapi.Payment{}}
	f.proof = engine.ProofAnswer{Verdict: engine.Proven, TriesLeft: -1}
	f.answer = engine.Answer{Ending: engine.Paid}
	f.server = New(Config{
		Bank: f, Payments: f, Outcomes: f, Cards: f, Persons: f, Records: f, Directory: f,
		Journal: func(_ si.Terminal, first uint64, r [][]byte) (uint64, error) { return first + uint64(len(r)), nil },
		Area:    330110, AllowSkip: func() bool { return false }, PINFormat: func(si.Terminal) string { return "4" },
		Ready: func() error { return f.ready }, Leader: func() (string, bool) { return "node2:8710", f.leader },
		Now: func() time.Time { return f.now },
		Random: func(b []byte) {
			f.serial++
			b[0] = f.serial
		},
	})
	return f
}

func (f *fake) BankUp(si.Bank) bool { return f.up }
func (f *fake) Prove(_ context.Context, p engine.Proof) (engine.ProofAnswer, error) {
	f.proofs = append(f.proofs, p)
	if f.proving != nil {
		f.proving()
	}
	return f.proof, nil
}
func (f *fake) Pay(_ context.Context, in engine.Intent) (engine.Answer, error) {
	f.paid = append(f.paid, in)
	p := ledgerapi.Payment{ID: in.ID, Terminal: in.Terminal, Total: in.Total, State: ledgerapi.PayPosted, Channel: si.ChannelTerminal}
	for _, r := range in.Dues {
		p.Dues = append(p.Dues, ledgerapi.Due{Ref: r})
	}
	f.known[in.ID] = p
	return f.answer, nil
}
func (f *fake) State(_ context.Context, id si.PaymentID) (engine.Answer, error) {
	if _, ok := f.known[id]; ok {
		return f.answer, nil
	}
	if f.closed[id] {
		return engine.Answer{Ending: engine.NotCharged}, nil
	}
	return engine.Answer{}, nil
}
func (f *fake) Close(_ context.Context, id si.PaymentID) error { f.closed[id] = true; return nil }
func (f *fake) CardOutcome(_ context.Context, _ si.PaymentID, o engine.CardOutcome, _ []byte) error {
	f.outcomes = append(f.outcomes, o)
	return nil
}

// The envelope says "card/pan", such as "li/1" for Li's card with PAN 1.
func (f *fake) OpenCard(_ context.Context, o hsmapi.OpenCard) (hsmapi.CardOpened, error) {
	who, pan, ok := strings.Cut(string(o.Sealed), "/")
	if !ok {
		return hsmapi.CardOpened{}, hsmapi.ErrEnvelope
	}
	return hsmapi.CardOpened{IDHash: hash(who), CardHash: hash("card" + who), NoHash: hash("no" + who), PANHash: hash("pan" + pan), Name: si.NewName("李小明")}, nil
}
func (f *fake) OpenPerson(context.Context, []byte) (hsmapi.PersonView, error) {
	return hsmapi.PersonView{MaskedName: "李*明", IDTail: "1234"}, nil
}
func (f *fake) Person(h si.Hash) (ledgerapi.Person, bool) {
	for i, who := range []string{"li", "zhang"} {
		if h == hash(who) {
			return ledgerapi.Person{No: si.PersonNo(i + 1), IDHash: h}, true
		}
	}
	return ledgerapi.Person{}, false
}
func (f *fake) Cards(n si.PersonNo) []ledgerapi.Card {
	who := []string{"", "li", "zhang"}[n]
	return []ledgerapi.Card{{Person: n, CardHash: hash("card" + who), NoHash: hash("no" + who), PANHash: hash(fmt.Sprintf("pan%d", n)), State: ledgerapi.CardActive}}
}
func (f *fake) DuesOf(n si.PersonNo, _ si.BusinessDate) []ledgerapi.Due {
	due := func(id si.DueID, s ledgerapi.DueState) ledgerapi.Due {
		return ledgerapi.Due{Ref: ledgerapi.DueRef{ID: id, Version: 1, Amount: 100_000}, Person: n, Fund: si.PensionRes,
			Period: si.YearPeriod(2026), Kind: ledgerapi.DueYear, Payer: ledgerapi.PayerPerson, State: s, DueDay: si.Date(2026, 12, 31)}
	}
	base := si.DueID(n) * 100
	return []ledgerapi.Due{due(base+1, ledgerapi.DueOpen), due(base+2, ledgerapi.DueStateHeld)}
}
func (f *fake) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	p, ok := f.known[id]
	return p, ok
}
func (f *fake) PaymentsOf(si.PersonNo, int) []ledgerapi.Payment { return nil }
func (f *fake) Terminal(n si.Terminal) (ledgerapi.PutTerminal, bool) {
	return ledgerapi.PutTerminal{Terminal: n, State: f.state, CertHash: sha256.Sum256([]byte{byte(n)})}, n < 100
}
func (f *fake) TerminalConfig() termapi.Config {
	return termapi.Config{RegionName: "示例区", Banks: []termapi.BankInfo{{Code: "ccb"}}}
}
func (f *fake) BankByIIN(si.PAN) (BankFacts, bool) { return f.BankByNumber(3) }
func (f *fake) BankByNumber(n si.Bank) (BankFacts, bool) {
	return BankFacts{Number: 3, Info: termapi.BankInfo{Code: "ccb"}, Beneficiary: f.account}, n == 3
}

// call makes one call as a terminal and decodes the answer into out, or the
// refusal into a Problem.
func (f *fake) call(terminal int, method, path string, in, out any) (int, termapi.Problem) {
	f.t.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			f.t.Fatal(err)
		}
	}
	r := httptest.NewRequest(method, path, &body)
	r.Header.Set("Content-Type", "application/json")
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{
		Raw: []byte{byte(terminal)}, Subject: pkix.Name{CommonName: fmt.Sprintf("terminal-%d", terminal)},
	}}}
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, r)
	var p termapi.Problem
	if w.Code != http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			f.t.Fatalf("%s %s: status %d with a body that is no problem: %s", method, path, w.Code, w.Body)
		}
		return w.Code, p
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			f.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w.Code, p
}

const cardSession = "000102030405060708090a0b0c0d0e0f"

func (f *fake) open(terminal int, envelope string) termapi.SessionOpened {
	f.t.Helper()
	var o termapi.SessionOpened
	if code, p := f.call(terminal, "POST", "/v1/sessions", termapi.Session{CardSession: cardSession, Counter: 1, Envelope: []byte(envelope)}, &o); code != 200 {
		f.t.Fatalf("open: %d %+v", code, p)
	}
	return o
}

func auth(envelope string) termapi.CardAuth {
	return termapi.CardAuth{Counter: 2, Envelope: []byte(envelope), PINBlock: make([]byte, 16), DE55: []byte{0x9f}}
}

func (f *fake) prove(terminal int, session, envelope string) (termapi.PINProofResult, int, termapi.Problem) {
	var r termapi.PINProofResult
	code, p := f.call(terminal, "POST", "/v1/sessions/"+session+"/pin",
		termapi.PINProof{ID: si.NewPaymentID(f.now).String(), Auth: auth(envelope)}, &r)
	return r, code, p
}

func (f *fake) payment(session, envelope string, due string) termapi.Payment {
	return termapi.Payment{ID: si.NewPaymentID(f.now).String(), Session: session, Total: 100_000,
		Dues: []termapi.PayLine{{ID: due, Version: 1, Amount: 100_000}}, Auth: auth(envelope)}
}

func TestOnlyProvenSessionsSeeRecords(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1")
	for _, what := range []string{"overview", "dues", "receipts"} {
		var raw json.RawMessage
		if code, p := f.call(1, "GET", "/v1/sessions/"+s.Session+"/"+what, nil, &raw); code != 403 || p.Code != termapi.ErrNotProven {
			t.Errorf("%s before the PIN: got %d %s, want 403 %s", what, code, p.Code, termapi.ErrNotProven)
		}
	}
	if _, code, p := f.prove(1, s.Session, "li/1"); code != 200 {
		t.Fatalf("prove: %d %+v", code, p)
	}
	var d termapi.Dues
	if code, p := f.call(1, "GET", "/v1/sessions/"+s.Session+"/dues", nil, &d); code != 200 || len(d.Dues) != 2 {
		t.Fatalf("dues after the PIN: got %d %+v, %d dues, want 2", code, p, len(d.Dues))
	}
	if d.Dues[0].Payable != true || d.Dues[1].Payable || d.Dues[1].Why != "HELD" {
		t.Errorf("payable: got %+v", d.Dues)
	}
	for _, what := range []string{"overview", "dues", "receipts"} {
		if code, p := f.call(2, "GET", "/v1/sessions/"+s.Session+"/"+what, nil, nil); code != 404 || p.Code != termapi.ErrNoSession {
			t.Errorf("%s from another terminal: got %d %s, want 404 %s", what, code, p.Code, termapi.ErrNoSession)
		}
	}
}

func TestSessionAnswersNothingPersonal(t *testing.T) {
	f := newFake(t)
	r, _ := json.Marshal(f.open(1, "li/1"))
	for _, secret := range []string{"李", "1234", hash("li").String()} {
		if strings.Contains(string(r), secret) {
			t.Errorf("session answer holds %q: %s", secret, r)
		}
	}
}

func TestCardProblems(t *testing.T) {
	f := newFake(t)
	for envelope, want := range map[string]string{
		"li/1": "", "nobody/1": termapi.CardNotRegistered, "li/2": termapi.CardMismatch,
	} {
		if got := f.open(1, envelope).CardProblem; got != want {
			t.Errorf("card %s: got problem %q, want %q", envelope, got, want)
		}
	}
	f.up = false
	if got := f.open(1, "li/1").CardProblem; got != termapi.CardBankDown {
		t.Errorf("bank down: got %q, want %q", got, termapi.CardBankDown)
	}
}

func TestPaymentOutsideTheSessionIsRefusedBeforeReserve(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1").Session
	ask := func(terminal int, p termapi.Payment) (int, string) {
		code, prob := f.call(terminal, "POST", "/v1/payments", p, nil)
		return code, prob.Code
	}
	if code, why := ask(1, f.payment(s, "li/1", "101")); code != 403 || why != termapi.ErrNotProven {
		t.Errorf("not proven: got %d %s", code, why)
	}
	f.prove(1, s, "li/1")
	unsummed := f.payment(s, "li/1", "101")
	unsummed.Total++
	twice := f.payment(s, "li/1", "101")
	twice.Dues, twice.Total = append(twice.Dues, twice.Dues[0]), 200_000
	stale := f.payment(s, "li/1", "101")
	stale.ID = si.NewPaymentID(f.now.Add(-MaxIDAge - time.Second)).String()
	for name, c := range map[string]struct {
		terminal int
		p        termapi.Payment
		status   int
		code     string
	}{
		"another card":            {1, f.payment(s, "zhang/2", "101"), 403, termapi.ErrOtherCard},
		"another person's due":    {1, f.payment(s, "li/1", "201"), 403, termapi.ErrNotYours},
		"another terminal":        {2, f.payment(s, "li/1", "101"), 404, termapi.ErrNoSession},
		"no such session":         {1, f.payment(strings.Repeat("f", 32), "li/1", "101"), 404, termapi.ErrNoSession},
		"sum differs":             {1, unsummed, 400, termapi.ErrForm},
		"a due twice":             {1, twice, 400, termapi.ErrForm},
		"clock off":               {1, stale, 409, termapi.ErrClock},
		"envelope cannot be read": {1, f.payment(s, "torn", "101"), 400, termapi.ErrEnvelope},
	} {
		if code, why := ask(c.terminal, c.p); code != c.status || why != c.code {
			t.Errorf("%s: got %d %s, want %d %s", name, code, why, c.status, c.code)
		}
	}
	f.account = false
	if code, why := ask(1, f.payment(s, "li/1", "101")); code != 409 || why != termapi.ErrNotPayable {
		t.Errorf("no account: got %d %s", code, why)
	}
	if len(f.paid) != 0 {
		t.Fatalf("%d payments reached the money side", len(f.paid))
	}
}

func TestResendAnswersTheSameAndAnotherBodyIsRefused(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1").Session
	f.prove(1, s, "li/1")
	p := f.payment(s, "li/1", "101")
	var first, again termapi.PaymentState
	if code, prob := f.call(1, "POST", "/v1/payments", p, &first); code != 200 || first.State != termapi.PaymentPosted {
		t.Fatalf("first: %d %+v %+v", code, prob, first)
	}
	p.Auth = auth("li/1") // a new cryptogram for the same id is the same request
	if code, prob := f.call(1, "POST", "/v1/payments", p, &again); code != 200 || again.State != termapi.PaymentPosted {
		t.Fatalf("again: %d %+v %+v", code, prob, again)
	}
	other := p
	other.Dues = []termapi.PayLine{{ID: "101", Version: 2, Amount: 100_000}}
	if code, prob := f.call(1, "POST", "/v1/payments", other, nil); code != 409 || prob.Code != termapi.ErrIDReused {
		t.Errorf("other body: got %d %s, want 409 %s", code, prob.Code, termapi.ErrIDReused)
	}
	if len(f.paid) != 1 {
		t.Errorf("money side was asked %d times, want once", len(f.paid))
	}
	if got := f.paid[0]; got.Card.PINKey != "terminal/1/tpk" || got.Total != 100_000 || got.Bank != 3 {
		t.Errorf("intent: got %+v", got)
	}
}

// TestKnownIDIsNeverRefused resends a payment in every situation in which a new
// one is refused: a refusal would say that nothing was asked of anyone.
func TestKnownIDIsNeverRefused(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1").Session
	f.prove(1, s, "li/1")
	p := f.payment(s, "li/1", "101")
	f.answer = engine.Answer{Ending: engine.Pending}
	f.call(1, "POST", "/v1/payments", p, nil)
	again := func(when string) {
		t.Helper()
		var st termapi.PaymentState
		if code, prob := f.call(1, "POST", "/v1/payments", p, &st); code != 200 || st.State != termapi.PaymentPending {
			t.Errorf("%s: got %d %+v %+v, want PENDING", when, code, prob, st)
		}
	}
	again("at once")
	f.up = false
	again("the bank is away")
	f.server.marks = marks{} // as after a restart
	again("the node was restarted")
	f.account = false
	again("no account any more")
	f.call(1, "DELETE", "/v1/sessions/"+s, nil, nil)
	again("the session has ended")
	f.now = f.now.Add(time.Hour)
	again("an hour later")
	other := p
	other.Total, other.Dues = 1, []termapi.PayLine{{ID: "101", Version: 1, Amount: 1}}
	if code, prob := f.call(1, "POST", "/v1/payments", other, nil); code != 409 || prob.Code != termapi.ErrIDReused {
		t.Errorf("other body after a restart: got %d %s", code, prob.Code)
	}
	if code, prob := f.call(2, "POST", "/v1/payments", p, nil); code != 409 || prob.Code != termapi.ErrIDReused {
		t.Errorf("from another terminal: got %d %s", code, prob.Code)
	}
	if len(f.paid) != 1 {
		t.Errorf("money side was asked %d times, want once", len(f.paid))
	}
}

// TestIDReusedIsNoRefusal: of the id's own payment it proves nothing.
func TestIDReusedIsNoRefusal(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1").Session
	f.prove(1, s, "li/1")
	f.answer = engine.Answer{Ending: engine.Refused, Refusal: ledgerapi.Result{Code: ledgerapi.IDReused}}
	if code, prob := f.call(1, "POST", "/v1/payments", f.payment(s, "li/1", "101"), nil); code != 409 || prob.Code != termapi.ErrIDReused {
		t.Errorf("got %d %s, want 409 %s", code, prob.Code, termapi.ErrIDReused)
	}
}

// TestMarks holds the bound, and that a mark outlives the time in which its id
// may be used.
func TestMarks(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, si.China)
	var m marks
	id := func(n int) si.PaymentID {
		return si.PaymentID{0: 1, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
	}
	m.mark(id(0), bodyHash{}, now)
	for n := range marksKept - 1 {
		m.now[id(n)] = bodyHash{}
	}
	if again, f := m.mark(id(marksKept-1), bodyHash{}, now); again || f != nil {
		t.Errorf("at the bound: again %v, %v", again, f)
	}
	if _, f := m.mark(id(marksKept), bodyHash{}, now); f == nil || f.Code != termapi.ErrTooMany {
		t.Errorf("one past the bound: got %v, want %s", f, termapi.ErrTooMany)
	}
	if again, f := m.mark(id(0), bodyHash{}, now); !again || f != nil {
		t.Errorf("a resend at the bound: again %v, %v", again, f)
	}
	if _, f := m.mark(id(0), bodyHash{1}, now.Add(markAge)); f == nil || f.Code != termapi.ErrIDReused {
		t.Errorf("another body in the next generation: got %v, want %s", f, termapi.ErrIDReused)
	}
	if again, f := m.mark(id(marksKept), bodyHash{}, now.Add(markAge)); again || f != nil {
		t.Errorf("room in the next generation: again %v, %v", again, f)
	}
	m.forget(id(marksKept))
	if again, _ := m.mark(id(marksKept), bodyHash{1}, now.Add(markAge)); again {
		t.Error("a mark taken back is still there")
	}
	if again, f := m.mark(id(0), bodyHash{1}, now.Add(3*markAge)); again || f != nil {
		t.Errorf("after two generations: again %v, %v", again, f)
	}
}

// TestProofsOfTwoSessionsAreTwo: a terminal that sends one id for two cards gets
// no answer of the one for the other.
func TestProofsOfTwoSessionsAreTwo(t *testing.T) {
	f := newFake(t)
	id := si.NewPaymentID(f.now).String()
	for _, card := range []string{"li/1", "zhang/2"} {
		s := f.open(1, card).Session
		for range 2 {
			f.call(1, "POST", "/v1/sessions/"+s+"/pin", termapi.PINProof{ID: id, Auth: auth(card)}, nil)
		}
	}
	if len(f.proofs) != 4 || f.proofs[0].ID != f.proofs[1].ID || f.proofs[2].ID != f.proofs[3].ID || f.proofs[0].ID == f.proofs[2].ID {
		t.Errorf("got %d proofs, want the same id within a session and another one in the next", len(f.proofs))
	}
}

func TestPaymentBelongsToItsTerminal(t *testing.T) {
	f := newFake(t)
	id := si.NewPaymentID(f.now)
	f.known[id] = ledgerapi.Payment{ID: id, Terminal: 1, State: ledgerapi.PayPosted}
	for _, c := range []struct{ method, path string }{
		{"GET", ""}, {"POST", "/close"}, {"POST", "/card-outcome"},
	} {
		var body any
		if c.path == "/card-outcome" {
			body = termapi.CardOutcome{Outcome: termapi.OutcomeTC}
		}
		if code, p := f.call(2, c.method, "/v1/payments/"+id.String()+c.path, body, nil); code != 404 {
			t.Errorf("%s by another terminal: got %d %s, want 404", c.path, code, p.Code)
		}
		if code, p := f.call(1, c.method, "/v1/payments/"+id.String()+c.path, body, nil); code != 200 {
			t.Errorf("%s by its terminal: got %d %s, want 200", c.path, code, p.Code)
		}
	}
	never := si.NewPaymentID(f.now)
	if code, _ := f.call(1, "GET", "/v1/payments/"+never.String(), nil, nil); code != 404 {
		t.Errorf("unknown id: got %d, want 404", code)
	}
	var st termapi.PaymentState
	if code, p := f.call(1, "POST", "/v1/payments/"+never.String()+"/close", nil, &st); code != 200 || st.State != termapi.PaymentNotCharged {
		t.Errorf("close of an unknown id: got %d %+v %s", code, p, st.State)
	}
}

func TestWrongPINsOfADay(t *testing.T) {
	f := newFake(t)
	f.proof = engine.ProofAnswer{Verdict: engine.WrongPIN, TriesLeft: 2}
	for i := 0; i < WrongPINsPerDay; i++ {
		s := f.open(1, "li/1")
		r, code, p := f.prove(1, s.Session, "li/1")
		if code != 200 || r.Result != termapi.PINWrong || r.TriesLeft != 2 {
			t.Fatalf("try %d: %d %+v %+v", i+1, code, p, r)
		}
	}
	s := f.open(1, "li/1")
	if s.CardProblem != termapi.CardPINTries {
		t.Errorf("card-in after %d wrong PINs: got %q", WrongPINsPerDay, s.CardProblem)
	}
	if _, code, _ := f.prove(1, s.Session, "li/1"); code != 403 {
		t.Errorf("one try more: got %d, want 403", code)
	}
	f.now = f.now.AddDate(0, 0, 1)
	if got := f.open(1, "li/1").CardProblem; got != "" {
		t.Errorf("next day: got %q", got)
	}
}

// TestWrongPINsOfPayments counts the PINs of payments as well, and those of calls
// at the same time.
func TestWrongPINsOfPayments(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1").Session
	f.prove(1, s, "li/1")
	f.answer = engine.Answer{Ending: engine.NotCharged, Resp: [2]byte{'5', '5'}}
	for i := range WrongPINsPerDay {
		if code, p := f.call(1, "POST", "/v1/payments", f.payment(s, "li/1", "101"), nil); code != 200 {
			t.Fatalf("try %d: got %d %+v", i+1, code, p)
		}
	}
	if code, p := f.call(1, "POST", "/v1/payments", f.payment(s, "li/1", "101"), nil); code != 403 || p.Code != termapi.ErrTooManyTries {
		t.Errorf("one try more: got %d %s, want 403 %s", code, p.Code, termapi.ErrTooManyTries)
	}

	f = newFake(t)
	s = f.open(1, "li/1").Session
	f.proof = engine.ProofAnswer{Verdict: engine.WrongPIN, TriesLeft: -1}
	depth, refused := 0, 0
	f.proving = func() { // each call finds the ones before it still under way
		if depth++; depth <= WrongPINsPerDay {
			if _, code, _ := f.prove(1, s, "li/1"); code == 403 {
				refused++
			}
		}
	}
	f.prove(1, s, "li/1")
	if len(f.proofs) != WrongPINsPerDay || refused != 1 {
		t.Errorf("%d proofs at the bank at once and %d refused, want %d and 1", len(f.proofs), refused, WrongPINsPerDay)
	}
}

func TestSessionEndsByItself(t *testing.T) {
	f := newFake(t)
	s := f.open(1, "li/1").Session
	f.prove(1, s, "li/1")
	f.now = f.now.Add(SessionIdle)
	if code, _ := f.call(1, "GET", "/v1/sessions/"+s+"/dues", nil, nil); code != 200 {
		t.Errorf("at the limit: got %d, want 200", code)
	}
	f.now = f.now.Add(SessionIdle + time.Millisecond)
	if code, _ := f.call(1, "GET", "/v1/sessions/"+s+"/dues", nil, nil); code != 404 {
		t.Errorf("past the limit: got %d, want 404", code)
	}
	s = f.open(1, "li/1").Session
	f.open(1, "zhang/2")
	if code, _ := f.call(1, "POST", "/v1/sessions/"+s+"/pin", termapi.PINProof{ID: s, Auth: auth("li/1")}, nil); code != 404 {
		t.Errorf("earlier session of the terminal: got %d, want 404", code)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	ss := sessions{byID: map[sessionID]*session{}}
	now := time.Now()
	for i := 0; i <= MaxSessions; i++ {
		s := &session{terminal: si.Terminal(i + 1)}
		s.id[0], s.id[1] = byte(i), byte(i>>8)
		if ok := ss.open(s, now); ok != (i < MaxSessions) {
			t.Fatalf("session %d: got %v", i+1, ok)
		}
	}
}

func TestWhoMayCall(t *testing.T) {
	f := newFake(t)
	beat := func(terminal int) (int, string) {
		code, p := f.call(terminal, "POST", "/v1/heartbeat", termapi.Heartbeat{}, nil)
		return code, p.Code
	}
	if code, why := beat(1); code != 200 {
		t.Fatalf("known terminal: %d %s", code, why)
	}
	if code, _ := beat(100); code != 403 {
		t.Errorf("terminal without record: got %d, want 403", code)
	}
	f.state = ledgerapi.TerminalRevoked
	if code, _ := beat(1); code != 403 {
		t.Errorf("revoked: got %d, want 403", code)
	}
	f.state, f.leader = ledgerapi.TerminalInService, false
	code, p := f.call(1, "POST", "/v1/heartbeat", termapi.Heartbeat{}, nil)
	if code != 421 || p.Leader != "node2:8710" {
		t.Errorf("follower: got %d %+v, want 421 with the leader", code, p)
	}
	f.leader, f.ready = true, fmt.Errorf("the disk is full")
	if code, why := beat(1); code != 503 || why != termapi.ErrUnavailable {
		t.Errorf("not ready: got %d %s", code, why)
	}
}

func TestRateLimitPerTerminal(t *testing.T) {
	f := newFake(t)
	for i := 0; i < CallBurst; i++ {
		if code, p := f.call(1, "POST", "/v1/heartbeat", termapi.Heartbeat{}, nil); code != 200 {
			t.Fatalf("call %d: %d %s", i+1, code, p.Code)
		}
	}
	if code, p := f.call(1, "POST", "/v1/heartbeat", termapi.Heartbeat{}, nil); code != 429 || p.Code != termapi.ErrTooMany {
		t.Errorf("one past the burst: got %d %s, want 429", code, p.Code)
	}
	if code, _ := f.call(2, "POST", "/v1/heartbeat", termapi.Heartbeat{}, nil); code != 200 {
		t.Errorf("another terminal: got %d, want 200", code)
	}
}

// TestOneTerminalIsBounded holds what a stolen certificate can make this node
// keep: ids closed for ever, and journal.
func TestOneTerminalIsBounded(t *testing.T) {
	f := newFake(t)
	for n := range 3 {
		f.server.guard.of(si.Terminal(n)).calls = rate.NewLimiter(rate.Inf, 0)
	}
	shut := func(terminal int, id si.PaymentID) (int, string) {
		code, p := f.call(terminal, "POST", "/v1/payments/"+id.String()+"/close", nil, nil)
		return code, p.Code
	}
	for n := range CloseBurst {
		if code, why := shut(1, si.NewPaymentID(f.now)); code != 200 {
			t.Fatalf("close %d: got %d %s", n+1, code, why)
		}
	}
	if code, why := shut(1, si.NewPaymentID(f.now)); code != 429 || why != termapi.ErrTooMany {
		t.Errorf("one close past the burst: got %d %s, want 429", code, why)
	}
	known := si.NewPaymentID(f.now)
	f.known[known] = ledgerapi.Payment{ID: known, Terminal: 1, State: ledgerapi.PayPosted}
	for terminal, id := range map[int]si.PaymentID{1: known, 2: si.NewPaymentID(f.now)} {
		if code, why := shut(terminal, id); code != 200 {
			t.Errorf("terminal %d, another id: got %d %s, want 200", terminal, code, why)
		}
	}
	f.now = f.now.Add(time.Second)
	if code, why := shut(1, si.NewPaymentID(f.now)); code != 200 {
		t.Errorf("a second later: got %d %s, want 200", code, why)
	}

	upload := func(size int) (int, string) {
		code, p := f.call(1, "POST", "/v1/journal", termapi.JournalBatch{First: 1, Records: [][]byte{make([]byte, size)}}, nil)
		return code, p.Code
	}
	f.server.guard.of(1).journal.AllowN(f.now, JournalBurst-100) // uploaded before
	if code, why := upload(100); code != 200 {
		t.Errorf("up to the burst: got %d %s", code, why)
	}
	if code, why := upload(1); code != 429 || why != termapi.ErrTooMany {
		t.Errorf("one byte past the burst: got %d %s, want 429", code, why)
	}
}

func records(n int) [][]byte {
	r := make([][]byte, n)
	for i := range r {
		r[i] = []byte{byte(i)}
	}
	return r
}

func TestLargeBodyIsRefused(t *testing.T) {
	f := newFake(t)
	big := termapi.JournalBatch{Records: [][]byte{make([]byte, MaxBody)}}
	if code, _ := f.call(1, "POST", "/v1/journal", big, nil); code == 200 {
		t.Error("a body past the bound was taken")
	}
	many := termapi.JournalBatch{Records: records(501)}
	if code, _ := f.call(1, "POST", "/v1/journal", many, nil); code != 400 {
		t.Errorf("501 records: got %d, want 400", code)
	}
	var ack termapi.JournalAck
	if code, _ := f.call(1, "POST", "/v1/journal", termapi.JournalBatch{First: 7, Records: records(500)}, &ack); code != 200 || ack.Head != 507 {
		t.Errorf("500 records: got %d head %d", code, ack.Head)
	}
}

// TestOpenAPIFile holds the committed description to what the server serves,
// and every call of the terminal API to the description.
func TestOpenAPIFile(t *testing.T) {
	raw, err := newFake(t).server.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var served any
	if err := json.Unmarshal(raw, &served); err != nil {
		t.Fatal(err)
	}
	if *update {
		text, _ := json.MarshalIndent(served, "", "  ")
		if err := os.WriteFile(openAPIFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	var kept any
	if err := json.Unmarshal(file, &kept); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(served, kept) {
		t.Fatal("openapi.json is not what the server serves; run the test with -update and look at the difference")
	}
	paths := kept.(map[string]any)["paths"].(map[string]any)
	for _, call := range []string{
		"POST /v1/sessions", "DELETE /v1/sessions/{session}", "POST /v1/sessions/{session}/pin",
		"GET /v1/sessions/{session}/overview", "GET /v1/sessions/{session}/dues", "GET /v1/sessions/{session}/receipts",
		"POST /v1/payments", "GET /v1/payments/{id}", "POST /v1/payments/{id}/close",
		"POST /v1/payments/{id}/card-outcome", "POST /v1/journal", "POST /v1/heartbeat",
	} {
		method, path, _ := strings.Cut(call, " ")
		ops, _ := paths[path].(map[string]any)
		if ops[strings.ToLower(method)] == nil {
			t.Errorf("%s is not in openapi.json", call)
		}
	}
}
