package vpcd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// Messages of the reader that are one byte long (vsmartcard, virtual smart card
// protocol). Everything longer is a command APDU.
const (
	powerOff = 0x00
	powerOn  = 0x01
	reset    = 0x02
	askATR   = 0x04
)

// maxMessage bounds a message from the reader: a short command APDU. The driver
// itself could send 64 KiB.
const maxMessage = apdu.MaxCommand

// redial is the pause between tries to reach a reader whose service is away or
// whose slot is still taken by the card that was pulled before.
const redial = 20 * time.Millisecond

// errWire is returned for a message that no reader sends.
var errWire = errors.New("vpcd: message of the reader is empty or too long")

// play shows one card to the reader on a port until ctx ends, the card is pulled
// by a fault or the reader closes the connection. Connecting is inserting,
// closing is pulling.
func play(ctx context.Context, port int, card *chipcard.Card) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("vpcd: connection is %T, not TCP", conn)
	}
	quick, err := newQuickReader(tcp)
	if err != nil {
		return err
	}
	card.Power()
	for {
		message, err := quick.message()
		if err != nil {
			return err
		}
		answer, err := respond(card, message)
		switch {
		case errors.Is(err, apdu.ErrMute):
			return quick.ignore()
		case err != nil:
			return err
		case answer == nil:
			continue
		}
		if _, err := conn.Write(frame(answer)); err != nil {
			return err
		}
	}
}

// respond gives the answer to one message, or nil where none is expected.
func respond(card *chipcard.Card, message []byte) ([]byte, error) {
	if len(message) == 1 {
		switch message[0] {
		case powerOff, powerOn, reset:
			card.Power()
			return nil, nil
		case askATR:
			return card.ATR()
		}
	}
	answer, err := card.Transmit(message)
	if errors.Is(err, apdu.ErrReset) {
		return []byte{0x6F, 0x00}, nil // the reader does not see a card reset itself
	}
	return answer, err
}

// frame puts the length before an answer: header and body leave in one write.
func frame(answer []byte) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(answer)), uint16(len(answer)))
	return append(b, answer...)
}

// quickReader reads messages and acknowledges each segment at once. The driver
// sends header and body apart and without TCP_NODELAY, so that a delayed
// acknowledgement of the header would hold back the body for 40 ms; the kernel
// forgets TCP_QUICKACK, so it is set before each read.
type quickReader struct {
	conn *net.TCPConn
	raw  interface {
		Control(func(fd uintptr)) error
	}
	buf *bufio.Reader
}

func newQuickReader(conn *net.TCPConn) (*quickReader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("vpcd: %w", err)
	}
	q := &quickReader{conn: conn, raw: raw}
	q.buf = bufio.NewReaderSize(q, 2+maxMessage)
	return q, nil
}

// Read implements io.Reader on the connection.
func (q *quickReader) Read(p []byte) (int, error) {
	var set error
	if err := q.raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}); err != nil {
		return 0, err
	}
	if set != nil {
		return 0, fmt.Errorf("vpcd: TCP_QUICKACK: %w", set)
	}
	return q.conn.Read(p)
}

// ignore reads and says nothing until the connection ends: a mute card stays in
// its slot.
func (q *quickReader) ignore() error {
	_, err := io.Copy(io.Discard, q.buf)
	if err == nil {
		err = io.EOF
	}
	return err
}

// message reads one message.
func (q *quickReader) message() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(q.buf, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n == 0 || n > maxMessage {
		return nil, errWire
	}
	b := make([]byte, n)
	_, err := io.ReadFull(q.buf, b)
	return b, err
}
