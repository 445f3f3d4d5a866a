package acceptor

import (
	"crypto/sha256"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/msgtest"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// corpusEvery is how many cases of the corpus lie between two that the server is
// fed: each costs a connection and a sign-on. settlement/bankmsg feeds the codec
// all of them.
const corpusEvery = 7

// corpusCost bounds what one connection with a malformed frame may allocate at
// both ends together: buffers of 64 KiB each, a handful of messages.
const corpusCost = 1 << 20

// readyWith is ready with a key block of the test's own.
func (r *rig) readyWith(block string) *peer {
	r.t.Helper()
	p := r.dial()
	k, set := profile.PeerSignOn, map[int]string{62: strings.Repeat("D", 20) + block}
	if r.prof.Dialect != profile.POS {
		p.ask(profile.PeerSignOn, nil)
		k, set = profile.KeyDelivery, map[int]string{48: "NK020" + block, 53: "2000000000000000"}
	}
	if a := p.ask(k, set); a.code != "00" {
		r.t.Fatalf("keys: got %s", a.code)
	}
	p.take(block)
	return p
}

// TestCorpusAtTheServer lets a counter's end send malformed frames under its own
// good key: none is answered 00, none pays, and the server goes on.
func TestCorpusAtTheServer(t *testing.T) {
	const block = "Dthe key of one test"
	key := sha256.Sum256([]byte(block))
	for _, code := range []string{"rcb", "ccb", "boc"} {
		r := start(t, code, nil)
		codec, err := bankmsg.Compile(r.prof)
		if err != nil {
			t.Fatal(err)
		}
		n, fed := 0, 0
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err = msgtest.Corpus(codec, bankmsg.HubServer, msgtest.Keys{Today: key[:], Yesterday: []byte("old")}, func(k msgtest.Case) {
			if n++; n%corpusEvery != 0 || t.Failed() {
				return
			}
			fed++
			p := r.readyWith(block)
			defer func() { _ = p.c.Close() }()
			if _, err := p.c.Write(k.Frame); err != nil {
				t.Fatal(err)
			}
			if err := p.c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			for {
				a, err := p.receive()
				if err != nil {
					break
				}
				if a.code == "00" {
					t.Errorf("%s: %s of %v, DE %d: answered 00", code, k.Class, k.Of.Kind, k.DE)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if cost := (after.TotalAlloc - before.TotalAlloc) / uint64(max(fed, 1)); cost > corpusCost {
			t.Errorf("%s: %d bytes a frame, at most %d may be", code, cost, corpusCost)
		} else {
			t.Logf("%s: %d of %d frames at the server, %d bytes each", code, fed, n, cost)
		}
		if got := r.book.count(); got != 0 {
			t.Errorf("%s: %d payments in the ledger", code, got)
		}
		p := r.readyWith(block)
		if a := p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1)); a.records["RN"] == "" {
			t.Errorf("%s: after the corpus: got %+v", code, a)
		}
	}
}
