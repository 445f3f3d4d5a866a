package bankhost

import (
	"fmt"
	"io"
	"strings"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// random gives n bytes; the source of a test may end, which is a mistake of the
// test, so the host then stops giving keys.
func (h *Host) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(h.cfg.Rand, b); err != nil {
		return nil
	}
	return b
}

// signOn gives a POS virtual terminal its working keys. The keys before it stay
// good for what is under way.
func (h *Host) signOn(m *message) (code string, extra map[int]string) {
	if h.cfg.Profile.Dialect == profile.CUPS {
		return "00", nil
	}
	tmk := h.cfg.Keys.TMK[m.fields[41]]
	if len(tmk) != 16 {
		return "97", nil // terminal not registered
	}
	size := 8
	if h.cfg.Profile.MAKDouble {
		size = 16
	}
	pik, mak := h.random(16), h.random(size)
	block, err := de62(tmk, pik, mak)
	if err != nil {
		return "96", nil
	}
	s := h.sessionOf(nil, m)
	s.newPIN(pik)
	s.newMAC(mak)
	return "00", map[int]string{62: block}
}

// deliverKey sends a new key over a CUPS link; it counts once the hub says so.
func (h *Host) deliverKey(c *conn, forPIN bool) {
	h.mu.Lock()
	m, block := h.keyMessage(c, forPIN)
	h.mu.Unlock()
	if block == "" {
		return
	}
	if body, err := h.w.codedBody(m, nil, false); err == nil {
		h.send(c, h.w.frame(body, nil))
	}
}

// keyBlock wraps a fresh key of the profile's kind.
func (w *wire) keyBlock(kbpk []byte, forPIN bool, sm4 byte, key, pad []byte) (string, error) {
	algorithm, usage, mode := byte('A'), "M6", byte('C')
	if forPIN {
		usage, mode = "P0", 'B'
		switch w.p.PINFormat {
		case si.PINFormat0SM4:
			algorithm = sm4
		case si.PINFormat0TDES:
			algorithm = 'T'
		case si.PINFormat4AES: // as set
		}
	} else if w.p.MACAlg == hsmapi.MACSM4CMAC || w.p.MACAlg == hsmapi.MACSM4POS {
		algorithm = sm4
	}
	return wrapD(kbpk, usage, algorithm, mode, key, pad)
}

// keyMessage makes a key delivery and notes the key. Called with h.mu held.
func (h *Host) keyMessage(c *conn, forPIN bool) (*message, string) {
	key := h.random(16)
	block, err := h.w.keyBlock(h.cfg.Keys.KBPK, forPIN, h.cfg.Keys.SM4Code, key, h.random(14))
	if err != nil {
		return nil, ""
	}
	m := h.ownMessage(profile.KeyDelivery)
	m.fields[48] = record("NK", block)
	m.fields[53] = "2000000000000000"
	if forPIN {
		m.fields[53] = "1000000000000000"
	}
	c.wanted[m.fields[11]] = wanted{forPIN, key}
	return m, block
}

func record(tag, v string) string { return fmt.Sprintf("%s%03d%s", tag, len(v), v) }

// ownMessage begins a request of the host. Called with h.mu held.
func (h *Host) ownMessage(k profile.Kind) *message {
	h.stan = h.stan%999_999 + 1
	r := &h.cfg.Profile.Rules[k].Request
	return &message{mti: r.MTI, fields: map[int]string{
		7: h.now().Format("0102150405"), 11: fmt.Sprintf("%06d", h.stan), 70: r.Network,
		100: strings.TrimSpace(h.cfg.Profile.HeaderSource)}}
}

// keyAccepted reads the hub's answer to a key delivery.
func (h *Host) keyAccepted(c *conn, m *message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w, ok := c.wanted[m.fields[11]]
	if !ok || m.mti != "0810" || m.fields[39] != "00" {
		return
	}
	// The hub signs its answer with the code's key it has just taken, or with
	// the one it had.
	check := &session{mac: c.keys.mac}
	if !w.pin {
		check.mac = append([][]byte{w.key}, c.keys.mac...)
	}
	if m.has(h.cfg.Profile.MACField) && h.goodCode(check, m) == nil {
		return
	}
	delete(c.wanted, m.fields[11])
	if w.pin {
		c.keys.newPIN(w.key)
	} else {
		c.keys.newMAC(w.key)
	}
}

// NewKeys sends new keys to every CUPS link, as a bank does in the middle of
// the day. POS links get theirs when they sign on.
func (h *Host) NewKeys() {
	if h.cfg.Profile.Dialect != profile.CUPS {
		return
	}
	for _, c := range h.links() {
		h.deliverKey(c, true)
		h.deliverKey(c, false)
	}
}

// Cutover moves the bank to the next date and tells every CUPS link.
func (h *Host) Cutover() si.BusinessDate {
	h.mu.Lock()
	h.date = h.businessDate() + 1
	date := h.date
	h.mu.Unlock()
	if !h.cfg.Profile.Rules[profile.CutoverFrom].Request.Used() {
		return date
	}
	for _, c := range h.links() {
		h.mu.Lock()
		m := h.ownMessage(profile.CutoverFrom)
		h.mu.Unlock()
		m.fields[15] = date.Compact()[4:]
		var key []byte
		h.mu.Lock()
		if r := &h.cfg.Profile.Rules[profile.CutoverFrom].Request; lists(r, h.cfg.Profile.MACField) && len(c.keys.mac) > 0 {
			key = c.keys.mac[0]
		}
		h.mu.Unlock()
		if body, err := h.w.codedBody(m, key, false); err == nil {
			h.send(c, h.w.frame(body, nil))
		}
	}
	return date
}

func (h *Host) links() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	return all
}
