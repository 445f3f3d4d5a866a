package bankhost

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// server is our ISO 8583 server in small: one connection, notices in a map.
type server struct {
	t       testing.TB
	c       *bankmsg.Codec
	p       *profile.Profile
	hsm     *softhsm.Store
	mac     hsmapi.KeyRef
	notices map[si.NoticeNo]si.Fen
	paid    map[si.PaymentID]si.NoticeNo
	calls   []bankmsg.BankCall
}

var testNotice = si.NewNoticeNo(330110, 2026, 7)

func newServer(t testing.TB, code string) (*server, string) {
	p := testProfile(t, code)
	c, err := bankmsg.Compile(p)
	must(t, err)
	hsm, err := softhsm.NewVolatile()
	must(t, err)
	keys := testKeys(p)
	for de41, tmk := range keys.TMK {
		must(t, hsm.AddKey(code+"/tmk/"+de41, softhsm.Master, tmk))
	}
	if p.KBPK != "" {
		must(t, hsm.AddKey(p.KBPK, softhsm.Protect, keys.KBPK))
	}
	s := &server{t: t, c: c.For(bankmsg.HubServer), p: p, hsm: hsm, paid: map[si.PaymentID]si.NoticeNo{},
		notices: map[si.NoticeNo]si.Fen{testNotice: 38_000}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = nc.Close() }()
		s.serve(nc)
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done; _ = hsm.Close() })
	return s, ln.Addr().String()
}

func (s *server) serve(nc net.Conn) {
	var buf []byte
	part := make([]byte, 4096)
	for {
		n, err := s.c.Next(buf)
		if err != nil {
			s.t.Errorf("server: %v", err)
			return
		}
		if n == 0 {
			k, err := nc.Read(part)
			if err != nil {
				return
			}
			buf = append(buf, part[:k]...)
			continue
		}
		reply := s.answer(buf[:n])
		buf = buf[n:]
		if reply == nil {
			return
		}
		if _, err := nc.Write(reply); err != nil {
			return
		}
	}
}

func (s *server) answer(frame []byte) []byte {
	var req, m bankmsg.Message
	var in bankmsg.Inbound
	var f bankmsg.Frame
	if err := s.c.Decode(frame, &req, &in); err != nil {
		s.t.Errorf("server: %v", err)
		return nil
	}
	ctx := context.Background()
	var err error
	switch in.Kind {
	case profile.PeerSignOn:
		if s.p.Dialect == profile.POS {
			var w hsmapi.WorkingKeys
			w, err = s.hsm.ImportDE62(ctx, hsmapi.ImportDE62{TMK: s.p.Terminals[0].TMK, Block: req.Field(62),
				MAKDouble: s.p.MAKDouble, MACAlg: s.p.MACAlg, PINFormat: s.p.PINFormat})
			s.mac = w.MAC
		}
		if err == nil {
			err = s.c.AnswerNet(&m, &req, &in, "00")
		}
	case profile.KeyDelivery:
		block, forPIN, kerr := bankmsg.NewKey(&req)
		if kerr != nil {
			s.t.Error(kerr)
			return nil
		}
		var k hsmapi.ImportedKey
		k, err = s.hsm.ImportTR31(ctx, hsmapi.ImportTR31{KBPK: s.p.KBPK, Block: block, ForPIN: forPIN, MACAlg: s.p.MACAlg, PINFormat: s.p.PINFormat})
		if !forPIN {
			s.mac = k.Key
		}
		f.WithoutMAC = s.mac == 0
		if err == nil {
			err = s.c.AnswerNet(&m, &req, &in, "00")
		}
	case profile.PeerEcho:
		err = s.c.AnswerNet(&m, &req, &in, "00")
	default:
		job, _ := in.Job(s.mac, s.p.MACAlg)
		jobs := []hsmapi.MACJob{job}
		if err = s.hsm.MAC(ctx, jobs); err == nil && !jobs[0].OK {
			s.t.Errorf("server: %v came with a wrong code", in.Kind)
			return nil
		}
		err = s.c.Answer(&m, &req, &in, s.call(&req, &in))
	}
	if err != nil {
		s.t.Errorf("server: %v: %v", in.Kind, err)
		return nil
	}
	if err := s.c.EncodeAnswer(&f, &in, &m); err != nil {
		s.t.Errorf("server: %v: %v", in.Kind, err)
		return nil
	}
	if f.MACIn != nil {
		jobs := []hsmapi.MACJob{{Key: s.mac, Alg: s.p.MACAlg, Data: f.MACIn}}
		if err := s.hsm.MAC(ctx, jobs); err != nil {
			s.t.Errorf("server: %v", err)
			return nil
		}
		f.PutMAC(jobs[0].MAC)
	}
	return f.Wire
}

func (s *server) call(req *bankmsg.Message, in *bankmsg.Inbound) *bankmsg.BankAnswer {
	var b bankmsg.BankCall
	if err := s.c.ReadCall(req, in, si.DateOf(noon), &b); err != nil {
		return &bankmsg.BankAnswer{Code: "30", Detail: "FORM"}
	}
	s.calls = append(s.calls, b)
	id := b.PaymentID(s.p.Number)
	receipt := si.ReceiptNo{Area: 330110, Date: si.DateOf(noon), Seq: 1}
	switch b.Kind {
	case profile.Inquiry:
		notice := b.Notice
		if !b.ID.IsZero() {
			notice = testNotice
		}
		amount, ok := s.notices[notice]
		if !ok {
			return &bankmsg.BankAnswer{Code: "25"}
		}
		return &bankmsg.BankAnswer{Code: "00", Amount: amount, Notice: notice, Term: "2026-01/2026-12", Fund: si.MedRes, Count: 1, Name: "李*明"}
	case profile.NoticePay:
		if n, ok := s.paid[id]; ok && n == b.Notice {
			return &bankmsg.BankAnswer{Code: "00", Auth: "000001", Receipt: receipt, Payment: id}
		}
		if len(s.paid) > 0 {
			return &bankmsg.BankAnswer{Code: "N1"}
		}
		if b.Amount != s.notices[b.Notice] {
			return &bankmsg.BankAnswer{Code: "N3"}
		}
		s.paid[id] = b.Notice
		return &bankmsg.BankAnswer{Code: "00", Auth: "000001", Receipt: receipt, Payment: id}
	case profile.PayStatus:
		if _, ok := s.paid[id]; ok {
			return &bankmsg.BankAnswer{Code: "00", Receipt: receipt, Payment: id}
		}
		return &bankmsg.BankAnswer{Code: "25"}
	}
	if _, ok := s.paid[id]; !ok {
		return &bankmsg.BankAnswer{Code: "25"}
	}
	delete(s.paid, id)
	return &bankmsg.BankAnswer{Code: "00", Payment: id}
}

// TestCounter pays a notice from the bank's side at each bank that does so.
func TestCounter(t *testing.T) {
	for _, code := range []string{"rcb", "ccb", "boc"} {
		t.Run(code, func(t *testing.T) {
			s, addr := newServer(t, code)
			p := testProfile(t, code)
			c, err := DialCounter(context.Background(), CounterConfig{Profile: p, Keys: testKeys(p), Addr: addr,
				Teller: "T0042", Channel: "EBK", Clock: func() time.Time { return noon }})
			must(t, err)
			defer func() { _ = c.Close() }()
			must(t, c.Echo())

			ask := func(what string, r *Reply, err error, code string) *Reply {
				t.Helper()
				must(t, err)
				if want := p.OwnCode(code); r.Code != want || !r.MACGood {
					t.Fatalf("%s: got %s, good code %v, want %s", what, r.Code, r.MACGood, want)
				}
				return r
			}
			r, err := c.InquireNotice(testNotice)
			ask("inquiry", r, err, "00")
			name := r.Records["NM"]
			must(t, err)
			if r.Amount != 38_000 || r.Records["NN"] != testNotice.String() || name != "李*明" || r.Records["IT"] != "MED_RES" ||
				r.Records["CN"] != "1" || r.Records["TS"] != "2026-01/2026-12" {
				t.Errorf("inquiry: got %v, records %q, name %s", r.Amount, r.Records, name)
			}
			first := "33019919700101001"
			last, err := si.IDCheckDigit(first)
			must(t, err)
			r, err = c.InquireID(first + string(last))
			ask("inquiry by ID", r, err, "00")
			if r.Records["NN"] != testNotice.String() || r.Records["ID"] != "" {
				t.Errorf("inquiry by ID: records %q", r.Records)
			}
			r, err = c.InquireID("330199197001010000")
			ask("inquiry by a wrong ID", r, err, "30")
			r, err = c.InquireNotice(testNotice + 1)
			ask("inquiry of an unknown notice", r, err, "25")

			pay := c.NewPayment(testNotice, 38_000)
			r, err = c.Status(pay)
			ask("status before", r, err, "25")
			short := c.NewPayment(testNotice, 100)
			r, err = c.Pay(short)
			ask("amount differs", r, err, "N3")
			r, err = c.Pay(pay)
			ask("payment", r, err, "00")
			receipt, id := r.Records["RN"], r.Records["PY"]
			if len(receipt) != 20 || len(id) != 32 || r.Auth != "000001" {
				t.Errorf("payment: records %q, DE 38 %q", r.Records, r.Auth)
			}
			r, err = c.Pay(pay)
			ask("repeat", r, err, "00")
			if r.Records["RN"] != receipt || r.Records["PY"] != id {
				t.Error("repeat: another receipt or payment")
			}
			r, err = c.Pay(c.NewPayment(testNotice, 38_000))
			ask("second payment", r, err, "N1")
			r, err = c.Status(pay)
			ask("status", r, err, "00")
			r, err = c.Reverse(pay, "98")
			ask("reversal", r, err, "00")
			if r.Records["PY"] != id || len(s.paid) != 0 {
				t.Error("reversal: of another payment")
			}
			b := s.calls[0]
			if b.Channel != si.ChannelEBank || b.Teller != "T0042" || b.Notice != testNotice || b.Acquirer != c.acquirer() {
				t.Errorf("call: got %+v", b)
			}
		})
	}
}
