package load

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/acceptor"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/residents"
)

// system is a real ledger, a real HSM in software, the operator's door, and the
// servers of all banks that have counters, in one process.
type system struct {
	t     *testing.T
	node  *ledger.Node
	op    *operator.Client
	gen   residents.Generator
	keys  map[string]bankhost.Keys
	profs map[string]*profile.Profile
	addrs map[string]string
}

func newSystem(t *testing.T, persons int) *system {
	t.Helper()
	s := &system{t: t, gen: residents.New(7), keys: map[string]bankhost.Keys{}, profs: map[string]*profile.Profile{}, addrs: map[string]string{}}
	store := s.hsm()
	var err error
	if s.node, err = ledger.Open(ledger.Config{Dir: filepath.Join(t.TempDir(), "ledger"), Region: 1, Area: 330110, MinFree: 1, Segment: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.node.Check(); err != nil {
			t.Error(err)
		}
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})
	s.door(store)
	for code, p := range s.profs {
		srv, err := acceptor.New(acceptor.Config{Profile: p, Ledger: s.node, Persons: s.node, Codes: store, Names: store,
			Open: func(si.Bank) si.BusinessDate { return si.DateOf(time.Now()) }, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addrs[code] = l.Addr().String()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		t.Cleanup(func() {
			srv.Close()
			_ = l.Close()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	s.fill(persons)
	return s
}

// hsm makes the keys that banks and hub share.
func (s *system) hsm() *softhsm.Store {
	s.t.Helper()
	store, err := softhsm.NewVolatile()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = store.Close() })
	add := func(name string, u softhsm.Usage, key []byte) {
		s.t.Helper()
		if err := store.AddKey(name, u, key); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, code := range []string{"rcb", "ccb", "boc"} {
		p, err := profile.LoadFS(data.Banks, "banks/"+code)
		if err != nil {
			s.t.Fatal(err)
		}
		k := bankhost.Keys{KBPK: []byte(testKBPK), TMK: map[string][]byte{}}
		if p.KBPK != "" {
			add(p.KBPK, softhsm.Protect, k.KBPK)
		}
		for _, v := range p.Terminals {
			k.TMK[v.DE41] = []byte("tmk of " + v.DE41 + "!")
			add(v.TMK, softhsm.Master, k.TMK[v.DE41])
		}
		s.keys[code], s.profs[code] = k, p
	}
	year := time.Now().In(si.China).Year()
	add(softhsm.PersonKeyName(1, year), softhsm.Person, []byte(testKBPK))
	for name, u := range map[string]softhsm.Usage{softhsm.NameHashID: softhsm.HashID, softhsm.NameHashCard: softhsm.HashCard,
		softhsm.NameHashNo: softhsm.HashNo, softhsm.NameHashPAN: softhsm.HashPAN} {
		add(name, u, []byte(testKBPK))
	}
	e, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	add(softhsm.EnvelopeKeyName(year), softhsm.Envelope, e.Bytes())
	return store
}

// door opens the operator's socket.
func (s *system) door(store *softhsm.Store) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "op.sock")
	l, err := operator.Listen(path)
	if err != nil {
		s.t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: operator.New(operator.Config{
		Ledger: s.node, Register: s.node, Sealer: store, Now: time.Now, Status: func() operator.Status { return operator.Status{} },
		Banks: func(code string) (si.Bank, bool) { p := s.profs[code]; return 0, p != nil },
	}).Handler()}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	s.op = operator.Dial(path)
	s.t.Cleanup(func() {
		s.op.Close()
		_ = srv.Close()
		<-ended
	})
}

// fill brings rates, bank facts, persons and the dues of 2026 into the ledger.
func (s *system) fill(persons int) {
	s.t.Helper()
	do := func(c ledgerapi.Command) {
		s.t.Helper()
		if r, err := s.node.Do(context.Background(), c); err != nil || r.Code != ledgerapi.OK {
			s.t.Fatalf("%T: %v, %v", c, r.Code, err)
		}
	}
	from := si.Date(2026, time.January, 1)
	put := func(n byte, kind ledgerapi.ConfigKind, name, file string) {
		s.t.Helper()
		b, err := data.Start.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		do(ledgerapi.PutConfig{ID: si.PaymentID{7: 'c', 15: n}, Kind: kind, Name: name, From: from, Body: b, Maker: 1, Checker: 2})
	}
	put(1, ledgerapi.ConfigRates, "330110", "rates/330110.yaml")
	for code, p := range s.profs {
		put(byte(10+p.Number), ledgerapi.ConfigBankFacts, code, "facts/"+code+".txt")
		do(ledgerapi.Cutover{ID: si.PaymentID{7: 'w', 15: byte(p.Number)}, Bank: p.Number, To: si.DateOf(time.Now())})
	}
	dir := s.t.TempDir()
	if err := s.gen.Write(s.t.Context(), dir, persons, func(int) {}); err != nil {
		s.t.Fatal(err)
	}
	up := func(path, file string, q url.Values) {
		s.t.Helper()
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			s.t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if o, err := s.op.Upload(s.t.Context(), path, q, f, func(int, int) {}); err != nil || !o.OK {
			s.t.Fatalf("%s: %+v, %v", path, o, err)
		}
	}
	up("/v1/import/persons", residents.PersonsFile, nil)
	up("/v1/assess", residents.BasesFile, url.Values{"fund": {"MED_RES"}, "person_type": {"RESIDENT"}, "period": {"2026"}, "kind": {"year"},
		"due_day": {"2026-12-31"}, "rates": {"1"}, "use": {"grade"}})
}

// debtor is the last resident who owes something.
func (s *system) debtor() (who residents.Resident) {
	s.t.Helper()
	for i := 199; i >= 0; i-- {
		p, err := s.gen.At(i)
		if err != nil {
			s.t.Fatal(err)
		}
		var dues []operator.DueView
		if err := s.op.Ask(s.t.Context(), "/v1/dues", operator.PersonRequest{IDNumber: p.IDNumber}, &dues); err != nil {
			s.t.Fatal(err)
		}
		if len(dues) > 0 {
			return p
		}
	}
	s.t.Fatal("nobody owes anything")
	return who
}

// TestIssueAndPayAll issues the notices of everybody by the operator's call and
// pays them all.
func TestIssueAndPayAll(t *testing.T) {
	const persons = 2500 // more than two batches
	s := newSystem(t, persons)
	told := 0
	supply, err := Issue(t.Context(), s.op, s.gen, persons, func(int) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	if supply.Len() == 0 || supply.Len() > persons || supply.Left() != supply.Len() || told != persons/progressEach {
		t.Fatalf("%d notices of %d residents, %d left, progress %d times", supply.Len(), persons, supply.Left(), told)
	}
	got := &acks{}
	rep, err := Run(t.Context(), Config{Addr: s.addrs["ccb"], Profile: s.profs["ccb"], Keys: s.keys["ccb"], Links: 2, InFlight: 16,
		Duration: 30 * time.Second, Next: supply.Next, OnAck: got.add})
	if err != nil {
		t.Fatal(err)
	}
	if int(rep.Payments) != supply.Len() || rep.Errors != 0 || supply.Left() != 0 || len(got.list) != supply.Len() {
		t.Errorf("report %+v, want %d payments", rep, supply.Len())
	}
	// Whoever has paid owes nothing: the same notices again cost nothing now.
	if again, err := Issue(t.Context(), s.op, s.gen, persons, func(int) {}); err == nil {
		no, amount, _ := again.Next()
		v, ok := s.node.NoticeByNo(no, 0)
		t.Errorf("%d notices of people who owe nothing were kept, such as %s of %s: %+v, %v", again.Len(), no, amount, v, ok)
	}
}

func TestInvent(t *testing.T) {
	s := Invent(330110, 2026, 2)
	a, _, _ := s.Next()
	b, amount, ok := s.Next()
	if _, _, more := s.Next(); a == b || !ok || amount <= 0 || more || s.Left() != 0 {
		t.Error("invented notices are not two different ones")
	}
}

// TestCounters takes each bank with counters through the life of a payment, the
// bank's own code and library on one side and server, HSM and ledger on the other.
func TestCounters(t *testing.T) {
	s := newSystem(t, 200)
	supply, err := Issue(t.Context(), s.op, s.gen, 200, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	who := s.debtor()
	for _, code := range []string{"ccb", "boc", "rcb"} {
		t.Run(code, func(t *testing.T) {
			c, err := bankhost.DialCounter(t.Context(), bankhost.CounterConfig{Profile: s.profs[code], Keys: s.keys[code], Addr: s.addrs[code]})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			own := func(c string) string {
				if o := s.profs[code].OwnCodes[c]; o != "" {
					return o
				}
				return c
			}
			no, amount, _ := supply.Next()
			want := func(what, code string) func(*bankhost.Reply, error) *bankhost.Reply {
				return func(r *bankhost.Reply, err error) *bankhost.Reply {
					t.Helper()
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					if r.Code != own(code) || !r.MACGood {
						t.Errorf("%s: got %s (good code %v), want %s; %v", what, r.Code, r.MACGood, own(code), r.Records)
					}
					return r
				}
			}
			if r := want("inquiry", "00")(c.InquireNotice(no)); r.Amount != amount || r.Records["NM"] == "" {
				t.Errorf("inquiry: %d, %v; want %d and a masked name", r.Amount, r.Records, amount)
			}
			want("inquiry by ID number", "00")(c.InquireID(who.IDNumber))
			p := c.NewPayment(no, amount)
			want("status before", "25")(c.Status(p))
			less := c.NewPayment(no, amount-1)
			want("too little", "N3")(c.Pay(less))
			r := want("payment", "00")(c.Pay(p))
			if again := want("the same again", "00")(c.Pay(p)); again.Records["RN"] != r.Records["RN"] || r.Records["RN"] == "" {
				t.Errorf("receipts %q and %q, want one and the same", r.Records["RN"], again.Records["RN"])
			}
			other := p
			other.Amount++
			want("same key, other body", "94")(c.Pay(other))
			want("paid already", "N1")(c.Pay(c.NewPayment(no, amount)))
			want("status", "00")(c.Status(p))
			if err := c.SignOn(); err != nil { // new keys in the middle of the day
				t.Fatal(err)
			}
			want("reversal", "00")(c.Reverse(p, "98"))
			want("reversal again", "00")(c.Reverse(p, "98"))
			want("paid again after the reversal", "12")(c.Pay(p))
			want("new payment of the dues", "00")(c.Pay(c.NewPayment(no, amount)))
			early := c.NewPayment(no, amount)
			want("reversal before its payment", "25")(c.Reverse(early, "98"))
			want("the payment after it", "12")(c.Pay(early))
			if err := c.Echo(); err != nil {
				t.Error(err)
			}
		})
	}
	// Two banks and one notice: one is paid, the other is told so.
	no, amount, _ := supply.Next()
	codes := make(chan string, 2)
	for _, code := range []string{"ccb", "boc"} {
		c, err := bankhost.DialCounter(t.Context(), bankhost.CounterConfig{Profile: s.profs[code], Keys: s.keys[code], Addr: s.addrs[code]})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { _ = c.Close() }()
			r, err := c.Pay(c.NewPayment(no, amount))
			if err != nil {
				codes <- fmt.Sprint(err)
				return
			}
			codes <- r.Code
		}()
	}
	a, b := <-codes, <-codes
	if n1 := s.profs["ccb"].OwnCodes["N1"]; !(a == "00" && (b == n1 || b == s.profs["boc"].OwnCodes["N1"])) && !(b == "00" && (a == n1 || a == s.profs["boc"].OwnCodes["N1"])) {
		t.Errorf("two banks and one notice: %s and %s, want one 00 and one N1", a, b)
	}
}
