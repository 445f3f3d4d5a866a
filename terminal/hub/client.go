package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/si/termapi"
)

// Bounds of the client.
const (
	// MaxNodes is how many addresses a terminal carries: five nodes is the
	// largest hub, and a second set may stand beside it while it is moved.
	MaxNodes = 10
	// MaxAnswer bounds an answer: the receipts of two years are the largest.
	MaxAnswer = 4 << 20
	// moves is how often a 421 is followed in one call. The leader may change
	// once on the way; more is a hub without a leader.
	moves = 3
	// dialTime is how long a node may take to answer a connection, so that a
	// dead one leaves time for the next.
	dialTime = 2 * time.Second
)

// Kind says what a failed call proves.
type Kind uint8

// The kinds.
const (
	// NotSent: no byte of the request left this process.
	NotSent Kind = iota + 1
	// Refused: the hub answered the only attempt with a problem.
	Refused
	// Unknown: the hub may have acted.
	Unknown
)

// Error is a call without its answer.
type Error struct {
	Kind Kind
	Code string // Refused: a termapi problem code
	Err  error
}

func (e *Error) Error() string {
	if e.Kind == Refused {
		return "hub: refused: " + e.Code
	}
	if e.Kind == NotSent {
		return fmt.Sprintf("hub: not sent: %v", e.Err)
	}
	return fmt.Sprintf("hub: no answer: %v", e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Config of a client.
type Config struct {
	Addrs      []string // host:port of every node
	ServerName string   // name in the nodes' certificates; empty: the address's host
	Roots      *x509.CertPool
	Cert       tls.Certificate // the terminal's
	Read       time.Duration   // one question
	Pay        time.Duration   // Pay and PIN proof
}

// Client calls the hub. It is safe for use by several goroutines.
type Client struct {
	cfg  Config
	http *http.Client
	node atomic.Int32 // the one that answered last
}

// New checks the configuration; it connects to nobody.
func New(cfg Config) (*Client, error) {
	switch {
	case len(cfg.Addrs) == 0 || len(cfg.Addrs) > MaxNodes:
		return nil, fmt.Errorf("hub: %d addresses, want 1 to %d", len(cfg.Addrs), MaxNodes)
	case cfg.Roots == nil:
		return nil, errors.New("hub: no pinned root certificates")
	case len(cfg.Cert.Certificate) == 0:
		return nil, errors.New("hub: no terminal certificate")
	case cfg.Read <= 0 || cfg.Pay <= 0:
		return nil, errors.New("hub: read and pay time-outs must be given")
	}
	t := &http.Transport{
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: dialTime,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: cfg.Roots,
			ServerName: cfg.ServerName, Certificates: []tls.Certificate{cfg.Cert}},
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	t.DialContext = dialer().DialContext
	return &Client{cfg: cfg, http: &http.Client{Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one call of the API.
type call struct {
	method string
	path   string
	in     any
	out    any
	time   time.Duration
	again  bool // a question: may be repeated once
}

// do makes the call.
func (c *Client) do(ctx context.Context, k call) error {
	var body []byte
	if k.in != nil {
		b, err := json.Marshal(k.in)
		if err != nil {
			return &Error{Kind: NotSent, Err: fmt.Errorf("hub: body of %s: %w", k.path, err)}
		}
		body = b
		defer clear(b)
	}
	err := c.round(ctx, k, body)
	var e *Error
	if k.again && errors.As(err, &e) && e.Kind == Unknown && ctx.Err() == nil {
		c.pass()
		err = c.round(ctx, k, body)
	}
	return err
}

// round makes one attempt, over as many nodes as it takes to reach one that
// leads. It moves on only from a node that did nothing.
func (c *Client) round(ctx context.Context, k call, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, k.time)
	defer cancel()
	left := moves
	var last *Error
	for tried := 0; tried < len(c.cfg.Addrs); tried++ {
		node := int(c.node.Load())
		p, err := c.send(ctx, c.cfg.Addrs[node], k, body)
		if err == nil && p == nil {
			return nil
		}
		if err != nil {
			if err.Kind != NotSent {
				return err
			}
			last = err
			if ctx.Err() != nil {
				return err
			}
			c.move(node, (node+1)%len(c.cfg.Addrs))
			continue
		}
		if p.Status != http.StatusMisdirectedRequest {
			return &Error{Kind: Refused, Code: p.Code}
		}
		last = &Error{Kind: NotSent, Err: errors.New("hub: no node leads")}
		to := slices.Index(c.cfg.Addrs, p.Leader)
		if to >= 0 && to != node && left > 0 {
			left--
			tried--
		} else {
			to = (node + 1) % len(c.cfg.Addrs)
		}
		c.move(node, to)
	}
	return last
}

// move changes the node for the next call, unless another call already has.
func (c *Client) move(from, to int) { c.node.CompareAndSwap(int32(from), int32(to)) }

// pass goes on to the next node.
func (c *Client) pass() {
	n := int(c.node.Load())
	c.move(n, (n+1)%len(c.cfg.Addrs))
}

// send makes one request to one node. A problem is the hub's answer; an error
// says whether anything may have left.
func (c *Client) send(ctx context.Context, addr string, k call, body []byte) (*termapi.Problem, *Error) {
	var left atomic.Bool
	trace := &httptrace.ClientTrace{
		// Called before the first header goes into the write buffer.
		WroteHeaderField: func(string, []string) { left.Store(true) },
		WroteHeaders:     func() { left.Store(true) },
	}
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), k.method, "https://"+addr+k.path, rd)
	if err != nil {
		return nil, &Error{Kind: NotSent, Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		kind := NotSent
		if left.Load() {
			kind = Unknown
		}
		return nil, &Error{Kind: kind, Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, &Error{Kind: Unknown, Err: err}
	case len(answer) > MaxAnswer:
		return nil, &Error{Kind: Unknown, Err: fmt.Errorf("answer longer than %d bytes", MaxAnswer)}
	}
	return read(resp.StatusCode, answer, k.out)
}

// read takes an answer apart.
func read(status int, answer []byte, out any) (*termapi.Problem, *Error) {
	switch {
	case status == http.StatusOK || status == http.StatusNoContent || status == http.StatusCreated:
		if out == nil {
			return nil, nil
		}
		if err := json.Unmarshal(answer, out); err != nil {
			return nil, &Error{Kind: Unknown, Err: fmt.Errorf("answer not readable: %w", err)}
		}
		return nil, nil
	case status >= 400:
		var p termapi.Problem
		if err := json.Unmarshal(answer, &p); err != nil || p.Code == "" {
			return nil, &Error{Kind: Unknown, Err: fmt.Errorf("status %d without a problem code", status)}
		}
		p.Status = status
		return &p, nil
	}
	return nil, &Error{Kind: Unknown, Err: fmt.Errorf("status %d", status)}
}
