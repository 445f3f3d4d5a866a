package load

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// TerminalConfig says what the kiosks of a run are.
type TerminalConfig struct {
	// URLs are the terminal API of each node of the hub, such as
	// https://127.0.0.1:8710. A kiosk goes on to the next when one cannot be
	// reached or does not lead.
	URLs []string
	// Kiosks work at the same time, each with one card after the other.
	Kiosks   []Kiosk
	Duration time.Duration
	// Grace is how long a payment without an ending may be asked after; 0 takes 30 s.
	Grace time.Duration
	// NextCard gives a card with its PIN; false when there are no more. It may be
	// called by any kiosk.
	NextCard func() (chipcard.Data, string, bool)
	// Killed tells that nodes are killed while the run goes on: a visit that this
	// cuts off begins again with the same card, and a payment that was not made is
	// no error.
	Killed bool
	// OnBegin hears that all kiosks have their configuration and visits begin.
	OnBegin func()
	// OnAck is told each payment that a kiosk was told is paid; Linked is when its
	// request was made. It may be called by any kiosk.
	OnAck func(Ack)
}

// Kiosk is one terminal of a run. No two share anything at the hub: a terminal
// has one session at a time, and a limit of calls and of PINs of its own.
type Kiosk struct {
	Terminal si.Terminal
	// TLS has the terminal's certificate and the hub's root.
	TLS *tls.Config
	// PINBlock is what the pad makes of a PIN; see simulators/pinpad.Block.
	PINBlock func(pan si.PAN, pin string) (si.PINBlock, error)
	// PINKey names the pad's key, such as terminal/1/tpk.
	PINKey string
}

// maxKiosks bounds a run: one machine plays no more people at once.
const maxKiosks = 1024

// fleet is what the kiosks share.
type fleet struct {
	cfg  TerminalConfig
	stop context.Context
	zero time.Time

	mu      sync.Mutex
	out     Report
	latency histogram
	last    time.Duration
	seen    map[string]bool // receipts
}

// A kiosk makes at most callsPerSecond calls, callBurst at once: the hub takes
// 50 and 200 of a terminal. What is left is for asking after payments.
const (
	callsPerSecond = 45
	callBurst      = 150
)

// How many calls a step of a citizen's visit has.
const (
	visitCalls   = 4 // session, PIN, dues, end
	paymentCalls = 2 // payment, card outcome
)

// askEvery is between two questions after a payment: within a terminal's limit.
// A node that does not answer is left for the next one sooner.
const (
	askEvery = 100 * time.Millisecond
	nextNode = 20 * time.Millisecond
)

// kiosk is one terminal at work.
type kiosk struct {
	Kiosk
	*fleet
	http     *http.Client
	node     int // of the URLs, the one last asked
	sessions *cardauth.Sessions
	used     time.Time // until when its calls so far take up the even rate
}

// turn waits until so many more calls may be made; false when the time is over.
func (k *kiosk) turn(calls int) bool {
	const each = time.Second / callsPerSecond
	now := time.Now()
	if k.used.Before(now) {
		k.used = now
	}
	k.used = k.used.Add(time.Duration(calls) * each)
	t := time.NewTimer(k.used.Sub(now) - callBurst*each)
	defer t.Stop()
	select {
	case <-t.C:
		return k.stop.Err() == nil
	case <-k.stop.Done():
		return false
	}
}

func (c *TerminalConfig) check() error {
	switch {
	case c.NextCard == nil:
		return errors.New("load: cards are needed")
	case len(c.URLs) == 0:
		return errors.New("load: a hub's address is needed")
	case len(c.Kiosks) < 1 || len(c.Kiosks) > maxKiosks:
		return fmt.Errorf("load: %d kiosks; 1 to %d are possible", len(c.Kiosks), maxKiosks)
	case c.Duration <= 0:
		return errors.New("load: some time is needed")
	}
	taken := map[si.Terminal]bool{}
	for _, k := range c.Kiosks {
		switch {
		case k.PINBlock == nil || k.TLS == nil:
			return fmt.Errorf("load: terminal %d needs PIN blocks and a certificate", k.Terminal)
		case taken[k.Terminal]:
			return fmt.Errorf("load: two kiosks are terminal %d; the hub would end the one's session for the other", k.Terminal)
		}
		taken[k.Terminal] = true
	}
	return nil
}

// Terminals has kiosks pay at the terminal API: for each card a session, the
// proof of the PIN, and then one payment for each due that is open. The latency
// is that of the payment call, the bank's own time included.
func Terminals(ctx context.Context, cfg TerminalConfig) (Report, error) {
	if cfg.Grace == 0 {
		cfg.Grace = defaultEnd
	}
	if err := cfg.check(); err != nil {
		return Report{}, err
	}
	f := &fleet{cfg: cfg, out: Report{Refused: map[string]uint64{}}, seen: map[string]bool{}}
	kiosks := make([]*kiosk, len(cfg.Kiosks))
	for i, one := range cfg.Kiosks {
		t := &http.Transport{TLSClientConfig: one.TLS, ForceAttemptHTTP2: true}
		defer t.CloseIdleConnections()
		kiosks[i] = &kiosk{Kiosk: one, fleet: f, http: &http.Client{Transport: t}}
		if err := kiosks[i].configure(ctx); err != nil {
			return Report{}, fmt.Errorf("load: configuration of terminal %d: %w", one.Terminal, err)
		}
	}
	stop, cancel := context.WithTimeout(ctx, cfg.Duration)
	defer cancel()
	f.stop, f.zero = stop, time.Now()
	if cfg.OnBegin != nil {
		cfg.OnBegin()
	}
	var wg sync.WaitGroup
	for _, k := range kiosks {
		wg.Go(k.work)
	}
	wg.Wait()
	r := f.out
	r.Seconds = max(f.last, 1).Seconds()
	r.PerSecond = float64(r.Payments) / r.Seconds
	r.P50, r.P99, r.P999 = f.latency.quantile(500), f.latency.quantile(990), f.latency.quantile(999)
	return r, nil
}

// configure asks for what a terminal must know of banks, areas and keys.
func (k *kiosk) configure(ctx context.Context) error {
	var ack termapi.HeartbeatAck
	beat := termapi.Heartbeat{Version: "load", AtMillis: time.Now().UnixMilli(), State: "in-service", Paper: "ok"}
	if err := k.call(ctx, http.MethodPost, "/v1/heartbeat", beat, &ack); err != nil {
		return err
	}
	iins := map[string]string{}
	for _, i := range ack.Config.IINs {
		iins[i.Prefix] = i.Bank
	}
	var err error
	k.sessions, err = cardauth.New(cardauth.Config{
		IINs: iins, Areas: ack.Config.Areas, Random: rand.Reader,
		Terminal: cardauth.NewTerminalData(fmt.Sprintf("%08d", k.Terminal)),
		Seal: func(card [16]byte, counter uint64, v envelope.Fields) ([]byte, error) {
			return envelope.Seal(ack.Config.EnvelopeKey, k.Terminal, card, counter, v)
		},
	})
	return err
}

// problemError is the hub's refusal.
type problemError struct{ code string }

func (e *problemError) Error() string { return "the hub refused: " + e.code }

// over is when the run must end, in any case.
func (f *fleet) over() time.Time { return f.zero.Add(f.cfg.Duration + f.cfg.Grace) }

// call makes one call of the API, at the first node that can be reached and
// leads. A call that a node may have taken is not repeated.
func (k *kiosk) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = b
	}
	for tried := 1; ; tried++ {
		err := k.once(ctx, method, k.cfg.URLs[k.node]+path, body, out)
		if !untaken(err) || tried >= len(k.cfg.URLs) && (!k.cfg.Killed || time.Now().After(k.over())) {
			return err
		}
		k.node = (k.node + 1) % len(k.cfg.URLs)
		if tried >= len(k.cfg.URLs) {
			time.Sleep(nextNode)
		}
	}
}

// untaken tells that no node has acted on a call: it could not be reached, or
// does not lead.
func untaken(err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	var refused *problemError
	return errors.As(err, &refused) && refused.code == termapi.ErrNotLeader
}

func (k *kiosk) once(ctx context.Context, method, url string, in []byte, out any) error {
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(in)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := k.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 400 {
		var p termapi.Problem
		if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p) != nil || p.Code == "" {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return &problemError{p.Code}
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// work serves cards until there are no more or the time is over.
func (k *kiosk) work() {
	for k.turn(visitCalls) {
		data, pin, ok := k.cfg.NextCard()
		if !ok {
			return
		}
		err := k.serve(data, pin)
		for err != nil && k.cfg.Killed && k.turn(visitCalls) {
			k.mu.Lock()
			k.out.BegunAgain++
			k.mu.Unlock()
			time.Sleep(nextNode)
			err = k.serve(data, pin)
		}
		if err != nil && !k.cfg.Killed {
			k.fail(err)
		}
	}
}

func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.Errors++
	if len(f.out.Faults) < maxFaults {
		f.out.Faults = append(f.out.Faults, err.Error())
	}
}

// serve is one citizen: card in, PIN, pay all that is due, card out.
func (k *kiosk) serve(data chipcard.Data, pin string) error {
	chip, err := chipcard.New(data, chipcard.State{}, chipcard.Hooks{})
	if err != nil {
		return fmt.Errorf("load: card: %w", err)
	}
	card, err := k.sessions.Open(chip)
	if err != nil {
		return fmt.Errorf("load: card: %w", err)
	}
	defer card.Wipe()
	if c := card.Read(time.Now()); c.Problem != cardauth.OK {
		return fmt.Errorf("load: card %s: problem %d: %w", data.ID, c.Problem, card.Why())
	}
	ctx := context.Background()
	counter, sealed, err := card.Envelope()
	if err != nil {
		return err
	}
	id := card.ID()
	var opened termapi.SessionOpened
	if err := k.call(ctx, http.MethodPost, "/v1/sessions", termapi.Session{CardSession: fmt.Sprintf("%x", id), Counter: counter, Envelope: sealed}, &opened); err != nil {
		return fmt.Errorf("load: session: %w", err)
	}
	if opened.CardProblem != "" {
		return fmt.Errorf("load: session: card problem %s", opened.CardProblem)
	}
	path := "/v1/sessions/" + opened.Session
	defer func() { _ = k.call(ctx, http.MethodDelete, path, nil, nil) }() // it would die by itself
	if err := k.prove(ctx, card, path, pin); err != nil {
		return err
	}
	var dues termapi.Dues
	if err := k.call(ctx, http.MethodGet, path+"/dues", nil, &dues); err != nil {
		return fmt.Errorf("load: dues: %w", err)
	}
	for _, d := range dues.Dues {
		if !d.Payable {
			continue
		}
		if !k.turn(paymentCalls) {
			break
		}
		if err := k.pay(ctx, card, opened.Session, pin, &d); err != nil {
			return err
		}
	}
	return nil
}

// authorise runs one transaction of the chip under a new PIN block.
func (k *kiosk) authorise(card *cardauth.Session, what cardauth.Purpose, amount si.Fen, pin string) (termapi.CardAuth, error) {
	block, err := k.PINBlock(card.PAN(), pin)
	if err != nil {
		return termapi.CardAuth{}, err
	}
	p, problem := card.Authorise(what, amount, time.Now(), cardauth.PIN{Block: block, Key: k.PINKey, Format: si.PINFormat4AES})
	if problem != cardauth.OK {
		return termapi.CardAuth{}, fmt.Errorf("load: card: problem %d: %w", problem, card.Why())
	}
	return termapi.CardAuth{Counter: p.Counter, Envelope: p.Envelope, PINBlock: p.PINBlock.Reveal("load generator"), DE55: p.DE55}, nil
}

func hostAnswer(approved bool, d termapi.IssuerData) cardauth.HostAnswer {
	return cardauth.HostAnswer{Approved: approved, Answered: approved || d.ARC != "", ARC: d.ARC, Auth: d.Auth, Scripts: d.Scripts}
}

func (k *kiosk) prove(ctx context.Context, card *cardauth.Session, path, pin string) error {
	auth, err := k.authorise(card, cardauth.ForPINProof, 0, pin)
	if err != nil {
		return err
	}
	var r termapi.PINProofResult
	ask := termapi.PINProof{ID: si.NewPaymentID(time.Now()).String(), Auth: auth}
	if err := k.call(ctx, http.MethodPost, path+"/pin", ask, &r); err != nil {
		return fmt.Errorf("load: PIN: %w", err)
	}
	if r.Result != termapi.PINProven {
		return fmt.Errorf("load: PIN: %s", r.Result)
	}
	card.Complete(hostAnswer(true, r.IssuerData))
	return nil
}

// pay pays one due and waits for its ending, also through a hub that starts
// again: a payment without an answer is asked after by its id.
func (k *kiosk) pay(ctx context.Context, card *cardauth.Session, session, pin string, d *termapi.Due) error {
	total := d.Amount + d.LateFee
	auth, err := k.authorise(card, cardauth.ForPayment, si.Fen(total), pin)
	if err != nil {
		return err
	}
	p := termapi.Payment{ID: si.NewPaymentID(time.Now()).String(), Session: session, Total: total, Auth: auth,
		Dues: []termapi.PayLine{{ID: d.ID, Version: d.Version, Amount: d.Amount, LateFee: d.LateFee}}}
	began := time.Now()
	var st termapi.PaymentState
	err = k.call(ctx, http.MethodPost, "/v1/payments", p, &st)
	took := time.Since(began)
	var refused *problemError
	if errors.As(err, &refused) && refused.code != termapi.ErrUnavailable {
		k.refuse(refused.code)
		return nil
	}
	if err != nil || st.State == termapi.PaymentPending {
		if st, err = k.follow(ctx, p.ID); err != nil {
			return err
		}
	}
	if st.State != termapi.PaymentPosted {
		card.Complete(hostAnswer(false, st.IssuerData))
		k.refuse(st.State + " " + st.Reason)
		return nil
	}
	word := card.Complete(hostAnswer(true, st.IssuerData))
	outcome := termapi.CardOutcome{Outcome: outcomes[word.Outcome], DE55: word.DE55}
	if word.Outcome == cardauth.OutcomeTC {
		k.paid(&st, began, took)
	} else { // the bank's rule says what becomes of it
		k.refuse("card said " + outcome.Outcome)
	}
	if err := k.report(ctx, p.ID, outcome); err != nil {
		return fmt.Errorf("load: card outcome: %w", err)
	}
	return nil
}

// report tells the hub the card's last word, again after a node that was killed
// in the middle: repeating it changes nothing.
func (k *kiosk) report(ctx context.Context, id string, o termapi.CardOutcome) error {
	for {
		err := k.call(ctx, http.MethodPost, "/v1/payments/"+id+"/card-outcome", o, nil)
		if err == nil || !k.cfg.Killed || time.Now().After(k.over()) {
			return err
		}
		time.Sleep(askEvery)
	}
}

var outcomes = map[cardauth.Outcome]string{
	cardauth.OutcomeTC: termapi.OutcomeTC, cardauth.OutcomeAAC: termapi.OutcomeAAC,
	cardauth.OutcomeARPCBad: termapi.OutcomeARPCBad, cardauth.OutcomeRemoved: termapi.OutcomeRemoved,
}

// follow asks after a payment until it has ended. One that the hub never saw is
// closed, and was not paid.
func (k *kiosk) follow(ctx context.Context, id string) (termapi.PaymentState, error) {
	var st termapi.PaymentState
	for time.Now().Before(k.over()) {
		err := k.call(ctx, http.MethodGet, "/v1/payments/"+id, nil, &st)
		var refused *problemError
		if errors.As(err, &refused) && refused.code == termapi.ErrNotFound {
			err = k.call(ctx, http.MethodPost, "/v1/payments/"+id+"/close", nil, &st)
		}
		if err == nil && st.State != termapi.PaymentPending {
			k.mu.Lock()
			k.out.AskedAgain++
			k.mu.Unlock()
			return st, nil
		}
		time.Sleep(askEvery)
	}
	k.mu.Lock()
	k.out.Unanswered++
	k.mu.Unlock()
	return st, fmt.Errorf("load: payment %s has no ending", id)
}

func (f *fleet) refuse(code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.cfg.Killed {
		f.out.Errors++
	}
	f.out.Refused[code]++
}

// paid files a payment that the hub said is paid.
func (f *fleet) paid(st *termapi.PaymentState, began time.Time, took time.Duration) {
	if f.cfg.OnAck != nil {
		f.acknowledge(st, began)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = time.Since(f.zero)
	problem := ""
	switch {
	case st.Receipt == nil || st.Receipt.No == "":
		problem = "has no receipt"
	case f.seen[st.Receipt.No]:
		problem = "has the receipt of another: " + st.Receipt.No
	}
	if problem != "" {
		f.out.Errors++
		if len(f.out.Faults) < maxFaults {
			f.out.Faults = append(f.out.Faults, "load: payment "+st.ID+" "+problem)
		}
		return
	}
	f.seen[st.Receipt.No] = true
	f.out.Payments++
	f.latency.add(took)
}

// acknowledge tells OnAck what the kiosk was told. What cannot be read of it is
// zero, and will not be found in the ledger.
func (f *fleet) acknowledge(st *termapi.PaymentState, began time.Time) {
	a := Ack{Amount: si.Fen(st.Total), Linked: began}
	a.Payment, _ = si.ParsePaymentID(st.ID)
	if st.Receipt != nil {
		a.Receipt, _ = parseReceipt([]byte(st.Receipt.No))
	}
	f.cfg.OnAck(a)
}
