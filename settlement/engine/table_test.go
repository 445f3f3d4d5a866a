package engine

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// reach brings payment 1 of the POS bank to a state. The link is down
// afterwards, so that a durable reversal stays in its line.
func reach(t *testing.T, s State) *rig {
	t.Helper()
	r := newRig(t)
	r.linkUp(pos, 0)
	down := func() { r.step(LinkDown{LinkID{pos, 0}}) }
	if s == Sent || s == InDoubt || s == Inquiring {
		r.asks(pos, true)
	}
	switch s {
	case Reserving:
		r.step(Ask{Intent: intent(t, 1, pos)})
	case Translating:
		r.step(Ask{Intent: intent(t, 1, pos)})
		r.commit()
	case Sent:
		r.sent(1, pos)
	case InDoubt:
		r.sent(1, pos)
		down()
		r.pass(r.banks[0].Timers.Reply)
	case Inquiring:
		r.sent(1, pos)
		r.pass(r.banks[0].Timers.Reply)
	case Posting:
		r.sent(1, pos)
		r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	case Voiding:
		r.sent(1, pos)
		r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("51")})
	case Posted, Unposting:
		r.sent(1, pos)
		r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
		r.commit()
		if s == Unposting {
			r.step(CardSaid{ID: pid(1), Outcome: CardAAC})
		}
	case Opening:
		r.sent(1, pos)
		r.restart()
		r.step(Resume{r.book.view(pid(1))})
	case Noting:
		r.sent(1, pos)
		r.pass(r.banks[0].Timers.Reply)
	case Queued, Desk:
		r.sent(1, pos)
		r.pass(r.banks[0].Timers.Reply)
		down()
		if s == Desk {
			r.banks[0].CrossDaySend = false
			r.now = r.now.AddDate(0, 0, 1)
		}
		r.commit()
	case Undoing, Waiting:
		r.sent(1, pos)
		r.pass(r.banks[0].Timers.Reply)
		r.commit()
		if s == Waiting {
			r.pass(r.banks[0].Timers.ReversalReply)
		}
	case Closing:
		r.step(CloseAsked{ID: pid(1)})
	case Gone, stateEnd:
		t.Fatalf("no payment is %v", s)
	}
	down()
	r.asks(pos, true)
	r.wantState(1, s)
	r.out, r.notes = nil, nil
	return r
}

// TestTable walks every pair of state and trigger. What the table does not
// list must be refused, noted, and leave the payment as it was.
func TestTable(t *testing.T) {
	declared := 0
	for s := Reserving; s < stateEnd; s++ {
		for tr := LedgerOK; tr < triggerEnd; tr++ {
			m := table[s][tr]
			r := reach(t, s)
			p := r.e.pays[pid(1)]
			p.askable = true
			before, armed := *p, p.timer.index != 0
			r.e.now, r.e.out = r.now, nil
			r.e.fire(p, tr)
			effects := r.e.out
			r.e.out = nil
			if m.do == 0 {
				if n, ok := effects[0].(Note); len(effects) != 1 || !ok || n.Kind != NoteUndeclared || n.State != s || n.Trigger != tr {
					t.Errorf("%v × %v is not declared: got effects %+v, want one note of it", s, tr, effects)
				}
				if !reflect.DeepEqual(*p, before) || (p.timer.index != 0) != armed || r.state(1) != s {
					t.Errorf("%v × %v is not declared and yet changed the payment", s, tr)
				}
				continue
			}
			declared++
			if got := r.state(1); got != m.to {
				t.Errorf("%v × %v: got %v, want %v", s, tr, got, m.to)
			}
			if m.to == Gone {
				told := false
				for _, ef := range effects {
					_, ok := ef.(Tell)
					told = told || ok
				}
				if !told {
					t.Errorf("%v × %v ends the payment and tells nobody", s, tr)
				}
				if _, armed := r.e.Next(); armed || r.e.banks[pos].links[0].live != 0 || len(r.e.wires) != 0 || len(r.e.cards) != 0 || r.e.head != nil {
					t.Errorf("%v × %v ends the payment and leaves something of it behind", s, tr)
				}
			}
		}
	}
	if declared < 100 {
		t.Errorf("only %d pairs are declared", declared)
	}
}

// TestNoDeadEnd holds that every state has a way out that needs no luck: a
// timer, an answer that must come, a link, or people.
func TestNoDeadEnd(t *testing.T) {
	for s := Reserving; s < stateEnd; s++ {
		r := reach(t, s)
		p := r.e.pays[pid(1)]
		timed := p.timer.index != 0 && table[s][TimeUp].do != 0
		asked := p.wait || s == Opening && table[s][MemoKnown].do != 0
		carded := s == Posted && p.timer.index != 0
		lined := s == Queued && len(r.e.banks[pos].waiting[p.memo.Acq].list) == 1
		if !timed && !asked && !carded && !lined && s != Desk {
			t.Errorf("%v waits for nothing that must come", s)
		}
	}
}

// TestEvents gives every event in every state through the front door. Whatever
// comes, a payment moves along the table's edges only, and never from a doubt
// to Posted but by the ledger's own word.
func TestEvents(t *testing.T) {
	edges := map[State]map[State]bool{}
	for s := range table {
		edges[State(s)] = map[State]bool{State(s): true}
		for _, m := range table[s] {
			if m.do != 0 {
				edges[State(s)][m.to] = true
			}
		}
	}
	reachable := func(from, to State) bool { // a step may pass through these
		for _, via := range []State{Queued, Opening, InDoubt} {
			if edges[from][via] && edges[via][to] {
				return true
			}
		}
		return edges[from][to]
	}
	events := map[string]func(r *rig, p *payment) Event{
		"ask again":        func(r *rig, _ *payment) Event { return Ask{Intent: intent(t, 1, pos)} },
		"ask other":        func(r *rig, _ *payment) Event { i := intent(t, 1, pos); i.Total++; return Ask{Intent: i} },
		"translated":       func(*rig, *payment) Event { return Translated{ID: pid(1), Op: OpDebit, OK: true} },
		"memo":             func(r *rig, _ *payment) Event { return MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true} },
		"no memo":          func(*rig, *payment) Event { return MemoOpened{ID: pid(1)} },
		"seen":             func(r *rig, _ *payment) Event { return Seen{r.book.view(pid(1))} },
		"debit not sent":   func(_ *rig, p *payment) Event { return NotSent{ID: pid(1), Op: OpDebit, Seq: p.seq} },
		"debit too late":   func(_ *rig, p *payment) Event { return NotSent{ID: pid(1), Op: OpDebit, Seq: p.seq, Late: true} },
		"debit lost":       func(_ *rig, p *payment) Event { return Lost{ID: pid(1), Op: OpDebit, Seq: p.seq} },
		"stale loss":       func(_ *rig, p *payment) Event { return Lost{ID: pid(1), Op: OpDebit, Seq: p.seq - 1} },
		"reversal unsent":  func(_ *rig, p *payment) Event { return NotSent{ID: pid(1), Op: OpReversal, Seq: p.seq} },
		"reversal lost":    func(_ *rig, p *payment) Event { return Lost{ID: pid(1), Op: OpReversal, Seq: p.seq} },
		"approved":         func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")} },
		"declined":         func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpDebit, Reply: reply("51")} },
		"bad code":         func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpDebit} },
		"reversal done":    func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpReversal, Reply: reply("00")} },
		"inquiry unsent":   func(_ *rig, p *payment) Event { return NotSent{ID: pid(1), Op: OpInquiry, Seq: p.seq} },
		"inquiry lost":     func(_ *rig, p *payment) Event { return Lost{ID: pid(1), Op: OpInquiry, Seq: p.seq} },
		"it is approved":   func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpInquiry, Reply: told("00")} },
		"it is declined":   func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpInquiry, Reply: told("51")} },
		"it is not known":  func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpInquiry, Reply: told("25")} },
		"it is not said":   func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpInquiry} },
		"reversal refused": func(*rig, *payment) Event { return Replied{ID: pid(1), Op: OpReversal, Reply: reply("96")} },
		"stray": func(r *rig, p *payment) Event {
			return Stray{Bank: pos, Acq: p.memo.Acq, STAN: p.stan, Batch: p.memo.Batch, Op: OpDebit, Reply: reply("00")}
		},
		"card yes":   func(*rig, *payment) Event { return CardSaid{ID: pid(1), Outcome: CardTC} },
		"card no":    func(*rig, *payment) Event { return CardSaid{ID: pid(1), Outcome: CardAAC} },
		"close":      func(r *rig, _ *payment) Event { return CloseAsked{ID: pid(1), Known: r.book.view(pid(1))} },
		"resume":     func(r *rig, _ *payment) Event { return Resume{r.book.view(pid(1))} },
		"desk paid":  func(*rig, *payment) Event { return Resolved{pid(1), ledgerapi.PayPosted} },
		"desk void":  func(*rig, *payment) Event { return Resolved{pid(1), ledgerapi.PayVoided} },
		"link up":    func(r *rig, p *payment) Event { return LinkUp{LinkID{pos, 0}, p.memo.Acq, p.memo.Batch, 8} },
		"link down":  func(*rig, *payment) Event { return LinkDown{LinkID{pos, 0}} },
		"breaker":    func(*rig, *payment) Event { return Breaker{pos, true} },
		"drain":      func(*rig, *payment) Event { return Drain{} },
		"other bank": func(*rig, *payment) Event { return LinkUp{LinkID{200, 0}, [8]byte{}, 0, 8} },
	}
	for s := Reserving; s < stateEnd; s++ {
		for name, make := range events {
			r := reach(t, s)
			posts := r.book.posts
			r.step(make(r, r.e.pays[pid(1)]))
			if got := r.state(1); !reachable(s, got) {
				t.Errorf("%v, %s: got %v, which the table does not lead to", s, name, got)
			} else if got == Posted && s != Posted {
				t.Errorf("%v, %s: posted without the ledger", s, name)
			}
			if r.book.posts != posts {
				t.Errorf("%v, %s: the book posted by itself", s, name)
			}
			if count[SendInquiry](r) > 0 && s != InDoubt {
				t.Errorf("%v, %s: an inquiry leaves", s, name)
			}
			if count[SendDebit](r) > 0 && s != Translating {
				t.Errorf("%v, %s: a second 0200", s, name)
			}
		}
	}
}

// TestNames holds that every state, trigger and note has a name of its own.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	add := func(s string) {
		if s == "" || seen[s] {
			t.Errorf("name %q is empty or used twice", s)
		}
		seen[s] = true
	}
	for s := Gone; s < stateEnd; s++ {
		add(s.String())
	}
	for tr := LedgerOK; tr < triggerEnd; tr++ {
		add(tr.String())
	}
	for k := NoteUndeclared; k < noteEnd; k++ {
		add(k.String())
	}
	if got := []string{stateEnd.String(), Trigger(0).String(), noteEnd.String()}; !reflect.DeepEqual(got, []string{"State(?)", "Trigger(?)", "NoteKind(?)"}) {
		t.Errorf("out of range: got %q", got)
	}
}

// TestDocument holds the page of the states to the table: it lists every
// declared pair as it is, and no other. A failure prints the lines to put there.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/payment-states.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "<!-- table -->\n")
	got, _, ok2 := strings.Cut(rest, "<!-- end -->\n")
	if !ok || !ok2 {
		t.Fatal("docs/spec/payment-states.md has lost the marks around its table")
	}
	var want strings.Builder
	want.WriteString("| in | comes | goes to | does |\n|---|---|---|---|\n")
	for s := Reserving; s < stateEnd; s++ {
		for tr := LedgerOK; tr < triggerEnd; tr++ {
			if m := table[s][tr]; m.do != 0 {
				fmt.Fprintf(&want, "| %v | %v | %v | %v |\n", s, tr, m.to, m.do)
			}
		}
	}
	if got != want.String() {
		t.Errorf("the page's table is not the code's; put this there:\n%s", want.String())
	}
}
