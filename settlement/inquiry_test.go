package settlement

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// asking makes the banks of a world take inquiries.
func asking(t *testing.T, proof bool) func(*profile.Profile) {
	return func(p *profile.Profile) {
		spec, rules, err := profile.ReadFS(os.DirFS("../data/banks"), p.Code)
		if err != nil {
			t.Fatal(err)
		}
		q, err := profile.Load(spec, profile.Inquiring(rules, proof))
		if err != nil {
			t.Fatal(err)
		}
		q.Timers = p.Timers
		q.CrossDaySend = true
		*p = *q
		p.Timers.Reply, p.Timers.Inquiry, p.Timers.ReversalReply = 300*time.Millisecond, 500*time.Millisecond, 300*time.Millisecond
	}
}

// scripted makes requests of two kinds meet a fault each.
func scripted(debit, inquiry linktest.Fault) func(profile.Kind, *bankmsg.Message) linktest.Fault {
	return func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		switch k {
		case profile.Debit:
			return debit
		case profile.StatusInquiry:
			return inquiry
		}
		return linktest.Fault{}
	}
}

// TestInquiry asks over real connections, in both dialects: what the bank says
// under a good code decides, and everything else is reversed.
func TestInquiry(t *testing.T) {
	mute := linktest.Fault{Mute: true}
	for name, c := range map[string]struct {
		debit, inquiry linktest.Fault
		end            ledgerapi.PayState
		reversals      int // 0 or more than that
	}{
		"it stands":      {mute, linktest.Fault{}, ledgerapi.PayPosted, 0},
		"line cut":       {linktest.Fault{Hang: true}, linktest.Fault{}, ledgerapi.PayPosted, 0},
		"bad first code": {linktest.Fault{BadMAC: true}, linktest.Fault{}, ledgerapi.PayPosted, 0},
		"never seen":     {linktest.Fault{Deaf: true}, linktest.Fault{}, ledgerapi.PayVoided, 0},
		"it is refused":  {mute, linktest.Fault{Code: "51"}, ledgerapi.PayVoided, 0},
		"silent":         {mute, mute, ledgerapi.PayVoided, 1},
		"hangs up":       {mute, linktest.Fault{Hang: true}, ledgerapi.PayVoided, 1},
		"bad code":       {mute, linktest.Fault{BadMAC: true}, ledgerapi.PayVoided, 1},
		"other amount":   {mute, linktest.Fault{Wrong: 4}, ledgerapi.PayVoided, 1},
		"system":         {mute, linktest.Fault{Code: "96"}, ledgerapi.PayVoided, 1},
		"unknown":        {mute, linktest.Fault{Code: "68"}, ledgerapi.PayVoided, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, asking(t, true))
			for i, bank := range []si.Bank{rcb, ccb} {
				n := i + 1
				w.banks[bank].Script(scripted(c.debit, c.inquiry))
				if a := w.pay(n, bank); a.Ending != engine.Pending {
					t.Fatalf("got %+v, want pending", a)
				}
				w.until("it has ended", func() bool { return w.ledger(n) == c.end })
				w.until("told", func() bool {
					a, err := w.hub.State(context.Background(), pid(n))
					return err == nil && (a.Ending == engine.Paid) == (c.end == ledgerapi.PayPosted) && a.Ending != engine.Pending
				})
				debits, inquiries, reversals := w.banks[bank].Seen(profile.Debit), w.banks[bank].Seen(profile.StatusInquiry), w.banks[bank].Seen(profile.Reversal)
				if debits != 1 || inquiries != 1 || (reversals > 0) != (c.reversals > 0) {
					t.Errorf("bank %d has seen %d debits, %d inquiries, %d reversals", bank, debits, inquiries, reversals)
				}
				if c.inquiry.Code != "51" {
					want := 0
					if c.end == ledgerapi.PayPosted {
						want = 1
					}
					w.net(bank, want)
				}
			}
		})
	}
}

// TestInquiryNoProof: at a bank that promises nothing, "not known" is reversed.
func TestInquiryNoProof(t *testing.T) {
	w := newWorld(t, asking(t, false))
	w.banks[ccb].Script(scripted(linktest.Fault{Deaf: true}, linktest.Fault{}))
	w.pay(1, ccb)
	w.until("reversed", func() bool { return w.ledger(1) == ledgerapi.PayVoided })
	if p, _ := w.book.Payment(pid(1)); p.Proof != ledgerapi.ProofReversalAck || w.banks[ccb].Seen(profile.Reversal) == 0 {
		t.Errorf("voided with proof %d after %d reversals", p.Proof, w.banks[ccb].Seen(profile.Reversal))
	}
	w.net(ccb, 0)
}

// TestInquiryLate: the answer that comes when the reversal is durable changes
// nothing, though it says approved under a good code.
func TestInquiryLate(t *testing.T) {
	w := newWorld(t, asking(t, true))
	answer := make(chan struct{})
	w.banks[ccb].Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		return map[profile.Kind]linktest.Fault{profile.Debit: {Mute: true}, profile.StatusInquiry: {Wait: answer}, profile.Reversal: {Deaf: true}}[k]
	})
	w.pay(1, ccb)
	w.until("a reversal has left", func() bool { return w.banks[ccb].Seen(profile.Reversal) > 0 })
	close(answer)
	w.banks[ccb].Script(nil)
	w.until("reversed", func() bool { return w.ledger(1) == ledgerapi.PayVoided })
	w.net(ccb, 0)
}

// TestInquiryAfterCrash: another hub on the same ledger asks before it reverses.
func TestInquiryAfterCrash(t *testing.T) {
	w := newWorld(t, func(p *profile.Profile) {
		asking(t, true)(p)
		p.Timers.Reply, p.Timers.Inquiry = 20*time.Second, 10*time.Second
	})
	w.banks[rcb].Script(scripted(linktest.Fault{Mute: true}, linktest.Fault{}))
	told := make(chan engine.Answer, 1)
	go func() {
		a, _ := w.hub.Pay(context.Background(), w.intent(1, rcb))
		told <- a
	}()
	w.until("the bank has it", func() bool { return w.banks[rcb].Seen(profile.Debit) == 1 })
	w.stop()
	<-told
	if got := w.ledger(1); got != ledgerapi.PayReserved {
		t.Fatalf("the ledger says %v", got)
	}
	w.start()
	w.until("posted", func() bool { return w.ledger(1) == ledgerapi.PayPosted })
	if w.banks[rcb].Seen(profile.Reversal) != 0 || w.banks[rcb].Seen(profile.Debit) != 1 {
		t.Error("a reversal or a second debit has left")
	}
	w.net(rcb, 1)
}

// wantsScripts makes ccb want to know what issuer scripts did.
func wantsScripts(t *testing.T) func(*profile.Profile) {
	return func(p *profile.Profile) {
		if p.Code != "ccb" {
			return
		}
		spec, rules, err := profile.ReadFS(os.DirFS("../data/banks"), p.Code)
		if err != nil {
			t.Fatal(err)
		}
		q, err := profile.Load(spec, profile.ScriptTold(rules))
		if err != nil {
			t.Fatal(err)
		}
		q.Timers = p.Timers
		*p = *q
		p.Timers.ReversalReply = 200 * time.Millisecond
	}
}

var scriptResults = []byte{0x95, 5, 0, 0, 0, 0, 0, 0x9F, 0x36, 2, 0, 7, 0xDF, 0x31, 5, 0x20, 1, 2, 3, 4}

// TestScriptNotice: what the card's scripts did is durable before the terminal is
// answered, reaches the bank with the payment's numbers, is repeated until the
// bank answers, and survives the hub.
func TestScriptNotice(t *testing.T) {
	w := newWorld(t, wantsScripts(t))
	ctx := context.Background()
	w.pay(1, ccb)
	mute := fault(linktest.Fault{Mute: true}, profile.ScriptNotify)
	w.banks[ccb].Script(mute)
	if err := w.hub.CardOutcome(ctx, pid(1), engine.CardTC, scriptResults); err != nil {
		t.Fatal(err)
	}
	if p, _ := w.book.Payment(pid(1)); !p.Advice {
		t.Fatal("the terminal was answered before the notice was durable")
	}
	w.until("it is repeated", func() bool { return w.banks[ccb].Seen(profile.ScriptNotify) > 1 })
	p, _ := w.book.Payment(pid(1))
	for de, want := range map[int]string{0: "0621", 11: "000001", 37: string(p.RRN[:]), 39: "00", 55: string(scriptResults), 70: "951"} {
		if got := w.banks[ccb].Field(profile.ScriptNotify, de); got != want {
			t.Errorf("DE %d: got %q, want %q", de, got, want)
		}
	}
	if got := w.banks[ccb].Field(profile.ScriptNotify, 90); got[:20] != "0200000001"+string(p.DE7[:]) {
		t.Errorf("DE 90 is %s", got)
	}
	w.stop()
	seen := w.banks[ccb].Seen(profile.ScriptNotify)
	w.banks[ccb].Script(nil)
	w.start()
	w.until("told after a restart", func() bool { p, _ := w.book.Payment(pid(1)); return !p.Advice })
	if w.banks[ccb].Seen(profile.ScriptNotify) <= seen {
		t.Error("the new hub told nothing")
	}
	if p, _ := w.book.Payment(pid(1)); p.State != ledgerapi.PayPosted {
		t.Errorf("the payment is %v", p.State)
	}
	w.net(ccb, 1)

	w.pay(2, rcb) // a bank that wants no notice
	if err := w.hub.CardOutcome(ctx, pid(2), engine.CardTC, scriptResults); err != nil {
		t.Fatal(err)
	}
	if p, _ := w.book.Payment(pid(2)); p.Advice || w.banks[rcb].Seen(profile.ScriptNotify) != 0 {
		t.Error("rcb was told, or is to be")
	}
}
