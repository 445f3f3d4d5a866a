package operator

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// Client talks to a node's operator socket.
type Client struct{ http *http.Client }

// Dial makes a client of the socket at path; nothing is sent yet.
func Dial(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// RefusedError is the node's refusal.
type RefusedError struct {
	Status int
	Why    string
}

func (e *RefusedError) Error() string { return "operator: " + e.Why }

func (c *Client) call(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var why struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(resp.Body, MaxRequest)).Decode(&why)
	return nil, &RefusedError{resp.StatusCode, why.Error}
}

// unreachable says why the node was not reached, without the URL, which names no
// place that a person knows.
func unreachable(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("operator: no answer was waited for; the outcome is not known: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("operator: only the node's own user and root may open its socket: %w", err)
	}
	return fmt.Errorf("operator: the node does not answer on its socket; is settled running? %w", err)
}

// Ask sends one JSON request (nil for a GET) and reads one JSON answer.
func (c *Client) Ask(ctx context.Context, path string, in, out any) error {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		method, body = http.MethodPost, bytes.NewReader(b)
	}
	resp, err := c.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("operator: answer cut short: %w", err)
	}
	return nil
}

// Upload streams a file to an import call; progress gets the lines checked, and
// when all are, those whose commands were sent. With an error the outcome may
// still name lines.
func (c *Client) Upload(ctx context.Context, path string, query url.Values, file io.Reader, progress func(checked, done int)) (Outcome, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	resp, err := c.call(ctx, http.MethodPost, path, file)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var last []byte
	checked := 0
	lines := answerLines(resp.Body)
	for lines.Scan() {
		var at struct {
			Checked int   `json:"checked"`
			Done    int   `json:"done"`
			OK      *bool `json:"ok"`
		}
		if json.Unmarshal(lines.Bytes(), &at) == nil && at.OK == nil {
			checked = max(checked, at.Checked)
			progress(checked, at.Done)
			continue
		}
		last = append(last[:0], lines.Bytes()...)
	}
	var o Outcome
	if err := errors.Join(lines.Err(), json.Unmarshal(last, &o)); err != nil {
		return o, fmt.Errorf("operator: the node stopped answering in the middle; import the same file again: %w", err)
	}
	if o.Error != "" {
		return o, &RefusedError{http.StatusUnprocessableEntity, o.Error}
	}
	return o, nil
}

// maxAnswerLine bounds one line of an answer, in bytes: an outcome that names
// maxRefusals lines.
const maxAnswerLine = 2 << 20

func answerLines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAnswerLine)
	return lines
}

// Compare streams another register to be compared; each gets the differences,
// proposal the lines of the proposal, progress the lines compared. With an error
// nothing of either is of use.
func (c *Client) Compare(ctx context.Context, maker uint32, register io.Reader, each func(Difference), proposal func(string), progress func(checked int)) (Comparison, error) {
	q := url.Values{"maker": {strconv.FormatUint(uint64(maker), 10)}}
	var out Comparison
	resp, err := c.call(ctx, http.MethodPost, "/v1/compare/register?"+q.Encode(), register)
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := answerLines(resp.Body)
	for lines.Scan() {
		var l struct {
			Checked    int         `json:"checked"`
			Difference *Difference `json:"difference"`
			Proposal   string      `json:"proposal"`
			OK         *bool       `json:"ok"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return out, fmt.Errorf("operator: answer is not understood: %w", err)
		}
		switch {
		case l.Difference != nil:
			each(*l.Difference)
		case l.Proposal != "":
			proposal(l.Proposal)
		case l.OK == nil:
			progress(l.Checked)
		default:
			if err := json.Unmarshal(lines.Bytes(), &out); err != nil {
				return out, fmt.Errorf("operator: answer is not understood: %w", err)
			}
			if out.Error != "" {
				return out, &RefusedError{http.StatusUnprocessableEntity, out.Error}
			}
			return out, nil
		}
	}
	return out, fmt.Errorf("operator: the node stopped answering in the middle; compare again: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
