package acceptor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon  = time.Date(2026, time.November, 22, 12, 0, 0, 0, si.China)
	today = si.DateOf(noon)
)

// Notices of the book and what becomes of them.
var (
	noticeOpen    = si.NewNoticeNo(330110, 2026, 1) // 380.00
	noticePaid    = si.NewNoticeNo(330110, 2026, 2)
	noticeHeld    = si.NewNoticeNo(330110, 2026, 3)
	noticeOld     = si.NewNoticeNo(330110, 2026, 4) // expired
	noticeUnknown = si.NewNoticeNo(330110, 2026, 5)
	noticeOther   = si.NewNoticeNo(330110, 2026, 6) // not payable at this bank
	noticeFast    = si.NewNoticeNo(330110, 2026, 7) // may be paid again and again
	noticeAhead   = si.NewNoticeNo(330110, 2026, 8) // its window is not open yet
)

const testAmount si.Fen = 38_000

// book is a ledger in a map that answers from another goroutine, as the real
// one does. It can keep its answers back, and fail.
type book struct {
	mu      sync.Mutex
	pays    map[si.PaymentID]*entry
	hold    bool
	held    []func()
	err     error
	asked   int
	seq     uint32
	notices int
	wg      sync.WaitGroup
}

type entry struct {
	pay     ledgerapi.Pay
	receipt si.ReceiptNo
	state   ledgerapi.PayState
}

func newBook() *book { return &book{pays: map[si.PaymentID]*entry{}} }

func (b *book) Submit(c ledgerapi.Command, _ si.Actor, done func(ledgerapi.Result, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	r, err := b.apply(c), b.err
	if err != nil {
		r = ledgerapi.Result{}
	}
	if b.hold {
		b.held = append(b.held, func() { done(r, err) })
		return
	}
	b.wg.Go(func() { done(r, err) })
}

// release lets go of what was kept back, and of all that follows.
func (b *book) release() {
	b.mu.Lock()
	held := b.held
	b.hold, b.held = false, nil
	b.mu.Unlock()
	for _, f := range held {
		f()
	}
}

func (b *book) set(change func(*book)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

func (b *book) apply(c ledgerapi.Command) ledgerapi.Result {
	switch c := c.(type) {
	case ledgerapi.Pay:
		return b.pay(c)
	case ledgerapi.Reverse:
		e := b.pays[c.ID]
		switch {
		case e == nil:
			b.pays[c.ID] = &entry{state: ledgerapi.PayTombstone}
			return ledgerapi.Result{Code: ledgerapi.OK, Unknown: true}
		case e.state == ledgerapi.PayTombstone:
			return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, Unknown: true, State: e.state}
		case e.state == ledgerapi.PayVoided:
			return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, State: e.state}
		case c.BankDate != today:
			return ledgerapi.Result{Code: ledgerapi.NotSameDay, State: e.state}
		}
		e.state = ledgerapi.PayVoided
		return ledgerapi.Result{Code: ledgerapi.OK, State: e.state}
	case ledgerapi.Notice:
		b.notices++
		if c.Person == 2 {
			return ledgerapi.Result{Code: ledgerapi.NotFound}
		}
		return ledgerapi.Result{Code: ledgerapi.OK, Notice: noticeOpen}
	}
	return ledgerapi.Result{Code: ledgerapi.Malformed}
}

func (b *book) pay(c ledgerapi.Pay) ledgerapi.Result {
	if e := b.pays[c.ID]; e != nil {
		switch {
		case e.state == ledgerapi.PayTombstone:
			return ledgerapi.Result{Code: ledgerapi.Tombstoned, State: e.state}
		case e.pay.Total != c.Total || e.pay.Notice != c.Notice:
			return ledgerapi.Result{Code: ledgerapi.IDReused, State: e.state}
		}
		return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, State: e.state, Receipt: e.receipt}
	}
	switch c.Notice {
	case noticeOpen, noticeFast:
		if c.Total != testAmount {
			return ledgerapi.Result{Code: ledgerapi.DueChanged}
		}
	case noticePaid:
		return ledgerapi.Result{Code: ledgerapi.DuePaid}
	case noticeHeld:
		return ledgerapi.Result{Code: ledgerapi.DueHeld}
	case noticeAhead:
		return ledgerapi.Result{Code: ledgerapi.BadTransition}
	case noticeOther:
		return ledgerapi.Result{Code: ledgerapi.NoBeneficiary}
	default:
		return ledgerapi.Result{Code: ledgerapi.NotFound}
	}
	b.seq++
	e := &entry{pay: c, state: ledgerapi.PayPosted, receipt: si.ReceiptNo{Area: 330110, Date: today, Seq: b.seq}}
	b.pays[c.ID] = e
	return ledgerapi.Result{Code: ledgerapi.OK, State: e.state, Receipt: e.receipt}
}

func (b *book) NoticeByNo(no si.NoticeNo, _ si.BusinessDate) (ledgerapi.NoticeView, bool) {
	v := ledgerapi.NoticeView{No: no, Person: 1, ValidUntil: today, Total: testAmount, Dues: []ledgerapi.Due{
		{Ref: ledgerapi.DueRef{ID: 1, Amount: 20_000}, Fund: si.MedRes, Period: si.YearPeriod(2026)},
		{Ref: ledgerapi.DueRef{ID: 2, Amount: 18_000}, Fund: si.MedRes, Period: si.YearPeriod(2025)}}}
	switch no {
	case noticeOpen:
	case noticePaid:
		v.Paid, v.Dues, v.Total = true, nil, 0
	case noticeHeld:
		v.Held, v.Dues, v.Total = true, nil, 0
	case noticeAhead:
		v.Ahead, v.Dues, v.Total = v.Dues, nil, 0
	case noticeOld:
		v.ValidUntil = today - 1
	default:
		return ledgerapi.NoticeView{}, false
	}
	return v, true
}

func (b *book) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.pays[id]
	if e == nil {
		return ledgerapi.Payment{}, false
	}
	return ledgerapi.Payment{ID: id, State: e.state, Receipt: e.receipt}, true
}

func (b *book) Person(h si.Hash) (ledgerapi.Person, bool) {
	return ledgerapi.Person{No: si.PersonNo(h[0])}, h[0] != 0
}

func (b *book) PersonByNo(no si.PersonNo) (ledgerapi.Person, bool) {
	return ledgerapi.Person{No: no, Sealed: []byte{byte(no)}}, true
}

// names stands for the HSM process where it hashes and opens names: the hash of
// an ID number is the digit before its check digit.
type names struct{}

func (names) HashIDs(_ context.Context, ids []si.IDNumber) ([]si.Hash, error) {
	out := make([]si.Hash, len(ids))
	for i, id := range ids {
		out[i][0] = id.Reveal("test")[16] - '0'
	}
	return out, nil
}

func (names) OpenPerson(context.Context, []byte) (hsmapi.PersonView, error) {
	return hsmapi.PersonView{MaskedName: "李*明", IDTail: "0000"}, nil
}

// rig is a server over real TCP with everything around it.
type rig struct {
	t    testing.TB
	s    *Server
	prof *profile.Profile
	book *book
	hsm  *linktest.HSM
	addr string
}

func testProfile(t testing.TB, code string) *profile.Profile {
	t.Helper()
	banks, err := profile.LoadFS(data.Banks, "banks/"+code)
	if err != nil {
		t.Fatal(err)
	}
	return banks
}

func start(t testing.TB, code string, change func(*profile.Profile, *Server)) *rig {
	t.Helper()
	r := &rig{t: t, prof: testProfile(t, code), book: newBook(), hsm: &linktest.HSM{}}
	s, err := New(Config{Profile: r.prof, Ledger: r.book, Persons: r.book, Codes: r.hsm, Names: names{},
		Open: func(si.Bank) si.BusinessDate { return today }, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r.prof, s)
	}
	r.s = s
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		r.book.release()
		s.Close()
		_ = l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		r.book.wg.Wait()
	})
	return r
}

// waitEnded waits until a connection has ended for the reason.
func (r *rig) waitEnded(why Reason) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); r.s.Stats().Ended[why] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("no connection ended with %s; ended: %v", why, r.s.Stats().Ended)
		}
	}
}

// peer is a bank at the other end: our codec, used from the other side.
type peer struct {
	r     *rig
	codec *bankmsg.Codec
	c     net.Conn
	in    []byte
	key   hsmapi.KeyRef // 0 sends requests with a code of zeros
	seed  int
	stan  int
}

func (r *rig) dial() *peer {
	r.t.Helper()
	codec, err := bankmsg.Compile(r.prof)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return &peer{r: r, codec: codec.For(bankmsg.AnyEnd), c: c}
}

// answer is a decoded answer of the server.
type answer struct {
	code    string
	records map[string]string
	amount  uint64
	auth    string
	hasMAC  bool
	goodMAC bool
	field11 string
}

// frame makes a request. Fields that the rules demand and the caller does not
// give get plain values.
func (p *peer) frame(k profile.Kind, set map[int]string) []byte {
	p.r.t.Helper()
	rule := &p.r.prof.Rules[k].Request
	values := map[int]string{7: "1122120000", 12: "120000", 13: "1122", 15: "1122", 32: "48330110", 33: "0010330110",
		37: "120000000001", 39: "98", 41: "70110003", 42: "330110048160003", 49: "156", 70: rule.Network, 100: "03330110",
		4: fmt.Sprintf("%012d", testAmount)}
	if p.r.prof.Dialect == profile.POS {
		values[41], values[42] = p.r.prof.Terminals[0].DE41, p.r.prof.Terminals[0].DE42
		values[60] = rule.Function + "000001" + rule.Network
	}
	p.stan++
	values[11] = fmt.Sprintf("%06d", p.stan)
	for de, v := range set {
		values[de] = v
	}
	var m bankmsg.Message
	var mti uint16
	if _, err := fmt.Sscanf(rule.MTI, "%04x", &mti); err != nil {
		p.r.t.Fatal(err)
	}
	m.Reset(mti)
	if rule.Proc != "" {
		m.SetString(3, rule.Proc)
	}
	for _, de := range rule.Mandatory {
		if v, ok := values[de]; ok && de != 3 {
			m.SetString(de, v)
		}
	}
	for _, de := range rule.Optional {
		if v, ok := set[de]; ok {
			m.SetString(de, v)
		}
	}
	var f bankmsg.Frame
	if err := p.codec.Encode(&f, k, false, &m); err != nil {
		p.r.t.Fatalf("%v: %v", k, err)
	}
	if f.MACIn != nil && p.key != 0 {
		jobs := []hsmapi.MACJob{{Key: p.key, Alg: p.r.prof.MACAlg, Data: f.MACIn}}
		if err := p.r.hsm.MAC(context.Background(), jobs); err != nil {
			p.r.t.Fatal(err)
		}
		f.PutMAC(jobs[0].MAC)
	}
	return f.Wire
}

func (p *peer) send(frames ...[]byte) {
	p.r.t.Helper()
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	if _, err := p.c.Write(all); err != nil {
		p.r.t.Fatal(err)
	}
}

// receive reads one answer; an error is how the connection ended.
func (p *peer) receive() (answer, error) {
	p.r.t.Helper()
	if err := p.c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return answer{}, err
	}
	for {
		n, err := p.codec.Next(p.in)
		if err != nil {
			p.r.t.Fatal(err)
		}
		if n > 0 {
			a := p.read(p.in[:n])
			p.in = append(p.in[:0], p.in[n:]...)
			return a, nil
		}
		buf := make([]byte, 64<<10)
		n, err = p.c.Read(buf)
		p.in = append(p.in, buf[:n]...)
		if err != nil && n == 0 {
			return answer{}, err
		}
	}
}

func (p *peer) read(frame []byte) answer {
	p.r.t.Helper()
	var m bankmsg.Message
	var in bankmsg.Inbound
	if err := p.codec.Decode(frame, &m, &in); err != nil {
		p.r.t.Fatal(err)
	}
	a := answer{code: string(m.Field(39)), auth: string(m.Field(38)), records: map[string]string{}, hasMAC: in.HasMAC, field11: string(m.Field(11))}
	a.amount, _ = m.Number(4)
	if f := m.Field(p.r.prof.RecordField); f != nil {
		if err := bankmsg.Records(f, func(tag string, v []byte) error { a.records[tag] = string(v); return nil }); err != nil {
			p.r.t.Fatal(err)
		}
	}
	if job, ok := in.Job(p.key, p.r.prof.MACAlg); ok && p.key != 0 {
		jobs := []hsmapi.MACJob{job}
		if err := p.r.hsm.MAC(context.Background(), jobs); err != nil {
			p.r.t.Fatal(err)
		}
		a.goodMAC = jobs[0].OK
	}
	return a
}

// ask sends one request and reads one answer.
func (p *peer) ask(k profile.Kind, set map[int]string) answer {
	p.r.t.Helper()
	p.send(p.frame(k, set))
	a, err := p.receive()
	if err != nil {
		p.r.t.Fatalf("no answer: %v", err)
	}
	return a
}

// want asks and holds the answer's code and its own code to what they must be.
func (p *peer) want(code string, k profile.Kind, set map[int]string) answer {
	p.r.t.Helper()
	a := p.ask(k, set)
	if a.code != code || !a.goodMAC {
		p.r.t.Errorf("got %q (good code %v), want %q; records %v", a.code, a.goodMAC, code, a.records)
	}
	return a
}

// keyBlock makes a fresh block; both ends of the test HSM make the same key of it.
func (p *peer) keyBlock(n int) string {
	p.seed++
	return (fmt.Sprintf("D%s-%04d", p.c.LocalAddr(), p.seed) + strings.Repeat("x", n))[:n]
}

// newKeys signs on (POS) or delivers a MAC key (CUPS) and answers the code; the
// peer takes the key if the server did.
func (p *peer) newKeys() string {
	p.r.t.Helper()
	var a answer
	var key string
	if p.r.prof.Dialect == profile.POS {
		key = p.keyBlock(40)
		a = p.ask(profile.PeerSignOn, map[int]string{62: key})
		key = key[20:]
	} else {
		key = p.keyBlock(80)
		a = p.ask(profile.KeyDelivery, map[int]string{48: "NK080" + key, 53: "2000000000000000"})
	}
	if a.code != "00" {
		return a.code
	}
	p.take(key)
	return a.code
}

func (p *peer) take(block string) {
	p.r.t.Helper()
	k, err := p.r.hsm.ImportTR31(context.Background(), hsmapi.ImportTR31{Block: block})
	if err != nil {
		p.r.t.Fatal(err)
	}
	p.key = k.Key
}

// ready is a peer that has signed on.
func (r *rig) ready() *peer {
	r.t.Helper()
	p := r.dial()
	if r.prof.Dialect != profile.POS {
		if a := p.ask(profile.PeerSignOn, nil); a.code != "00" {
			r.t.Fatalf("sign-on: got %s", a.code)
		}
	}
	if code := p.newKeys(); code != "00" {
		r.t.Fatalf("keys: got %s", code)
	}
	return p
}

// records joins tags and values into the record field.
func (p *peer) records(pairs ...string) map[int]string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = bankmsg.AppendRecord(b, pairs[i], pairs[i+1])
	}
	return map[int]string{p.r.prof.RecordField: string(b)}
}

// pay is the fields of a payment with a serial of its own.
func (p *peer) pay(no si.NoticeNo, amount si.Fen, serial int) map[int]string {
	set := p.records(bankmsg.RecNotice, no.String(), bankmsg.RecChannel, "CTR", bankmsg.RecTeller, "T0001")
	set[4], set[37], set[11] = fmt.Sprintf("%012d", amount), fmt.Sprintf("%012d", serial), fmt.Sprintf("%06d", serial)
	return set
}

// original is the fields by which a message names a payment.
func (p *peer) original(serial int) map[int]string {
	od := fmt.Sprintf("0200%06d%s%011d%011d", serial, "1122120000", 48330110, 10330110)
	if p.r.prof.Dialect == profile.POS {
		od = fmt.Sprintf("0200%06d%s%011d%011d", serial, "1122120000", 48330110, 0)
		set := p.records(bankmsg.RecOriginal, od)
		set[37] = fmt.Sprintf("%012d", serial)
		return set
	}
	return map[int]string{90: od, 37: fmt.Sprintf("%012d", serial)}
}

// closed reads on and tells whether the server hung up; answers are counted.
func (p *peer) closed() (answers int, hungUp bool) {
	p.r.t.Helper()
	for {
		_, err := p.receive()
		if err == nil {
			answers++
			continue
		}
		var timeout net.Error
		return answers, errors.Is(err, io.EOF) || !(errors.As(err, &timeout) && timeout.Timeout())
	}
}
