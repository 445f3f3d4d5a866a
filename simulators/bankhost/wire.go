package bankhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/specs"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Largest frame that either dialect allows.
const maxFrame = 2048

// errWire is what the library's errors become: its own carry the raw message.
var errWire = errors.New("bankhost: message does not fit the specification")

// message is one message as the library read it, or as it is to be written.
type message struct {
	mti    string
	fields map[int]string
	body   []byte // as received
	head   []byte // header as received
}

func (m *message) has(de int) bool { _, ok := m.fields[de]; return ok }

// wire is one end of one bank's wire.
type wire struct {
	p    *profile.Profile
	spec *iso8583.MessageSpec
}

func newWire(p *profile.Profile) (*wire, error) {
	spec, err := specs.ImportJSON(p.SpecJSON())
	if err != nil {
		return nil, fmt.Errorf("bankhost: specification of %s: %w", p.Code, err)
	}
	if p.Dialect == profile.POS {
		// The library knows no half byte D.
		s := spec.Fields[35].Spec()
		s.Packer, s.Unpacker = field.PackerFunc(packTrack), field.UnpackerFunc(unpackTrack)
	}
	return &wire{p: p, spec: spec}, nil
}

func packTrack(v []byte, s *field.Spec) ([]byte, error) {
	out, err := s.Pref.EncodeLength(s.Length, len(v))
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(v), "=", "D")
	if len(text)%2 == 1 {
		text += "0"
	}
	for ; text != ""; text = text[2:] {
		b, err := strconv.ParseUint(text[:2], 16, 8)
		if err != nil {
			return nil, errWire
		}
		out = append(out, byte(b))
	}
	return out, nil
}

func unpackTrack(b []byte, s *field.Spec) ([]byte, int, error) {
	n, at, err := s.Pref.DecodeLength(s.Length, b)
	if err != nil {
		return nil, 0, err
	}
	size := (n + 1) / 2
	if len(b)-at < size {
		return nil, 0, errWire
	}
	return []byte(fmt.Sprintf("%X", b[at:at+size])[:n]), at + size, nil
}

// read reads one frame: header and body.
func (w *wire) read(r io.Reader) (*message, error) {
	var head, body []byte
	if w.p.Dialect == profile.POS {
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return nil, err
		}
		size := int(binary.BigEndian.Uint16(n[:]))
		if w.p.LengthScope == "includes" {
			size -= 2
		}
		if size < 21 || size > maxFrame {
			return nil, errWire
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		head, body = b[:11], b[11:]
	} else {
		head = make([]byte, 46)
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(string(head[2:6]))
		if err != nil || head[0] != 46 {
			return nil, errWire
		}
		switch w.p.LengthScope {
		case "includes":
			size -= 46
		case "includes-less-length":
			size -= 42
		}
		if size < 12 || size > maxFrame {
			return nil, errWire
		}
		body = make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, err
		}
	}
	return w.unpack(head, body)
}

// Split gives the way to find frames of a bank in a stream of bytes: how long the
// frame is that they begin with, 0 if more are needed to know, below 0 if it is
// none.
func Split(p *profile.Profile) func(b []byte) int {
	return func(b []byte) int {
		if p.Dialect == profile.POS {
			if len(b) < 2 {
				return 0
			}
			n := int(binary.BigEndian.Uint16(b))
			if p.LengthScope != "includes" {
				n += 2
			}
			if n < 23 || n > maxFrame+2 {
				return -1
			}
			return n
		}
		if len(b) < 6 {
			return 0
		}
		n, err := strconv.Atoi(string(b[2:6]))
		switch p.LengthScope {
		case "excludes":
			n += 46
		case "includes-less-length":
			n += 4
		}
		if err != nil || b[0] != 46 || n < 58 || n > maxFrame+46 {
			return -1
		}
		return n
	}
}

// unpack lets the library read the body. Its panics on hostile input end here.
func (w *wire) unpack(head, body []byte) (m *message, err error) {
	defer func() {
		if recover() != nil {
			m, err = nil, errWire
		}
	}()
	lib := iso8583.NewMessage(w.spec)
	if lib.Unpack(body) != nil {
		return nil, errWire
	}
	m = &message{fields: map[int]string{}, body: body, head: head}
	if m.mti, err = lib.GetMTI(); err != nil {
		return nil, errWire
	}
	for de := range lib.GetFields() {
		if de < 2 || de == 65 {
			continue
		}
		b, err := lib.GetBytes(de)
		if err != nil {
			return nil, errWire
		}
		m.fields[de] = string(b)
	}
	return m, nil
}

// pack makes the body; the code's field is written as it stands in m.
func (w *wire) pack(m *message) ([]byte, error) {
	lib := iso8583.NewMessage(w.spec)
	lib.MTI(m.mti)
	for de, v := range m.fields {
		if err := lib.BinaryField(de, []byte(v)); err != nil {
			return nil, fmt.Errorf("bankhost: DE %d cannot be set", de)
		}
	}
	body, err := lib.Pack()
	if err != nil {
		return nil, fmt.Errorf("%w when packing %s", errWire, m.mti)
	}
	return body, nil
}

// frame puts the header before a body. asked is the header of the request that
// is answered, nil for a request of ours.
func (w *wire) frame(body, asked []byte) []byte {
	if w.p.Dialect == profile.POS {
		head := slices.Concat(w.p.TPDU, w.p.Header)
		if asked != nil {
			head = slices.Clone(asked)
		}
		// In a request of ours, and in an answer, the addresses are the
		// other way round than in the header at hand.
		head[1], head[2], head[3], head[4] = head[3], head[4], head[1], head[2]
		size := len(head) + len(body)
		if w.p.LengthScope == "includes" {
			size += 2
		}
		return slices.Concat([]byte{byte(size >> 8), byte(size)}, head, body)
	}
	size := len(body)
	switch w.p.LengthScope {
	case "includes":
		size += 46
	case "includes-less-length":
		size += 42
	}
	tail := "000" + "0" + "00000000" + "0" + "00000"
	if asked != nil {
		tail = "000" + string(asked[31:41]) + "00000"
	}
	head := fmt.Sprintf("%c%c%04d%-11s%-11s%s", 46, rune(0), size, w.p.HeaderSource, w.p.HeaderDest, tail)
	b := []byte(head)
	b[1] = w.p.HeaderFlag
	return append(b, body...)
}

// codedBody makes body and code of a message: mac fills the last eight bytes.
func (w *wire) codedBody(m *message, key []byte, wrong bool) ([]byte, error) {
	if key == nil {
		delete(m.fields, w.p.MACField)
		return w.pack(m)
	}
	m.fields[w.p.MACField] = "\x00\x00\x00\x00\x00\x00\x00\x00"
	body, err := w.pack(m)
	if err != nil {
		return nil, err
	}
	m.body = body
	code, err := w.code(m, key)
	if err != nil {
		return nil, err
	}
	if wrong {
		code[3] ^= 1
	}
	copy(body[len(body)-8:], code[:])
	return body, nil
}

// code computes the code of a message whose body ends with the code's field.
func (w *wire) code(m *message, key []byte) ([8]byte, error) {
	text := m.body[:len(m.body)-8]
	if w.p.MACScope == profile.MACSelected {
		text = w.selected(m)
	}
	return makeMAC(w.p.MACAlg, key, text)
}

// selected lays out the fields that the CUPS code covers.
func (w *wire) selected(m *message) []byte {
	list := []int{2, 3, 4, 7, 11, 18, 25, 28, 32, 33, 38, 39, 41, 42, 90, 102, 103}
	if m.mti[1] == '8' {
		list = []int{2, 3, 4, 7, 11, 18, 25, 28, 32, 33, 38, 39, 41, 42, 53, 70, 90, 100}
	}
	parts := []string{m.mti}
	for _, de := range list {
		v, ok := m.fields[de]
		if !ok {
			continue
		}
		if de == 90 {
			v = v[:20]
		}
		if d := w.p.Fields[de].LengthDigits; d > 0 {
			v = fmt.Sprintf("%0*d%s", d, len(v), v)
		}
		parts = append(parts, v)
	}
	return []byte(strings.ToUpper(strings.Join(parts, " ")))
}
