// Package apdu is the language between reader and card: commands, answers and
// status words (ISO/IEC 7816-4), with the two courtesies of protocol T=0 that
// every caller would otherwise repeat: GET RESPONSE after 61xx and the command
// once more after 6Cxx.
//
// Left out: extended lengths, secure messaging, logical channels. Social
// security cards are T=0 only and have none of them.
package apdu

import (
	"errors"
	"fmt"
)

// Bounds of an exchange.
const (
	// MaxData is the longest data of a short command.
	MaxData = 255
	// MaxCommand is header, Lc, data and Le.
	MaxCommand = 4 + 1 + MaxData + 1
	// MaxResponse is 256 bytes of data and the status word.
	MaxResponse = 256 + 2
	// MaxGetResponse bounds the 61xx loop: eight parts are 2 KiB, more than
	// any answer a short command has; a card that goes on is broken.
	MaxGetResponse = 8
)

// Errors of the way to the card. A [Transmitter] wraps the first three so that
// callers can tell a pulled card from a broken one.
var (
	ErrRemoved = errors.New("apdu: card was removed")
	ErrReset   = errors.New("apdu: card was reset by someone else: its session is over")
	ErrMute    = errors.New("apdu: card or reader does not answer")

	ErrCommand  = errors.New("apdu: command does not fit a short APDU")
	ErrResponse = errors.New("apdu: answer is shorter than a status word or longer than 258 bytes")
	ErrLoop     = errors.New("apdu: card goes on asking to be asked (61xx or 6Cxx)")
)

// Transmitter is a powered card: one command in, one answer out.
type Transmitter interface {
	Transmit(command []byte) (response []byte, err error)
}

// NoLe says that a command has no Le byte.
const NoLe = -1

// Command is one command APDU. Le is [NoLe], or 0 to 255 as the byte on the
// wire (0 asks for up to 256).
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	Le               int
}

// Append writes the command's bytes: header, then Lc and data if there are any,
// then Le if there is one. A command with neither ends in P3 = 00, as T=0 has it.
func (c Command) Append(dst []byte) ([]byte, error) {
	if len(c.Data) > MaxData || c.Le < NoLe || c.Le > 255 {
		return dst, ErrCommand
	}
	dst = append(dst, c.CLA, c.INS, c.P1, c.P2)
	if len(c.Data) > 0 {
		dst = append(append(dst, byte(len(c.Data))), c.Data...)
	} else if c.Le == NoLe {
		return append(dst, 0), nil
	}
	if c.Le != NoLe {
		dst = append(dst, byte(c.Le))
	}
	return dst, nil
}

// Send transmits c and gives the data of the answer with its final status word.
// 61xx is followed by GET RESPONSE at most eight times, 6Cxx by the command with
// the Le it names once; both never reach the caller. A status other than 9000 is
// no error here: the caller knows what it means.
func Send(t Transmitter, c Command) ([]byte, SW, error) {
	command, err := c.Append(make([]byte, 0, MaxCommand))
	if err != nil {
		return nil, 0, err
	}
	part, sw, err := exchange(t, command)
	if err == nil && sw>>8 == 0x6C {
		c.Le = int(sw & 0xFF)
		if command, err = c.Append(command[:0]); err == nil {
			part, sw, err = exchange(t, command)
		}
		if err == nil && sw>>8 == 0x6C {
			err = ErrLoop
		}
	}
	if err != nil {
		return nil, 0, err
	}
	data := part
	for n := 0; sw>>8 == 0x61; n++ {
		if n == MaxGetResponse {
			return nil, 0, ErrLoop
		}
		part, sw, err = getResponse(t, byte(sw))
		if err != nil {
			return nil, 0, err
		}
		data = append(data, part...)
	}
	return data, sw, nil
}

// getResponse fetches one part of an answer. A 6Cxx to it is obeyed once.
func getResponse(t Transmitter, le byte) ([]byte, SW, error) {
	data, sw, err := exchange(t, []byte{0x00, 0xC0, 0x00, 0x00, le})
	if err != nil || sw>>8 != 0x6C {
		return data, sw, err
	}
	data, sw, err = exchange(t, []byte{0x00, 0xC0, 0x00, 0x00, byte(sw)})
	if err == nil && sw>>8 == 0x6C {
		err = ErrLoop
	}
	return data, sw, err
}

// exchange sends bytes and cuts the status word off the answer.
func exchange(t Transmitter, command []byte) ([]byte, SW, error) {
	r, err := t.Transmit(command)
	if err != nil {
		return nil, 0, fmt.Errorf("apdu: command %02X: %w", command[1], err)
	}
	if len(r) < 2 || len(r) > MaxResponse {
		return nil, 0, fmt.Errorf("%w: %d bytes to command %02X", ErrResponse, len(r), command[1])
	}
	n := len(r) - 2
	return r[:n:n], SW(r[n])<<8 | SW(r[n+1]), nil
}

// Parse reads the bytes of a short command, such as those of an issuer script.
// Four bytes are a bare header; what follows Lc must be exactly the data, with
// one byte Le behind it or none.
func Parse(b []byte) (Command, error) {
	if len(b) < 4 || len(b) > MaxCommand {
		return Command{}, ErrCommand
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3], Le: NoLe}
	switch body := b[4:]; {
	case len(body) == 0:
	case len(body) == 1:
		c.Le = int(body[0])
	case body[0] == 0:
		return Command{}, ErrCommand
	case len(body) == 1+int(body[0]):
		c.Data = body[1:]
	case len(body) == 2+int(body[0]):
		c.Data = body[1 : len(body)-1]
		c.Le = int(body[len(body)-1])
	default:
		return Command{}, ErrCommand
	}
	return c, nil
}
