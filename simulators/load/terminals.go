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
	URL string // of the terminal API, such as https://127.0.0.1:8710
	// TLS has the terminal's certificate and the hub's root. All kiosks of a run
	// share it: a hub session belongs to a certificate and one power-up of a card.
	TLS      *tls.Config
	Terminal si.Terminal
	// Kiosks work at the same time, each on one connection stream with one card
	// after the other.
	Kiosks   int
	Duration time.Duration
	// Grace is how long a payment without an ending may be asked after; 0 takes 30 s.
	Grace time.Duration
	// NextCard gives a card with its PIN; false when there are no more. It may be
	// called by any kiosk.
	NextCard func() (chipcard.Data, string, bool)
	// PINBlock is what the pad makes of a PIN; see simulators/pinpad.Block.
	PINBlock func(pan si.PAN, pin string) (si.PINBlock, error)
	// PINKey names the pad's key, such as terminal/1/tpk.
	PINKey string
}

// maxKiosks bounds a run: one machine plays no more people at once.
const maxKiosks = 1024

// fleet is what the kiosks share.
type fleet struct {
	cfg      TerminalConfig
	http     *http.Client
	sessions *cardauth.Sessions
	stop     context.Context
	zero     time.Time

	mu      sync.Mutex
	out     Report
	latency histogram
	last    time.Duration
	seen    map[string]bool // receipts
}

// Terminals has kiosks pay at the terminal API: for each card a session, the
// proof of the PIN, and then one payment for each due that is open. The latency
// is that of the payment call, the bank's own time included.
func Terminals(ctx context.Context, cfg TerminalConfig) (Report, error) {
	if cfg.Grace == 0 {
		cfg.Grace = defaultEnd
	}
	switch {
	case cfg.NextCard == nil || cfg.PINBlock == nil || cfg.TLS == nil:
		return Report{}, errors.New("load: cards, PIN blocks and a certificate are needed")
	case cfg.Kiosks < 1 || cfg.Kiosks > maxKiosks:
		return Report{}, fmt.Errorf("load: %d kiosks; 1 to %d are possible", cfg.Kiosks, maxKiosks)
	case cfg.Duration <= 0:
		return Report{}, errors.New("load: some time is needed")
	}
	t := &http.Transport{TLSClientConfig: cfg.TLS, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: cfg.Kiosks}
	defer t.CloseIdleConnections()
	f := &fleet{cfg: cfg, http: &http.Client{Transport: t}, out: Report{Refused: map[string]uint64{}}, seen: map[string]bool{}}
	if err := f.configure(ctx); err != nil {
		return Report{}, fmt.Errorf("load: terminal configuration: %w", err)
	}
	stop, cancel := context.WithTimeout(ctx, cfg.Duration)
	defer cancel()
	f.stop, f.zero = stop, time.Now()
	var wg sync.WaitGroup
	for range cfg.Kiosks {
		wg.Go(f.kiosk)
	}
	wg.Wait()
	r := f.out
	r.Seconds = max(f.last, 1).Seconds()
	r.PerSecond = float64(r.Payments) / r.Seconds
	r.P50, r.P99, r.P999 = f.latency.quantile(500), f.latency.quantile(990), f.latency.quantile(999)
	return r, nil
}

// configure asks for what a terminal must know of banks, areas and keys.
func (f *fleet) configure(ctx context.Context) error {
	var ack termapi.HeartbeatAck
	beat := termapi.Heartbeat{Version: "load", AtMillis: time.Now().UnixMilli(), State: "in-service", Paper: "ok"}
	if err := f.call(ctx, http.MethodPost, "/v1/heartbeat", beat, &ack); err != nil {
		return err
	}
	iins := map[string]string{}
	for _, i := range ack.Config.IINs {
		iins[i.Prefix] = i.Bank
	}
	var err error
	f.sessions, err = cardauth.New(cardauth.Config{
		IINs: iins, Areas: ack.Config.Areas, Random: rand.Reader,
		Terminal: cardauth.NewTerminalData(fmt.Sprintf("%08d", f.cfg.Terminal)),
		Seal: func(card [16]byte, counter uint64, v envelope.Fields) ([]byte, error) {
			return envelope.Seal(ack.Config.EnvelopeKey, f.cfg.Terminal, card, counter, v)
		},
	})
	return err
}

// problemError is the hub's refusal.
type problemError struct{ code string }

func (e *problemError) Error() string { return "the hub refused: " + e.code }

// call makes one call of the API.
func (f *fleet) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.cfg.URL+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := f.http.Do(req)
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

// kiosk serves cards until there are no more or the time is over.
func (f *fleet) kiosk() {
	for f.stop.Err() == nil {
		data, pin, ok := f.cfg.NextCard()
		if !ok {
			return
		}
		if err := f.serve(data, pin); err != nil {
			f.fail(err)
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
func (f *fleet) serve(data chipcard.Data, pin string) error {
	chip, err := chipcard.New(data, chipcard.State{}, chipcard.Hooks{})
	if err != nil {
		return fmt.Errorf("load: card: %w", err)
	}
	card, err := f.sessions.Open(chip)
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
	if err := f.call(ctx, http.MethodPost, "/v1/sessions", termapi.Session{CardSession: fmt.Sprintf("%x", id), Counter: counter, Envelope: sealed}, &opened); err != nil {
		return fmt.Errorf("load: session: %w", err)
	}
	if opened.CardProblem != "" {
		return fmt.Errorf("load: session: card problem %s", opened.CardProblem)
	}
	path := "/v1/sessions/" + opened.Session
	defer func() { _ = f.call(ctx, http.MethodDelete, path, nil, nil) }() // it would die by itself
	if err := f.prove(ctx, card, path, pin); err != nil {
		return err
	}
	var dues termapi.Dues
	if err := f.call(ctx, http.MethodGet, path+"/dues", nil, &dues); err != nil {
		return fmt.Errorf("load: dues: %w", err)
	}
	for _, d := range dues.Dues {
		if f.stop.Err() != nil {
			break
		}
		if !d.Payable {
			continue
		}
		if err := f.pay(ctx, card, opened.Session, pin, &d); err != nil {
			return err
		}
	}
	return nil
}

// authorise runs one transaction of the chip under a new PIN block.
func (f *fleet) authorise(card *cardauth.Session, what cardauth.Purpose, amount si.Fen, pin string) (termapi.CardAuth, error) {
	block, err := f.cfg.PINBlock(card.PAN(), pin)
	if err != nil {
		return termapi.CardAuth{}, err
	}
	p, problem := card.Authorise(what, amount, time.Now(), cardauth.PIN{Block: block, Key: f.cfg.PINKey, Format: si.PINFormat4AES})
	if problem != cardauth.OK {
		return termapi.CardAuth{}, fmt.Errorf("load: card: problem %d: %w", problem, card.Why())
	}
	return termapi.CardAuth{Counter: p.Counter, Envelope: p.Envelope, PINBlock: p.PINBlock.Reveal("load generator"), DE55: p.DE55}, nil
}

func hostAnswer(approved bool, d termapi.IssuerData) cardauth.HostAnswer {
	return cardauth.HostAnswer{Approved: approved, Answered: d.ARC != "", ARC: d.ARC, Auth: d.Auth, Scripts: d.Scripts}
}

func (f *fleet) prove(ctx context.Context, card *cardauth.Session, path, pin string) error {
	auth, err := f.authorise(card, cardauth.ForPINProof, 0, pin)
	if err != nil {
		return err
	}
	var r termapi.PINProofResult
	ask := termapi.PINProof{ID: si.NewPaymentID(time.Now()).String(), Auth: auth}
	if err := f.call(ctx, http.MethodPost, path+"/pin", ask, &r); err != nil {
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
func (f *fleet) pay(ctx context.Context, card *cardauth.Session, session, pin string, d *termapi.Due) error {
	total := d.Amount + d.LateFee
	auth, err := f.authorise(card, cardauth.ForPayment, si.Fen(total), pin)
	if err != nil {
		return err
	}
	p := termapi.Payment{ID: si.NewPaymentID(time.Now()).String(), Session: session, Total: total, Auth: auth,
		Dues: []termapi.PayLine{{ID: d.ID, Version: d.Version, Amount: d.Amount, LateFee: d.LateFee}}}
	began := time.Now()
	var st termapi.PaymentState
	err = f.call(ctx, http.MethodPost, "/v1/payments", p, &st)
	took := time.Since(began)
	var refused *problemError
	if errors.As(err, &refused) {
		f.refuse(refused.code)
		return nil
	}
	if err != nil || st.State == termapi.PaymentPending {
		if st, err = f.follow(ctx, p.ID); err != nil {
			return err
		}
	}
	if st.State != termapi.PaymentPosted {
		card.Complete(hostAnswer(false, st.IssuerData))
		f.refuse(st.State + " " + st.Reason)
		return nil
	}
	word := card.Complete(hostAnswer(true, st.IssuerData))
	f.paid(&st, took)
	outcome := termapi.CardOutcome{Outcome: outcomes[word.Outcome], DE55: word.DE55}
	if err := f.call(ctx, http.MethodPost, "/v1/payments/"+p.ID+"/card-outcome", outcome, nil); err != nil {
		return fmt.Errorf("load: card outcome: %w", err)
	}
	return nil
}

var outcomes = map[cardauth.Outcome]string{
	cardauth.OutcomeTC: termapi.OutcomeTC, cardauth.OutcomeAAC: termapi.OutcomeAAC,
	cardauth.OutcomeARPCBad: termapi.OutcomeARPCBad, cardauth.OutcomeRemoved: termapi.OutcomeRemoved,
}

// follow asks after a payment until it has ended. One that the hub never saw is
// closed, and was not paid.
func (f *fleet) follow(ctx context.Context, id string) (termapi.PaymentState, error) {
	var st termapi.PaymentState
	over := f.zero.Add(f.cfg.Duration + f.cfg.Grace)
	for time.Now().Before(over) {
		err := f.call(ctx, http.MethodGet, "/v1/payments/"+id, nil, &st)
		var refused *problemError
		if errors.As(err, &refused) && refused.code == termapi.ErrNotFound {
			err = f.call(ctx, http.MethodPost, "/v1/payments/"+id+"/close", nil, &st)
		}
		if err == nil && st.State != termapi.PaymentPending {
			f.mu.Lock()
			f.out.AskedAgain++
			f.mu.Unlock()
			return st, nil
		}
		time.Sleep(reconnect)
	}
	f.mu.Lock()
	f.out.Unanswered++
	f.mu.Unlock()
	return st, fmt.Errorf("load: payment %s has no ending", id)
}

func (f *fleet) refuse(code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.Errors++
	f.out.Refused[code]++
}

// paid files a payment that the hub said is paid.
func (f *fleet) paid(st *termapi.PaymentState, took time.Duration) {
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
