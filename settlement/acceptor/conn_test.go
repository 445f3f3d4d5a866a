package acceptor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

func TestNoKeysNoPayment(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.dial()
		if a := p.ask(profile.PeerEcho, nil); a.code != "00" {
			t.Errorf("echo before keys: got %s, want 00", a.code)
		}
		if a := p.ask(profile.NoticePay, p.pay(noticeOpen, testAmount, 1)); a.code != "97" || a.hasMAC {
			t.Errorf("payment before keys: got %s, code %v; want 97 and no code", a.code, a.hasMAC)
		}
		if r.book.count() != 0 {
			t.Error("it reached the ledger")
		}
	})
}

func TestBadCode(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.ready()
		good := p.frame(profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
		for _, at := range []int{len(good) - 1, len(good) - 8} {
			bad := bytes.Clone(good)
			bad[at] ^= 1
			p.send(bad)
			if a, err := p.receive(); err != nil || a.code != "A0" || !a.goodMAC {
				t.Errorf("byte %d of the code changed: got %+v, %v, want A0", at, a, err)
			}
		}
		if r.book.count() != 0 {
			t.Error("a request with a bad code reached the ledger")
		}
		if got := r.s.Stats().BadCodes; got != 2 {
			t.Errorf("%d bad codes counted, want 2", got)
		}
	})
}

// TestKeyChange delivers new keys while payments are under way: those sent
// before are good under the old key, and each answer has the key of its request.
func TestKeyChange(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.ready()
		r.book.set(func(b *book) { b.hold = true })
		const n = 50
		p.send(p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 1)))
		late := p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 2)) // made before, arrives after
		old := p.key
		if code := p.newKeys(); code != "00" {
			t.Fatalf("new keys: got %s", code)
		}
		fresh := p.key
		p.send(late)
		for i := 3; i <= n; i++ {
			p.send(p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, i)))
		}
		for r.book.count() < n {
			time.Sleep(time.Millisecond)
		}
		r.book.release()
		underOld := 0
		for range n {
			p.key = fresh
			a, err := p.receive()
			if err != nil {
				t.Fatal(err)
			}
			if a.code != "00" {
				t.Errorf("payment %s: got %s", a.field11, a.code)
			}
			if !a.goodMAC {
				underOld++
			}
		}
		if underOld != 2 {
			t.Errorf("%d answers under the old key, want the two whose requests were", underOld)
		}
		// The generation before the last is gone.
		p.key = fresh
		if code := p.newKeys(); code != "00" {
			t.Fatalf("second change: got %s", code)
		}
		p.key = old
		if a := p.ask(profile.NoticePay, p.pay(noticeFast, testAmount, n+1)); a.code != "A0" {
			t.Errorf("two generations back: got %s, want A0", a.code)
		}
	})
}

// TestBadKeysKeepOld refuses a key block that does not check and goes on under
// the key that is there.
func TestBadKeysKeepOld(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		r := start(t, code, nil)
		p := r.ready()
		set := map[int]string{48: "NK080!" + p.keyBlock(79), 53: "2000000000000000"}
		k := profile.KeyDelivery
		if r.prof.Dialect == profile.POS {
			set, k = map[int]string{62: "!" + p.keyBlock(39)}, profile.PeerSignOn
		}
		if a := p.ask(k, set); a.code != "30" {
			t.Errorf("bad block: got %s, want 30", a.code)
		}
		if r.prof.Dialect == profile.POS {
			if a := p.ask(k, map[int]string{62: p.keyBlock(39)}); a.code != "30" {
				t.Errorf("block of 39 bytes: got %s, want 30", a.code)
			}
		}
		p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	})
}

// TestKeysHoldForWhatFollows pipelines payment, new keys and payment in one
// write: each is judged under the key of its place.
func TestKeysHoldForWhatFollows(t *testing.T) {
	r := start(t, "ccb", nil)
	p := r.ready()
	first := p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 1))
	block := p.keyBlock(80)
	keys := p.frame(profile.KeyDelivery, map[int]string{48: "NK080" + block, 53: "2000000000000000"})
	p.take(block)
	second := p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 2))
	p.send(first, keys, second)
	good := 0
	for range 3 {
		a, err := p.receive()
		if err != nil || a.code != "00" {
			t.Fatalf("got %+v, %v", a, err)
		}
		if a.goodMAC {
			good++
		}
	}
	if good != 2 {
		t.Errorf("%d answers under the new key, want 2: the delivery's and the last payment's", good)
	}
}

func TestCutoverIsNotForThisLink(t *testing.T) {
	r := start(t, "ccb", nil)
	p := r.ready()
	if a := p.ask(profile.CutoverFrom, nil); a.code != "12" {
		t.Errorf("got %s, want 12", a.code)
	}
}

// TestBadFrames closes the connection on what breaks the rules, after the
// answers to what came before.
func TestBadFrames(t *testing.T) {
	eachDialect(t, func(t *testing.T, code string) {
		oversize := func(p *peer) []byte {
			if p.r.prof.Dialect == profile.POS {
				return []byte{8, 1} // 2,049
			}
			return []byte(".\x829999")
		}
		for name, make := range map[string]func(*peer) []byte{
			"garbage":        func(*peer) []byte { return bytes.Repeat([]byte{0xFF}, 100) },
			"length zero":    func(p *peer) []byte { return append([]byte(nil), 0, 0, 0, 0, 0, 0) },
			"oversize":       oversize,
			"an answer":      func(p *peer) []byte { return answerFrame(t, p) },
			"unknown field":  func(p *peer) []byte { f := p.frame(profile.PeerEcho, nil); return setBit(p, f) },
			"ends too early": func(p *peer) []byte { return p.frame(profile.PeerEcho, nil)[:20] },
		} {
			t.Run(name, func(t *testing.T) {
				r := start(t, code, nil)
				p := r.ready()
				p.send(append(p.frame(profile.NoticePay, p.pay(noticeOpen, testAmount, 1)), make(p)...))
				if name == "ends too early" {
					if err := p.c.(*net.TCPConn).CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				if n, hungUp := p.closed(); n != 1 || !hungUp {
					t.Errorf("%d answers, hung up %v; want the first request's answer and the end", n, hungUp)
				}
				r.waitEnded(BadFrame)
				r2 := r.ready() // others are served
				r2.want("00", profile.NoticePay, r2.pay(noticeOpen, testAmount, 1))
			})
		}
	})
}

// setBit marks the first element that the frame does not have.
func setBit(p *peer, f []byte) []byte {
	at := 2 + 5 + 6 + 2
	if p.r.prof.Dialect != profile.POS {
		at = 46 + 4
	}
	f[at] |= 1 << 5 // DE 3
	return f
}

// answerFrame is a frame of the other direction.
func answerFrame(t *testing.T, p *peer) []byte {
	t.Helper()
	var m bankmsg.Message
	var in bankmsg.Inbound
	req := p.frame(profile.PeerEcho, nil)
	if err := p.codec.Decode(req, &m, &in); err != nil {
		t.Fatal(err)
	}
	var a bankmsg.Message
	var f bankmsg.Frame
	f.WithoutMAC = true
	if err := errors.Join(p.codec.AnswerNet(&a, &m, &in, "00"), p.codec.EncodeAnswer(&f, &in, &a)); err != nil {
		t.Fatal(err)
	}
	return f.Wire
}

// TestSlowloris sends a frame byte by byte, each within the time of a frame: the
// time runs from the first byte all the same.
func TestSlowloris(t *testing.T) {
	r := start(t, "ccb", func(_ *profile.Profile, s *Server) { s.waits.frame = 150 * time.Millisecond })
	p := r.ready()
	frame := p.frame(profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	began := time.Now()
	for i := range frame {
		if _, err := p.c.Write(frame[i : i+1]); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
		if r.s.Stats().Ended[SlowFrame] != 0 {
			break
		}
	}
	r.waitEnded(SlowFrame)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	// A frame in two parts within the time is served, also behind another one.
	p = r.ready()
	p.send(append(bytes.Clone(frame), frame[:30]...)) // the code of frame is not this link's: A0
	if a, err := p.receive(); err != nil || a.code != "A0" {
		t.Fatalf("got %+v, %v", a, err)
	}
	p.send(frame[30:])
	if a, err := p.receive(); err != nil || a.code != "A0" {
		t.Errorf("second part: got %+v, %v", a, err)
	}
}

func TestIdle(t *testing.T) {
	r := start(t, "ccb", func(_ *profile.Profile, s *Server) { s.waits.idle = 50 * time.Millisecond })
	p := r.dial()
	if _, hungUp := p.closed(); !hungUp {
		t.Error("an idle connection stayed")
	}
	r.waitEnded(Idle)
}

// TestConnectionLimit fills the bank's connections and takes one more.
func TestConnectionLimit(t *testing.T) {
	r := start(t, "ccb", func(p *profile.Profile, _ *Server) { p.Limits.Connections = 3 })
	var peers []*peer
	for range 3 {
		peers = append(peers, r.ready())
	}
	if n, hungUp := r.dial().closed(); n != 0 || !hungUp {
		t.Errorf("the fourth: %d answers, hung up %v", n, hungUp)
	}
	r.waitEnded(Full)
	for _, p := range peers {
		p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	}
	_ = peers[0].c.Close()
	r.waitEnded(PeerClosed)
	for r.s.Stats().Connections == 3 {
		time.Sleep(time.Millisecond)
	}
	r.ready().want("00", profile.NoticePay, r.dial().pay(noticeOpen, testAmount, 1))
}

// TestUnderWayBound lets in as many requests as may be under way and one more,
// which waits in the socket until an answer has left. The ledger's callbacks
// never wait for anything.
func TestUnderWayBound(t *testing.T) {
	for _, bound := range []int{1, 4, maxUnderWay} {
		t.Run(fmt.Sprint(bound), func(t *testing.T) {
			r := start(t, "ccb", func(p *profile.Profile, _ *Server) {
				p.Limits.InFlight = bound
				if bound == maxUnderWay {
					p.Limits.InFlight = 10_000
				}
			})
			p := r.ready()
			r.book.set(func(b *book) { b.hold = true })
			for i := range bound + 1 {
				p.send(p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, i+1)))
			}
			for r.book.count() < bound {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond) // long enough for one more to slip in
			if got := r.book.count(); got != bound {
				t.Fatalf("%d requests at the ledger, want %d", got, bound)
			}
			r.book.release()
			for range bound + 1 {
				if a, err := p.receive(); err != nil || a.code != "00" {
					t.Fatalf("got %+v, %v", a, err)
				}
			}
		})
	}
}

// TestLedgerThatTookNothing answers 96 when it is sure that nothing was
// written, and the link goes on.
func TestLedgerThatTookNothing(t *testing.T) {
	busy := errors.New("busy")
	r := start(t, "ccb", func(_ *profile.Profile, s *Server) {
		s.cfg.NotWritten = func(err error) bool { return errors.Is(err, busy) }
	})
	p := r.ready()
	r.book.set(func(b *book) { b.err = busy })
	p.want("96", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	r.book.set(func(b *book) { b.err = nil })
	p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	if got := r.s.Stats().Ended[OutcomeOpen]; got != 0 {
		t.Errorf("%d links ended", got)
	}
}

// TestLedgerFailureIsSilence closes the link without a word when the outcome of
// a command is not known; answers of others that are known still leave.
func TestLedgerFailureIsSilence(t *testing.T) {
	r := start(t, "ccb", nil)
	p := r.ready()
	r.book.set(func(b *book) { b.err = errors.New("no leader") })
	p.send(p.frame(profile.NoticePay, p.pay(noticeOpen, testAmount, 1)))
	if n, hungUp := p.closed(); n != 0 || !hungUp {
		t.Errorf("%d answers, hung up %v; want silence and the end", n, hungUp)
	}
	r.waitEnded(OutcomeOpen)
	// The bank comes back and asks again by the same key.
	r.book.set(func(b *book) { b.err = nil })
	p = r.ready()
	p.want("00", profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	if len(r.book.pays) != 1 {
		t.Errorf("%d payments, want 1", len(r.book.pays))
	}
}

// TestHSMAway closes the link when codes cannot be checked or made: never an
// answer without a code.
func TestHSMAway(t *testing.T) {
	r := start(t, "ccb", nil)
	for _, when := range []string{"before the check", "before the answer"} {
		p := r.ready()
		frame := p.frame(profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
		if when == "before the answer" {
			r.book.set(func(b *book) { b.hold = true })
			asked := r.book.count()
			p.send(frame)
			for r.book.count() == asked {
				time.Sleep(time.Millisecond)
			}
			r.hsm.SetAway(true)
			r.book.release()
		} else {
			r.hsm.SetAway(true)
			p.send(frame)
		}
		if _, err := io.ReadAll(p.c); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		r.waitEnded(HSMAway)
		r.hsm.SetAway(false)
	}
	if got := r.s.Stats().Ended[HSMAway]; got != 2 {
		t.Errorf("%d connections ended so, want 2", got)
	}
}

// TestBankThatDoesNotRead pipelines without reading until the answers find no
// room: the link ends, and neither the ledger nor another bank's link waits.
func TestBankThatDoesNotRead(t *testing.T) {
	r := start(t, "ccb", func(_ *profile.Profile, s *Server) {
		// The bank's frames stand still as well when the machine is busy: that
		// must not end the link first.
		s.waits.write, s.waits.frame = 100*time.Millisecond, time.Minute
	})
	p := r.ready()
	if err := p.c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	frame := p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 1))
	many := bytes.Repeat(frame, 200)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 2000 {
			if _, err := p.c.Write(many); err != nil {
				return
			}
		}
	}()
	other := r.ready()
	for i := range 20 {
		other.want("00", profile.NoticePay, other.pay(noticeFast, testAmount, 10+i))
	}
	r.waitEnded(SlowWriter)
	_ = p.c.Close()
	<-sent
}

// TestClose ends while requests are at the ledger: their answers still leave.
func TestClose(t *testing.T) {
	r := start(t, "ccb", nil)
	p := r.ready()
	r.book.set(func(b *book) { b.hold = true })
	const n = 10
	asked := r.book.count()
	for i := range n {
		p.send(p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, i+1)))
	}
	for r.book.count() < asked+n {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		r.s.Close()
	}()
	r.waitEnded(Stopping)
	r.book.release()
	if got, hungUp := p.closed(); got != n || !hungUp {
		t.Errorf("%d answers, hung up %v; want %d and the end", got, hungUp, n)
	}
	<-closed
	if n, hungUp := r.dial().closed(); n != 0 || !hungUp {
		t.Errorf("a connection after Close: %d answers, hung up %v", n, hungUp)
	}
}

// TestOneHSMCallForWhatComesTogether counts calls: the codes of requests that
// arrive in one read are checked together, and so are those of the answers made.
func TestOneHSMCallForWhatComesTogether(t *testing.T) {
	r := start(t, "ccb", nil)
	p := r.ready()
	r.book.set(func(b *book) { b.hold = true })
	const n = 60
	var frames [][]byte
	for i := range n {
		frames = append(frames, p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, i+1)))
	}
	calls := r.hsm.MACCalls.Load()
	p.send(slices.Concat(frames...))
	for r.book.count() < n {
		time.Sleep(time.Millisecond)
	}
	if got := r.hsm.MACCalls.Load() - calls; got > 6 { // a frame may be cut by the reads
		t.Errorf("%d calls for the codes of %d requests in one write", got, n)
	}
	r.book.release()
	for range n {
		if _, err := p.receive(); err != nil {
			t.Fatal(err)
		}
	}
}

// failing is a listener whose first Accepts fail.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, errors.New("out of file descriptors")
	}
	return f.Listener.Accept()
}

func TestAcceptGoesOn(t *testing.T) {
	r := start(t, "ccb", nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.s.Serve(&failing{l, 2}) }()
	r.addr = l.Addr().String()
	if a := r.dial().ask(profile.PeerEcho, nil); a.code != "00" || r.s.Stats().AcceptFailed != 2 {
		t.Errorf("got %s after %d failures, want 00 after 2", a.code, r.s.Stats().AcceptFailed)
	}
	_ = l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that closed by itself: got %v, want an error", err)
	}
}

func TestProfileWithoutCounters(t *testing.T) {
	if _, err := New(Config{Profile: testProfile(t, "icbc")}); err == nil {
		t.Error("a bank without counters was given a server")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no profile was taken")
	}
}

func TestReasonNames(t *testing.T) {
	seen := map[string]bool{}
	for why := PeerClosed; why < reasons; why++ {
		if why.String() == "" || seen[why.String()] {
			t.Errorf("reason %d has no name of its own", why)
		}
		seen[why.String()] = true
	}
	if reasons.String() != "reason(?)" {
		t.Error("a number beyond the reasons has a name")
	}
}

// FuzzFrames feeds a connection's reader arbitrary bytes after a sign-on: it
// never panics, and nothing without a good code reaches the ledger.
func FuzzFrames(f *testing.F) {
	r := start(f, "ccb", nil)
	p := r.ready()
	good := p.frame(profile.NoticePay, p.pay(noticeOpen, testAmount, 1))
	echo := p.frame(profile.PeerEcho, nil)
	f.Add(good)
	f.Add(echo)
	f.Add(append(bytes.Clone(echo), good...))
	f.Add(good[:60])
	f.Add([]byte(".\x829999"))
	pos := start(f, "rcb", nil)
	q := pos.ready()
	f.Add(q.frame(profile.NoticePay, q.pay(noticeOpen, testAmount, 1)))
	f.Add(q.frame(profile.PeerSignOn, map[int]string{62: q.keyBlock(40)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []*rig{r, pos} {
			asked := s.book.count()
			ours, theirs := net.Pipe()
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				_, _ = io.Copy(io.Discard, theirs)
			}()
			go func() {
				_, _ = theirs.Write(b)
				_ = theirs.Close()
			}()
			c := newConn(s.s, ours)
			c.keys = hsmapi.KeyRef(1 << 20) // a key that nobody has
			c.run()
			<-drained
			if got := s.book.count(); got != asked {
				t.Errorf("%d commands from bytes without a good code", got-asked)
			}
		}
	})
}
