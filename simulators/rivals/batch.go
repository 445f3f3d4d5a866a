package rivals

import (
	"errors"
	"fmt"
	"sync"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// maxBatch is how many payments share a transaction: as many as the ledger's log
// takes into one entry.
const maxBatch = 1000

// payment is one payment of a batch and its answer.
type payment struct {
	*ledgerapi.Pay
	receipt uint32
	code    ledgerapi.Code
	done    func(ledgerapi.Result, error)
}

// engine makes a batch of payments durable in one transaction and fills in their
// receipts and codes.
type engine interface {
	commit(batch []payment) error
	pid() int
	close() error
}

// Taker is an engine behind a queue with group commit: a batch is what arrived
// while the one before was being committed.
type Taker struct {
	e     engine
	mu    sync.Mutex
	queue []payment
	wake  chan struct{}
	quit  chan struct{}
	ended chan struct{}
}

func newTaker(e engine) *Taker {
	t := &Taker{e: e, wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	go t.run()
	return t
}

var errOnlyPay = errors.New("rivals: nothing but Pay is taken")

// Submit takes one Pay by pointer, which must stay as it is until it is answered.
func (t *Taker) Submit(c ledgerapi.Command, _ si.Actor, done func(ledgerapi.Result, error)) {
	p, ok := c.(*ledgerapi.Pay)
	if !ok {
		done(ledgerapi.Result{}, errOnlyPay)
		return
	}
	t.mu.Lock()
	t.queue = append(t.queue, payment{Pay: p, done: done})
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *Taker) run() {
	defer close(t.ended)
	var batch []payment
	for {
		t.mu.Lock()
		n := min(len(t.queue), maxBatch)
		batch = append(batch[:0], t.queue[:n]...)
		t.queue = t.queue[:copy(t.queue, t.queue[n:])]
		t.mu.Unlock()
		if n == 0 {
			select {
			case <-t.wake:
				continue
			case <-t.quit:
				return
			}
		}
		err := t.e.commit(batch)
		for i := range batch {
			p := &batch[i]
			r := ledgerapi.Result{Code: p.code, Total: p.Total,
				Receipt: si.ReceiptNo{Area: area, Date: p.OurDate, Seq: p.receipt}}
			p.done(r, err)
		}
	}
}

// PID is the process that does the engine's work, 0 if it is this one.
func (t *Taker) PID() int { return t.e.pid() }

// Close ends the taker when nothing waits any more.
func (t *Taker) Close() error {
	close(t.quit)
	<-t.ended
	return t.e.close()
}

const (
	area = si.AreaCode(330110)
	// The four lines of a payment: clearing in debit, the three incomes in credit.
	lineClearing, linePool, lineIndiv, lineLate = 1191, 400102, 400103, 4090
)

func wrong(what string, err error) error { return fmt.Errorf("rivals: %s: %w", what, err) }
