package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The tests of this file are the rows of the failure table in
// docs/spec/payment-states.md, by their names there.

func TestPaid(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	s := r.sent(1, pos)
	if got := s.Card.PINBlock.Reveal("test"); string(got) != "bankward" || s.Gen != 3 || s.STAN != 1 || s.Amount != 38000 || s.Batch != 7 {
		t.Errorf("SendDebit: got block %q gen %d stan %d amount %v batch %d", got, s.Gen, s.STAN, s.Amount, s.Batch)
	}
	if p := r.e.pays[pid(1)]; !p.card.PINBlock.IsZero() || p.card.DE55 != nil || !p.card.Track2.IsZero() {
		t.Error("PIN block, track or chip data stayed after the message was handed over")
	}
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	if post := r.out[0].(Submit).Command.(ledgerapi.Post); !post.Evidence.MACOK || post.Evidence.Source != ledgerapi.SourceWire || string(post.Evidence.Auth[:]) != "A12345" || post.Evidence.KeyGen != 3 {
		t.Errorf("Post: got evidence %+v", post.Evidence)
	}
	r.commit()
	if a := r.wantTold(1, Paid); !a.AwaitCard || a.Issuer.ARC != "00" || string(a.Resp[:]) != "00" {
		t.Errorf("told %+v, want issuer data and the card awaited", a)
	}
	r.step(CardSaid{ID: pid(1), Outcome: CardTC})
	r.wantState(1, Gone)
	r.wantLedger(1, ledgerapi.PayPosted)
}

func TestF1RequestLost(t *testing.T) {
	for _, resp := range []string{"00", "12", "25", "94"} {
		r := newRig(t)
		r.linkUp(pos, 0)
		s := r.sent(1, pos)
		r.pass(30*time.Second - 1)
		r.wantState(1, Sent)
		r.pass(1)
		r.wantTold(1, Pending)
		if n := count[SendReversal](r); n != 0 {
			t.Fatal("a reversal left before REVERSING was durable")
		}
		if sub := r.out[0].(Submit); sub.Memo.Tries != 1 || sub.Memo.Reason != reasonNoReply || sub.Command.(ledgerapi.Annotate).Stage != ledgerapi.StageReversing {
			t.Errorf("Annotate: got %+v with memo tries %d reason %q", sub.Command, sub.Memo.Tries, sub.Memo.Reason)
		}
		r.commit()
		v := take[SendReversal](r)
		if v.STAN != s.STAN || v.RRN != s.RRN || v.DE7 != s.DE7 || v.Amount != s.Amount || v.Link != s.Link || v.Repeat || v.Memo.Batch != s.Batch || v.Memo.PAN != s.Card.PAN {
			t.Errorf("the reversal is not of the debit: %+v of %+v", v, s)
		}
		r.step(Replied{ID: pid(1), Op: OpReversal, Reply: reply(resp)})
		r.commit()
		r.wantTold(1, NotCharged)
		r.wantLedger(1, ledgerapi.PayVoided)
		if r.noted(NoteNoOriginal) > 0 != (resp == "12" || resp == "25") {
			t.Errorf("answer %s: %d notes that the original is unknown", resp, r.noted(NoteNoOriginal))
		}
		if count[SendDebit](r) != 0 {
			t.Error("the 0200 was sent again")
		}
	}
}

func TestF2LinkDownBeforeAnyByte(t *testing.T) {
	r := newRig(t)
	r.step(Ask{Intent: intent(t, 1, pos)})
	if a := r.wantTold(1, Refused); a.Why != WhyBankAway || len(r.out) != 0 {
		t.Errorf("no link: told %+v and did %v, want refused before the ledger was asked", a, r.out)
	}
	r.linkUp(pos, 0)
	s := r.sent(2, pos)
	r.step(NotSent{ID: pid(2), Op: OpDebit, Seq: s.Seq})
	if v := r.out[0].(Submit).Command.(ledgerapi.Void); v.Proof != ledgerapi.ProofNotSent {
		t.Errorf("got proof %v, want NOT_SENT", v.Proof)
	}
	r.commit()
	r.wantTold(2, NotCharged)

	r.step(Ask{Intent: intent(t, 3, pos)}) // the link goes while the PIN block is made
	r.commit()
	r.step(LinkDown{LinkID{pos, 0}})
	r.translate()
	r.commit()
	r.wantTold(3, NotCharged)
	if r.book.view(pid(3)).Proof != ledgerapi.ProofNotSent || count[SendReversal](r) != 0 {
		t.Error("a payment of which nothing left was reversed")
	}

	r.linkUp(pos, 0) // and after a restart the same is no proof any more
	s = r.sent(4, pos)
	r.restart()
	r.step(Resume{r.book.view(pid(4))})
	r.step(NotSent{ID: pid(4), Op: OpDebit, Seq: s.Seq})
	r.wantState(4, Opening)
	r.wantLedger(4, ledgerapi.PayReserved)
}

func TestF3ReplyLost(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	s := r.sent(1, pos)
	r.step(Lost{ID: pid(1), Op: OpDebit, Seq: s.Seq})
	r.wantTold(1, Pending)
	r.commit()
	if v := take[SendReversal](r); v.Memo.Reason != reasonNoReply {
		t.Errorf("got reason %q, want 98", v.Memo.Reason)
	}
}

func TestF4LateApproval(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	s := r.sent(1, pos)
	r.pass(30 * time.Second)
	late := Stray{Bank: pos, STAN: s.STAN, Batch: 7, Op: OpDebit, Reply: reply("00")}
	copy(late.Acq[:], "T1000000")
	r.step(late) // Annotate is asked, not yet durable
	r.wantState(1, Noting)
	r.commit()
	r.step(late)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.wantState(1, Undoing)
	if r.noted(NoteLateApproval) != 3 || r.book.posts != 0 {
		t.Errorf("got %d late approvals noted and %d posts, want 3 and 0", r.noted(NoteLateApproval), r.book.posts)
	}
	wrong := late
	wrong.Batch++
	r.step(wrong)
	if r.noted(NoteUnmatched) != 1 {
		t.Error("a reply of another batch was taken for this payment's")
	}
	r.step(Replied{ID: pid(1), Op: OpReversal, Reply: reply("00")})
	r.commit()
	r.wantLedger(1, ledgerapi.PayVoided)
}

func TestF5LateDecline(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.pass(30 * time.Second)
	r.commit()
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("51")})
	r.wantState(1, Undoing)
	if r.noted(NoteLateDecline) != 1 {
		t.Error("the late decline was not journalled")
	}
}

func TestF6BadReply(t *testing.T) {
	other := reply("00")
	other.Mismatch = true
	amount := reply("00")
	amount.Amount = 1
	none, bad := reply("00"), reply("51")
	none.MAC, bad.MAC = MACNone, MACBad
	for name, c := range map[string]struct {
		reply  Reply
		reason [2]byte
	}{
		"approval without a code": {none, reasonBadMAC}, "refusal with a bad code": {bad, reasonBadMAC},
		"other fields": {other, reasonOther}, "other amount": {amount, reasonOther},
		"unknown code": {reply("Z9"), reasonOther}, "unknown at the issuer": {reply("68"), reasonOther}, "partial": {reply("10"), reasonOther},
	} {
		r := newRig(t)
		r.linkUp(pos, 0)
		r.sent(1, pos)
		r.step(Replied{ID: pid(1), Op: OpDebit, Reply: c.reply})
		r.wantTold(1, Pending)
		r.commit()
		if v := take[SendReversal](r); v.Memo.Reason != c.reason {
			t.Errorf("%s: got reason %q, want %q", name, v.Memo.Reason, c.reason)
		}
		r.step(Replied{ID: pid(1), Op: OpReversal, Reply: c.reply})
		r.wantState(1, Waiting) // such a reply ends no reversal either
	}
}

func TestF7ReversalUnanswered(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.pass(30 * time.Second)
	last := time.Duration(0)
	for try := 1; try <= 40; try++ {
		r.commit()
		v := take[SendReversal](r)
		if int(v.Memo.Tries) != try || v.Repeat != (try > 1) || r.book.memos[pid(1)].Tries != uint16(try) {
			t.Fatalf("attempt %d: got memo %d, repeat %v, durable %d", try, v.Memo.Tries, v.Repeat, r.book.memos[pid(1)].Tries)
		}
		r.pass(20 * time.Second)
		r.wantState(1, Waiting)
		at, ok := r.e.Next()
		if !ok {
			t.Fatal("nothing is armed")
		}
		wait := at.Sub(r.now)
		if wait < 5*time.Second || wait > 15*time.Minute {
			t.Errorf("attempt %d: waits %v, want 5 s to 15 min", try, wait)
		}
		if try > 12 && wait < 11*time.Minute {
			t.Errorf("attempt %d: waits %v, want about a quarter of an hour", try, wait)
		}
		last = wait
		r.pass(wait)
	}
	_ = last
	if r.noted(NoteReversalStuck) != 1 || r.noted(NoteReversalAgain) != 39 {
		t.Errorf("got %d calls for an operator and %d repeats, want 1 and 39", r.noted(NoteReversalStuck), r.noted(NoteReversalAgain))
	}
	r.step(Ask{Intent: func() Intent { i := intent(t, 1, pos); i.ID = pid(2); i.Dues[0].ID = 77; return i }()})
	if a := r.wantTold(2, Refused); a.Why != WhyCardBusy {
		t.Errorf("a new payment of the same card: told %+v, want refused until the reversal is proven", a)
	}
	r.step(Ask{Intent: func() Intent { i := intent(t, 3, pos); i.Dues[0].ID = 1; return i }()})
	take[Submit](r) // of payment 1
	if res := r.commit(); res.Code != ledgerapi.DueHeld {
		t.Errorf("a new payment of the same due: got %v, want DUE_HELD", res.Code)
	}
}

// TestF7ThousandReversals leaves a bank silent for days.
func TestF7ThousandReversals(t *testing.T) {
	r := newRig(t)
	r.banks[0].Limits.InFlight = 2000
	r.step(LinkUp{Link: LinkID{pos, 0}, Acq: [8]byte{'T'}, Batch: 1, Cap: 2000})
	r.linkUp(cups, 0)
	for n := 1; n <= 1000; n++ {
		r.sent(n, pos)
	}
	r.out = nil
	end := r.now.Add(silentDays * 24 * time.Hour)
	sends := 0
	var out []Effect
	for r.now.Before(end) {
		at, ok := r.e.Next()
		if !ok {
			t.Fatal("nothing is armed: the reversals were dropped")
		}
		r.now = at
		out = r.e.Step(r.now, Tick{}, out[:0])
		for i := 0; i < len(out); i++ { // what a commit leads to is appended
			switch ef := out[i].(type) {
			case Submit:
				r.book.pays[ef.ID].State = ledgerapi.PayReversing
				out = r.e.Step(r.now, LedgerDone{ID: ef.ID, Seq: ef.Seq, Result: ledgerapi.Result{Code: ledgerapi.OK}}, out)
			case SendReversal:
				sends++
			}
		}
	}
	if got := len(r.e.Unresolved()); got != 1000 || r.e.Live() != 1000 || sends < silentDays*90_000 || len(r.e.timers.heap) > 1000 {
		t.Fatalf("after days of silence: %d unresolved, %d live, %d attempts, %d timers", got, r.e.Live(), sends, len(r.e.timers.heap))
	}
	r.sent(2000, cups) // one bank's silence is its own
	for n := 1; n <= 1000; n++ {
		r.step(Replied{ID: pid(n), Op: OpReversal, Reply: reply("00")})
	}
	for count[Submit](r) > 0 {
		r.commit()
	}
	for n := 1; n <= 1000; n++ {
		r.wantLedger(n, ledgerapi.PayVoided)
	}
	if r.e.Live() != 1 || len(r.e.cards) != 0 || len(r.e.wires) != 1 {
		t.Errorf("after the bank came back: %d live, %d cards, %d keys, want the other bank's payment only", r.e.Live(), len(r.e.cards), len(r.e.wires))
	}
}

func TestF7LinkGone(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.linkUp(pos, 1)
	s := r.sent(1, pos)
	r.step(LinkDown{s.Link})
	r.step(Lost{ID: pid(1), Op: OpDebit, Seq: s.Seq})
	r.commit()
	r.pass(time.Hour)
	r.wantState(1, Queued) // POS: the other virtual terminal may not reverse it
	if count[SendReversal](r) != 0 {
		t.Fatal("a POS reversal left on another virtual terminal")
	}
	r.linkUp(pos, s.Link.N)
	if v := take[SendReversal](r); v.Memo.Tries != 1 || v.Repeat {
		t.Errorf("waiting for the link used up attempts: %+v", v)
	}
	r.step(Replied{ID: pid(1), Op: OpReversal, Reply: reply("00")})
	r.commit()

	r.linkUp(cups, 0)
	r.linkUp(cups, 1)
	s = r.sent(2, cups)
	r.step(LinkDown{s.Link})
	r.step(Lost{ID: pid(2), Op: OpDebit, Seq: s.Seq})
	r.commit()
	if v := take[SendReversal](r); v.Link == s.Link {
		t.Error("CUPS: the reversal was put on the dead link")
	}
	r.step(Replied{ID: pid(2), Op: OpReversal, Reply: reply("25")})
	r.wantState(2, Waiting)                                       // this bank's 25 is no end
	for _, code := range []string{"96", "05", "11", "A0", "Z9"} { // nor is any refusal an end
		r.pass(15 * time.Minute)
		r.commit()
		take[SendReversal](r)
		r.step(Replied{ID: pid(2), Op: OpReversal, Reply: reply(code)})
		r.wantState(2, Waiting)
	}
}

// TestF7Called: after alarm_after attempts the payment is one that needs a person,
// and the attempts go on.
func TestF7Called(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.pass(30 * time.Second)
	for try := 1; try <= 8; try++ {
		r.commit()
		take[SendReversal](r)
		r.pass(20 * time.Second)
		open := r.e.Unresolved()
		if len(open) != 1 || open[0].Called != (try >= 6) || open[0].Tries != try {
			t.Fatalf("attempt %d: got %+v, want an operator called from the sixth on", try, open)
		}
		at, _ := r.e.Next()
		r.pass(at.Sub(r.now))
	}
	r.wantState(1, Noting)
}

// TestF7OtherBank: reversals that one bank does not answer delay nothing at
// another, however many they are.
func TestF7OtherBank(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.linkUp(cups, 0)
	for n := 1; n <= 8; n++ { // as many as the link takes
		r.sent(n, pos)
	}
	r.pass(30 * time.Second)
	for n := 1; n <= 8; n++ {
		r.commit()
	}
	began := r.now
	r.sent(99, cups)
	r.step(Replied{ID: pid(99), Op: OpDebit, Reply: reply("00")})
	for _, ef := range r.out {
		if s, ok := ef.(Submit); ok && s.ID == pid(99) && s.Command.Type() != ledgerapi.TypePost {
			t.Errorf("payment 99 asks for %T", s.Command)
		}
	}
	if r.now != began || r.state(99) != Posting {
		t.Errorf("the other bank's payment is %s after %v", r.state(99), r.now.Sub(began))
	}
}

// TestF8ReversalOvertakes: the bank sees the reversal first and refuses the
// original later. Where 25 is an end it voids; where it is none the reversal is
// repeated until the bank takes it.
func TestF8ReversalOvertakes(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.linkUp(cups, 0)
	for n, bank := range map[int]si.Bank{1: pos, 2: cups} {
		r.sent(n, bank)
		r.pass(30 * time.Second)
		r.commit()
		take[SendReversal](r)
		r.step(Replied{ID: pid(n), Op: OpReversal, Reply: reply("25")})
		if r.noted(NoteNoOriginal) == 0 {
			t.Error("the day's match is not told")
		}
		if bank == pos {
			r.commit()
			r.wantLedger(n, ledgerapi.PayVoided)
			continue
		}
		r.wantState(n, Waiting)
		r.step(Replied{ID: pid(n), Op: OpDebit, Reply: reply("12")}) // the original, refused
		r.wantState(n, Waiting)
		at, _ := r.e.Next()
		r.pass(at.Sub(r.now))
		r.commit()
		take[SendReversal](r)
		r.step(Replied{ID: pid(n), Op: OpReversal, Reply: reply("00")})
		r.commit()
		r.wantLedger(n, ledgerapi.PayVoided)
	}
}

func TestF9SameIDAgain(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Ask{Intent: intent(t, 1, pos)})
	if len(r.out) != 0 || len(r.tells[pid(1)]) != 0 {
		t.Errorf("a repeat did %v and told %v, want nothing until there is news", r.out, r.tells[pid(1)])
	}
	other := intent(t, 1, pos)
	other.Total++
	r.step(Ask{Intent: other})
	if a := r.wantTold(1, Refused); a.Refusal.Code != ledgerapi.IDReused {
		t.Errorf("same id, other body: told %+v, want ID_REUSED", a)
	}
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.step(Ask{Intent: intent(t, 1, pos)})
	if a := r.wantTold(1, Paid); a.Issuer.ARC != "00" {
		t.Errorf("repeat after the ending: told %+v, want the same answer", a)
	}
	r.restart()
	r.linkUp(pos, 0)
	r.step(Ask{Intent: intent(t, 1, pos), Known: r.book.view(pid(1))})
	r.wantTold(1, Paid)
	r.step(Ask{Intent: other, Known: r.book.view(pid(1))})
	r.wantTold(1, Refused)
	if len(r.out) != 0 {
		t.Errorf("a repeat after a restart did %v", r.out)
	}
	for state, want := range map[ledgerapi.PayState]State{ledgerapi.PayReserved: Noting, ledgerapi.PayReversing: Noting, ledgerapi.PayPosted: Gone, ledgerapi.PayVoided: Gone} {
		r := newRig(t) // the ledger knows the id although the engine was told that it does not
		r.linkUp(pos, 0)
		r.step(Ask{Intent: intent(t, 1, pos)})
		s := take[Submit](r)
		r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Result: ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, State: state, STAN: 4}})
		r.wantState(1, want)
		if count[SendDebit](r)+count[Translate](r) != 0 {
			t.Errorf("EXISTS %v sends", state)
		}
	}
}

func TestF10SameDueTwice(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.linkUp(cups, 0)
	r.sent(1, pos)
	second := intent(t, 2, cups)
	second.Dues = intent(t, 1, pos).Dues
	r.step(Ask{Intent: second})
	r.commit()
	if a := r.wantTold(2, Refused); a.Refusal.Code != ledgerapi.DueHeld || a.Refusal.HeldBy != pid(1) {
		t.Errorf("told %+v, want DUE_HELD by the first", a)
	}
	if count[Translate](r)+count[SendDebit](r) != 0 {
		t.Error("a refused reservation went on to the bank")
	}
}

func TestF12Restart(t *testing.T) {
	for _, reversing := range []bool{false, true} {
		r := newRig(t)
		r.linkUp(pos, 0)
		r.sent(1, pos)
		if reversing {
			r.pass(30 * time.Second)
			r.commit()
		}
		r.restart()
		r.step(Resume{r.book.view(pid(1))})
		o := take[OpenMemo](r)
		if o.Bank != pos || string(o.Data) != "sealed" {
			t.Errorf("OpenMemo: got %+v", o)
		}
		if a, ok := r.e.Answer(pid(1)); !ok || a.Ending != Pending {
			t.Errorf("asked for a resumed payment: got %+v", a)
		}
		r.linkUp(pos, 0)
		r.step(Ask{Intent: intent(t, 2, pos)})
		if a := r.wantTold(2, Refused); a.Why != WhyBusy {
			t.Errorf("a payment before the found ones' cards are known: told %+v", a)
		}
		r.step(MemoOpened{ID: pid(1)}) // the HSM process is away
		r.wantState(1, Opening)
		r.pass(5 * time.Second)
		r.pass(5 * time.Second)
		take[OpenMemo](r)
		r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
		r.commit()
		v := take[SendReversal](r)
		if v.Repeat != reversing || v.Memo.Reason != reasonNoReply || v.STAN != 1 {
			t.Errorf("reversing %v: got %+v", reversing, v)
		}
		r.step(Replied{ID: pid(1), Op: OpReversal, Reply: reply("25")})
		r.commit()
		r.wantLedger(1, ledgerapi.PayVoided)
	}
}

func TestF13DiesBetweenReplyAndPost(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")}) // Post asked, not durable
	r.restart()
	r.linkUp(pos, 0)
	r.step(Resume{r.book.view(pid(1))})
	r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
	r.pass(2 * time.Second)
	r.commit()
	take[SendReversal](r)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")}) // the bank says it again
	r.wantState(1, Undoing)
	if r.book.posts != 0 {
		t.Error("an approval revived the payment")
	}
}

func TestF14LostAfterPost(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.restart()
	known := r.book.view(pid(1))
	if a := Known(&known); a.Ending != Paid {
		t.Errorf("asked after a restart: got %+v, want paid", a)
	}
	r.step(Resume{known}) // posted payments are not pending
	if r.e.Live() != 0 {
		t.Error("a posted payment was taken up")
	}
}

func TestF15CommitFails(t *testing.T) {
	for _, durable := range []bool{false, true} {
		r := newRig(t)
		r.linkUp(pos, 0)
		r.sent(1, pos)
		r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
		r.fail(FaultUnknown, durable)
		r.wantTold(1, Pending)
		r.fail(FaultUnknown, false) // the log is still away
		r.pass(5 * time.Second)
		res := r.commit()
		if durable { // the ledger's word that it is posted ends the doubt
			r.wantState(1, Posted)
			r.wantTold(1, Paid)
			if res.State != ledgerapi.PayPosted || r.book.posts != 1 || len(r.e.cards) != 0 {
				t.Errorf("durable post: got %+v, %d posts", res, r.book.posts)
			}
			continue
		}
		if v := take[SendReversal](r); v.Memo.Reason != reasonOther || v.Memo.Tries != 1 || string(v.Memo.Auth[:]) != "A12345" {
			t.Errorf("not durable: got reversal %+v", v)
		}
	}
}

func TestF15ReserveOfUnknownOutcome(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.step(Ask{Intent: intent(t, 1, pos)})
	r.fail(FaultUnknown, true)
	r.wantTold(1, Pending)
	r.commit() // Annotate: it was in the log
	if n := take[Look](r); n.ID != pid(1) {
		t.Errorf("got %+v, want a look for the numbers", n)
	}
	r.step(Seen{ledgerapi.Payment{ID: pid(1)}})
	r.wantState(1, Opening)
	r.pass(10 * time.Second)
	take[Look](r)
	r.step(Seen{r.book.view(pid(1))})
	r.commit()
	if v := take[SendReversal](r); v.STAN != 1 || v.Memo.Tries != 1 {
		t.Errorf("got reversal %+v", v)
	}

	r.step(Ask{Intent: intent(t, 4, pos)})
	r.fail(FaultUnknown, true)
	s := take[Submit](r)
	r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Result: ledgerapi.Result{Code: ledgerapi.OK, STAN: 9}}) // a ledger that says the numbers again
	if v := take[SendReversal](r); v.STAN != 9 {
		t.Errorf("got reversal %+v", v)
	}

	r.step(Ask{Intent: intent(t, 2, pos)})
	r.fail(FaultUnknown, false)
	r.commit() // Annotate: it never was
	if a := r.wantTold(2, Refused); a.Refusal.Code != ledgerapi.NotFound {
		t.Errorf("told %+v, want refused: nothing held", a)
	}
	r.step(Ask{Intent: intent(t, 3, pos)})
	r.fail(FaultUnsent, false)
	if a := r.wantTold(3, Refused); a.Why != WhySystem {
		t.Errorf("told %+v, want refused: nothing submitted", a)
	}
	if count[SendDebit](r) != 0 {
		t.Error("a 0200 left without an OK of its Reserve")
	}
}

func TestF16PostRefused(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	s := take[Submit](r)
	r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Result: ledgerapi.Result{Code: ledgerapi.EvidenceWeak, State: ledgerapi.PayReserved}})
	r.wantState(1, Noting) // cannot be; if it is, the money goes back and someone is called
	if r.noted(NoteLedgerOdd) != 1 || !NoteLedgerOdd.Alarm() {
		t.Error("nobody is called")
	}
}

func TestF18Card(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome CardOutcome
		removed bool // the profile reverses a removed card
		aacKept bool
		silent  bool
		undo    bool
	}{
		{name: "TC", outcome: CardTC},
		{name: "AAC", outcome: CardAAC, undo: true},
		{name: "AAC kept", outcome: CardAAC, aacKept: true},
		{name: "ARPC", outcome: CardARPCBad, aacKept: true, undo: true},
		{name: "removed", outcome: CardRemoved},
		{name: "removed reverses", outcome: CardRemoved, removed: true, undo: true},
		{name: "silence", silent: true},
		{name: "silence reverses", silent: true, removed: true, undo: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.banks[0].CardRefusal.RemovedReverses, r.banks[0].CardRefusal.AACReverses = c.removed, !c.aacKept
			r.linkUp(pos, 0)
			s := r.sent(1, pos)
			r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
			r.commit()
			r.pass(120*time.Second - 1)
			r.wantState(1, Posted)
			if c.silent {
				r.pass(1)
			} else {
				r.step(CardSaid{ID: pid(1), Outcome: c.outcome})
			}
			if !c.undo {
				r.wantState(1, Gone)
				r.wantTold(1, Paid)
				r.wantLedger(1, ledgerapi.PayPosted)
				return
			}
			r.fail(FaultUnknown, true) // Unpost of unknown outcome
			r.pass(10 * time.Second)
			r.commit()
			r.wantTold(1, Pending)
			r.commit()
			v := take[SendReversal](r)
			if v.Memo.Reason != reasonOther || v.STAN != s.STAN || string(v.Memo.Auth[:]) != "A12345" || v.Memo.Tries != 1 {
				t.Errorf("got reversal %+v", v)
			}
			r.step(Replied{ID: pid(1), Op: OpReversal, Reply: reply("00")})
			r.commit()
			r.wantTold(1, NotCharged)
			r.wantLedger(1, ledgerapi.PayVoided)
		})
	}
}

func TestF18CardAfterRestart(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.restart()
	r.linkUp(pos, 0)
	known := r.book.view(pid(1))
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, Known: known})
	if r.e.Live() != 0 {
		t.Error("a card that agrees made work")
	}
	r.now = r.now.Add(121 * time.Second)
	r.step(CardSaid{ID: pid(1), Outcome: CardAAC, Known: known})
	if r.e.Live() != 0 || r.noted(NoteCardLate) != 1 {
		t.Error("a word after its time counted")
	}
	byPeople := known // two persons have posted it just now
	byPeople.EndedAt = r.now.UnixMilli()
	byPeople.AtMillis = known.AtMillis - time.Minute.Milliseconds()
	r.step(CardSaid{ID: pid(1), Outcome: CardAAC, Known: byPeople})
	if r.e.Live() != 0 || r.noted(NoteCardLate) != 2 {
		t.Error("a card's word took back what people had posted")
	}
	r.now = r.now.Add(-time.Minute)
	r.step(CardSaid{ID: pid(1), Outcome: CardAAC, Known: known})
	r.wantState(1, Unposting)
	r.commit()
	take[OpenMemo](r)
	r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
	r.commit()
	if v := take[SendReversal](r); v.Memo.Reason != reasonOther {
		t.Errorf("got reason %q, want 06", v.Memo.Reason)
	}
}

func TestF19Declined(t *testing.T) {
	for _, code := range []string{"55", "75", "51", "90", "91", "41", "06"} {
		r := newRig(t)
		r.linkUp(pos, 0)
		r.sent(1, pos)
		r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply(code)})
		r.fail(FaultUnknown, false)
		r.wantState(1, Voiding)
		r.pass(10 * time.Second)
		r.commit()
		if a := r.wantTold(1, NotCharged); string(a.Resp[:]) != code {
			t.Errorf("told %q, want %q", a.Resp, code)
		}
		if v := r.book.view(pid(1)); v.Proof != ledgerapi.ProofDeclined || string(v.Resp[:]) != code {
			t.Errorf("ledger has proof %v, code %q", v.Proof, v.Resp)
		}
		if len(r.out) != 0 {
			t.Errorf("%s: went on with %v, want no try by itself", code, r.out)
		}
	}
	r := newRig(t) // the bank wants a new sign-on
	r.linkUp(pos, 0)
	s := r.sent(1, pos)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("A0")})
	if so := take[SignOnAgain](r); so.Link != s.Link {
		t.Errorf("sign-on again on %v, want %v", so.Link, s.Link)
	}
	r.commit()
	r.wantTold(1, NotCharged)
}

func TestF20CrossDay(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		r := newRig(t)
		r.banks[0].CrossDaySend = allowed
		r.now = time.Date(2026, 11, 22, 21, 59, 45, 0, si.China)
		r.linkUp(pos, 0)
		r.sent(1, pos)
		r.pass(30 * time.Second) // now past the bank's cutover at 22:00
		r.commit()
		if allowed {
			take[SendReversal](r)
			continue
		}
		r.wantState(1, Desk)
		if r.noted(NoteCrossDay) != 1 || len(r.e.Unresolved()) != 1 || count[SendReversal](r) != 0 {
			t.Error("a reversal that the bank forbids must go to people and stay visible")
		}
		r.step(Resolved{pid(1), ledgerapi.PayPosted})
		r.wantTold(1, Paid)
	}
}

func TestF21ClockJumps(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.pass(-time.Hour) // back: nothing fires early, nothing is lost
	r.wantState(1, Sent)
	r.pass(time.Hour + 30*time.Second)
	r.wantState(1, Noting)
}

func TestF22NumbersRepeat(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.linkUp(pos, 1)
	a := r.sent(1, pos)
	r.book.stan = 0 // another virtual terminal has its own sequence
	b := r.sent(2, pos)
	if a.STAN != b.STAN || a.Link == b.Link {
		t.Fatalf("the test wants one STAN on two links: %+v %+v", a, b)
	}
	late := Stray{Bank: pos, STAN: b.STAN, Batch: 7, Op: OpDebit, Reply: reply("00")}
	copy(late.Acq[:], fmt.Sprintf("T1%06d", b.Link.N))
	r.step(late)
	if n := r.notes[len(r.notes)-1]; n.Kind != NoteLateApproval || n.ID != pid(2) {
		t.Errorf("got %+v, want it matched with payment 2 by its terminal", n)
	}
}

func TestF29SendDeadline(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.step(Ask{Intent: intent(t, 1, pos)})
	r.commit()
	r.pass(time.Second) // the HSM process is slow
	r.wantState(1, Noting)
	r.translate()
	if count[SendDebit](r) != 0 {
		t.Error("a 0200 left after its deadline")
	}
	r.commit()
	s := r.sent(2, pos)
	if s.By.Sub(r.now) != time.Second {
		t.Errorf("the link may send until %v, want one second", s.By.Sub(r.now))
	}
	r.step(NotSent{ID: pid(2), Op: OpDebit, Seq: s.Seq, Late: true})
	r.wantState(2, Noting) // not sent, and in doubt all the same
	r.wantTold(2, Pending)
}

func TestF29NewLeaderWaits(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.restart()
	r.linkUp(pos, 0)
	r.step(Resume{r.book.view(pid(1))})
	r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
	r.pass(2*time.Second - 1)
	r.wantState(1, Waiting)
	r.pass(1)
	r.wantState(1, Noting)
}

func TestF30Bulkhead(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.linkUp(cups, 0)
	for n := 1; n <= 8; n++ {
		r.sent(n, pos)
	}
	r.step(Ask{Intent: intent(t, 9, pos)})
	if a := r.wantTold(9, Refused); a.Why != WhyBusy || len(r.out) != 0 {
		t.Errorf("the ninth of eight: told %+v", a)
	}
	r.sent(10, cups)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("51")})
	r.commit()
	r.sent(11, pos) // a place is free again

	r.step(Breaker{cups, true})
	if r.e.BankUp(cups) || !r.e.BankUp(pos) || r.e.BankUp(77) {
		t.Error("the breaker of one bank must close that bank and no other")
	}
	r.step(Ask{Intent: intent(t, 12, cups)})
	if a := r.wantTold(12, Refused); a.Why != WhyBankAway {
		t.Errorf("breaker open: told %+v", a)
	}
	r.pass(30 * time.Second) // reversals are not held back by it
	for count[Submit](r) > 0 {
		r.commit()
	}
	if n := count[SendReversal](r); n != 9 {
		t.Errorf("got %d reversals under way, want all 9", n)
	}
	r.step(Breaker{cups, false})
	if !r.e.BankUp(cups) {
		t.Error("the breaker does not heal")
	}
}

// TestF30ReversalsWaitForRoom holds that more reversals than the link carries
// go out as places come free, in the order of their coming.
func TestF30ReversalsWaitForRoom(t *testing.T) {
	r := newRig(t)
	r.step(LinkUp{Link: LinkID{pos, 0}, Acq: [8]byte{'T'}, Batch: 1, Cap: 20})
	for n := 1; n <= 20; n++ {
		r.sent(n, pos)
	}
	r.step(LinkDown{LinkID{pos, 0}})
	r.pass(30 * time.Second)
	for count[Submit](r) > 0 {
		r.commit()
	}
	r.step(LinkUp{Link: LinkID{pos, 0}, Acq: [8]byte{'T'}, Batch: 1, Cap: 3})
	for n := 1; n <= 20; n++ {
		if v := take[SendReversal](r); v.ID != pid(n) {
			t.Fatalf("got %v as number %d", v.ID, n)
		}
		if c := count[SendReversal](r); c > 2 {
			t.Fatalf("%d more in flight, the link carries 3", c)
		}
		r.step(Replied{ID: pid(n), Op: OpReversal, Reply: reply("00")})
	}
	if r.e.banks[pos].waiting[[8]byte{'T'}].list != nil {
		t.Error("the line is not empty")
	}
}

func TestF31KeysChange(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.step(Ask{Intent: intent(t, 1, pos)})
	r.commit()
	r.step(LinkUp{Link: LinkID{pos, 0}, Acq: [8]byte{'T', '1', '0', '0', '0', '0', '0', '0'}, Batch: 8, Cap: 8}) // signed on again: next batch
	r.translate()
	if v := r.out[0].(Submit).Command.(ledgerapi.Void); v.Proof != ledgerapi.ProofNotSent {
		t.Errorf("the batch moved on before the 0200: got %+v, want it not sent", v)
	}
}

// TestBatchMovesOn: a debit that is under way when its link goes on to the next
// batch is answered, or reversed, under the batch that it left in.
func TestBatchMovesOn(t *testing.T) {
	next := LinkUp{Link: LinkID{pos, 0}, Acq: [8]byte{'T', '1', '0', '0', '0', '0', '0', '0'}, Batch: 8, Cap: 8}
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	s := r.sent(2, pos)
	r.step(next)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.wantTold(1, Paid)
	r.pass(r.banks[0].Timers.Reply)
	r.commit()
	if v := take[SendReversal](r); v.Memo.Batch != s.Batch || s.Batch != 7 || v.STAN != s.STAN {
		t.Errorf("the reversal names batch %d, the debit left in %d", v.Memo.Batch, s.Batch)
	}
	if n := r.sent(3, pos); n.Batch != 8 {
		t.Errorf("the next debit leaves in batch %d, want 8", n.Batch)
	}
}

func TestClose(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.step(CloseAsked{ID: pid(1)})
	r.step(Ask{Intent: intent(t, 1, pos)})
	r.wantTold(1, Refused)
	r.commit()
	r.wantTold(1, NotCharged)
	r.wantLedger(1, ledgerapi.PayTombstone)
	r.step(Ask{Intent: intent(t, 1, pos), Known: r.book.view(pid(1))})
	r.wantTold(1, NotCharged)
	r.sent(2, pos)
	r.step(CloseAsked{ID: pid(2)})
	r.wantTold(2, Pending) // closing never ends a payment that may have moved money
	r.wantState(2, Sent)
	r.step(CloseAsked{ID: pid(3)})
	r.fail(FaultUnknown, false)
	r.wantTold(3, Pending)
}

func TestDrain(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Drain{})
	r.step(Ask{Intent: intent(t, 2, pos)})
	if a := r.wantTold(2, Refused); a.Why != WhyStopping {
		t.Errorf("told %+v", a)
	}
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.wantTold(1, Paid)
}

// TestForm holds the bounds of an intent, at the bound and one beyond.
func TestForm(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Intent)
		ok     bool
	}{
		"most dues":      {func(i *Intent) { i.Dues = make([]ledgerapi.DueRef, ledgerapi.MaxDues) }, true},
		"a due more":     {func(i *Intent) { i.Dues = make([]ledgerapi.DueRef, ledgerapi.MaxDues+1) }, false},
		"no due":         {func(i *Intent) { i.Dues = nil }, false},
		"most money":     {func(i *Intent) { i.Total = 1_000_000_00 }, true},
		"a fen more":     {func(i *Intent) { i.Total = 1_000_000_01 }, false},
		"nothing":        {func(i *Intent) { i.Total = 0 }, false},
		"no PAN":         {func(i *Intent) { i.Card.PAN = si.PAN{} }, false},
		"no PIN block":   {func(i *Intent) { i.Card.PINBlock = si.PINBlock{} }, false},
		"long PSN":       {func(i *Intent) { i.Card.PSN = "0001" }, false},
		"no id":          {func(i *Intent) { i.ID = si.PaymentID{} }, false},
		"no chip data":   {func(i *Intent) { i.Card.DE55 = nil }, true},
		"bad chip data":  {func(i *Intent) { i.Card.DE55 = []byte{0x9F} }, true},
		"most chip data": {func(i *Intent) { i.Card.DE55 = make([]byte, 255) }, true},
		"a byte more":    {func(i *Intent) { i.Card.DE55 = make([]byte, 256) }, false},
		"long expiry":    {func(i *Intent) { i.Card.Expiry = "30123" }, false},
		"negative total": {func(i *Intent) { i.Total = -1 }, false},
	} {
		r := newRig(t)
		r.linkUp(pos, 0)
		i := intent(t, 1, pos)
		c.change(&i)
		r.step(Ask{Intent: i})
		if got := count[Submit](r) == 1; got != c.ok {
			t.Errorf("%s: asked the ledger %v, want %v", name, got, c.ok)
		}
	}
	e, err := New(Config{Banks: []*profile.Profile{testBank(pos)}, Rand: func() uint64 { return 0 }, MaxLive: 1})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	e.Step(now, LinkUp{Link: LinkID{pos, 0}, Cap: 8}, nil)
	e.Step(now, Ask{Intent: intent(t, 1, pos)}, nil)
	out := e.Step(now, Ask{Intent: intent(t, 2, pos)}, nil)
	if a := out[0].(Tell).Answer; a.Why != WhyBusy {
		t.Errorf("one more than MaxLive: got %+v", a)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no source of spread: accepted")
	}
	if _, err := New(Config{Rand: func() uint64 { return 0 }, Banks: []*profile.Profile{testBank(1), testBank(1)}}); err == nil {
		t.Error("one number for two banks: accepted")
	}
}
