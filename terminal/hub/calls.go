package hub

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

func dialer() *net.Dialer { return &net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second} }

// errID is a session id that did not come from a hub.
var errID = &Error{Kind: NotSent, Err: errors.New("hub: session id is not 32 hexadecimal digits")}

// session checks an id before it becomes a part of a path.
func session(id, rest string) (string, error) {
	if _, err := si.ParsePaymentID(id); err != nil {
		return "", errID
	}
	return "/v1/sessions/" + id + rest, nil
}

// Open opens a session with a card's envelope.
func (c *Client) Open(ctx context.Context, s termapi.Session) (termapi.SessionOpened, error) {
	var out termapi.SessionOpened
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions", in: s, out: &out, time: c.cfg.Read})
	return out, err
}

// Leave ends a session.
func (c *Client) Leave(ctx context.Context, id string) error {
	path, err := session(id, "")
	if err != nil {
		return err
	}
	return c.do(ctx, call{method: http.MethodDelete, path: path, time: c.cfg.Read})
}

// Prove asks the card's bank to judge the PIN.
func (c *Client) Prove(ctx context.Context, id string, p termapi.PINProof) (termapi.PINProofResult, error) {
	var out termapi.PINProofResult
	path, err := session(id, "/pin")
	if err != nil {
		return out, err
	}
	err = c.do(ctx, call{method: http.MethodPost, path: path, in: p, out: &out, time: c.cfg.Pay})
	return out, err
}

// Overview is the first look at a proven session's record.
func (c *Client) Overview(ctx context.Context, id string) (termapi.Overview, error) {
	var out termapi.Overview
	err := c.look(ctx, id, "/overview", &out)
	return out, err
}

// Dues lists the person's dues.
func (c *Client) Dues(ctx context.Context, id string) (termapi.Dues, error) {
	var out termapi.Dues
	err := c.look(ctx, id, "/dues", &out)
	return out, err
}

// Receipts lists the person's posted payments.
func (c *Client) Receipts(ctx context.Context, id string) (termapi.Receipts, error) {
	var out termapi.Receipts
	err := c.look(ctx, id, "/receipts", &out)
	return out, err
}

func (c *Client) look(ctx context.Context, id, what string, out any) error {
	path, err := session(id, what)
	if err != nil {
		return err
	}
	return c.do(ctx, call{method: http.MethodGet, path: path, out: out, time: c.cfg.Read, again: true})
}

// Pay sends a payment, once. Without an answer the payment is asked for by id.
func (c *Client) Pay(ctx context.Context, p termapi.Payment) (termapi.PaymentState, error) {
	var out termapi.PaymentState
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/payments", in: p, out: &out, time: c.cfg.Pay})
	return out, err
}

// Payment asks what became of a payment.
func (c *Client) Payment(ctx context.Context, id si.PaymentID) (termapi.PaymentState, error) {
	var out termapi.PaymentState
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/payments/" + id.String(), out: &out, time: c.cfg.Read, again: true})
	return out, err
}

// ClosePayment closes an id that the hub never saw; one that it did see is
// answered as it stands.
func (c *Client) ClosePayment(ctx context.Context, id si.PaymentID) (termapi.PaymentState, error) {
	var out termapi.PaymentState
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/payments/" + id.String() + "/close", out: &out, time: c.cfg.Read})
	return out, err
}

// CardOutcome reports the card's last word. Repeating it changes nothing.
func (c *Client) CardOutcome(ctx context.Context, id si.PaymentID, o termapi.CardOutcome) (termapi.PaymentState, error) {
	var out termapi.PaymentState
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/payments/" + id.String() + "/card-outcome", in: o, out: &out, time: c.cfg.Read, again: true})
	return out, err
}

// Journal uploads records of the electronic journal.
func (c *Client) Journal(ctx context.Context, b termapi.JournalBatch) (termapi.JournalAck, error) {
	var out termapi.JournalAck
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/journal", in: b, out: &out, time: c.cfg.Read})
	return out, err
}

// Heartbeat tells the hub how the terminal stands and brings its configuration.
func (c *Client) Heartbeat(ctx context.Context, h termapi.Heartbeat) (termapi.HeartbeatAck, error) {
	var out termapi.HeartbeatAck
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/heartbeat", in: h, out: &out, time: c.cfg.Read, again: true})
	return out, err
}
