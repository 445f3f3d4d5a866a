package pinpad

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"time"

	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

const (
	// maxLine bounds a question of the terminal.
	maxLine = 1024
	// askWait is how long a connection may be without its question.
	askWait = 5 * time.Second
	// maxConnections bounds the socket: one terminal asks one thing at a time.
	maxConnections = 8
	writeWait      = 5 * time.Second
)

// question is a line of the terminal; answer is a line of the pad.
type question struct {
	Op     string       `json:"op"`
	PAN    string       `json:"pan"`
	Format si.PINFormat `json:"format"`
	Amount si.Fen       `json:"amount"`
	Min    int          `json:"min"`
	Max    int          `json:"max"`
}

type answer struct {
	Keys   *int         `json:"keys,omitempty"`
	Block  string       `json:"block,omitempty"`
	Key    string       `json:"key,omitempty"`
	Format si.PINFormat `json:"format,omitempty"`
	Ready  bool         `json:"ready,omitempty"`
	Error  string       `json:"error,omitempty"`
	Text   string       `json:"text,omitempty"`
}

// serve accepts terminals until the pad is closed.
func (p *Pad) serve(ctx context.Context) {
	slots := make(chan struct{}, maxConnections)
	for {
		conn, err := p.socket.Accept()
		if err != nil {
			return
		}
		slots <- struct{}{}
		p.wg.Go(func() {
			defer func() { <-slots }()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends what reads and writes it
			defer stop()
			p.talk(conn)
			_ = conn.Close() // all is said
		})
	}
}

// talk answers one question.
func (p *Pad) talk(conn net.Conn) {
	q, ok := readQuestion(conn)
	if !ok {
		say(conn, answer{Error: "fault", Text: "malformed question"})
		return
	}
	if q.Op == "ready" {
		say(conn, p.ready())
		return
	}
	pan, err := si.ParsePAN(q.PAN)
	if err != nil || q.Amount < 0 || q.Amount > si.MaxFen || q.Min < pinblock.MinDigits || q.Max > pinblock.MaxDigits || q.Min > q.Max {
		say(conn, answer{Error: "fault", Text: "malformed question"})
		return
	}
	e, refused := p.begin(request{pan, q.Format, q.Amount, q.Min, q.Max})
	if refused != nil {
		say(conn, answer{Error: refused.err, Text: refused.text})
		return
	}
	// A terminal that goes away, or says a word more, ends the entry.
	p.wg.Go(func() {
		_, _ = io.ReadFull(conn, make([]byte, 1)) // whatever it is, it is the end
		p.finishEntry(e, result{err: "cancelled"})
	})
	for r := range e.events {
		a := answer{Block: r.block, Key: r.key, Format: r.format, Error: r.err, Text: r.text}
		if r.counts {
			a.Keys = &r.count
		}
		if !say(conn, a) {
			p.finishEntry(e, result{err: "cancelled"})
			return
		}
	}
}

func (p *Pad) ready() answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == Tamper || p.fault == NoKey {
		return answer{Error: "fault", Text: p.fault.String()}
	}
	if len(p.ciphers) == 0 {
		return answer{Error: "fault", Text: NoKey.String()}
	}
	return answer{Ready: true}
}

func readQuestion(conn net.Conn) (q question, ok bool) {
	if err := conn.SetReadDeadline(time.Now().Add(askWait)); err != nil {
		return q, false
	}
	in := bufio.NewReaderSize(conn, maxLine)
	text, err := in.ReadSlice('\n')
	if err != nil || in.Buffered() != 0 {
		return q, false
	}
	defer clear(text)
	q, ok = parseQuestion(text)
	return q, ok && conn.SetReadDeadline(time.Time{}) == nil
}

func parseQuestion(text []byte) (q question, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&q) != nil || d.More() {
		return question{}, false
	}
	return q, q.Op == "enter" || q.Op == "ready"
}

func say(conn net.Conn, a answer) bool {
	text, err := json.Marshal(a)
	if err != nil || conn.SetWriteDeadline(time.Now().Add(writeWait)) != nil {
		return false
	}
	_, err = conn.Write(append(text, '\n'))
	return err == nil
}
