package banklink

import (
	"fmt"
	"testing"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/msgtest"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// corpusEvery is how many cases of the corpus lie between two that a link is fed:
// each costs a connection and a sign-on. settlement/bankmsg feeds the codec all.
const corpusEvery = 97

// TestCorpusOnTheLink lets the bank's end of a link send malformed frames under
// the link's own key: none becomes a reply, none a late reply with a good code,
// and the link comes back each time.
func TestCorpusOnTheLink(t *testing.T) {
	const shards = 8 // a reconnect takes a tick of the link; shards wait side by side
	for _, code := range []string{"rcb", "ccb"} {
		for shard := range shards {
			t.Run(fmt.Sprintf("%s %d", code, shard), func(t *testing.T) {
				t.Parallel()
				corpusOnOneLink(t, code, shard*corpusEvery, shards*corpusEvery)
			})
		}
	}
}

// corpusOnOneLink feeds a link each step-th case of the corpus.
func corpusOnOneLink(t *testing.T, code string, first, step int) {
	l := newLineOn(t, code, func(p *profile.Profile) { p.Limits.BadReplies = 1_000 }, nil)
	key := l.bank.FixKeys()
	l.bank.HangUp() // the next sign-on brings the fixed keys
	l.ear.wait(t, LinkDown)
	l.ear.wait(t, LinkUp)
	n, fed := 0, 0
	err := msgtest.Corpus(testCodec(t, code), bankmsg.HubLink, msgtest.Keys{Today: key[:], Yesterday: []byte("old")}, func(k msgtest.Case) {
		if n++; (n-1)%step != first || t.Failed() {
			return
		}
		fed++
		l.bank.Inject(k.Frame)
		l.ear.wait(t, LinkDown)
		l.ear.wait(t, LinkUp)
		for _, ev := range l.ear.take() {
			if ev.Kind == Replied || ev.Kind == Stray && ev.Reply.MAC == MACGood {
				t.Errorf("%s: %s of %v, DE %d: got event %d", code, k.Class, k.Of.Kind, k.DE, ev.Kind)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l.send(l.debit(1))
	if ev := l.ear.wait(t, Replied); ev.Reply.MAC != MACGood {
		t.Errorf("%s: after the corpus: got %+v", code, ev)
	}
	t.Logf("%s: %d of %d frames over the link", code, fed, n)
}
