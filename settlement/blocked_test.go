package settlement

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// blocked is a connection whose peer stops taking bytes when told to.
type blocked struct {
	net.Conn
	gate func() <-chan struct{}
}

// Write waits while the gate is shut.
func (b *blocked) Write(p []byte) (int, error) {
	if g := b.gate(); g != nil {
		<-g
		return 0, net.ErrClosed
	}
	return b.Conn.Write(p)
}

// TestBlockedBankDelaysNoOther has one bank take no byte, with payments waiting
// for it, while the other pays as ever. The times are printed, not judged: that
// the other bank's payments end at all while the first is stuck is the proof.
func TestBlockedBankDelaysNoOther(t *testing.T) {
	shut := make(chan struct{})
	var mu sync.Mutex
	var gate <-chan struct{}
	dial := func(ctx context.Context, bank si.Bank, addr string) (banklink.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil || bank != rcb {
			return c, err
		}
		return &blocked{Conn: c, gate: func() <-chan struct{} {
			mu.Lock()
			defer mu.Unlock()
			return gate
		}}, nil
	}
	w := newWorldOn(t, dial, func(p *profile.Profile) {
		p.Timers.Reply, p.Timers.Write, p.Timers.SendDeadline = 8*time.Second, 8*time.Second, 8*time.Second
	})
	const many = 200
	round := func(from int) []time.Duration {
		took := make([]time.Duration, many)
		for i := range took {
			began := time.Now()
			if a := w.pay(from+i, ccb); a.Ending != engine.Paid {
				t.Fatalf("payment %d: got %+v", from+i, a)
			}
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		return took
	}
	free := round(1)
	mu.Lock()
	gate = shut
	mu.Unlock()
	const waiting = 20
	var wg sync.WaitGroup
	var ended atomic.Int64
	for i := range waiting {
		wg.Go(func() {
			_, _ = w.hub.Pay(context.Background(), w.intent(1000+i, rcb))
			ended.Add(1)
		})
	}
	w.until("payments wait for the blocked bank", func() bool { return len(w.book.Pending(rcb)) == waiting })
	stuck := round(2000)
	if n := ended.Load(); n != 0 {
		t.Errorf("%d payments of the blocked bank have ended", n)
	}
	t.Logf("p99 of the other bank: %v free, %v beside a blocked bank", free[many*99/100], stuck[many*99/100])
	mu.Lock()
	gate = nil
	mu.Unlock()
	close(shut)
	wg.Wait()
}

// TestSilentBankCloses has a bank swallow payments: it is closed to new ones, so
// that no terminal asks for a PIN in vain, while the other stays open; its answer
// to an echo opens it again.
func TestSilentBankCloses(t *testing.T) {
	const count = 5
	w := newWorld(t, func(p *profile.Profile) {
		p.Timers.Reply = 50 * time.Millisecond
		p.Limits.BreakerCount, p.Limits.BreakerWindow = count, 2*time.Second
	})
	w.banks[rcb].Script(fault(linktest.Fault{Deaf: true}, profile.Debit))
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { _, _ = w.hub.Pay(context.Background(), w.intent(i+1, rcb)) })
	}
	w.until("the silent bank is closed", func() bool { return !w.hub.BankUp(rcb) })
	if !w.hub.BankUp(ccb) {
		t.Error("the other bank is closed as well")
	}
	if a := w.pay(100, rcb); a.Ending != engine.Refused || a.Why != engine.WhyBankAway {
		t.Errorf("a payment at the closed bank: got %+v", a)
	}
	w.until("the bank is open again", func() bool { return w.hub.BankUp(rcb) })
	wg.Wait()
}
