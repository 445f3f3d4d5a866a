package engine

import (
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// inquired brings payment 1 of the POS bank to Inquiring and gives debit and
// inquiry.
func inquired(t *testing.T, proof bool) (*rig, SendDebit, SendInquiry) {
	t.Helper()
	r := newRig(t)
	r.asks(pos, proof)
	r.linkUp(pos, 0)
	s := r.sent(1, pos)
	r.pass(r.banks[0].Timers.Reply)
	r.wantState(1, Inquiring)
	r.wantTold(1, Pending)
	q := take[SendInquiry](r)
	if len(r.out) != 0 {
		t.Fatalf("beside the inquiry there is %T", r.out)
	}
	return r, s, q
}

// wantReversal holds that the reversal of payment 1 begins, first attempt, and
// becomes durable before it leaves.
func wantReversal(t *testing.T, r *rig) {
	t.Helper()
	r.wantState(1, Noting)
	if count[SendReversal](r) != 0 {
		t.Fatal("a reversal left before REVERSING was durable")
	}
	r.commit()
	if v := take[SendReversal](r); v.Memo.Tries != 1 || v.Repeat {
		t.Errorf("the reversal is attempt %d, repeat %v", v.Memo.Tries, v.Repeat)
	}
	r.wantLedger(1, ledgerapi.PayReversing)
	if count[SendInquiry](r) != 0 {
		t.Error("a second inquiry leaves")
	}
}

func TestInquiryApproved(t *testing.T) {
	for _, proof := range []bool{false, true} {
		r, s, q := inquired(t, proof)
		if q.STAN != s.STAN || q.RRN != s.RRN || q.DE7 != s.DE7 || q.Amount != s.Amount || q.Link != s.Link || q.Memo.Batch != s.Batch ||
			q.Memo.PAN != s.Card.PAN || !q.By.Equal(r.now.Add(r.banks[0].Timers.Inquiry)) {
			t.Errorf("the inquiry is not about the debit: %+v of %+v", q, s)
		}
		r.step(Replied{ID: pid(1), Op: OpInquiry, Reply: told("00")})
		if e := r.out[0].(Submit).Command.(ledgerapi.Post).Evidence; e.Source != ledgerapi.SourceInquiry || !e.MACOK {
			t.Errorf("posted on %+v", e)
		}
		r.commit()
		r.wantTold(1, Paid)
		r.wantLedger(1, ledgerapi.PayPosted)
		r.pass(r.banks[0].Timers.CardOutcome) // the card is long gone
		r.wantState(1, Gone)
		r.wantLedger(1, ledgerapi.PayPosted)
		if s := r.e.Stats(); s.Reversals != 0 || s.Inquiries != 1 || s.InquiriesProven != 1 || len(r.e.cards) != 0 {
			t.Errorf("got %+v", s)
		}
	}
}

// TestInquiryAnswers gives every kind of answer that is no approval, at a bank
// where "declined" and "not known" are proof and at one where they are not.
func TestInquiryAnswers(t *testing.T) {
	bad, other, amount, none := told("00"), told("00"), told("00"), told("00")
	bad.MAC, other.Mismatch = MACBad, true
	amount.Amount++
	none.Amount = 0
	for name, c := range map[string]struct {
		reply Reply
		ends  bool // where it is proof
	}{
		"declined":         {told("51"), true},
		"captured":         {told("41"), true},
		"not known":        {told("25"), true},
		"invalid":          {told("12"), true},
		"wrong PIN":        {told("55"), false}, // a bank may refuse the inquiry so
		"system":           {told("06"), false},
		"later":            {told("96"), false},
		"sign on":          {told("97"), false},
		"nobody knows":     {told("68"), false},
		"strange":          {told("Z9"), false},
		"bad code":         {bad, false},
		"other payment":    {other, false},
		"other amount":     {amount, false},
		"approved of what": {none, false},
	} {
		for _, proof := range []bool{true, false} {
			r, _, _ := inquired(t, proof)
			r.step(Replied{ID: pid(1), Op: OpInquiry, Reply: c.reply})
			if !c.ends || !proof {
				wantReversal(t, r)
				if r.noted(NoteInquiryVain) != 1 {
					t.Errorf("%s, proof %v: not noted", name, proof)
				}
				continue
			}
			r.wantState(1, Voiding)
			r.commit()
			r.wantTold(1, NotCharged)
			if p := r.book.view(pid(1)); p.State != ledgerapi.PayVoided || p.Proof != ledgerapi.ProofDeclined || p.Resp != c.reply.Resp {
				t.Errorf("%s: the ledger has %v, proof %d, %q", name, p.State, p.Proof, p.Resp)
			}
			if r.e.Stats().Reversals != 0 {
				t.Errorf("%s: a reversal left", name)
			}
		}
	}
}

// TestInquiryUnanswered holds the bound of the wait, at it and just before.
func TestInquiryUnanswered(t *testing.T) {
	r, _, _ := inquired(t, true)
	r.pass(r.banks[0].Timers.Inquiry - 1)
	r.wantState(1, Inquiring)
	r.pass(1)
	wantReversal(t, r)

	for _, ev := range []Event{NotSent{ID: pid(1), Op: OpInquiry, Seq: 3}, Lost{ID: pid(1), Op: OpInquiry, Seq: 3}} {
		r, _, q := inquired(t, true)
		if q.Seq != 3 {
			t.Fatalf("the inquiry has number %d", q.Seq)
		}
		r.step(Lost{ID: pid(1), Op: OpDebit, Seq: 2}) // stale
		r.wantState(1, Inquiring)
		r.step(ev)
		wantReversal(t, r)
	}

	r = newRig(t) // no link for it: its time runs all the same
	r.asks(pos, true)
	r.linkUp(pos, 0)
	s := r.sent(1, pos)
	r.step(LinkDown{LinkID{pos, 0}})
	r.step(Lost{ID: pid(1), Op: OpDebit, Seq: s.Seq})
	r.wantState(1, InDoubt)
	r.pass(r.banks[0].Timers.Inquiry - 1)
	r.wantState(1, InDoubt)
	r.pass(1)
	r.wantState(1, Noting)
	r.commit()
	r.linkUp(pos, 0)
	if count[SendInquiry](r) != 0 || count[SendReversal](r) != 1 {
		t.Errorf("got %d inquiries and %d reversals, want the reversal alone", count[SendInquiry](r), count[SendReversal](r))
	}
}

// TestInquiryNeverPostsAfterReversal gives an approval by inquiry in every state
// that a reversal goes through, asked for or durable, and after a restart.
func TestInquiryNeverPostsAfterReversal(t *testing.T) {
	approved := Replied{ID: pid(1), Op: OpInquiry, Reply: told("00")}
	late := func(r *rig, where State) {
		t.Helper()
		r.wantState(1, where)
		posts := count[Submit](r)
		r.step(approved)
		r.step(Stray{Bank: pos, Op: OpInquiry, Reply: told("00")})
		r.wantState(1, where)
		if count[Submit](r) != posts || r.book.posts != 0 {
			t.Errorf("%v: a late answer to the inquiry asks for something", where)
		}
	}
	r, _, _ := inquired(t, true)
	r.pass(r.banks[0].Timers.Inquiry)
	late(r, Noting)
	r.step(LinkDown{LinkID{pos, 0}})
	r.commit()
	late(r, Queued)
	r.linkUp(pos, 0)
	late(r, Undoing)
	r.pass(r.banks[0].Timers.ReversalReply)
	late(r, Waiting)

	r.restart() // REVERSING is never asked for again
	r.step(Resume{r.book.view(pid(1))})
	late(r, Opening)
	r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
	r.linkUp(pos, 0)
	late(r, Waiting)
	r.pass(2 * r.banks[0].Timers.SendDeadline)
	r.wantState(1, Noting)
	if count[SendInquiry](r) != 0 {
		t.Error("a payment that is REVERSING in the ledger is asked for")
	}

	// The Annotate whose outcome is not known may be in the log.
	r, _, _ = inquired(t, true)
	r.pass(r.banks[0].Timers.Inquiry)
	r.fail(FaultUnknown, true)
	r.wantState(1, Waiting)
	r.pass(r.banks[0].Timers.RetryMost)
	r.wantState(1, Noting)
	if count[SendInquiry](r) != 0 {
		t.Error("an inquiry after a reversal was asked for")
	}

	// An approval whose Post meets a reversal of another leader goes on with it.
	r, _, _ = inquired(t, true)
	r.step(approved)
	s := take[Submit](r)
	r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Result: ledgerapi.Result{Code: ledgerapi.Late, State: ledgerapi.PayReversing}})
	r.wantState(1, Noting)
}

// TestInquiryOncePerLife holds that an approval that could not be posted is
// reversed, not asked for again.
func TestInquiryOncePerLife(t *testing.T) {
	for _, f := range []Fault{FaultUnsent, FaultUnknown} {
		r, _, _ := inquired(t, true)
		r.step(Replied{ID: pid(1), Op: OpInquiry, Reply: told("00")})
		r.fail(f, false)
		wantReversal(t, r)
	}
}

// TestInquiryAfterRestart holds that a reservation found at start is asked for,
// as soon as an earlier leader can send no more and a link is up, and reversed
// when that takes too long.
func TestInquiryAfterRestart(t *testing.T) {
	found := func() *rig {
		r := newRig(t)
		r.asks(pos, true)
		r.linkUp(pos, 0)
		r.sent(1, pos)
		r.restart()
		r.step(Resume{r.book.view(pid(1))})
		r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
		return r
	}
	fence := 2 * testBank(pos).Timers.SendDeadline
	r := found()
	r.linkUp(pos, 0)
	r.pass(fence - 1)
	if r.wantState(1, Waiting); count[SendInquiry](r) != 0 {
		t.Fatal("asked while an earlier leader could still send")
	}
	r.pass(1)
	r.wantState(1, Inquiring)
	r.step(Replied{ID: pid(1), Op: OpInquiry, Reply: told("00")})
	r.commit()
	r.wantLedger(1, ledgerapi.PayPosted)

	r = found()
	r.pass(fence)
	r.wantState(1, InDoubt)
	r.pass(r.banks[0].Timers.Inquiry - time.Second)
	r.linkUp(pos, 0)
	take[SendInquiry](r)
	r.wantState(1, Inquiring)
	r.pass(time.Second)
	wantReversal(t, r)

	r = found()
	r.pass(fence)
	r.pass(r.banks[0].Timers.Inquiry)
	r.wantState(1, Noting)
}

// TestNoInquiryByDefault holds that a bank without the setting is never asked.
func TestNoInquiryByDefault(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.pass(r.banks[0].Timers.Reply)
	wantReversal(t, r)
}
