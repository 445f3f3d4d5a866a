package bankhost

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

var demoBanks = []string{"rcb", "icbc", "ccb", "boc"}

// noon is a time before every bank's cutover.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, si.China)

const (
	testIMK = "F0C34A8124CEE0A91A0B034AA97D6EAC"
	testPIN = "123456"
)

// pans have the shapes of the demo banks: 16 digits, 19 at icbc.
func panOf(code string, n int) string {
	first := map[string]string{"rcb": "62990001", "icbc": "62990002", "ccb": "62990003", "boc": "62990004"}[code]
	digits := 16
	if code == "icbc" {
		digits = 19
	}
	body := first + fmt.Sprintf("%0*d", digits-1-len(first), n)
	last, err := si.LuhnDigit(body)
	if err != nil {
		panic(err)
	}
	return body + string(last)
}

func testKeys(p *profile.Profile) Keys {
	k := Keys{IMK: testIMK, TMK: map[string][]byte{}, KBPK: []byte("0123456789abcdefFEDCBA9876543210"), CardCipher: emv.TDES}
	for _, t := range p.Terminals {
		k.TMK[t.DE41] = []byte("tmk of " + t.DE41 + "!")
	}
	if p.Code == "boc" {
		k.CardCipher = emv.SM4
	}
	return k
}

func testProfile(t testing.TB, code string) *profile.Profile {
	t.Helper()
	p, err := profile.LoadFS(os.DirFS("../../data/banks"), code)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newHost starts a host with one card of 1,000 yuan.
func newHost(t testing.TB, code string, change func(*Config)) *Host {
	t.Helper()
	p := testProfile(t, code)
	cfg := Config{Profile: p, Keys: testKeys(p), Clock: func() time.Time { return noon },
		Accounts: []Account{{PAN: panOf(code, 1), PIN: testPIN, Balance: 100_000}, {PAN: panOf(code, 2), PIN: testPIN, Lost: true}}}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// hub is our end of the wire in small: the codec and the software HSM, one
// request at a time.
type hub struct {
	t    testing.TB
	p    *profile.Profile
	c    *bankmsg.Codec
	hsm  *softhsm.Store
	conn net.Conn
	buf  []byte
	pin  hsmapi.KeyRef
	mac  hsmapi.KeyRef
	stan uint32
	atc  uint16
	tpk  []byte
}

func dialHub(t testing.TB, h *Host) *hub {
	t.Helper()
	p := h.cfg.Profile
	c, err := bankmsg.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := softhsm.NewVolatile()
	if err != nil {
		t.Fatal(err)
	}
	u := &hub{t: t, p: p, c: c.For(bankmsg.HubLink), hsm: s, tpk: []byte("terminal pin key, 32 bytes long!")}
	for de41, tmk := range h.cfg.Keys.TMK {
		must(t, s.AddKey(p.Code+"/tmk/"+de41, softhsm.Master, tmk))
	}
	if p.KBPK != "" {
		must(t, s.AddKey(p.KBPK, softhsm.Protect, h.cfg.Keys.KBPK))
	}
	must(t, s.AddKey("terminal/1/tpk", softhsm.PINAES, u.tpk))
	u.conn, err = net.Dial("tcp", h.Addr())
	must(t, err)
	t.Cleanup(func() { _ = u.conn.Close(); _ = s.Close() })
	return u
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (u *hub) place() bankmsg.Place {
	if u.p.Dialect == profile.POS {
		return bankmsg.Place{Terminal: u.p.Terminals[0], Batch: 1}
	}
	return bankmsg.Place{}
}

func (u *hub) net(pin bool) *bankmsg.NetRequest {
	u.stan++
	n := &bankmsg.NetRequest{Place: u.place(), STAN: u.stan, At: noon, PINKey: pin}
	copy(n.DE7[:], noon.Format("0102150405"))
	return n
}

// read gives the next frame, or false after the wait.
func (u *hub) read(wait time.Duration) (*bankmsg.Message, *bankmsg.Inbound, bool) {
	u.t.Helper()
	must(u.t, u.conn.SetReadDeadline(time.Now().Add(wait)))
	for {
		n, err := u.c.Next(u.buf)
		must(u.t, err)
		if n > 0 {
			m, in := new(bankmsg.Message), new(bankmsg.Inbound)
			frame := u.buf[:n]
			u.buf = u.buf[n:]
			if err := u.c.Decode(frame, m, in); err != nil {
				u.t.Fatalf("Decode of the host's message: %v", err)
			}
			return m, in, true
		}
		part := make([]byte, 4096)
		k, err := u.conn.Read(part)
		if err != nil {
			return nil, nil, false
		}
		u.buf = append(u.buf, part[:k]...)
	}
}

func (u *hub) send(k profile.Kind, reply bool, m *bankmsg.Message) {
	u.t.Helper()
	var f bankmsg.Frame
	must(u.t, u.c.Encode(&f, k, reply, m))
	if f.MACIn != nil {
		jobs := []hsmapi.MACJob{{Key: u.mac, Alg: u.p.MACAlg, Data: f.MACIn}}
		must(u.t, u.hsm.MAC(context.Background(), jobs))
		f.PutMAC(jobs[0].MAC)
	}
	_, err := u.conn.Write(f.Wire)
	must(u.t, err)
}

// good tells whether a reply's code is there and good.
func (u *hub) good(in *bankmsg.Inbound) bool {
	job, ok := in.Job(u.mac, u.p.MACAlg)
	if !ok {
		return false
	}
	jobs := []hsmapi.MACJob{job}
	must(u.t, u.hsm.MAC(context.Background(), jobs))
	return jobs[0].OK
}

// ask sends a request and reads its reply.
func (u *hub) ask(k profile.Kind, m *bankmsg.Message) (*bankmsg.Message, *bankmsg.Inbound) {
	u.t.Helper()
	var sent bankmsg.Sent
	sent.Keep(k, m)
	u.send(k, false, m)
	got, in, ok := u.read(5 * time.Second)
	if !ok {
		u.t.Fatalf("no reply to %v", k)
	}
	if err := u.c.CheckReply(&sent, got, in, si.DateOf(noon)); err != nil {
		u.t.Fatalf("CheckReply to %v: %v", k, err)
	}
	return got, in
}

func (u *hub) code(m *bankmsg.Message) string { return string(m.Field(39)) }

// signOn does what settlement/banklink does: sign on and take the keys.
func (u *hub) signOn() {
	u.t.Helper()
	ctx := context.Background()
	var m bankmsg.Message
	must(u.t, u.c.SignOn(&m, u.net(false)))
	got, _ := u.ask(profile.SignOn, &m)
	if u.code(got) != "00" {
		u.t.Fatalf("sign-on: got %s", u.code(got))
	}
	if u.p.Dialect == profile.POS {
		w, err := u.hsm.ImportDE62(ctx, hsmapi.ImportDE62{TMK: u.place().Terminal.TMK, Block: got.Field(62),
			MAKDouble: u.p.MAKDouble, MACAlg: u.p.MACAlg, PINFormat: u.p.PINFormat})
		must(u.t, err)
		u.pin, u.mac = w.PIN, w.MAC
		return
	}
	for _, pin := range []bool{true, false} {
		must(u.t, u.c.KeyReset(&m, u.net(pin)))
		u.ask(profile.KeyReset, &m)
		u.takeKey()
	}
	// An echo makes sure that the host has read the last answer.
	must(u.t, u.c.Echo(&m, u.net(false)))
	u.ask(profile.Echo, &m)
}

// takeKey answers one key delivery.
func (u *hub) takeKey() {
	u.t.Helper()
	got, in, ok := u.read(5 * time.Second)
	if !ok || in.Kind != profile.KeyDelivery || in.Reply {
		u.t.Fatal("no key delivery came")
	}
	block, forPIN, err := bankmsg.NewKey(got)
	must(u.t, err)
	k, err := u.hsm.ImportTR31(context.Background(), hsmapi.ImportTR31{KBPK: u.p.KBPK, Block: block, ForPIN: forPIN,
		MACAlg: u.p.MACAlg, PINFormat: u.p.PINFormat})
	must(u.t, err)
	if forPIN {
		u.pin = k.Key
	} else {
		u.mac = k.Key
	}
	var m bankmsg.Message
	must(u.t, u.c.AnswerNet(&m, got, in, "00"))
	var f bankmsg.Frame
	f.WithoutMAC = u.mac == 0
	must(u.t, u.c.EncodeAnswer(&f, in, &m))
	if f.MACIn != nil {
		jobs := []hsmapi.MACJob{{Key: u.mac, Alg: u.p.MACAlg, Data: f.MACIn}}
		must(u.t, u.hsm.MAC(context.Background(), jobs))
		f.PutMAC(jobs[0].MAC)
	}
	_, err = u.conn.Write(f.Wire)
	must(u.t, err)
}

// card makes what a card and a PIN pad give for one message.
func (u *hub) card(pan, pin string, amount si.Fen, key emv.Key) bankmsg.CardPart {
	u.t.Helper()
	p, err := si.ParsePAN(pan)
	must(u.t, err)
	track, err := si.ParseTrack2(pan + "D3312220000001234")
	must(u.t, err)
	clear4, err := si.NewPINBlock(u.format4(pan, pin))
	must(u.t, err)
	block, err := u.hsm.TranslatePIN(context.Background(), hsmapi.TranslatePIN{From: "terminal/1/tpk",
		FromFormat: si.PINFormat4AES, To: u.pin, ToFormat: u.p.PINFormat, PAN: p, Block: clear4})
	must(u.t, err)
	return bankmsg.CardPart{PAN: p, PSN: "01", Track2: track, Expiry: "3312", PINBlock: block, DE55: u.de55(pan, amount, key)}
}

// format4 enciphers a PIN as a pad does (ISO 9564-1, format 4).
func (u *hub) format4(pan, pin string) []byte {
	b, err := aes.NewCipher(u.tpk)
	must(u.t, err)
	field, err := hex.DecodeString(fmt.Sprintf("4%d%s%s", len(pin), pin, strings.Repeat("a", 14-len(pin))) + "0011223344556677")
	must(u.t, err)
	account, err := hex.DecodeString((fmt.Sprintf("%d%s", len(pan)-12, pan) + strings.Repeat("0", 32))[:32])
	must(u.t, err)
	b.Encrypt(field, field)
	for i := range field {
		field[i] ^= account[i]
	}
	b.Encrypt(field, field)
	return field
}

// de55 is the data of a genuine card, whose counter rises; key is the issuer's
// master key.
func (u *hub) de55(pan string, amount si.Fen, imk emv.Key) []byte {
	u.atc++
	hexed := func(s string) []byte {
		b, err := hex.DecodeString(s)
		must(u.t, err)
		return b
	}
	d := map[tlv.Tag][]byte{
		0x9F02: hexed(fmt.Sprintf("%012d", int64(amount))), 0x9F03: hexed("000000000000"), 0x9F1A: hexed("0156"),
		0x95: hexed("8000040800"), 0x5F2A: hexed("0156"), 0x9A: hexed("261122"), 0x9C: hexed("00"), 0x9F37: hexed("01020304"),
		0x82: hexed("7C00"), 0x9F36: binary.BigEndian.AppendUint16(nil, u.atc), 0x9F10: hexed("07010103A0000001"), 0x9F27: {0x80},
	}
	cc := emv.TDES
	if u.p.Code == "boc" {
		cc = emv.SM4
	}
	udk, err := emv.CardKey(cc, imk, pan, "01")
	must(u.t, err)
	sk, err := emv.SessionKey(cc, udk, emv.ATC(u.atc))
	must(u.t, err)
	data, err := emv.CryptogramData(func(t tlv.Tag) []byte { return d[t] })
	must(u.t, err)
	ac, err := emv.Cryptogram(cc, sk, data)
	must(u.t, err)
	d[0x9F26] = ac[:]
	var out []byte
	for _, t := range []tlv.Tag{0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03} {
		if t > 0xFF {
			out = append(out, byte(t>>8))
		}
		out = append(append(out, byte(t), byte(len(d[t]))), d[t]...)
	}
	return out
}

func imk(t testing.TB) (k emv.Key) {
	b, err := hex.DecodeString(testIMK)
	must(t, err)
	copy(k[:], b)
	return k
}

// debit makes the next payment of the first card.
func (u *hub) debit(pin string, amount si.Fen) (*bankmsg.DebitRequest, *bankmsg.Message) {
	u.t.Helper()
	u.stan++
	d := &bankmsg.DebitRequest{Place: u.place(), STAN: u.stan, At: noon, Amount: amount,
		Card: u.card(panOf(u.p.Code, 1), pin, amount, imk(u.t))}
	copy(d.RRN[:], fmt.Sprintf("1122%08d", u.stan))
	copy(d.DE7[:], noon.Format("0102150405"))
	m := new(bankmsg.Message)
	must(u.t, u.c.Debit(m, d))
	return d, m
}

func (u *hub) reversal(d *bankmsg.DebitRequest, repeat bool) *bankmsg.Message {
	u.t.Helper()
	r := &bankmsg.ReversalRequest{Place: d.Place, STAN: d.STAN, RRN: d.RRN, DE7: d.DE7, At: d.At, Amount: d.Amount,
		PAN: d.Card.PAN, PSN: d.Card.PSN, Expiry: d.Card.Expiry, Reason: "98", Repeat: repeat,
		EMV: bankmsg.PickTags(nil, d.Card.DE55, u.p.DE55["reversal"])}
	copy(r.NewDE7[:], noon.Add(time.Minute).Format("0102150405"))
	m := new(bankmsg.Message)
	must(u.t, u.c.Reversal(m, r))
	return m
}
