package bankhost

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// outcome is what became of one debit, by its key.
type outcome struct {
	digest  [32]byte
	reply   *message
	debited bool
	entry   int
	account *Account
	amount  si.Fen
}

// answer does one request and gives reply and the key of its code. Called with
// h.mu held.
func (h *Host) answer(c *conn, k profile.Kind, m *message, r *profile.MessageRule, f Fault) (*message, []byte) {
	s := h.sessionOf(c, m)
	key := h.goodCode(s, m)
	extra := map[int]string{}
	code := "00"
	switch k {
	case profile.SignOn:
		code, extra = h.signOn(m)
	case profile.Debit, profile.PINProof, profile.Reversal, profile.StatusInquiry, profile.ScriptNotify:
		switch {
		case len(s.mac) == 0:
			code = "97"
		case key == nil:
			code = "A0"
		case f.act == actDecline:
			code = f.code
		case k == profile.Debit:
			if old := h.byKey[h.key(m)]; old != nil {
				if old.digest != h.digest(m) {
					return h.reply(m, r, "94", extra), key
				}
				return old.reply.clone(), key
			}
			reply := h.debit(s, m, r)
			if f.act == actTwice && reply.fields[39] == "00" {
				h.again(m)
			}
			return reply, key
		case k == profile.PINProof:
			code, extra = h.proof(s, m)
		case k == profile.ScriptNotify:
			code = h.scripted(m)
		case k == profile.StatusInquiry:
			code, extra = h.inquired(m, f)
		default:
			code = h.reverse(m)
		}
		if key == nil && len(s.mac) > 0 {
			key = s.mac[0]
		}
	}
	return h.reply(m, r, code, extra), key
}

// key is what names a debit: POS DE 41, 42, 11 and the batch; CUPS DE 32, 33, 7
// and 11.
func (h *Host) key(m *message) string {
	f := m.fields
	if h.cfg.Profile.Dialect == profile.POS {
		batch := ""
		if len(f[60]) >= 8 {
			batch = f[60][2:8]
		}
		return f[41] + "/" + f[42] + "/" + f[11] + "/" + batch
	}
	// DE 90 fills the institutions with zeros, so those in front do not count.
	return strings.TrimLeft(f[32], "0") + "/" + strings.TrimLeft(f[33], "0") + "/" + f[7] + "/" + f[11]
}

// originalKey is the key of the debit that a reversal or inquiry is about.
func (h *Host) originalKey(m *message) string {
	f := m.fields
	if h.cfg.Profile.Dialect == profile.POS {
		if len(f[61]) < 12 {
			return ""
		}
		return f[41] + "/" + f[42] + "/" + f[61][6:12] + "/" + f[61][:6]
	}
	if len(f[90]) != 42 {
		return ""
	}
	o := f[90]
	return strings.TrimLeft(o[20:31], "0") + "/" + strings.TrimLeft(o[31:], "0") + "/" + o[10:20] + "/" + o[4:10]
}

// digest is over the whole request but its code.
func (h *Host) digest(m *message) [32]byte { return sha256.Sum256(m.body[:len(m.body)-8]) }

// debit books a payment.
func (h *Host) debit(s *session, m *message, r *profile.MessageRule) *message {
	key := h.key(m)
	amount, err := strconv.ParseInt(m.fields[4], 10, 64)
	extra := map[int]string{}
	code, a := h.judge(s, m, extra, si.Fen(amount))
	switch {
	case code != "00":
	case err != nil || amount <= 0:
		code = "13"
	case h.buried[key]:
		code = "12" // reversed before it was seen
	case a.Balance < si.Fen(amount):
		code = "51"
	}
	o := &outcome{digest: h.digest(m), debited: code == "00", account: a, amount: si.Fen(amount)}
	e := Entry{Op: OpDebit, PAN: m.fields[2], Amount: si.Fen(amount), Key: key, STAN: m.fields[11], Code: code,
		Date: h.businessDate(), DE41: m.fields[41], DE7: m.fields[7], At: h.now()}
	if o.debited {
		extra[38] = fmt.Sprintf("%06d", binary.BigEndian.Uint32(h.random(4))%1_000_000)
		e.Auth = extra[38]
	}
	h.arpc(m, a, code, extra)
	if o.debited && extra[55] != "" {
		extra[55] += string(h.script)
	}
	o.reply = h.reply(m, r, code, extra)
	e.RRN = o.reply.fields[37]
	o.entry = h.book(e, a, o)
	return o.reply.clone()
}

// again books the last debit once more, under a key that no message finds.
func (h *Host) again(m *message) {
	e := h.entries[len(h.entries)-1]
	e.Key, e.Digest, e.Reply = e.Key+"/twice", "", nil
	h.book(e, h.accounts[m.fields[2]], nil)
}

// proof judges the PIN and moves no money.
func (h *Host) proof(s *session, m *message) (string, map[int]string) {
	extra := map[int]string{}
	code, a := h.judge(s, m, extra, 0)
	if code == "00" && h.cfg.Profile.Proof == "balance" {
		extra[54] = fmt.Sprintf("0001156C%012d", int64(a.Balance))
	}
	h.arpc(m, a, code, extra)
	h.book(Entry{Op: OpProof, PAN: m.fields[2], Code: code, STAN: m.fields[11], Date: h.businessDate(), At: h.now()}, a, nil)
	return code, extra
}

// reverse takes a debit back. A second time gives the same answer; what was
// never seen is remembered, so that it is refused when it comes.
func (h *Host) reverse(m *message) string {
	key := h.originalKey(m)
	if key == "" {
		return "30"
	}
	amount, _ := strconv.ParseInt(m.fields[4], 10, 64)
	e := Entry{Op: OpReversal, PAN: m.fields[2], Amount: si.Fen(amount), Key: key, STAN: m.fields[11], Code: "00",
		Reason: m.fields[39], Date: h.businessDate(), DE41: m.fields[41], DE7: m.fields[7], RRN: m.fields[37], At: h.now()}
	o := h.byKey[key]
	switch {
	case o == nil:
		h.buried[key] = true
		e.Code = "25"
	case o.amount != si.Fen(amount):
		e.Code = "64" // amount is not the original's
	case !o.debited:
		return "00"
	}
	if o == nil {
		h.book(e, nil, nil)
		return e.Code
	}
	if e.Code == "00" {
		o.debited = false
		h.entries[o.entry].Reversed = true
	}
	h.book(e, o.account, nil)
	return e.Code
}

// inquired tells what became of a debit: its code if it was refused, 00 while it
// stands, 25 if it was reversed or never seen. Where that last answer is proof,
// the host takes the debit no more when it comes.
func (h *Host) inquired(m *message, f Fault) (code string, extra map[int]string) {
	extra = map[int]string{}
	for _, de := range []int{61, 90} {
		if m.has(de) {
			extra[de] = m.fields[de]
		}
	}
	key := h.originalKey(m)
	if key == "" {
		return "30", extra
	}
	if f.act == actOther {
		return h.other(m, key, extra), extra
	}
	amount, _ := strconv.ParseInt(m.fields[4], 10, 64)
	o := h.byKey[key]
	switch {
	case o == nil:
		if h.cfg.Profile.InquiryIsProof {
			h.buried[key] = true
			h.book(Entry{Op: OpReversal, PAN: m.fields[2], Amount: si.Fen(amount), Key: key, STAN: m.fields[11], Code: "25",
				Date: h.businessDate(), DE41: m.fields[41], DE7: m.fields[7], RRN: m.fields[37], At: h.now()}, nil, nil)
		}
		return "25", extra
	case o.amount != si.Fen(amount):
		return "64", extra
	}
	e := &h.entries[o.entry]
	extra[15] = e.Date.Compact()[4:]
	switch {
	case o.debited:
		extra[37], extra[38] = e.RRN, e.Auth
		return "00", extra
	case e.Code == "00": // and was reversed
		return "25", extra
	}
	return e.Code, extra
}

// scripted takes the notice of what issuer scripts did to a card. A second time
// it is known already.
func (h *Host) scripted(m *message) string {
	results := parseTLV([]byte(m.fields[55]))[0xDF31]
	o := h.byKey[h.originalKey(m)]
	switch {
	case len(results) == 0 || len(results)%5 != 0:
		return "30"
	case o == nil:
		return "25"
	case m.fields[4] != fmt.Sprintf("%012d", int64(o.amount)):
		return "64"
	}
	for i := 0; i < len(results); i += 5 { // 2 done, 1 failed, then the number of the command
		if results[i]>>4 != 1 && results[i]>>4 != 2 {
			return "30"
		}
	}
	key := h.originalKey(m)
	for _, e := range h.entries {
		if e.Op == OpScript && e.Key == key {
			return "00"
		}
	}
	h.book(Entry{Op: OpScript, PAN: m.fields[2], Amount: o.amount, Key: key, STAN: m.fields[11], Code: "00", Script: hex.EncodeToString(results),
		Date: h.businessDate(), DE41: m.fields[41], DE7: m.fields[7], RRN: m.fields[37], At: h.now()}, nil, nil)
	return "00"
}

// other answers an inquiry with another payment's numbers, amount and fate.
func (h *Host) other(m *message, key string, extra map[int]string) string {
	for i := len(h.entries) - 1; i >= 0; i-- {
		e := &h.entries[i]
		if e.Op != OpDebit || e.Key == key || e.Code != "00" {
			continue
		}
		extra[4] = fmt.Sprintf("%012d", int64(e.Amount))
		extra[15], extra[37], extra[38] = e.Date.Compact()[4:], e.RRN, e.Auth
		parts := strings.Split(e.Key, "/")
		if o := extra[61]; o != "" {
			extra[61] = parts[3] + parts[2] + o[12:]
		}
		if o := extra[90]; o != "" {
			extra[90] = o[:4] + parts[3] + parts[2] + o[20:]
		}
		return "00"
	}
	return "25"
}

// judge checks card, cryptogram and PIN. The order is that of a real host:
// nothing is said of the PIN of a card that is not genuine.
func (h *Host) judge(s *session, m *message, extra map[int]string, amount si.Fen) (string, *Account) {
	a := h.accounts[m.fields[2]]
	if a == nil {
		return "14", nil
	}
	if a.Lost {
		return "41", a
	}
	track := m.fields[35]
	if i := strings.IndexAny(track, "D="); i < 0 || track[:i] != a.PAN {
		return "14", a
	}
	if code := h.cryptogram(m, a, amount); code != "00" {
		return code, a
	}
	if a.tries == 0 {
		return "75", a
	}
	pin, ok := h.pin(s, m, a)
	if !ok {
		return "99", a
	}
	if pin != a.PIN {
		a.tries--
		if a.tries == 0 {
			return "75", a
		}
		return "55", a
	}
	a.tries = pinTries
	return "00", a
}

// pin opens the block under the newest key that gives a well-formed one.
func (h *Host) pin(s *session, m *message, a *Account) (string, bool) {
	block := m.fields[52]
	if h.cfg.Profile.PINField == "63.SM" {
		if len(m.fields[63]) != 21 || m.fields[63][:5] != "SM016" {
			return "", false
		}
		block = m.fields[63][5:]
	}
	for _, k := range s.pin {
		if pin, ok := openPIN(h.cfg.Profile.PINFormat, k, []byte(block), a.PAN); ok {
			return pin, true
		}
	}
	return "", false
}

// cryptogram checks the card's ARQC, that its counter rises, and that it covers
// the amount of the message.
func (h *Host) cryptogram(m *message, a *Account, amount si.Fen) string {
	d := parseTLV([]byte(m.fields[55]))
	if v := d[0x9F02]; hex.EncodeToString(v) != fmt.Sprintf("%012d", int64(amount)) {
		return "05"
	}
	atc := d[0x9F36]
	if len(atc) != 2 || binary.BigEndian.Uint16(atc) <= a.atc {
		return "05"
	}
	ac, _, ok := h.makeARQC(m, a, d)
	if !ok || string(ac[:]) != string(d[0x9F26]) {
		return "05"
	}
	a.atc = binary.BigEndian.Uint16(atc)
	return "00"
}

// makeARQC computes the card's cryptogram and its session key.
func (h *Host) makeARQC(m *message, a *Account, d map[uint32][]byte) (ac [8]byte, sk emv.Key, ok bool) {
	psn := m.fields[23]
	if len(psn) != 3 {
		psn = "000"
	}
	udk, err := emv.CardKey(h.cfg.Keys.CardCipher, h.imk, a.PAN, psn[1:])
	if err != nil || len(d[0x9F36]) != 2 {
		return ac, sk, false
	}
	if sk, err = emv.SessionKey(h.cfg.Keys.CardCipher, udk, emv.ATC(binary.BigEndian.Uint16(d[0x9F36]))); err != nil {
		return ac, sk, false
	}
	data, err := emv.CryptogramData(func(t tlv.Tag) []byte { return d[uint32(t)] })
	if err != nil {
		return ac, sk, false
	}
	ac, err = emv.Cryptogram(h.cfg.Keys.CardCipher, sk, data)
	return ac, sk, err == nil
}

// arpc adds the issuer's answer for the chip: tag 91, ARPC and code.
func (h *Host) arpc(m *message, a *Account, code string, extra map[int]string) {
	if a == nil || len(code) != 2 {
		return
	}
	d := parseTLV([]byte(m.fields[55]))
	_, sk, ok := h.makeARQC(m, a, d)
	if !ok || len(d[0x9F26]) != 8 {
		return
	}
	if p, err := emv.ARPC(h.cfg.Keys.CardCipher, sk, [8]byte(d[0x9F26]), [2]byte{code[0], code[1]}); err == nil {
		extra[55] = "\x91\x0a" + string(p[:]) + code
	}
}

// parseTLV reads the top level of a DE 55; what is malformed ends it.
func parseTLV(b []byte) map[uint32][]byte {
	out := map[uint32][]byte{}
	for len(b) > 1 {
		tag, at := uint32(b[0]), 1
		if b[0]&0x1F == 0x1F {
			tag, at = tag<<8|uint32(b[1]), 2
		}
		if at >= len(b) {
			return out
		}
		n := int(b[at])
		at++
		if n == 0x81 && at < len(b) {
			n = int(b[at])
			at++
		}
		if at+n > len(b) {
			return out
		}
		out[tag] = b[at : at+n]
		b = b[at+n:]
	}
	return out
}

// neverEchoed are the fields of a request that its reply must not repeat.
var neverEchoed = map[int]bool{22: true, 26: true, 35: true, 36: true, 38: true, 39: true, 52: true, 53: true,
	54: true, 55: true, 61: true, 62: true, 63: true}

// reply makes the answer: what the profile lists and the request or the host
// has.
func (h *Host) reply(m *message, r *profile.MessageRule, code string, extra map[int]string) *message {
	p := h.cfg.Profile
	now := h.now()
	own := map[int]string{12: now.Format("150405"), 13: now.Format("0102"), 15: h.businessDate().Compact()[4:], 39: code}
	if p.Dialect == profile.POS {
		own[32] = "4833011" + fmt.Sprint(p.Number)
		own[37] = fmt.Sprintf("%s%s", now.Format("010215"), m.fields[11])
	}
	out := &message{mti: r.MTI, fields: map[int]string{}}
	for _, list := range [][]int{r.Mandatory, r.Optional} {
		for _, de := range list {
			if de == p.MACField {
				continue
			}
			if v, ok := extra[de]; ok {
				out.fields[de] = v
			} else if v, ok := m.fields[de]; ok && !neverEchoed[de] && de != 15 {
				out.fields[de] = v
			} else if v, ok := own[de]; ok {
				out.fields[de] = v
			} else if de == 53 && m.has(53) && m.mti[1] == '8' {
				out.fields[53] = m.fields[53]
			}
		}
	}
	return out
}

func (m *message) clone() *message {
	c := &message{mti: m.mti, fields: map[int]string{}}
	for de, v := range m.fields {
		c.fields[de] = v
	}
	return c
}
