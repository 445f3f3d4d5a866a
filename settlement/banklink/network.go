package banklink

import (
	"context"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// de62Keys is the part of DE 62 that holds double-length keys: PIN key 16 and
// code key 16, each with a check value of 4.
const de62Keys = 40

// network takes a message that is about the link itself: an answer to ours
// that was already matched and compared, or a request of the bank.
func (l *Link) network(ctx context.Context, n *netIn) {
	ok := string(n.msg.Field(39)) == "00"
	switch k := n.inbound.Kind; {
	case k == profile.SignOn && n.inbound.Reply:
		l.signedOn(ctx, n, ok)
	case k == profile.KeyReset && n.inbound.Reply:
		if !ok {
			l.step(ctx, InRefused)
		}
	case k == profile.KeyDelivery && !n.inbound.Reply:
		l.keyDelivered(ctx, n)
	case k == profile.CutoverFrom && !n.inbound.Reply:
		l.cutover(n)
	case k == profile.PeerEcho && !n.inbound.Reply:
		l.answer(n, "00")
	}
}

// signedOn goes on after the bank's answer to a sign-on.
func (l *Link) signedOn(ctx context.Context, n *netIn, ok bool) {
	if !ok {
		l.step(ctx, InRefused)
		return
	}
	if l.prof.Dialect != profile.POS {
		l.step(ctx, InNeedKeys) // a link has keys of its own, new with each sign-on
		return
	}
	if b, ok := bankmsg.Batch(&n.msg); ok {
		l.mu.Lock()
		l.batch = b
		l.mu.Unlock()
	}
	if err := l.keysOfSignOn(ctx, n.msg.Field(62)); err != nil {
		l.alarm(err)
		l.step(ctx, InRefused)
		return
	}
	l.step(ctx, InSignedOn)
}

// keysOfSignOn imports the keys of a POS sign-on answer. Keys that do not check
// are refused, and the old ones stay.
func (l *Link) keysOfSignOn(ctx context.Context, block []byte) error {
	if len(block) == 0 {
		if cur, _ := l.ring.get(); cur.mac == 0 {
			return errNoKeys
		}
		return nil
	}
	if len(block) < de62Keys {
		return fmt.Errorf("banklink: DE 62 of the sign-on answer has %d bytes, wanted %d", len(block), de62Keys)
	}
	ctx, cancel := context.WithTimeout(ctx, l.prof.Timers.SignOn)
	defer cancel()
	k, err := l.pool.hsm.ImportDE62(ctx, hsmapi.ImportDE62{
		TMK: l.term.TMK, Block: append([]byte(nil), block[:de62Keys]...), MAKDouble: l.prof.MAKDouble,
		MACAlg: l.prof.MACAlg, PINFormat: l.prof.PINFormat,
	})
	if err != nil {
		return fmt.Errorf("banklink: the keys of the sign-on answer were refused, the old ones stay: %w", err)
	}
	l.ring.install(k.PIN, k.MAC)
	l.pool.counters.keyChanges.Add(1)
	return nil
}

// keyDelivered takes a CUPS key delivery, asked for or not.
func (l *Link) keyDelivered(ctx context.Context, n *netIn) {
	block, forPIN, err := bankmsg.NewKey(&n.msg)
	var k hsmapi.ImportedKey
	if err == nil {
		c, cancel := context.WithTimeout(ctx, l.prof.Timers.SignOn)
		k, err = l.pool.hsm.ImportTR31(c, hsmapi.ImportTR31{
			KBPK: l.prof.KBPK, Block: block, ForPIN: forPIN, MACAlg: l.prof.MACAlg, PINFormat: l.prof.PINFormat,
		})
		cancel()
	}
	if err != nil {
		l.alarm(fmt.Errorf("banklink: a delivered key was refused, the old one stays: %w", err))
		l.answer(n, "30")
		l.step(ctx, InRefused)
		return
	}
	if forPIN {
		l.gotPIN = true
		l.ring.install(k.Key, 0)
	} else {
		l.gotMAC = true
		l.ring.install(0, k.Key)
	}
	l.pool.counters.keyChanges.Add(1)
	l.answer(n, "00")
	if l.session.State() != KeyChange {
		return
	}
	switch {
	case l.gotPIN && l.gotMAC:
		l.step(ctx, InKeys)
	case l.gotMAC:
		l.sendNet(profile.KeyReset, true)
	}
}

// cutoverEnd is DE 70 of the announcement that the change of date is over.
const cutoverEnd = "202"

// cutover acknowledges the bank's announcement of a settlement date and tells
// the owner; the date of a payment comes with its own reply. A date that is not
// near ours is answered 30 and goes no further.
func (l *Link) cutover(n *netIn) {
	date, ok := bankmsg.AnnouncedDate(&n.msg, si.DateOf(l.pool.now()))
	if !ok {
		l.answer(n, "30")
		l.alarm(errCutoverDate)
		return
	}
	l.answer(n, "00")
	l.pool.deliver(Event{
		Kind: Cutover, Link: l.n, Date: date, End: string(n.msg.Field(70)) == cutoverEnd,
		Covered: n.mac == MACGood && l.codec.Covered(profile.CutoverFrom, 15),
	})
}

// answer answers a request of the bank: every field of the reply's list that
// the request has comes back, with the response code.
func (l *Link) answer(n *netIn, code string) {
	o := &netOut{kind: n.inbound.Kind, answer: &n.inbound}
	o.msg.Reset(n.msg.MTI()&0xFFF0 | 0x10)
	rule := &l.prof.Rules[n.inbound.Kind].Reply
	for _, list := range [][]int{rule.Mandatory, rule.Optional} {
		for _, de := range list {
			if v := n.msg.Field(de); v != nil {
				o.msg.Set(de, v)
			}
		}
	}
	o.msg.SetString(39, code)
	l.putNet(o)
}

// numbers counts the messages that move no money. They never share a number
// with the ledger's: trace numbers from 900000, reference numbers from
// 90000000, each beginning at the second of the day so that a restart does not
// repeat the last ones.
type numbers struct{ n uint32 }

const (
	volatileSTAN = 900_000
	volatileRRN  = 90_000_000
	stanSpan     = 100_000
)

func (c *numbers) next(now time.Time) uint32 {
	if c.n == 0 {
		t := now.In(si.China)
		c.n = uint32(t.Hour()*3600 + t.Minute()*60 + t.Second())
	}
	c.n++
	return c.n
}

func (c *numbers) stan(now time.Time) uint32 { return volatileSTAN + c.next(now)%stanSpan }

// proof gives trace and reference number of a PIN proof.
func (c *numbers) proof(now time.Time) (stan uint32, rrn [12]byte) {
	n := c.next(now)
	t := now.In(si.China)
	copy(rrn[:], fmt.Sprintf("%d%03d%08d", t.Year()%10, t.YearDay(), volatileRRN+n%10_000_000))
	return volatileSTAN + n%stanSpan, rrn
}

// de7 is a transmission time.
func de7(now time.Time) (d [10]byte) {
	copy(d[:], now.In(si.China).Format("0102150405"))
	return d
}
