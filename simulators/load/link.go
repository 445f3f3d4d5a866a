package load

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// link is one connection and its payments. One goroutine does everything: it
// writes all that may be sent, reads what has come, and begins again.
type link struct {
	r     *run
	no    int
	node  int // of the addresses, the one last tried
	nc    net.Conn
	key   *mac.Key
	slots []payment
	free  []int // indexes of slots
	round uint32
	in    []byte
	have  int
	out   []byte
	reply reply

	due    int64 // open loop: when the next payment falls due
	step   int64 // and the time between two
	empty  bool  // Next has no more
	second int64 // of which stamp is
	stamp  [10]byte
	today  day
	given  *marks
	linked time.Time // when the connection began to be made

	recent  [keepLast]payment // the last ones answered, to ask for again
	recheck []payment

	latency                                                   histogram
	lastAnswer                                                int64
	paid, errors, repeats, askedAgain, reconnects, unanswered uint64
}

func newLink(r *run, no int) *link {
	l := &link{r: r, no: no, slots: make([]payment, r.cfg.InFlight), in: make([]byte, 64<<10), second: -1}
	for i := range l.slots {
		l.free = append(l.free, i)
	}
	if r.cfg.Rate > 0 {
		l.step = int64(time.Second) * int64(r.cfg.Links) / int64(r.cfg.Rate)
		l.due = l.step * int64(no) / int64(r.cfg.Links)
	}
	return l
}

// connect makes the connection and signs on, at the first node that takes it. A
// node that does not lead takes none.
func (l *link) connect(ctx context.Context) error {
	var c *bankhost.Counter
	var err error
	for range l.r.cfg.Addrs {
		l.linked = time.Now()
		c, err = bankhost.DialCounter(ctx, bankhost.CounterConfig{
			Profile: l.r.cfg.Profile, Keys: l.r.cfg.Keys, Addr: l.r.cfg.Addrs[l.node], Timeout: answerWait / time.Duration(len(l.r.cfg.Addrs)),
		})
		if err == nil {
			break
		}
		l.node = (l.node + 1) % len(l.r.cfg.Addrs)
	}
	if err != nil {
		return err
	}
	nc, key := c.Take()
	if l.key, err = mac.NewKey(l.r.cfg.Profile.MACAlg, key); err != nil {
		_ = nc.Close()
		return fmt.Errorf("load: %w", err)
	}
	l.nc, l.have = nc, 0
	return nil
}

func (l *link) hangUp() {
	if l.nc != nil {
		_ = l.nc.Close()
		l.nc = nil
	}
}

// errDone ends a link that has nothing left to do.
var errDone = errors.New("load: done")

// run pays until the end, over as many connections as it takes.
func (l *link) run() {
	defer l.hangUp()
	for {
		err := l.pump()
		if errors.Is(err, errDone) {
			return
		}
		l.hangUp()
		if !l.again(err) {
			for i := range l.slots {
				if l.slots[i].live && !l.slots[i].again {
					l.unanswered++
				}
			}
			l.r.fault(fmt.Sprintf("link %d: %v; %d payments have no answer", l.no, err, l.unanswered))
			return
		}
	}
}

// over is when the run must end, in any case.
func (l *link) over() time.Time { return l.r.zero.Add(l.r.cfg.Duration + l.r.cfg.Grace) }

// again makes a broken link again and prepares what must be asked for again.
func (l *link) again(why error) bool {
	for {
		if time.Now().After(l.over()) {
			return false
		}
		ctx, cancel := context.WithDeadline(context.Background(), l.over())
		err := l.connect(ctx)
		cancel()
		if err == nil {
			break
		}
		time.Sleep(reconnect) // a server that starts again is not there at once
	}
	l.reconnects++
	l.out = l.out[:0]
	for i := range l.slots {
		if p := &l.slots[i]; p.live {
			l.askedAgain++
			l.out = l.r.t.put(l.out, p, l.key)
		}
	}
	l.recheck = l.recheck[:0]
	for _, p := range l.recent {
		if p.serial != 0 {
			l.recheck = append(l.recheck, p)
		}
	}
	return true
}

// pump sends and receives until the link breaks or there is nothing left.
func (l *link) pump() error {
	heard := time.Now()
	for {
		now := time.Now()
		wait := l.fill(now)
		if len(l.out) > 0 {
			_ = l.nc.SetWriteDeadline(now.Add(answerWait)) // fails only on a closed socket, which Write tells
			if _, err := l.nc.Write(l.out); err != nil {
				return err
			}
			l.out = l.out[:0]
		}
		busy := len(l.free) < len(l.slots)
		switch {
		case !busy && l.over().Before(now):
			return errDone
		case !busy && (l.empty || l.r.stop.Err() != nil):
			return errDone
		case !busy:
			heard = now // nothing is owed
		}
		until := heard.Add(answerWait)
		if wait > 0 && now.Add(wait).Before(until) {
			until = now.Add(wait)
		}
		_ = l.nc.SetReadDeadline(until) // fails only on a closed socket, which Read tells
		n, err := l.nc.Read(l.in[l.have:])
		if n > 0 {
			heard = time.Now()
			l.have += n
			if err := l.take(heard); err != nil {
				return err
			}
		}
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout():
			if busy && time.Since(heard) >= answerWait {
				return fmt.Errorf("no answer in %s", answerWait)
			}
		default:
			return err
		}
	}
}

// fill puts into out what may be sent now. It answers how long until the next
// payment falls due, 0 when only an answer makes room.
func (l *link) fill(now time.Time) (wait time.Duration) {
	l.tick(now)
	for len(l.free) > 0 && len(l.recheck) > 0 {
		p := l.recheck[len(l.recheck)-1]
		l.recheck = l.recheck[:len(l.recheck)-1]
		l.send(p)
	}
	at := int64(now.Sub(l.r.zero))
	for len(l.free) > 0 && !l.empty && l.r.stop.Err() == nil {
		began := at
		if l.step > 0 {
			if l.due > at {
				return time.Duration(l.due - at)
			}
			began = l.due
			l.due += l.step
		}
		no, amount, ok := l.r.cfg.Next()
		if !ok {
			l.empty = true
			break
		}
		slot := l.free[len(l.free)-1]
		// The trace number names the slot, so that the answer is found at once.
		l.round++
		rounds := uint32(999_999 / len(l.slots))
		l.free = l.free[:len(l.free)-1]
		l.slots[slot] = payment{notice: no, amount: amount, serial: l.r.seq.Add(1),
			stan: l.round%rounds*uint32(len(l.slots)) + uint32(slot), de7: l.stamp, began: began, live: true}
		l.out = l.r.t.put(l.out, &l.slots[slot], l.key)
	}
	return 0
}

// send asks for an answered payment a second time.
func (l *link) send(p payment) {
	slot := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	p.live, p.again = true, true
	l.slots[slot] = p
	l.out = l.r.t.put(l.out, &l.slots[slot], l.key)
}

// tick sets the time that payments carry.
func (l *link) tick(now time.Time) {
	if s := now.Unix(); s != l.second {
		l.second = s
		copy(l.stamp[:], now.In(si.China).AppendFormat(l.stamp[:0], "0102150405"))
	}
}

// take judges every whole answer that has come.
func (l *link) take(now time.Time) error {
	used := 0
	at := int64(now.Sub(l.r.zero))
	for {
		n, err := l.r.t.next(l.in[used:l.have])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := l.r.t.read(l.in[used:used+n], l.key, &l.reply); err != nil {
			return err
		}
		if err := l.judge(&l.reply, at); err != nil {
			return err
		}
		used += n
	}
	l.have = copy(l.in, l.in[used:l.have])
	return nil
}

// find gives the slot whose payment the answer is for.
func (l *link) find(r *reply) (int, bool) {
	for i := range l.slots {
		at := (int(l.stanOf(r)) + i) % len(l.slots) // the first try hits unless it was asked for again
		if p := &l.slots[at]; p.live && l.r.t.echoes(r, p) {
			return at, true
		}
	}
	return 0, false
}

func (l *link) stanOf(r *reply) (v uint32) {
	for _, c := range r.field[11] {
		v = v*10 + uint32(c-'0')
	}
	return v
}

// judge files one answer. An error breaks the link: what it stood for is asked
// for again on the next.
func (l *link) judge(r *reply, at int64) error {
	code := string(r.field[39])
	if !r.goodMAC {
		if code == "97" && !r.hasMAC {
			return errors.New("the server has no keys of this link")
		}
		l.fail("an answer without a good code")
		return errors.New("an answer without a good code")
	}
	slot, ok := l.find(r)
	if !ok {
		l.fail("an answer that belongs to no payment under way")
		return nil
	}
	if code == "A0" {
		return errors.New("the server refused our code")
	}
	p := &l.slots[slot]
	p.live = false
	l.free = append(l.free, slot)
	l.lastAnswer = max(l.lastAnswer, at)
	if code != "00" {
		if p.again {
			l.fail(fmt.Sprintf("payment %012d was paid with receipt %s and is now answered %s", p.serial, p.receipt, code))
			return nil
		}
		l.errors++
		l.r.refuse(code)
		return nil
	}
	l.accept(p, r, at)
	return nil
}

// accept files an answer that says paid.
func (l *link) accept(p *payment, r *reply, at int64) {
	var receipt si.ReceiptNo
	if !l.r.cfg.NoReceipts {
		var ok bool
		if receipt, ok = parseReceipt(r.receipt); !ok {
			l.fail(fmt.Sprintf("payment %012d was answered 00 without a receipt", p.serial))
			return
		}
	}
	if p.again {
		l.repeats++
		if receipt != p.receipt {
			l.fail(fmt.Sprintf("payment %012d has receipt %s and, asked again, %s", p.serial, p.receipt, receipt))
		}
		return
	}
	ack := Ack{Notice: p.notice, Amount: p.amount, Receipt: receipt, Serial: p.serial, Linked: l.linked}
	if !decodeID(&ack.Payment, r.payment) {
		l.fail(fmt.Sprintf("payment %012d was answered 00 without its id", p.serial))
		return
	}
	if !l.r.cfg.NoReceipts && !l.firstOf(receipt) {
		l.fail(fmt.Sprintf("receipt %s was given twice, the second time to payment %012d", receipt, p.serial))
		return
	}
	l.paid++
	l.latency.add(time.Duration(at - p.began))
	p.receipt = receipt
	l.recent[l.paid%keepLast] = *p
	if l.paid%repeatEvery == 0 {
		l.recheck = append(l.recheck, *p)
	}
	l.r.cfg.OnAck(ack)
}

func decodeID(id *si.PaymentID, text []byte) bool {
	if len(text) != 2*len(id) {
		return false
	}
	_, err := hex.Decode(id[:], text)
	return err == nil
}

func (l *link) firstOf(n si.ReceiptNo) bool {
	if d := (day{n.Area, n.Date}); l.given == nil || d != l.today {
		l.today, l.given = d, l.r.receipts.of(d)
	}
	return l.given.first(n.Seq)
}

func (l *link) fail(text string) {
	l.errors++
	l.r.fault(fmt.Sprintf("link %d: %s", l.no, text))
}
