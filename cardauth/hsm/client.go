package hsm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

const (
	// callWait is how long a call waits for its answer unless its context is
	// shorter: far above the slowest verb, far below a bank's time-out.
	callWait = 5 * time.Second
	// maxWaiting bounds the bytes that wait to be written: the process does not
	// read, and a call more would only wait longer.
	maxWaiting = 4 * maxFrame

	reconnectFirst = 20 * time.Millisecond
	reconnectMost  = time.Second
)

// Client asks an HSM process. Its methods are the verbs, for any number of
// goroutines; see [Verbs] for what they do. Without a connection they answer
// hsmapi.ErrAway at once.
type Client struct {
	path   string
	uid    uint32
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	link *link         // nil while away
	why  error         // why away
	turn chan struct{} // closed when link changes
}

// Dial connects to the socket at path and keeps connecting whenever the
// connection is lost. It returns when the first connection stands, or with the
// reason when ctx ends before. The process at the other end must belong to this
// process's user, or to uid if one is given.
func Dial(ctx context.Context, path string, uid ...uint32) (*Client, error) {
	run, cancel := context.WithCancel(context.Background())
	c := &Client{
		path: path, uid: uint32(os.Geteuid()), cancel: cancel,
		done: make(chan struct{}), why: hsmapi.ErrAway, turn: make(chan struct{}),
	}
	if len(uid) > 0 {
		c.uid = uid[0]
	}
	go c.run(run)
	if err := c.WaitUp(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// WaitUp waits for the connection; when ctx ends before, it answers why there is
// none.
func (c *Client) WaitUp(ctx context.Context) error {
	for {
		c.mu.Lock()
		up, why, turn := c.link != nil, c.why, c.turn
		c.mu.Unlock()
		if up {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s: %w", hsmapi.ErrAway, c.path, why)
		}
	}
}

// Close ends the connection; calls in flight answer hsmapi.ErrAway.
func (c *Client) Close() {
	c.cancel()
	<-c.done
}

// Up tells whether the process is connected.
func (c *Client) Up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link != nil
}

// run keeps one connection until ctx ends.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	wait := reconnectFirst
	for ctx.Err() == nil {
		l, err := c.connect(ctx)
		if err != nil {
			c.set(nil, err)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			wait = min(2*wait, reconnectMost)
			continue
		}
		wait = reconnectFirst
		c.set(l, nil)
		stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() }) // ends receive
		err = l.receive()
		stop()
		c.set(nil, err)
		l.fail(err)
	}
}

func (c *Client) set(l *link, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.why = l, why
	close(c.turn)
	c.turn = make(chan struct{})
}

func (c *Client) connect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, in: bufio.NewReaderSize(conn, readSize), pending: make(map[uint32]*call)}
	if err := l.greet(c.uid); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	l.sender = newSender(conn, maxWaiting)
	return l, nil
}

// greet checks who is there before anything is sent.
func (l *link) greet(want uint32) error {
	if uid, err := peerUID(l.conn); err != nil {
		return err
	} else if uid != want {
		return fmt.Errorf("hsm: the process belongs to user %d, not %d", uid, want)
	}
	if err := l.conn.SetReadDeadline(time.Now().Add(callWait)); err != nil {
		return fmt.Errorf("hsm: greeting: %w", err)
	}
	id, code, body, err := readFrame(l.in, &l.buf)
	if err != nil {
		return fmt.Errorf("hsm: greeting: %w", err)
	}
	if id != 0 || code != 0 || string(body) != helloText {
		return errors.New("hsm: the process speaks another form; run the same version on both sides")
	}
	if err := l.conn.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("hsm: greeting: %w", err)
	}
	return nil
}

// link is one connection with the calls that wait for answers on it.
type link struct {
	conn   net.Conn
	in     *bufio.Reader
	buf    []byte
	sender *sender

	mu      sync.Mutex
	pending map[uint32]*call
	next    uint32
	gone    error
}

// call is one request in flight. It is the receiver's from the moment it leaves
// pending until done is sent.
type call struct {
	jobs  []hsmapi.MACJob // MAC: filled by the receiver
	body  []byte          // other verbs: a copy of the answer
	err   error
	done  chan struct{}
	timer *time.Timer
}

var calls = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &call{done: make(chan struct{}, 1), timer: t}
}}

// receive hands answers to their calls until the connection ends.
func (l *link) receive() error {
	for {
		id, status, body, err := readFrame(l.in, &l.buf)
		if err != nil {
			return fmt.Errorf("hsm: connection lost: %w", err)
		}
		l.mu.Lock()
		k := l.pending[id]
		delete(l.pending, id)
		l.mu.Unlock()
		if k == nil {
			continue // its caller did not wait
		}
		switch {
		case k.jobs != nil && len(body) == macResult*len(k.jobs):
			k.err = errorOf(status, nil)
			if err := readMACResults(body, k.jobs); err != nil {
				k.err = err
			}
		case k.jobs != nil && status == 0:
			k.err = fmt.Errorf("%w: answer of another length", hsmapi.ErrForm)
		case k.jobs == nil && status == 0:
			k.body, k.err = append([]byte(nil), body...), nil
		default:
			k.err = errorOf(status, body)
		}
		k.done <- struct{}{}
	}
}

// fail ends every call in flight.
func (l *link) fail(why error) {
	_ = l.conn.Close() // it is lost, and a write under way must end
	l.sender.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = fmt.Errorf("%w: %w", hsmapi.ErrAway, why)
	for id, k := range l.pending {
		delete(l.pending, id)
		k.err = l.gone
		k.done <- struct{}{}
	}
}

// do sends one request and waits for its answer. After it the call is free again.
func (c *Client) do(ctx context.Context, v verb, k *call, write func([]byte) []byte) error {
	c.mu.Lock()
	l, why := c.link, c.why
	c.mu.Unlock()
	if l == nil {
		return fmt.Errorf("%w: %w", hsmapi.ErrAway, why)
	}
	l.mu.Lock()
	if l.gone != nil {
		l.mu.Unlock()
		return l.gone
	}
	l.next++
	id := l.next
	if l.pending[id] != nil { // after 2^32 calls one of them still waits
		l.mu.Unlock()
		return fmt.Errorf("%w: too many calls in flight", hsmapi.ErrAway)
	}
	l.pending[id] = k
	sent := l.sender.queue(func(b []byte) []byte { return write(beginFrame(b, id, uint8(v))) })
	l.mu.Unlock()
	if !sent {
		l.abandon(id, k)
		return fmt.Errorf("%w: it does not read", hsmapi.ErrAway)
	}
	l.sender.flush()

	k.timer.Reset(callWait)
	defer k.timer.Stop()
	select {
	case <-k.done:
		return k.err
	case <-ctx.Done():
		if l.abandon(id, k) {
			return fmt.Errorf("%w: %w", hsmapi.ErrAway, ctx.Err())
		}
	case <-k.timer.C:
		if l.abandon(id, k) {
			return fmt.Errorf("%w: no answer in %s", hsmapi.ErrAway, callWait)
		}
	}
	return k.err
}

// abandon takes a call back from the receiver. It answers false if the answer
// came at the same moment; then k is filled.
func (l *link) abandon(id uint32, k *call) bool {
	l.mu.Lock()
	mine := l.pending[id] == k
	delete(l.pending, id)
	l.mu.Unlock()
	if !mine {
		<-k.done
	}
	return mine
}

// MAC makes and checks up to hsmapi.MaxMACJobs codes of at most MaxMACData bytes.
func (c *Client) MAC(ctx context.Context, jobs []hsmapi.MACJob) error {
	if len(jobs) == 0 {
		return nil
	}
	if len(jobs) > hsmapi.MaxMACJobs {
		return fmt.Errorf("%w: %d jobs, at most %d", hsmapi.ErrForm, len(jobs), hsmapi.MaxMACJobs)
	}
	for i := range jobs {
		jobs[i].OK = false
		if len(jobs[i].Data) > MaxMACData {
			return fmt.Errorf("%w: %d bytes under a code, at most %d", hsmapi.ErrForm, len(jobs[i].Data), MaxMACData)
		}
	}
	k := calls.Get().(*call)
	k.jobs = jobs
	err := c.do(ctx, verbMAC, k, func(b []byte) []byte { return appendMACJobs(b, jobs) })
	free(k)
	return err
}

func free(k *call) {
	k.jobs, k.body, k.err = nil, nil, nil
	calls.Put(k)
}

// ask does any verb but MAC.
func (c *Client) ask(ctx context.Context, v verb, write func([]byte) []byte) ([]byte, error) {
	k := calls.Get().(*call)
	err := c.do(ctx, v, k, write)
	body := k.body
	free(k)
	if err != nil {
		return nil, err
	}
	return body, nil
}

// ImportDE62 imports the two working keys of a sign-on answer.
func (c *Client) ImportDE62(ctx context.Context, r hsmapi.ImportDE62) (hsmapi.WorkingKeys, error) {
	body, err := c.ask(ctx, verbImportDE62, func(b []byte) []byte { return appendImportDE62(b, r) })
	if err != nil {
		return hsmapi.WorkingKeys{}, err
	}
	return readWorkingKeys(body)
}

// ImportTR31 imports one working key from a key block.
func (c *Client) ImportTR31(ctx context.Context, r hsmapi.ImportTR31) (hsmapi.ImportedKey, error) {
	body, err := c.ask(ctx, verbImportTR31, func(b []byte) []byte { return appendImportTR31(b, r) })
	if err != nil {
		return hsmapi.ImportedKey{}, err
	}
	return readImportedKey(body)
}

// TranslatePIN re-enciphers a PIN block from a terminal's key to a link's key.
func (c *Client) TranslatePIN(ctx context.Context, r hsmapi.TranslatePIN) (si.PINBlock, error) {
	body, err := c.ask(ctx, verbTranslatePIN, func(b []byte) []byte { return appendTranslatePIN(b, &r) })
	if err != nil {
		return si.PINBlock{}, err
	}
	defer clear(body)
	block, err := si.NewPINBlock(body)
	if err != nil {
		return si.PINBlock{}, fmt.Errorf("%w: PIN block", hsmapi.ErrForm)
	}
	return block, nil
}

// OpenCard opens a card envelope.
func (c *Client) OpenCard(ctx context.Context, r hsmapi.OpenCard) (hsmapi.CardOpened, error) {
	body, err := c.ask(ctx, verbOpenCard, func(b []byte) []byte { return appendOpenCard(b, r) })
	if err != nil {
		return hsmapi.CardOpened{}, err
	}
	defer clear(body)
	return readCardOpened(body)
}

// EnvelopeKey is the public key that terminals seal card envelopes to.
func (c *Client) EnvelopeKey(ctx context.Context) ([]byte, error) {
	return c.ask(ctx, verbEnvelopeKey, func(b []byte) []byte { return b })
}

// Hash makes the keyed hash of one value.
func (c *Client) Hash(ctx context.Context, kind hsmapi.HashKind, value string) (h si.Hash, err error) {
	body, err := c.ask(ctx, verbHash, func(b []byte) []byte { return appendHash(b, kind, value) })
	if err != nil {
		return h, err
	}
	r := reader{b: body}
	r.fill(h[:])
	return h, r.done()
}

// HashIDs makes the hashes of up to hsmapi.MaxPersons ID numbers, in their order.
func (c *Client) HashIDs(ctx context.Context, ids []si.IDNumber) ([]si.Hash, error) {
	if len(ids) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d ID numbers, at most %d", hsmapi.ErrForm, len(ids), hsmapi.MaxPersons)
	}
	body, err := c.ask(ctx, verbHashIDs, func(b []byte) []byte { return appendIDs(b, ids) })
	if err != nil {
		return nil, err
	}
	return readHashes(body, len(ids))
}

// HashCards makes the hashes of up to hsmapi.MaxPersons issued cards.
func (c *Client) HashCards(ctx context.Context, cards []hsmapi.CardRecord) ([]hsmapi.CardHashes, error) {
	if len(cards) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d cards, at most %d", hsmapi.ErrForm, len(cards), hsmapi.MaxPersons)
	}
	body, err := c.ask(ctx, verbHashCards, func(b []byte) []byte { return appendCards(b, cards) })
	if err != nil {
		return nil, err
	}
	return readCardHashes(body, len(cards))
}

// SealPersons hashes and seals up to hsmapi.MaxPersons persons, all or none.
func (c *Client) SealPersons(ctx context.Context, persons []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error) {
	if len(persons) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, len(persons), hsmapi.MaxPersons)
	}
	body, err := c.ask(ctx, verbSealPersons, func(b []byte) []byte { return appendPersons(b, persons) })
	if err != nil {
		return nil, err
	}
	return readSealedPersons(body, len(persons))
}

// OpenPerson opens a sealed person for a screen.
func (c *Client) OpenPerson(ctx context.Context, blob []byte) (hsmapi.PersonView, error) {
	if len(blob) > maxText {
		return hsmapi.PersonView{}, fmt.Errorf("%w: sealed person of %d bytes", hsmapi.ErrForm, len(blob))
	}
	body, err := c.ask(ctx, verbOpenPerson, func(b []byte) []byte { return append(b, blob...) })
	if err != nil {
		return hsmapi.PersonView{}, err
	}
	return readPersonView(body)
}

// OpenPersons opens up to hsmapi.MaxPersons sealed persons for a report, all or
// none.
func (c *Client) OpenPersons(ctx context.Context, blobs [][]byte) ([]hsmapi.PersonView, error) {
	if len(blobs) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, len(blobs), hsmapi.MaxPersons)
	}
	for i, b := range blobs {
		if len(b) > maxPersonBlob {
			return nil, fmt.Errorf("%w: sealed person %d of %d bytes", hsmapi.ErrForm, i, len(b))
		}
	}
	body, err := c.ask(ctx, verbOpenPersons, func(b []byte) []byte { return appendBlobs(b, blobs) })
	if err != nil {
		return nil, err
	}
	return readPersonViews(body, len(blobs))
}

// RevisePersons compares up to hsmapi.MaxPersons sealed persons with another
// register, all or none.
func (c *Client) RevisePersons(ctx context.Context, persons []hsmapi.PersonRevision) ([]hsmapi.PersonRevised, error) {
	if len(persons) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, len(persons), hsmapi.MaxPersons)
	}
	for i := range persons {
		if len(persons[i].Blob) > maxPersonBlob {
			return nil, fmt.Errorf("%w: sealed person %d of %d bytes", hsmapi.ErrForm, i, len(persons[i].Blob))
		}
	}
	body, err := c.ask(ctx, verbRevisePersons, func(b []byte) []byte { return appendRevisions(b, persons) })
	if err != nil {
		return nil, err
	}
	return readRevised(body, len(persons))
}

// SealMemo seals a note on a payment.
func (c *Client) SealMemo(ctx context.Context, r hsmapi.SealMemo) ([]byte, error) {
	return c.ask(ctx, verbSealMemo, func(b []byte) []byte { return appendMemo(b, r) })
}

// OpenMemo opens what SealMemo sealed.
func (c *Client) OpenMemo(ctx context.Context, r hsmapi.SealMemo) ([]byte, error) {
	return c.ask(ctx, verbOpenMemo, func(b []byte) []byte { return appendMemo(b, r) })
}
