package bankhost

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// CounterConfig says what a counter is.
type CounterConfig struct {
	Profile *profile.Profile
	Keys    Keys
	Addr    string // of our ISO 8583 server
	TLS     *tls.Config
	Channel string // CTR, EBK or MOB; empty takes CTR
	Teller  string // empty takes T0001
	Clock   func() time.Time
	Rand    io.Reader
	// First is the trace number before the first one; a counter that is started
	// again must not repeat those of the same second.
	First int
	// Timeout is the wait for one answer; 0 takes 10 s.
	Timeout time.Duration
}

// ErrNoAnswer is returned when no answer came in time or the link broke: what
// became of the request is unknown, and asking again with the same payment is
// the way to find out.
var ErrNoAnswer = errors.New("bankhost: no answer")

// Counter is a bank's counter or e-bank at our server. Its calls may come from
// any number of goroutines and go one after another.
type Counter struct {
	cfg CounterConfig
	w   *wire
	mu  sync.Mutex
	c   net.Conn
	mac []byte
	seq int
}

// Payment is one payment of a notice, kept by whoever asks for it so that it
// can be asked again with the same numbers.
type Payment struct {
	Notice si.NoticeNo
	Amount si.Fen
	STAN   int
	DE7    string
	Serial string // DE 37
	Date   si.BusinessDate
}

// Reply is what our server answered.
type Reply struct {
	Code    string // DE 39
	Auth    string
	Amount  si.Fen
	MACGood bool
	HasMAC  bool
	Records map[string]string
	Fields  map[int]string
}

// DialCounter connects, signs on and hands over working keys.
func DialCounter(ctx context.Context, cfg CounterConfig) (*Counter, error) {
	w, err := newWire(cfg.Profile)
	if err != nil {
		return nil, err
	}
	if cfg.Channel == "" {
		cfg.Channel = "CTR"
	}
	if cfg.Teller == "" {
		cfg.Teller = "T0001"
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Keys.SM4Code == 0 {
		cfg.Keys.SM4Code = hsmapi.SM4Algorithm
	}
	d := net.Dialer{Timeout: cfg.Timeout}
	nc, err := d.DialContext(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("bankhost: counter: %w", err)
	}
	if cfg.TLS != nil {
		nc = tls.Client(nc, cfg.TLS)
	}
	c := &Counter{cfg: cfg, w: w, c: nc, seq: cfg.First}
	if err := c.SignOn(); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

// Take hands the connection and the MAC key of the sign-on over to somebody who
// goes on by himself; the counter is not used after it.
func (c *Counter) Take() (net.Conn, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c, c.mac
}

// Close hangs up.
func (c *Counter) Close() error { return c.c.Close() }

// SignOn signs on with fresh working keys: in DE 62 of the sign-on itself (POS),
// or in two key deliveries after it (CUPS).
func (c *Counter) SignOn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.Profile.Dialect == profile.POS {
		return c.signOnPOS()
	}
	m := c.begin(profile.PeerSignOn)
	m.fields[33], m.fields[70] = c.forwarder(), "001"
	if err := c.accepted(m, nil); err != nil {
		return err
	}
	for _, forPIN := range []bool{true, false} {
		key, pad := make([]byte, 16), make([]byte, 14)
		if err := c.random(key, pad); err != nil {
			return err
		}
		block, err := c.w.keyBlock(c.cfg.Keys.KBPK, forPIN, c.cfg.Keys.SM4Code, key, pad)
		if err != nil {
			return err
		}
		m := c.begin(profile.KeyDelivery)
		m.fields[48], m.fields[53], m.fields[70] = record("NK", block), "2000000000000000", "101"
		m.fields[100] = strings.TrimSpace(c.cfg.Profile.HeaderSource)
		if forPIN {
			m.fields[53] = "1000000000000000"
		}
		if err := c.accepted(m, nil); err != nil {
			return err
		}
		if !forPIN {
			c.mac = key
		}
	}
	return nil
}

func (c *Counter) random(bs ...[]byte) error {
	for _, b := range bs {
		if _, err := io.ReadFull(c.cfg.Rand, b); err != nil {
			return fmt.Errorf("bankhost: counter: %w", err)
		}
	}
	return nil
}

func (c *Counter) signOnPOS() error {
	t := c.cfg.Profile.Terminals[0]
	size := 8
	if c.cfg.Profile.MAKDouble {
		size = 16
	}
	pik, mak := make([]byte, 16), make([]byte, size)
	if err := c.random(pik, mak); err != nil {
		return err
	}
	block, err := de62(c.cfg.Keys.TMK[t.DE41], pik, mak)
	if err != nil {
		return err
	}
	m := c.begin(profile.PeerSignOn)
	m.fields[60], m.fields[62] = "00000001003", block
	if err := c.accepted(m, nil); err != nil {
		return err
	}
	c.mac = mak
	return nil
}

// accepted sends a message of the link and asks for 00.
func (c *Counter) accepted(m *message, key []byte) error {
	r, err := c.exchange(m, key)
	if err != nil {
		return err
	}
	if r.fields[39] != "00" {
		return fmt.Errorf("bankhost: counter: %s answered %q", m.mti, r.fields[39])
	}
	return nil
}

func (c *Counter) forwarder() string { return "0010330110" }
func (c *Counter) acquirer() string {
	return "48330110" + strconv.Itoa(int(c.cfg.Profile.Number))
}

// begin fills what every request of the counter has. Called with c.mu held.
func (c *Counter) begin(k profile.Kind) *message {
	c.seq = c.seq%999_999 + 1
	r := &c.cfg.Profile.Rules[k].Request
	now := c.cfg.Clock().In(si.China)
	f := map[int]string{11: fmt.Sprintf("%06d", c.seq)}
	listed := func(de int, v string) {
		for _, d := range append(append([]int(nil), r.Mandatory...), r.Optional...) {
			if d == de {
				f[de] = v
			}
		}
	}
	listed(7, now.Format("0102150405"))
	listed(12, now.Format("150405"))
	listed(13, now.Format("0102"))
	listed(32, c.acquirer())
	listed(33, c.forwarder())
	listed(49, "156")
	if c.cfg.Profile.Dialect == profile.POS {
		listed(41, c.cfg.Profile.Terminals[0].DE41)
		listed(42, c.cfg.Profile.Terminals[0].DE42)
	} else {
		listed(41, c.cfg.Profile.TerminalB)
		listed(42, c.cfg.Profile.MerchantB)
	}
	if r.Proc != "" {
		f[3] = r.Proc
	}
	return &message{mti: r.MTI, fields: f}
}

// records sets the records of a request.
func (c *Counter) records(m *message, recs ...string) {
	recs = append(recs, record("CH", c.cfg.Channel), record("OP", c.cfg.Teller))
	m.fields[c.cfg.Profile.RecordField] = strings.Join(recs, "")
}

// NewPayment numbers a payment of a notice.
func (c *Counter) NewPayment(n si.NoticeNo, amount si.Fen) Payment {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq = c.seq%999_999 + 1
	now := c.cfg.Clock().In(si.China)
	return Payment{Notice: n, Amount: amount, STAN: c.seq, DE7: now.Format("0102150405"), Date: si.DateOf(now),
		Serial: now.Format("150405") + fmt.Sprintf("%06d", c.seq)}
}

// InquireNotice asks what a notice costs today.
func (c *Counter) InquireNotice(n si.NoticeNo) (*Reply, error) {
	return c.inquire(record("NN", n.String()))
}

// InquireID asks for the live notice of a person.
func (c *Counter) InquireID(id string) (*Reply, error) { return c.inquire(record("ID", id)) }

func (c *Counter) inquire(rec string) (*Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.begin(profile.Inquiry)
	m.fields[37] = c.cfg.Clock().In(si.China).Format("150405") + m.fields[11]
	c.records(m, rec)
	return c.call(m)
}

// Pay pays a notice; the same payment again is a repeat.
func (c *Counter) Pay(p Payment) (*Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.begin(profile.NoticePay)
	c.number(m, p)
	m.fields[4] = fmt.Sprintf("%012d", int64(p.Amount))
	c.records(m, record("NN", p.Notice.String()))
	return c.call(m)
}

// number puts the payment's own numbers into its message.
func (c *Counter) number(m *message, p Payment) {
	m.fields[11] = fmt.Sprintf("%06d", p.STAN)
	m.fields[7], m.fields[12], m.fields[13] = p.DE7, p.DE7[4:], p.DE7[:4]
	m.fields[37], m.fields[15] = p.Serial, p.Date.Compact()[4:]
}

// Status asks what became of a payment.
func (c *Counter) Status(p Payment) (*Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.begin(profile.PayStatus)
	c.original(m, p)
	return c.call(m)
}

// Reverse takes a payment back; reason is DE 39, such as 98.
func (c *Counter) Reverse(p Payment, reason string) (*Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.begin(profile.PayReversal)
	m.fields[4] = fmt.Sprintf("%012d", int64(p.Amount))
	m.fields[39] = reason
	c.original(m, p)
	return c.call(m)
}

// original names the payment that a message is about: by DE 90, or by the
// record OD where there are 64 fields.
func (c *Counter) original(m *message, p Payment) {
	m.fields[37], m.fields[15] = p.Serial, p.Date.Compact()[4:]
	forwarder := ""
	if c.cfg.Profile.Dialect == profile.CUPS {
		forwarder = c.forwarder()
	}
	od := fmt.Sprintf("0200%06d%s%011s%011s", p.STAN, p.DE7, c.acquirer(), forwarder)
	od = strings.ReplaceAll(od, " ", "0")
	if c.cfg.Profile.Dialect == profile.CUPS {
		m.fields[90] = od
		return
	}
	c.records(m, record("OD", od))
}

// Echo asks whether the server is there.
func (c *Counter) Echo() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.begin(profile.PeerEcho)
	if c.cfg.Profile.Dialect == profile.POS {
		m.fields[60] = "00000001301"
	} else {
		m.fields[70] = "301"
	}
	return c.accepted(m, nil)
}

// call sends a request under the code and reads the answer apart.
func (c *Counter) call(m *message) (*Reply, error) {
	got, err := c.exchange(m, c.mac)
	if err != nil {
		return nil, err
	}
	r := &Reply{Code: got.fields[39], Auth: got.fields[38], Fields: got.fields, Records: map[string]string{}}
	if v, err := strconv.ParseInt(got.fields[4], 10, 64); err == nil {
		r.Amount = si.Fen(v)
	}
	if code := got.fields[c.cfg.Profile.MACField]; len(code) == 8 {
		r.HasMAC = true
		want, err := c.w.code(got, c.mac)
		r.MACGood = err == nil && subtle.ConstantTimeCompare(want[:], []byte(code)) == 1
	}
	for b := got.fields[c.cfg.Profile.RecordField]; len(b) >= 5; {
		n, err := strconv.Atoi(b[2:5])
		if err != nil || n < 0 || len(b) < 5+n {
			return nil, errWire
		}
		r.Records[b[:2]] = b[5 : 5+n]
		b = b[5+n:]
	}
	if nm, ok := r.Records["NM"]; ok { // the one record in GB 18030
		if r.Records["NM"], err = simplifiedchinese.GB18030.NewDecoder().String(nm); err != nil {
			return nil, errWire
		}
	}
	return r, nil
}

// exchange sends one message and waits for the one that answers it; others that
// arrive meanwhile are too late for anybody and are dropped.
func (c *Counter) exchange(m *message, key []byte) (*message, error) {
	body, err := c.w.codedBody(m, key, false)
	if err != nil {
		return nil, err
	}
	if err := c.c.SetDeadline(time.Now().Add(c.cfg.Timeout)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if _, err := c.c.Write(c.w.frame(body, nil)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	mti, err := strconv.Atoi(m.mti)
	if err != nil {
		return nil, errWire
	}
	for {
		got, err := c.w.read(c.c)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		if got.mti == fmt.Sprintf("%04d", mti/10*10+10) && got.fields[11] == m.fields[11] {
			return got, nil
		}
	}
}
