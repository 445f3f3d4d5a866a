package engine

import (
	"bytes"
	"testing"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// lastWord is a card's last word after one script was run: its counter and the
// result.
var lastWord = []byte{0x9F, 0x36, 2, 0, 7, 0xDF, 0x31, 5, 0x20, 1, 2, 3, 4}

// scripted makes a rig whose CUPS bank wants to know of scripts, with payment 1
// posted there.
func scripted(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	p := r.banks[1]
	p.Rules[profile.ScriptNotify].Request.MTI = "0620"
	p.DE55["script"] = []uint32{0x95, 0x9F36, tagScriptResults}
	r.linkUp(cups, 0)
	r.sent(1, cups)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.wantState(1, Posted)
	return r
}

func TestScriptTold(t *testing.T) {
	r := scripted(t)
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord})
	r.wantState(1, Gone)
	if count[SendScript](r) != 0 || !r.e.ScriptPending(pid(1)) {
		t.Fatal("a script notice left before it was durable")
	}
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord, Known: r.book.view(pid(1))}) // the terminal repeats
	r.commit()
	if p := r.book.view(pid(1)); !p.Advice || !bytes.Equal(r.book.memos[pid(1)].Script, lastWord) {
		t.Fatalf("the ledger has advice %v, script %x", p.Advice, r.book.memos[pid(1)].Script)
	}
	take[ScriptHeld](r)
	s := take[SendScript](r)
	p := r.book.view(pid(1))
	if s.STAN != p.STAN || s.RRN != p.RRN || s.DE7 != p.DE7 || s.Amount != p.Total || s.Repeat || string(s.Resp[:]) != "00" ||
		!bytes.Equal(s.Memo.Script, lastWord) || s.Memo.PAN != testPAN(t, 1) {
		t.Errorf("the notice is not of the payment: %+v", s)
	}
	r.step(Replied{ID: pid(1), Op: OpScript, Reply: reply("00")})
	r.commit()
	if p := r.book.view(pid(1)); p.Advice || p.State != ledgerapi.PayPosted || r.book.memos[pid(1)].Script != nil {
		t.Errorf("after the answer the ledger has %+v", p)
	}
	if st := r.e.Stats(); st.Scripts != 1 || st.ScriptsTold != 1 || r.e.Scripts() != 0 || r.e.banks[cups].links[0].live != 0 || len(r.e.timers.heap) != 0 {
		t.Errorf("left behind: %+v, %d notices, %d timers", st, r.e.Scripts(), len(r.e.timers.heap))
	}
}

// TestScriptNotWanted: no notice without scripts, at a bank that wants none, or of
// a payment that is taken back; there the results go into the reversal.
func TestScriptNotWanted(t *testing.T) {
	r := scripted(t)
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: []byte{0x9F, 0x36, 2, 0, 7}})
	if r.e.Scripts() != 0 || len(r.out) != 0 {
		t.Errorf("no script ran, and there is %v", r.out)
	}
	r = newRig(t)
	r.linkUp(pos, 0)
	r.sent(1, pos)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.commit()
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord})
	if r.e.Scripts() != 0 || len(r.out) != 0 {
		t.Errorf("a bank that wants no notice, and there is %v", r.out)
	}
	r = scripted(t)
	r.banks[1].DE55["reversal"] = []uint32{0x9F36, tagScriptResults}
	r.step(CardSaid{ID: pid(1), Outcome: CardAAC, DE55: lastWord})
	r.commit() // Unpost
	r.commit() // Annotate(REVERSING)
	if v := take[SendReversal](r); !bytes.Equal(v.Memo.EMV, lastWord) || r.e.Scripts() != 0 {
		t.Errorf("the reversal has chip data %x; %d notices", v.Memo.EMV, r.e.Scripts())
	}
}

// TestScriptRepeated holds what is repeated, that repeats say so, and the bound,
// at it and one past it.
func TestScriptRepeated(t *testing.T) {
	bad, other := reply("00"), reply("00")
	bad.MAC, other.Mismatch = MACBad, true
	r := scripted(t)
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord})
	r.commit()
	prof := r.banks[1]
	for n := 1; n <= MaxScriptTries; n++ {
		s := take[SendScript](r)
		if s.Repeat != (n > 1) {
			t.Errorf("try %d: repeat %v", n, s.Repeat)
		}
		switch n % 7 {
		case 0:
			r.pass(prof.Timers.ReversalReply)
		case 1:
			r.step(Lost{ID: pid(1), Op: OpScript, Seq: s.Seq})
		case 2:
			r.step(NotSent{ID: pid(1), Op: OpScript, Seq: s.Seq})
		case 3:
			r.step(Replied{ID: pid(1), Op: OpScript, Reply: bad})
		case 4:
			r.step(Replied{ID: pid(1), Op: OpScript, Reply: other})
		case 5:
			r.step(Replied{ID: pid(1), Op: OpScript, Reply: reply("96")})
		case 6:
			r.step(Replied{ID: pid(1), Op: OpScript, Reply: reply("97")})
			take[SignOnAgain](r)
		}
		r.step(Stray{Bank: cups, Op: OpScript, Reply: reply("00")}) // nobody waits for it
		if n < MaxScriptTries {
			r.pass(prof.Timers.RetryMost)
		}
	}
	if count[SendScript](r) != 0 || r.noted(NoteScriptLost) != 1 {
		t.Fatalf("after %d tries: %d more, %d notes", MaxScriptTries, count[SendScript](r), r.noted(NoteScriptLost))
	}
	r.commit()
	if p := r.book.view(pid(1)); p.Advice || p.State != ledgerapi.PayPosted || r.e.Scripts() != 0 {
		t.Errorf("given up: ledger %+v, %d notices", p, r.e.Scripts())
	}
}

// TestScriptAnswers: a definite answer ends the notice.
func TestScriptAnswers(t *testing.T) {
	for code, lost := range map[string]int{"00": 0, "94": 0, "12": 1, "41": 1} {
		r := scripted(t)
		r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord})
		r.commit()
		take[SendScript](r)
		r.step(Replied{ID: pid(1), Op: OpScript, Reply: reply(code)})
		r.commit()
		if r.e.Scripts() != 0 || r.noted(NoteScriptLost) != lost || r.book.view(pid(1)).Advice {
			t.Errorf("%s: %d notices, %d notes, want %d", code, r.e.Scripts(), r.noted(NoteScriptLost), lost)
		}
	}
}

// TestScriptSurvives takes a notice through lost commits, restarts and a card's
// word that comes when another life holds the payment.
func TestScriptSurvives(t *testing.T) {
	r := scripted(t)
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord})
	r.fail(FaultUnknown, false)
	r.pass(r.banks[1].Timers.RetryMost)
	r.commit()
	take[SendScript](r)
	for range 2 {
		r.restart()
		r.step(ResumeScript{r.book.view(pid(1))})
		r.step(MemoOpened{ID: pid(1)}) // not now
		r.pass(r.banks[1].Timers.RetryMost)
		r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
		if count[SendScript](r) != 0 {
			t.Fatal("it leaves without a link")
		}
		r.linkUp(cups, 0)
		r.pass(r.banks[1].Timers.RetryMost)
		if s := take[SendScript](r); !bytes.Equal(s.Memo.Script, lastWord) {
			t.Errorf("after a restart the notice has %x", s.Memo.Script)
		}
	}
	r.step(Replied{ID: pid(1), Op: OpScript, Reply: reply("00")})
	r.fail(FaultUnsent, false)
	r.pass(r.banks[1].Timers.RetryMost)
	r.commit()
	if r.e.Scripts() != 0 || r.book.view(pid(1)).Advice {
		t.Error("the answered notice goes on")
	}

	r = scripted(t) // the card's word comes in another life
	r.restart()
	r.linkUp(cups, 0)
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord, Known: r.book.view(pid(1))})
	if !r.e.ScriptPending(pid(1)) {
		t.Fatal("the word of an earlier life's payment is not taken")
	}
	r.step(MemoOpened{ID: pid(1), Memo: r.book.memos[pid(1)], OK: true})
	r.commit()
	if s := take[SendScript](r); !bytes.Equal(s.Memo.Script, lastWord) || s.Memo.PAN != testPAN(t, 1) {
		t.Errorf("the notice has %+v", s.Memo)
	}

	r = scripted(t) // meanwhile it was taken back: nothing to tell
	r.step(CardSaid{ID: pid(1), Outcome: CardTC, DE55: lastWord})
	r.book.pays[pid(1)].State = ledgerapi.PayReversing
	r.commit()
	if r.e.Scripts() != 0 || r.noted(NoteScriptLost) != 1 || count[SendScript](r) != 0 {
		t.Error("a notice about a payment that is not posted")
	}
}

// TestScriptBound: at most MaxScripts are held, one more is noted.
func TestScriptBound(t *testing.T) {
	r := scripted(t)
	v := r.book.view(pid(1))
	for n := range MaxScripts {
		v.ID = pid(1000 + n)
		r.step(CardSaid{ID: v.ID, Outcome: CardTC, DE55: lastWord, Known: v})
	}
	if r.e.Scripts() != MaxScripts || r.noted(NoteScriptLost) != 0 {
		t.Fatalf("%d held, %d lost", r.e.Scripts(), r.noted(NoteScriptLost))
	}
	v.ID = pid(1000 + MaxScripts)
	r.step(CardSaid{ID: v.ID, Outcome: CardTC, DE55: lastWord, Known: v})
	if r.e.Scripts() != MaxScripts || r.noted(NoteScriptLost) != 1 {
		t.Errorf("%d held, %d lost, want %d and 1", r.e.Scripts(), r.noted(NoteScriptLost), MaxScripts)
	}
}
