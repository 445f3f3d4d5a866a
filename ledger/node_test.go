package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		payUntilKilled(dir)
		return
	}
	if dir := os.Getenv(historyDir); dir != "" {
		serveHistory(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// TestPayAcrossRestarts pays, stops, and finds everything again: from the
// checkpoint, from the log alone, and by verification.
func TestPayAcrossRestarts(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	if leads, who := n.Leader(); !leads || who != defaultNode {
		t.Errorf("Leader() = %v, %q, want this node", leads, who)
	}
	settle(t, n, 10)
	paid := must(t, n, payDue(0), payDue(3))
	if paid[0].Receipt == paid[1].Receipt || paid[0].Receipt.Seq == 0 {
		t.Errorf("two payments got receipts %v and %v", paid[0].Receipt, paid[1].Receipt)
	}
	r := ledgerapi.Reserve{ID: id('r', 1), Channel: si.ChannelTerminal, Terminal: 7, Bank: testBank, OurDate: testDay,
		Dues: []ledgerapi.DueRef{{ID: 6, Version: 1, Amount: testAmount}}, Total: testAmount, Memo: []byte("sealed")}
	must(t, n, r)
	head, index := n.Head()
	for _, loss := range []string{"nothing", "the state file", "nothing again"} {
		closeNode(t, n)
		if loss == "the state file" {
			if err := os.Remove(filepath.Join(cfg.Dir, stateName)); err != nil {
				t.Fatal(err)
			}
		} else if rep := verifyOK(t, cfg.Dir); rep.Payments != 2 || rep.Head != fmt.Sprintf("%x", head) {
			t.Errorf("Verify counts %d payments, head %s, want 2 and %x", rep.Payments, rep.Head, head)
		}
		n = openNode(t, cfg)
		if h, i := n.Head(); h != head || i != index {
			t.Fatalf("after losing %s: head %x at %d, want %x at %d", loss, h, i, head, index)
		}
		p, ok := n.Payment(id('y', 3))
		if !ok || p.State != ledgerapi.PayPosted || p.Receipt != paid[1].Receipt || p.Total != testAmount {
			t.Fatalf("after losing %s: Payment = %+v, %v", loss, p, ok)
		}
		if pending := n.Pending(0); len(pending) != 1 || pending[0].ID != r.ID || string(pending[0].Memo) != "sealed" {
			t.Fatalf("after losing %s: Pending = %+v, want the reservation with its memo", loss, pending)
		}
		again := do(t, n, payDue(0))[0]
		if again.Code != ledgerapi.Exists || again.Receipt != paid[0].Receipt {
			t.Fatalf("after losing %s: the same payment again: %v receipt %v, want EXISTS %v", loss, again.Code, again.Receipt, paid[0].Receipt)
		}
		head, index = n.Head()
	}
	queries(t, n, paid[0])
	closeNode(t, n)
}

// queries asks everything once.
func queries(t *testing.T, n *Node, paid ledgerapi.Result) {
	t.Helper()
	dues := n.DuesOf(1, 0)
	if len(dues) != 1 || dues[0].State != ledgerapi.DueStatePaid || dues[0].Ref.Amount != testAmount {
		t.Errorf("DuesOf(1) = %+v, want one paid due", dues)
	}
	if p, ok := n.PersonByNo(2); !ok || p.No != 2 {
		t.Errorf("PersonByNo(2) = %+v, %v", p, ok)
	} else if q, ok := n.Person(p.IDHash); !ok || q.No != 2 {
		t.Errorf("Person by hash = %+v, %v", q, ok)
	}
	if p, ok := n.PaymentByReceipt(paid.Receipt); !ok || p.ID != id('y', 0) {
		t.Errorf("PaymentByReceipt = %+v, %v", p, ok)
	}
	if ps := n.PaymentsOf(1, 5); len(ps) != 1 || ps[0].ID != id('y', 0) {
		t.Errorf("PaymentsOf(1) = %+v", ps)
	}
	if w, ok := n.Window(testBank); !ok || w.Open != testDay || len(n.Windows()) != 1 {
		t.Errorf("Window = %+v, %v", w, ok)
	}
	if tot := n.Totals(testBank, testDay); tot.Payments.Count != 2 || tot.Payments.Amount != 2*testAmount {
		t.Errorf("Totals = %+v, want 2 payments", tot)
	}
	if c, ok := n.Config(ledgerapi.ConfigRates, "330110", 0); !ok || len(c.Body) == 0 || len(n.Configs(ledgerapi.ConfigRates)) != 1 {
		t.Errorf("Config = %d bytes, %v", len(c.Body), ok)
	}
	if _, ok := n.Terminal(7); ok {
		t.Error("Terminal(7) was never put and is there")
	}
	if _, ok := n.CardByPAN(si.Hash{1}); ok || len(n.Cards(1)) != 0 {
		t.Error("there are cards that nobody put")
	}
	made := must(t, n, ledgerapi.Notice{ID: id('n', 1), Person: 5, Date: testDay, ValidUntil: testDay + 30})[0]
	if v, ok := n.NoticeByNo(made.Notice, 0); !ok || v.Total != testAmount {
		t.Errorf("NoticeByNo = %+v, %v", v, ok)
	}
	if v, ok := n.LiveNoticeOf(5, 0); !ok || v.No != made.Notice {
		t.Errorf("LiveNoticeOf = %+v, %v", v, ok)
	}
	if len(n.TrialBalance()) == 0 {
		t.Error("TrialBalance is empty")
	}
	_ = n.IndividualOf(1) // MED_RES has no individual account
	if err := n.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// TestCheckpointsUnderLoad writes checkpoints while payments go on; the state
// file then agrees with the log, and the start replays only what is behind it.
func TestCheckpointsUnderLoad(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 6000)
	var cs []ledgerapi.Command
	for i := range 6000 {
		cs = append(cs, payDue(i))
	}
	must(t, n, cs...)
	for deadline := time.Now().Add(10 * time.Second); n.Stats().Checkpoints == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no checkpoint after 12000 records with a trigger at 300")
		}
	}
	s := n.Stats()
	if s.Checkpoint == 0 || s.CheckpointTook == 0 || s.StateBytes == 0 || s.FreeBytes == 0 || !s.Leader || s.Applied == 0 {
		t.Errorf("Stats() = %+v, want figures", s)
	}
	if s.Log.Records < 12000 || s.Log.Batches >= s.Log.Records || s.Log.Segments == 0 {
		t.Errorf("log figures %+v: no group commit?", s.Log)
	}
	head, _ := n.Head()
	closeNode(t, n)
	r := verifyOK(t, cfg.Dir)
	if r.Payments != 6000 || r.Checkpoint != r.Entries && r.Checkpoint == 0 {
		t.Errorf("Verify = %+v, want 6000 payments and a checkpoint", r)
	}
	n = openNode(t, cfg)
	if h, _ := n.Head(); h != head {
		t.Errorf("head after the restart %x, want %x", h, head)
	}
	closeNode(t, n)
}

// TestSealedPaymentsComeFromHistory seals a day: its payments leave memory and
// are answered from the state file, with the same receipt, also after a restart.
func TestSealedPaymentsComeFromHistory(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 400)
	var cs []ledgerapi.Command
	for i := range 400 {
		cs = append(cs, payDue(i))
	}
	paid := must(t, n, cs...)
	must(t, n, ledgerapi.Cutover{ID: id('w', 2), Bank: testBank, From: testDay, To: testDay + 1})
	must(t, n, ledgerapi.SealDay{ID: id('s', 1), Date: testDay})
	for _, step := range []string{"before the checkpoint", "after it", "after a restart"} {
		switch step {
		case "after it":
			if err := n.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		case "after a restart":
			closeNode(t, n)
			verifyOK(t, cfg.Dir)
			n = openNode(t, cfg)
		}
		for _, i := range []int{0, 199, 399} {
			if p, ok := n.Payment(id('y', i)); !ok || p.Receipt != paid[i].Receipt || p.State != ledgerapi.PayPosted {
				t.Errorf("%s: Payment(%d) = %+v, %v", step, i, p, ok)
			}
			if r := do(t, n, payDue(i))[0]; r.Code != ledgerapi.Exists || r.Receipt != paid[i].Receipt {
				t.Errorf("%s: payment %d again: %v receipt %v, want EXISTS %v", step, i, r.Code, r.Receipt, paid[i].Receipt)
			}
			if ps := n.PaymentsOf(si.PersonNo(i+1), 3); len(ps) != 1 || ps[0].ID != id('y', i) {
				t.Errorf("%s: PaymentsOf(%d) = %+v", step, i+1, ps)
			}
		}
	}
	closeNode(t, n)
	verifyOK(t, cfg.Dir)
}

// TestClockNeverRunsBack turns the leader's clock back by an hour.
func TestClockNeverRunsBack(t *testing.T) {
	cfg := testConfig(t.TempDir())
	now := testStart
	cfg.Now = func() time.Time { return now }
	n := openNode(t, cfg)
	settle(t, n, 3)
	must(t, n, payDue(0))
	now = now.Add(-time.Hour)
	must(t, n, payDue(1))
	closeNode(t, n)
	n = openNode(t, cfg)
	must(t, n, payDue(2))
	for i := range 3 {
		if p, _ := n.Payment(id('y', i)); p.AtMillis != testStart.UnixMilli() {
			t.Errorf("payment %d is of %d, want %d", i, p.AtMillis, testStart.UnixMilli())
		}
	}
	closeNode(t, n)
}

func TestOneProcessPerDirectory(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	_, err := Open(cfg)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("second Open: %v, want ErrInUse with process and directory", err)
	}
	if _, err := Verify(cfg.Dir, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("Verify of an open ledger: %v, want ErrInUse", err)
	}
	closeNode(t, n)
	n = openNode(t, cfg)
	closeNode(t, n)
}

// TestFullDisk takes nothing new and lets what is under way end.
func TestFullDisk(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 2)
	r := ledgerapi.Reserve{ID: id('r', 1), Channel: si.ChannelTerminal, Bank: testBank, OurDate: testDay,
		Dues: []ledgerapi.DueRef{{ID: 1, Version: 1, Amount: testAmount}}, Total: testAmount}
	must(t, n, r)
	closeNode(t, n)
	cfg.MinFree = math.MaxUint64
	n = openNode(t, cfg)
	if !n.SpaceLow() {
		t.Error("SpaceLow() is false with a bound that no disk meets")
	}
	for _, c := range []ledgerapi.Command{r, payDue(1), ledgerapi.PutTerminal{ID: id('t', 1), Terminal: 1, Bank: 1}} {
		if _, err := n.Do(background(), c); !errors.Is(err, ErrNoSpace) {
			t.Errorf("command %d on a full disk: %v, want ErrNoSpace", c.Type(), err)
		}
	}
	must(t, n, ledgerapi.Void{ID: r.ID, Proof: ledgerapi.ProofNotSent})
	closeNode(t, n)
}

func TestDo(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	ctx, cancel := context.WithCancel(background())
	cancel()
	if _, err := n.Do(ctx, payDue(0)); err != nil && !errors.Is(err, ErrUnknown) {
		t.Errorf("Do with an ended context: %v, want an answer or ErrUnknown", err)
	}
	big := ledgerapi.PutConfig{ID: id('c', 1), Kind: ledgerapi.ConfigOffices, Name: "x", Body: make([]byte, ledgerapi.MaxRecord), Maker: 1, Checker: 2}
	if _, err := n.DoAs(background(), big, 1); !errors.Is(err, ErrCommand) {
		t.Errorf("Do of a command above the bound: %v, want ErrCommand", err)
	}
	closeNode(t, n)
	if _, err := n.Do(background(), payDue(0)); !errors.Is(err, ErrClosed) {
		t.Errorf("Do after Close: %v, want ErrClosed", err)
	}
	closeNode(t, n)
}

func TestNullState(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.NullState = true
	n := openNode(t, cfg)
	for i := range 50 {
		if r, err := n.Do(background(), payDue(i)); err != nil || r.Code != ledgerapi.OK {
			t.Fatalf("null state: %v, %v, want OK", r.Code, err)
		}
	}
	if s := n.Stats(); s.Log.Records != 50 || s.Log.Appends < 50 {
		t.Errorf("50 commands one by one made %d appends of %d records", s.Log.Appends, s.Log.Records)
	}
	closeNode(t, n)
	n = openNode(t, cfg)
	closeNode(t, n)
}

func TestOpenRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no directory":        func(c *Config) { c.Dir = "" },
		"no area":             func(c *Config) { c.Area = 0 },
		"an area of 7 digits": func(c *Config) { c.Area = 1_000_000 },
		"a negative trigger":  func(c *Config) { c.CheckpointRecords = -1 },
		"a tiny segment":      func(c *Config) { c.Segment = 1 },
	} {
		cfg := testConfig(t.TempDir())
		change(&cfg)
		if n, err := Open(cfg); err == nil {
			t.Errorf("Open with %s succeeded", name)
			closeNode(t, n)
		}
	}
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 1)
	closeNode(t, n)
	other := cfg
	other.Area = 330111
	if _, err := Open(other); !errors.Is(err, store.ErrSchema) {
		t.Errorf("Open as another region: %v, want store.ErrSchema", err)
	}
	null := cfg
	null.NullState = true
	if _, err := Open(null); err == nil {
		t.Error("a null state opened a real ledger")
	}
	n = openNode(t, cfg)
	closeNode(t, n)
}
