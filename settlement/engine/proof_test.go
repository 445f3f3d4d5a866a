package engine

import (
	"testing"
	"time"
)

func askedProof(t *testing.T, r *rig, n int) {
	t.Helper()
	i := intent(t, n, pos)
	r.step(AskProof{Proof{ID: i.ID, Terminal: 9, Bank: pos, Card: i.Card}})
}

func verdict(r *rig) ProofAnswer {
	r.t.Helper()
	return take[TellProof](r).Answer
}

func TestProof(t *testing.T) {
	bad, other := reply("00"), reply("00")
	bad.MAC, other.Mismatch = MACBad, true
	for _, c := range []struct {
		name  string
		reply Reply
		want  Verdict
	}{
		{"approved", reply("00"), Proven}, {"wrong", reply("55"), WrongPIN}, {"blocked", reply("75"), PINBlocked}, {"blocked too", reply("38"), PINBlocked},
		{"stolen", reply("43"), CardRefused}, {"no money", reply("51"), BankAway}, {"switch", reply("91"), BankAway}, {"unknown", reply("Z9"), BankAway},
		{"sign on", reply("97"), BankAway}, {"bad code", bad, BankAway}, {"other fields", other, BankAway},
	} {
		r := newRig(t)
		r.linkUp(pos, 0)
		askedProof(t, r, 1)
		askedProof(t, r, 1) // pressed twice: one message
		r.translate()
		s := take[SendProof](r)
		if string(s.Card.PINBlock.Reveal("test")) != "bankward" || count[SendProof](r)+count[Translate](r) != 0 {
			t.Errorf("%s: sent %+v", c.name, s)
		}
		r.step(Replied{ID: pid(1), Op: OpProof, Reply: c.reply})
		if a := verdict(r); a.Verdict != c.want || a.TriesLeft != -1 {
			t.Errorf("%s: got %+v, want %d", c.name, a, c.want)
		}
		if n := count[Submit](r) + count[SendReversal](r); n != 0 {
			t.Errorf("%s: a proof touched money", c.name)
		}
		if len(r.e.proofs) != 0 || r.e.banks[pos].links[0].live != 0 {
			t.Errorf("%s: something is left behind", c.name)
		}
	}
}

// TestProofSilence holds that whatever goes wrong is "away" and reverses nothing.
func TestProofSilence(t *testing.T) {
	r := newRig(t)
	askedProof(t, r, 1)
	if a := verdict(r); a.Verdict != BankAway {
		t.Errorf("no link: got %+v", a)
	}
	r.linkUp(pos, 0)
	for name, trouble := range map[string]func(){
		"silence": func() { r.translate(); take[SendProof](r); r.pass(30 * time.Second) },
		"lost":    func() { r.translate(); s := take[SendProof](r); r.step(Lost{pid(1), OpProof, s.Seq}) },
		"unsent":  func() { r.translate(); s := take[SendProof](r); r.step(NotSent{ID: pid(1), Op: OpProof, Seq: s.Seq}) },
		"no HSM":  func() { x := take[Translate](r); r.step(Translated{ID: x.ID, Op: OpProof}) },
		"slow":    func() { take[Translate](r); r.pass(time.Second) },
	} {
		askedProof(t, r, 1)
		trouble()
		if a := verdict(r); a.Verdict != BankAway || len(r.out) != 0 {
			t.Errorf("%s: got %+v and then %v", name, a, r.out)
		}
		r.step(Replied{ID: pid(1), Op: OpProof, Reply: reply("00")})
		r.step(Stray{Bank: pos, Op: OpProof, Reply: reply("00")})
		if len(r.out) != 0 {
			t.Errorf("%s: a late answer did %v", name, r.out)
		}
	}
	r.step(Breaker{pos, true})
	askedProof(t, r, 2)
	if a := verdict(r); a.Verdict != BankAway {
		t.Errorf("breaker: got %+v", a)
	}
}
