package banklink

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// counter counts replies and gives each a token back.
type counter struct {
	up     chan Event
	tokens chan struct{}
}

func (c *counter) Deliver(ev Event) {
	switch ev.Kind {
	case LinkUp:
		c.up <- ev
	case Replied, NotSent, Lost:
		c.tokens <- struct{}{}
	}
}

// cpu is the time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDebits sends debits over one connection, 400 under way, to the bank
// of linktest in the same process: coding, codes of the stand-in HSM, matching
// and the bank's own work share the machine. Each debit is two frames, one each
// way. Bar: 60,000 frames/s on two cores; frames/cpu-s is what one core does when
// others use the machine as well.
func BenchmarkDebits(b *testing.B) {
	p, err := profile.LoadFS(os.DirFS("../../data/banks"), "ccb")
	if err != nil {
		b.Fatal(err)
	}
	bank, err := linktest.NewBank(p)
	if err != nil {
		b.Fatal(err)
	}
	defer bank.Close()
	codec, err := bankmsg.Compile(p)
	if err != nil {
		b.Fatal(err)
	}
	const flight = 400
	c := &counter{up: make(chan Event, 1), tokens: make(chan struct{}, flight)}
	pool, err := New(Config{Codec: codec, Addrs: []string{bank.Addr}, HSM: &linktest.HSM{}, Sink: c, Rand: func() uint64 { return 1 },
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}})
	if err != nil {
		b.Fatal(err)
	}
	pool.Start(context.Background())
	defer pool.Stop(context.Background())
	<-c.up
	l := &line{t: &testing.T{}, prof: p, pool: pool, day: de7(time.Now())}
	sample := l.debit(1)
	for range flight {
		c.tokens <- struct{}{}
	}
	n := uint32(0)
	spent := cpu(b)
	for b.Loop() {
		<-c.tokens
		n = n%899_999 + 1
		d := *sample.Debit
		d.STAN = n
		d.DE7[9] = '0' + byte(n%10)
		pool.Send(0, &Request{Seq: n, PINKey: sample.PINKey, Debit: &d})
	}
	for range flight {
		<-c.tokens
	}
	k := pool.Counters()
	if k.Replies == 0 {
		b.Fatal("no debit was answered")
	}
	b.ReportMetric(float64(k.Replies)/b.Elapsed().Seconds(), "replies/s")
	b.ReportMetric(2*float64(k.Replies)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(2*float64(k.Replies)/(cpu(b)-spent).Seconds(), "frames/cpu-s")
	b.ReportMetric(float64(k.Sent)/float64(k.Writes), "frames/write")
}
