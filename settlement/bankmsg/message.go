package bankmsg

import (
	"math/bits"

	"github.com/shebao-pay/shebao/si/hsmapi"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// arenaSize holds every field of the largest frame (2,048 bytes): a decoded
// BCD digit takes a byte of the arena but half a byte of the wire, and no
// message of the profiles is more than half BCD.
const arenaSize = 4096

// maxDE is the highest data element.
const maxDE = 128

// bitmap is the set of data elements of a message, laid out like the two
// bitmaps of the wire: the first element is the highest bit of the first word.
type bitmap [2]uint64

func (b *bitmap) has(de int) bool { return b[(de-1)>>6]>>(63-uint(de-1)&63)&1 == 1 }
func (b *bitmap) set(de int)      { b[(de-1)>>6] |= 1 << (63 - uint(de-1)&63) }
func (b *bitmap) clear(de int)    { b[(de-1)>>6] &^= 1 << (63 - uint(de-1)&63) }

func (b *bitmap) empty() bool { return b[0]|b[1] == 0 }

// first gives the lowest data element of the set, 0 when it is empty.
func (b *bitmap) first() int {
	if b[0] != 0 {
		return bits.LeadingZeros64(b[0]) + 1
	}
	if b[1] != 0 {
		return bits.LeadingZeros64(b[1]) + 65
	}
	return 0
}

// Message is the logical form of one message, the same for both dialects:
// digits are ASCII, a track has the separator D, text is as it stands, binary
// is raw bytes. The zero value is empty and ready for Reset.
type Message struct {
	mti      uint16
	overflow bool // a Set did not fit; Encode refuses the message
	used     uint16
	bits     bitmap
	off, n   [maxDE + 1]uint16
	arena    [arenaSize + 8]byte // eight bytes may be read at every place
}

// Reset empties the message and gives it a type, such as 0x0200.
func (m *Message) Reset(mti uint16) {
	m.mti, m.overflow, m.used, m.bits = mti, false, 0, bitmap{}
}

// MTI is the message type, such as 0x0210.
func (m *Message) MTI() uint16 { return m.mti }

// Has tells whether the data element is present.
func (m *Message) Has(de int) bool { return de >= 2 && de <= maxDE && m.bits.has(de) }

// Field gives the value, nil if the element is absent. It is valid until the
// next Reset, Set or Wipe and must not be kept.
func (m *Message) Field(de int) []byte {
	if !m.Has(de) {
		return nil
	}
	return m.arena[m.off[de] : m.off[de]+m.n[de] : m.off[de]+m.n[de]]
}

// Set copies the value into the message. What does not fit makes Encode refuse
// the message.
func (m *Message) Set(de int, v []byte) {
	if room := m.reserve(de, len(v)); room != nil {
		copy(room, v)
	}
}

// SetString is Set for a string.
func (m *Message) SetString(de int, v string) {
	if room := m.reserve(de, len(v)); room != nil {
		copy(room, v)
	}
}

// SetNumber sets v as ASCII digits with leading zeros. A number of more digits
// than width makes Encode refuse the message.
func (m *Message) SetNumber(de int, v uint64, width int) {
	if width > 20 {
		m.overflow = true
		return
	}
	room := m.reserve(de, width)
	for i := len(room) - 1; i >= 0; i-- {
		room[i] = '0' + byte(v%10)
		v /= 10
	}
	if v != 0 {
		m.overflow = true
	}
}

// Number reads the element as digits; false if it is absent, has anything but
// digits, or does not fit 64 bits.
func (m *Message) Number(de int) (uint64, bool) {
	f := m.Field(de)
	if len(f) == 0 || len(f) > 19 {
		return 0, false
	}
	var v uint64
	for _, c := range f {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// Clear takes the element out of the message. Its bytes stay in the arena
// until Wipe.
func (m *Message) Clear(de int) {
	if m.Has(de) {
		m.bits.clear(de)
	}
}

// Wipe zeroes everything.
func (m *Message) Wipe() { *m = Message{} }

// reserve makes room for a value of n bytes and marks the element present. It
// gives nil, and spoils the message, when there is no such element or no room.
func (m *Message) reserve(de, n int) []byte {
	if de < 2 || de > maxDE || n < 0 || int(m.used)+n > arenaSize {
		m.overflow = true
		return nil
	}
	m.bits.set(de)
	m.off[de], m.n[de] = m.used, uint16(n)
	m.used += uint16(n)
	return m.arena[m.off[de]:m.used]
}

// Frame is one encoded message. It is reused: Encode keeps its buffers.
type Frame struct {
	// Wire is the whole frame: length prefix, header and body.
	Wire []byte
	// MACIn is what the code is to be made over, nil when the message carries
	// none. It is part of the frame's buffers and valid until the next Encode.
	MACIn []byte
	// WithoutMAC leaves the code out of an answer where the profile lists it as
	// optional: a refusal given before the keys are there.
	WithoutMAC bool

	macAt int // place of the code in Wire, 0 for none
	text  []byte
}

// PutMAC writes the code into its place. It does nothing when the message
// carries none.
func (f *Frame) PutMAC(mac [8]byte) {
	if f.macAt > 0 && f.macAt+8 <= len(f.Wire) {
		copy(f.Wire[f.macAt:], mac[:])
	}
}

// Wipe zeroes the buffers, which may hold a PAN and an enciphered PIN block.
func (f *Frame) Wipe() {
	clear(f.Wire[:cap(f.Wire)])
	clear(f.text[:cap(f.text)])
	*f = Frame{Wire: f.Wire[:0], text: f.text[:0]}
}

// Inbound is what is known of a decoded message besides its fields.
type Inbound struct {
	Kind   profile.Kind
	Reply  bool // an answer to a request of that kind
	Repeat bool // 0401, 0421 and the like

	// MACIn is what the code must be checked over, MAC the code that came.
	// MACIn is part of the decoded frame or of this value, so it is valid until
	// either is used again.
	MACIn  []byte
	MAC    [8]byte
	HasMAC bool

	// Routing is what the answer sends back: the two TPDU addresses and the
	// header (POS), or batch, transaction and user data of the header (CUPS).
	Routing [10]byte

	text []byte
}

// Wipe zeroes everything; the text of the code may hold a PAN.
func (in *Inbound) Wipe() {
	clear(in.text[:cap(in.text)])
	*in = Inbound{text: in.text[:0]}
}

// Job makes the check of the code a job for the HSM process. ok is false when
// no code came.
func (in *Inbound) Job(key hsmapi.KeyRef, alg hsmapi.MACAlg) (job hsmapi.MACJob, ok bool) {
	return hsmapi.MACJob{Key: key, Alg: alg, Verify: true, Data: in.MACIn, MAC: in.MAC}, in.HasMAC
}
