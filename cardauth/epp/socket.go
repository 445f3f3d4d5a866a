package epp

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// The wire form of the socket driver: JSON lines over a Unix socket, one
// connection per question. The pad ends an entry when the connection is closed.
//
//	→ {"op":"enter","pan":"…","format":1,"amount":148000,"min":4,"max":12}
//	← {"keys":1}                                    after each key event
//	← {"block":"…","key":"terminal/1/tpk","format":1}     hexadecimal, or
//	← {"error":"cancelled"}, "timeout", "fault" with "text"
//	→ {"op":"ready"}
//	← {"ready":true} or {"error":"fault","text":"tamper"}
const (
	// maxLine bounds a line of the pad.
	maxLine = 1024
	// dialWait and readyWait: the pad is on this machine.
	dialWait  = 2 * time.Second
	readyWait = 2 * time.Second
	// entryWait is longer than any entry the pad allows (120 s).
	entryWait = 150 * time.Second

	purpose si.Purpose = "bind a PIN block to its card"
)

// line is what a pad says.
type line struct {
	Keys   *int   `json:"keys"`
	Block  string `json:"block"`
	Key    string `json:"key"`
	Format int    `json:"format"`
	Ready  bool   `json:"ready"`
	Error  string `json:"error"`
	Text   string `json:"text"`
}

// Dial answers a pad at the socket path. It connects for each entry, so a pad may
// come and go.
func Dial(path string) Pad { return &socketPad{path} }

type socketPad struct{ path string }

// Ready tells whether the pad answers, holds a key and is untampered.
func (p *socketPad) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	return p.talk(ctx, []byte(`{"op":"ready"}`+"\n"), func(l line) (bool, error) {
		if !l.Ready {
			return false, fmt.Errorf("%w: it says neither ready nor why not", ErrFault)
		}
		return true, nil
	})
}

// Enter runs one entry.
func (p *socketPad) Enter(ctx context.Context, r Request, keys func(count int)) (Block, error) {
	if r.PAN.IsZero() || r.MinLen < 4 || r.MaxLen > 12 || r.MinLen > r.MaxLen || r.Amount < 0 {
		return Block{}, fmt.Errorf("epp: entry needs a card number and 4 to 12 digits, got %d to %d", r.MinLen, r.MaxLen)
	}
	ctx, cancel := context.WithTimeout(ctx, entryWait)
	defer cancel()
	ask := make([]byte, 0, 128) // written by hand: no copy of the PAN is left behind
	ask = append(ask, `{"op":"enter","pan":"`...)
	ask = r.PAN.AppendDigits(ask, purpose)
	ask = append(ask, `","format":`...)
	ask = strconv.AppendUint(ask, uint64(r.Format), 10)
	ask = append(ask, `,"amount":`...)
	ask = strconv.AppendInt(ask, int64(r.Amount), 10)
	ask = append(ask, `,"min":`...)
	ask = strconv.AppendInt(ask, int64(r.MinLen), 10)
	ask = append(ask, `,"max":`...)
	ask = strconv.AppendInt(ask, int64(r.MaxLen), 10)
	ask = append(ask, "}\n"...)
	defer clear(ask)

	var out Block
	if err := p.talk(ctx, ask, out.take(r, keys)); err != nil {
		return Block{}, err
	}
	return out, nil
}

// take reads counts and, last, the block of an entry.
func (b *Block) take(r Request, keys func(count int)) func(line) (bool, error) {
	size := 16
	if r.Format == si.PINFormat0TDES {
		size = 8
	}
	return func(l line) (bool, error) {
		if l.Keys != nil {
			if *l.Keys < 0 || *l.Keys > r.MaxLen {
				return false, fmt.Errorf("%w: it counts %d digits of %d", ErrFault, *l.Keys, r.MaxLen)
			}
			keys(*l.Keys)
			return false, nil
		}
		raw, err := hex.DecodeString(l.Block)
		if err != nil || len(raw) != size || l.Format != int(r.Format) || l.Key == "" {
			return false, fmt.Errorf("%w: it answers with another format, no block or no key name", ErrFault)
		}
		if b.Block, err = si.NewPINBlock(raw); err != nil {
			return false, fmt.Errorf("%w: PIN block", ErrFault)
		}
		b.Key, b.Format = l.Key, r.Format
		return true, nil
	}
}

// talk asks once and hands each line to take until it says done.
func (p *socketPad) talk(ctx context.Context, ask []byte, take func(line) (done bool, err error)) error {
	conn, err := (&net.Dialer{Timeout: dialWait}).DialContext(ctx, "unix", p.path)
	if err != nil {
		return ended(ctx, err)
	}
	defer func() { _ = conn.Close() }()                         // this is what ends an entry
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // likewise
	defer stop()
	if _, err := conn.Write(ask); err != nil {
		return ended(ctx, err)
	}
	if err := listen(conn, take); err != nil {
		var broken *brokenError
		if errors.As(err, &broken) {
			return ended(ctx, broken.err)
		}
		return err
	}
	return nil
}

// brokenError is a connection that ended before the pad's last word.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

// listen reads what the pad says until take is done with it.
func listen(r io.Reader, take func(line) (done bool, err error)) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, maxLine), maxLine)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return fmt.Errorf("%w: a line is not JSON", ErrFault)
		}
		switch l.Error {
		case "":
		case "cancelled":
			return ErrCancelled
		case "timeout":
			return ErrTimeout
		default:
			return fmt.Errorf("%w: %.80q", ErrFault, l.Text)
		}
		if done, err := take(l); done || err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return &brokenError{err}
	}
	return &brokenError{errors.New("it closed the connection")}
}

// ended says why a talk broke off: the caller's will, the time, or the pad.
func ended(ctx context.Context, err error) error {
	switch ctx.Err() {
	case nil:
		return fmt.Errorf("%w: %w", ErrFault, err)
	case context.Canceled:
		return fmt.Errorf("%w: %w", ErrCancelled, ctx.Err())
	default:
		return fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
}
