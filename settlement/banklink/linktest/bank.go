package linktest

import (
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// Fault is what the bank does wrong with one request.
type Fault struct {
	Deaf   bool            // does nothing and says nothing
	Mute   bool            // does its work and says nothing
	BadMAC bool            // the reply's code is wrong
	Wrong  int             // the reply's element of this number is altered
	Hang   bool            // hangs up instead of answering
	Code   string          // does nothing and answers with this
	Twice  bool            // answers twice
	Wait   <-chan struct{} // works at once, answers when it is closed
}

// Bank is a bank host on a port of 127.0.0.1.
type Bank struct {
	Addr  string
	codec *bankmsg.Codec
	prof  *profile.Profile
	ln    net.Listener
	wg    sync.WaitGroup

	mu      sync.Mutex
	conns   map[*session]bool
	script  func(k profile.Kind, m *bankmsg.Message) Fault
	debits  map[string]*entry
	seen    map[profile.Kind]int
	last    map[profile.Kind]*bankmsg.Message // request of a kind
	batch   uint32
	keySeed int
	badKeys bool
	fixed   bool // every key block is the same
	strange int  // answers to key deliveries under no key of their connection
	closed  bool
	stan    uint32
}

// entry is what the bank knows of one payment.
type entry struct {
	amount   uint64
	done     int // effective debits: 0 or 1
	reversed bool
}

// session is one connection with its keys, the newest first.
type session struct {
	net.Conn
	mu   sync.Mutex
	macs [][32]byte
	held bool // answers gather in out until the whole read is done
	out  []byte
}

// hold gathers what is written until flush.
func (s *session) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// flush writes what was gathered, in one go.
func (s *session) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	if len(s.out) > 0 {
		_, _ = s.Write(s.out)
		s.out = s.out[:0]
	}
}

// NewBank starts a host for the profile.
func NewBank(p *profile.Profile) (*Bank, error) {
	codec, err := bankmsg.Compile(p)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Bank{
		Addr: ln.Addr().String(), codec: codec, prof: p, ln: ln, conns: map[*session]bool{}, batch: 41,
		debits: map[string]*entry{}, seen: map[profile.Kind]int{}, last: map[profile.Kind]*bankmsg.Message{},
	}
	b.wg.Go(b.accept)
	return b, nil
}

// Script sets what each request about a card meets; nil is no fault.
func (b *Bank) Script(f func(k profile.Kind, m *bankmsg.Message) Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.script = f
}

// BadKeys makes the key blocks that follow fail at the HSM, or good again.
func (b *Bank) BadKeys(bad bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.badKeys = bad
}

// FixKeys makes every key block that follows the same and gives the key of the
// codes: their first eight bytes are those of SHA-256 over key and text.
func (b *Bank) FixKeys() [32]byte {
	b.mu.Lock()
	b.fixed = true
	b.mu.Unlock()
	if b.prof.Dialect == profile.POS {
		return sha256.Sum256(b.block(20))
	}
	return sha256.Sum256(b.block(80))
}

// Inject writes bytes of the test's own on every connection and hangs up.
func (b *Bank) Inject(raw []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.conns {
		s.write(raw)
		_ = s.Close()
	}
}

// Strange is how many answers to key deliveries carried a code under a key that
// was never on their connection. A bank does not take such a key into use.
func (b *Bank) Strange() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.strange
}

// Seen is how many requests of a kind came.
func (b *Bank) Seen(k profile.Kind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[k]
}

// Field is an element of the last request of a kind.
func (b *Bank) Field(k profile.Kind, de int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.last[k]
	switch {
	case m == nil:
		return ""
	case de == 0:
		return fmt.Sprintf("%04x", m.MTI())
	}
	return string(m.Field(de))
}

// Net is how many payments stand debited and not reversed, and their sum in fen.
func (b *Bank) Net() (n int, sum uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.debits {
		if e.done > 0 && !e.reversed {
			n++
			sum += e.amount
		}
	}
	return n, sum
}

// NextBatch has the sign-ons that follow bring the next batch number.
func (b *Bank) NextBatch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batch++
}

// CloseDay forgets the payments: their numbers may come again.
func (b *Bank) CloseDay() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.debits)
}

// HangUp ends every connection.
func (b *Bank) HangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.conns {
		_ = s.Close()
	}
}

// Close ends the host.
func (b *Bank) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	_ = b.ln.Close()
	b.HangUp()
	b.wg.Wait()
}

func (b *Bank) accept() {
	for {
		c, err := b.ln.Accept()
		if err != nil {
			return
		}
		s := &session{Conn: c}
		b.mu.Lock()
		b.conns[s] = true
		closed := b.closed
		b.mu.Unlock()
		if closed {
			_ = c.Close()
		}
		b.wg.Go(func() { b.serve(s) })
	}
}

func (b *Bank) serve(s *session) {
	defer func() {
		_ = s.Close()
		b.mu.Lock()
		delete(b.conns, s)
		b.mu.Unlock()
	}()
	buf := make([]byte, 0, 1<<16)
	for {
		n, err := s.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		s.hold()
		used, ok := b.frames(s, buf)
		s.flush()
		if !ok || err != nil {
			return
		}
		buf = append(buf[:0], buf[used:]...)
	}
}

// frames answers the whole frames of a read. False: hang up.
func (b *Bank) frames(s *session, buf []byte) (used int, ok bool) {
	var m bankmsg.Message
	var in bankmsg.Inbound
	for {
		size, err := b.codec.Next(buf[used:])
		if err != nil {
			return used, false
		}
		if size == 0 {
			return used, true
		}
		if b.codec.Decode(buf[used:used+size], &m, &in) != nil || !b.handle(s, &m, &in) {
			return used, false
		}
		used += size
	}
}

// handle answers one message. False: hang up.
func (b *Bank) handle(s *session, m *bankmsg.Message, in *bankmsg.Inbound) bool {
	if in.Reply { // to a key delivery or cutover of ours
		if in.Kind == profile.KeyDelivery && in.HasMAC && s.generation(in) < 0 {
			b.mu.Lock()
			b.strange++
			b.mu.Unlock()
		}
		return true
	}
	b.mu.Lock()
	b.seen[in.Kind]++
	if b.last[in.Kind] == nil {
		b.last[in.Kind] = new(bankmsg.Message)
	}
	*b.last[in.Kind] = *m
	b.mu.Unlock()
	switch in.Kind {
	case profile.SignOn:
		return b.signOn(s, m, in)
	case profile.KeyReset:
		b.reply(s, m, in, "00", Fault{}, nil)
		b.Deliver(s, m.Field(53)[0] == '1')
		return true
	case profile.Debit, profile.PINProof, profile.Reversal, profile.StatusInquiry, profile.ScriptNotify:
		return b.money(s, m, in)
	}
	var fault Fault
	b.mu.Lock()
	if b.script != nil {
		fault = b.script(in.Kind, m)
	}
	b.mu.Unlock()
	if fault.Mute || fault.Deaf {
		return true
	}
	b.reply(s, m, in, "00", Fault{}, nil)
	return true
}

// block makes a fresh key block of n characters.
func (b *Bank) block(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fixed {
		b.keySeed++
	}
	v := []byte(fmt.Sprintf("D%s%08d", strings.Repeat("0", n), b.keySeed))
	v = append([]byte("D"), v[len(v)-n+1:]...)
	if b.badKeys {
		v[0] = BadBlock
	}
	return v
}

func (b *Bank) signOn(s *session, m *bankmsg.Message, in *bankmsg.Inbound) bool {
	if b.prof.Dialect != profile.POS {
		b.reply(s, m, in, "00", Fault{}, nil)
		return true
	}
	block := append(b.block(20), b.block(20)...)
	b.reply(s, m, in, "00", Fault{}, func(a *bankmsg.Message) {
		a.Set(62, block)
		b.mu.Lock()
		batch := b.batch
		b.mu.Unlock()
		f := append([]byte(nil), a.Field(60)...)
		copy(f[2:8], fmt.Sprintf("%06d", batch))
		a.Set(60, f)
	})
	s.newMAC(block[20:])
	return true
}

func (s *session) newMAC(block []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.macs = append([][32]byte{sha256.Sum256(block)}, s.macs...)
}

// Deliver sends a new key over a CUPS connection. Replies already on their way
// keep the old one.
func (b *Bank) Deliver(s *session, forPIN bool) {
	var m bankmsg.Message
	m.Reset(0x0800)
	b.mu.Lock()
	b.stan++
	stan := b.stan
	b.mu.Unlock()
	block := b.block(80)
	m.SetString(7, time.Now().Format("0102150405"))
	m.SetNumber(11, uint64(stan), 6)
	m.SetString(48, bankmsg.RecNewKey+fmt.Sprintf("%03d", len(block))+string(block))
	choice := "2000000000000000"
	if forPIN {
		choice = "1000000000000000"
	}
	m.SetString(53, choice)
	m.SetString(70, b.prof.Rules[profile.KeyDelivery].Request.Network)
	m.SetString(100, strings.TrimSpace(b.prof.HeaderSource))
	var f bankmsg.Frame
	if b.codec.Encode(&f, profile.KeyDelivery, false, &m) == nil {
		s.write(f.Wire)
		if !forPIN {
			s.newMAC(block)
		}
	}
}

// NewKeys delivers new keys on every connection.
func (b *Bank) NewKeys() {
	b.mu.Lock()
	var all []*session
	for s := range b.conns {
		all = append(all, s)
	}
	b.mu.Unlock()
	for _, s := range all {
		b.Deliver(s, true)
		b.Deliver(s, false)
	}
}

// Announce tells every connection of a settlement date: mmdd is DE 15, network
// is DE 70, 201 or 202. It carries a code where the profile lists one.
func (b *Bank) Announce(mmdd, network string) {
	b.mu.Lock()
	var all []*session
	for s := range b.conns {
		all = append(all, s)
	}
	b.stan++
	stan := b.stan
	b.mu.Unlock()
	for _, s := range all {
		var m bankmsg.Message
		m.Reset(0x0820)
		m.SetString(7, time.Now().Format("0102150405"))
		m.SetNumber(11, uint64(stan), 6)
		m.SetString(15, mmdd)
		m.SetString(70, network)
		m.SetString(100, strings.TrimSpace(b.prof.HeaderSource))
		var f bankmsg.Frame
		if b.codec.Encode(&f, profile.CutoverFrom, false, &m) != nil {
			continue
		}
		s.mu.Lock()
		key := s.macs[0]
		s.mu.Unlock()
		if f.MACIn != nil {
			f.PutMAC(code(key, f.MACIn))
		}
		s.write(f.Wire)
	}
}

func (s *session) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		s.out = append(s.out, p...)
		return
	}
	_, _ = s.Write(p)
}

// generation finds the key that a request's code was made with, so that the
// reply is made with the same; -1 if none fits.
func (s *session) generation(in *bankmsg.Inbound) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range s.macs {
		if code(k, in.MACIn) == in.MAC {
			return i
		}
	}
	return -1
}

// money answers what is about a card.
func (b *Bank) money(s *session, m *bankmsg.Message, in *bankmsg.Inbound) bool {
	gen := s.generation(in)
	if gen < 0 {
		b.reply(s, m, in, "A0", Fault{}, nil)
		return true
	}
	s.mu.Lock()
	key := s.macs[gen]
	s.mu.Unlock()
	b.mu.Lock()
	var f Fault
	if b.script != nil {
		f = b.script(in.Kind, m)
	}
	if f.Deaf {
		b.mu.Unlock()
		return true
	}
	resp := f.Code
	if resp == "" {
		resp = b.book(m, in)
	}
	b.mu.Unlock()
	switch {
	case f.Mute:
		return true
	case f.Hang:
		return false
	case f.Wait != nil:
		n, i := *m, *in
		b.wg.Go(func() {
			<-f.Wait
			b.replyWith(s, &n, &i, resp, f, nil, key)
		})
		return true
	}
	b.replyWith(s, m, in, resp, f, nil, key)
	if f.Twice {
		b.replyWith(s, m, in, resp, f, nil, key)
	}
	return true
}

// book moves the money. Called with b.mu held.
func (b *Bank) book(m *bankmsg.Message, in *bankmsg.Inbound) string {
	amount, _ := m.Number(4)
	key := b.key(m, in)
	e := b.debits[key]
	switch in.Kind {
	case profile.Debit:
		switch {
		case e == nil:
			b.debits[key] = &entry{amount: amount, done: 1}
		case e.reversed && e.done == 0:
			return "25" // overtaken by its reversal
		}
	case profile.Reversal:
		if e == nil {
			b.debits[key] = &entry{reversed: true}
			return "25"
		}
		e.reversed = true
	case profile.StatusInquiry:
		if e == nil { // and the bank takes it no more, as where that is proof
			b.debits[key] = &entry{reversed: true}
		}
		if e == nil || e.done == 0 || e.reversed || e.amount != amount {
			return "25"
		}
	}
	return "00"
}

// key names a payment: what a reversal or inquiry says of its original.
func (b *Bank) key(m *bankmsg.Message, in *bankmsg.Inbound) string {
	if b.prof.Dialect == profile.POS {
		if in.Kind == profile.StatusInquiry {
			batch, _ := strconv.Atoi(string(m.Field(61)[:6]))
			return fmt.Sprintf("%s/%s/%d", m.Field(41), m.Field(61)[6:12], batch)
		}
		batch, _ := bankmsg.Batch(m)
		return fmt.Sprintf("%s/%s/%d", m.Field(41), m.Field(11), batch)
	}
	de7 := m.Field(7)
	if in.Kind == profile.StatusInquiry {
		return fmt.Sprintf("%s/%s", m.Field(90)[4:10], m.Field(90)[10:20])
	}
	if in.Kind == profile.Reversal {
		de7 = m.Field(90)[10:20]
	}
	return fmt.Sprintf("%s/%s", m.Field(11), de7)
}

func (b *Bank) reply(s *session, m *bankmsg.Message, in *bankmsg.Inbound, resp string, f Fault, change func(*bankmsg.Message)) {
	var key [32]byte
	s.mu.Lock()
	if len(s.macs) > 0 {
		key = s.macs[0]
	}
	s.mu.Unlock()
	b.replyWith(s, m, in, resp, f, change, key)
}

func (b *Bank) replyWith(s *session, m *bankmsg.Message, in *bankmsg.Inbound, resp string, fault Fault, change func(*bankmsg.Message), key [32]byte) {
	var a bankmsg.Message
	a.Reset(m.MTI()&0xFFF0 | 0x10)
	rule := &b.prof.Rules[in.Kind].Reply
	for _, list := range [][]int{rule.Mandatory, rule.Optional} {
		for _, de := range list {
			if v := m.Field(de); v != nil && de != 55 && de != 52 {
				a.Set(de, v)
			}
		}
	}
	a.SetString(39, resp)
	if in.Kind == profile.Debit && resp == "00" {
		a.SetString(38, "A12345")
		a.SetString(15, time.Now().In(time.FixedZone("", 8*3600)).Format("0102"))
	}
	if change != nil {
		change(&a)
	}
	if fault.Wrong != 0 {
		v := append([]byte(nil), a.Field(fault.Wrong)...)
		v[len(v)-1] = '0' + (v[len(v)-1]-'0'+1)%10
		a.Set(fault.Wrong, v)
	}
	var f bankmsg.Frame
	f.WithoutMAC = resp == "A0" && key == [32]byte{}
	if err := b.codec.EncodeAnswer(&f, in, &a); err != nil {
		panic(fmt.Sprintf("linktest: %s reply: %v", in.Kind, err)) // a mistake of the test
	}
	if f.MACIn != nil {
		mac := code(key, f.MACIn)
		if fault.BadMAC {
			mac[0] ^= 1
		}
		f.PutMAC(mac)
	}
	s.write(f.Wire)
}
