package bankhost

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// asked starts a host of a bank that takes inquiries, and a signed-on hub.
func asked(t *testing.T, code string, proof bool) (*Host, *hub) {
	t.Helper()
	spec, rules, err := profile.ReadFS(os.DirFS("../../data/banks"), code)
	must(t, err)
	p, err := profile.Load(spec, profile.Inquiring(rules, proof))
	must(t, err)
	h := newHost(t, code, func(c *Config) { c.Profile = p })
	u := dialHub(t, h)
	u.signOn()
	return h, u
}

// told starts a host of a CUPS bank that wants to know of scripts, and a hub.
func told(t *testing.T, code string, change func(*Config)) (*Host, *hub) {
	t.Helper()
	spec, rules, err := profile.ReadFS(os.DirFS("../../data/banks"), code)
	must(t, err)
	p, err := profile.Load(spec, profile.ScriptTold(rules))
	must(t, err)
	h := newHost(t, code, func(c *Config) {
		if c.Profile = p; change != nil {
			change(c)
		}
	})
	u := dialHub(t, h)
	u.signOn()
	return h, u
}

// TestScriptNotice: the host checks what it is told of issuer scripts, books it
// once, and knows it after a restart.
func TestScriptNotice(t *testing.T) {
	for _, code := range []string{"ccb", "boc"} {
		h, u := told(t, code, nil)
		d, m := u.debit(testPIN, 100)
		u.ask(profile.Debit, m)
		notice := func(de55 []byte, change func(*bankmsg.ScriptNotice)) string {
			t.Helper()
			n := &bankmsg.ScriptNotice{STAN: d.STAN, RRN: d.RRN, DE7: d.DE7, At: d.At, Amount: d.Amount, PAN: d.Card.PAN, PSN: d.Card.PSN,
				Resp: "00", DE55: de55}
			copy(n.NewDE7[:], noon.Add(time.Minute).Format("0102150405"))
			if change != nil {
				change(n)
			}
			m := new(bankmsg.Message)
			must(t, u.c.ScriptNotify(m, n))
			r, in := u.ask(profile.ScriptNotify, m)
			if !u.good(in) {
				t.Errorf("%s: the answer has a bad code", code)
			}
			return u.code(r)
		}
		results := []byte{0x9F, 0x36, 2, 0, 7, 0xDF, 0x31, 10, 0x20, 1, 2, 3, 4, 0x13, 5, 6, 7, 8}
		for _, tc := range []struct {
			de55   []byte
			change func(*bankmsg.ScriptNotice)
			want   string
		}{
			{[]byte{0x9F, 0x36, 2, 0, 7}, nil, "30"},
			{[]byte{0xDF, 0x31, 4, 0x20, 1, 2, 3}, nil, "30"},
			{[]byte{0xDF, 0x31, 5, 0x30, 1, 2, 3, 4}, nil, "30"},
			{results, func(n *bankmsg.ScriptNotice) { n.STAN++ }, "25"},
			{results, func(n *bankmsg.ScriptNotice) { n.Amount++ }, "64"},
			{results, nil, "00"},
			{results, func(n *bankmsg.ScriptNotice) { n.Repeat = true }, "00"},
		} {
			if got := notice(tc.de55, tc.change); got != tc.want {
				t.Errorf("%s: DE 55 %x is answered %s, want %s", code, tc.de55, got, tc.want)
			}
		}
		told := 0
		for _, e := range h.Entries() {
			if e.Op == OpScript && e.Script == "20010203041305060708" {
				told++
			}
		}
		if told != 1 || h.Debited(panOf(code, 1)) != 100 {
			t.Errorf("%s: booked %d times, %v debited", code, told, h.Debited(panOf(code, 1)))
		}
		h.Crash(0)
		u = dialHub(t, h)
		u.stan, u.atc = d.STAN, 10
		u.signOn()
		if _, m := u.debit(testPIN, 50); m != nil {
			if r, _ := u.ask(profile.Debit, m); u.code(r) != "00" {
				t.Errorf("%s: after a restart the card is answered %s", code, u.code(r))
			}
		}
	}
}

// inquire asks what became of a debit and keeps the request for its reply.
func (u *hub) inquire(d *bankmsg.DebitRequest) (*bankmsg.Message, *bankmsg.Sent) {
	u.t.Helper()
	u.stan++
	q := &bankmsg.InquiryRequest{Place: u.place(), STAN: 900_000 + u.stan, At: noon, Amount: d.Amount, PAN: d.Card.PAN,
		Original: bankmsg.OriginalPayment{Batch: d.Place.Batch, STAN: d.STAN, RRN: d.RRN, DE7: d.DE7, At: d.At}}
	copy(q.DE7[:], noon.Add(time.Minute).Format("0102150405"))
	m, sent := new(bankmsg.Message), new(bankmsg.Sent)
	must(u.t, u.c.StatusInquiry(m, q))
	sent.Keep(profile.StatusInquiry, m)
	return m, sent
}

// TestInquiry: the answer is the debit's own, whatever became of it, and moves
// no money.
func TestInquiry(t *testing.T) {
	today := si.DateOf(noon)
	for _, code := range demoBanks {
		for _, proof := range []bool{false, true} {
			h, u := asked(t, code, proof)
			ask := func(d *bankmsg.DebitRequest, want string) {
				t.Helper()
				q, sent := u.inquire(d)
				m, in := u.ask(profile.StatusInquiry, q)
				if u.code(m) != want || !u.good(in) {
					t.Errorf("%s: got %s, want %s under a good code", code, u.code(m), want)
				}
				if err := u.c.CheckReply(sent, m, in, today); err != nil {
					t.Errorf("%s: %v", code, err)
				}
			}
			pan := panOf(code, 1)
			paid, m := u.debit(testPIN, 100)
			r, _ := u.ask(profile.Debit, m)
			auth := string(r.Field(38))
			ask(paid, "00")
			q, _ := u.inquire(paid)
			if r, _ := u.ask(profile.StatusInquiry, q); string(r.Field(38)) != auth || auth == "" || string(r.Field(15)) != today.Compact()[4:] {
				t.Errorf("%s: DE 38 is %q, want %q; DE 15 is %q", code, r.Field(38), auth, r.Field(15))
			}
			poor, m := u.debit(testPIN, 200_000)
			u.ask(profile.Debit, m)
			ask(poor, "51")
			u.ask(profile.Reversal, u.reversal(paid, false))
			ask(paid, "25")
			other := *poor
			other.Amount++
			ask(&other, "64")

			lost, m := u.debit(testPIN, 200) // comes only after it was asked for
			ask(lost, "25")
			ask(lost, "25")
			r, _ = u.ask(profile.Debit, m)
			want, debited := "00", si.Fen(200)
			if proof {
				want, debited = "12", 0
			}
			if got := u.code(r); got != want || h.Debited(pan) != debited {
				t.Errorf("%s, proof %v: a debit that comes after \"not known\" is answered %s, %v debited", code, proof, got, h.Debited(pan))
			}
		}
	}
}

// TestInquiryFaults: what the host does wrong with an inquiry is seen by the
// check of its answer.
func TestInquiryFaults(t *testing.T) {
	const wait = 100 * time.Millisecond
	today := si.DateOf(noon)
	for _, code := range []string{"rcb", "boc"} {
		h, u := asked(t, code, true)
		_, m := u.debit(testPIN, 300)
		u.ask(profile.Debit, m)
		d, m := u.debit(testPIN, 100)
		u.ask(profile.Debit, m)
		for name, f := range map[string]Fault{"wrong code": WrongMAC, "other payment": OtherPayment, "other amount": WrongField(4)} {
			h.SetFaultFor(profile.StatusInquiry, f, 1)
			q, sent := u.inquire(d)
			u.send(profile.StatusInquiry, false, q)
			r, in, ok := u.read(5 * time.Second)
			if !ok {
				t.Fatalf("%s: %s: no answer", code, name)
			}
			err := u.c.CheckReply(sent, r, in, today)
			if name == "wrong code" && u.good(in) || name != "wrong code" && (!u.good(in) || !errors.Is(err, bankmsg.ErrEcho)) {
				t.Errorf("%s: %s: good code %v, %v", code, name, u.good(in), err)
			}
		}
		for _, f := range []Fault{DropRequest, DropReply} {
			h.SetFaultFor(profile.StatusInquiry, f, 1)
			q, _ := u.inquire(d)
			u.send(profile.StatusInquiry, false, q)
			silent(wait)(t, u)
		}
		h.SetFaultFor(profile.StatusInquiry, LateReply(2*wait), 1)
		q, _ := u.inquire(d)
		u.send(profile.StatusInquiry, false, q)
		silent(wait)(t, u)
		if m, in, ok := u.read(5 * time.Second); !ok || u.code(m) != "00" || !u.good(in) {
			t.Errorf("%s: the late answer did not come", code)
		}
		h.SetFaultFor(profile.StatusInquiry, CloseOnReply, 1)
		q, _ = u.inquire(d)
		u.send(profile.StatusInquiry, false, q)
		silent(5*time.Second)(t, u)
	}
}
