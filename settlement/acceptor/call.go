package acceptor

import (
	"context"
	"fmt"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Response codes of our server (docs/spec/bank-wire.md). N1 to N6 are ours; a
// profile may map them to codes that its bank knows.
const (
	codeOK         = "00"
	codeNoKey      = "97" // sign on first
	codeBadMAC     = "A0"
	codeForm       = "30"
	codeDuplicate  = "94"
	codeUnknown    = "25"
	codeNotAllowed = "12"
	codeOtherDate  = "22"
	codeSystem     = "96"
	codeBusy       = "09"
	codeCutover    = "90"
	codePaid       = "N1"
	codeExpired    = "N2"
	codeAmount     = "N3"
	codeHeld       = "N5"
	codeNotPayable = "N6"
)

// isNet tells whether a message is about the link itself.
func isNet(k profile.Kind) bool {
	return k == profile.PeerSignOn || k == profile.PeerEcho || k == profile.KeyDelivery || k == profile.CutoverFrom
}

// dispatch starts one request.
func (c *conn) dispatch(r *request) {
	if r.net {
		c.network(r)
		return
	}
	r.reply = bankmsg.BankAnswer{}
	switch {
	case c.keys == 0:
		r.bare = true
		c.say(r, codeNoKey)
	case r.key == 0:
		c.s.bad.Add(1)
		r.key = c.keys
		c.say(r, codeBadMAC)
	default:
		c.judged(r)
	}
}

// say answers with a code and nothing else.
func (c *conn) say(r *request, code string) {
	r.reply.Code = code
	c.answered(r)
}

// judged does what a request with a good code asks.
func (c *conn) judged(r *request) {
	today := si.DateOf(c.s.cfg.Now())
	if err := c.s.codec.ReadCall(&r.msg, &r.in, today, &r.call); err != nil {
		c.say(r, codeForm)
		return
	}
	b := &r.call
	bank := c.s.prof.Number
	if b.Kind != profile.Inquiry {
		r.id = b.PaymentID(bank)
	}
	if (b.Kind == profile.Inquiry || b.Kind == profile.PayStatus) && c.s.cfg.Current != nil {
		if err := c.s.cfg.Current(); err != nil {
			c.end(NotLeading) // what is read here may be old: no word at all
			c.free <- r
			return
		}
	}
	switch b.Kind {
	case profile.NoticePay:
		// Our date is left to the ledger: the date that is open when the record
		// is applied, whatever cutover comes before it in the log.
		c.submit(r, ledgerapi.Pay{
			ID: r.id, Channel: b.Channel, Bank: bank, Notice: b.Notice, Total: b.Amount,
			HostSerial: string(b.Serial[:]), BankDate: b.Date, STAN: b.STAN, DE7: b.DE7,
		}, (*request).paid)
	case profile.PayReversal:
		c.submit(r, ledgerapi.Reverse{ID: r.id, Bank: bank, BankDate: b.Date, Reason: b.Reason}, (*request).reversed)
	case profile.PayStatus:
		c.status(r)
	default:
		c.inquire(r)
	}
}

// paid turns the ledger's result of a Pay into the answer.
func (r *request) paid() {
	a, res := &r.reply, &r.result
	code := res.Code
	if code == ledgerapi.Exists {
		code = res.First
	}
	if res.Code == ledgerapi.Exists && code == ledgerapi.OK && res.State != ledgerapi.PayPosted {
		// Paid once and taken back since: the money is with the bank again.
		a.Code, a.Detail = codeNotAllowed, res.State.String()
		return
	}
	a.Code = payCode(code)
	switch code {
	case ledgerapi.OK:
		a.Receipt, a.Payment = res.Receipt, r.id
		a.Auth = fmt.Sprintf("%06d", res.Receipt.Seq%1_000_000)
		r.c.s.payments.Add(1)
		return
	case ledgerapi.NotFound:
		on := r.c.s.today()
		if v, known := r.c.s.cfg.Ledger.NoticeByNo(r.call.Notice, on); known && v.ValidUntil < on {
			a.Code = codeExpired
		}
	default: // payCode has said it
	}
	a.Detail = code.String()
}

// payCode is the response code of a refused payment.
func payCode(c ledgerapi.Code) string {
	switch c {
	case ledgerapi.OK:
		return codeOK
	case ledgerapi.IDReused:
		return codeDuplicate
	case ledgerapi.DueHeld:
		return codeHeld
	case ledgerapi.DuePaid:
		return codePaid
	case ledgerapi.DueChanged, ledgerapi.NotOldest:
		return codeAmount
	case ledgerapi.NotFound, ledgerapi.WrongRegion:
		return codeUnknown
	case ledgerapi.NoBeneficiary:
		return codeNotPayable
	case ledgerapi.Tombstoned, ledgerapi.BadTransition, ledgerapi.IDTooOld:
		return codeNotAllowed
	case ledgerapi.Sealed, ledgerapi.NotSameDay:
		return codeCutover
	case ledgerapi.Malformed:
		return codeForm
	default: // nothing a bank could mend
		return codeSystem
	}
}

// reversed turns the ledger's result of a Reverse into the answer.
func (r *request) reversed() {
	res := &r.result
	code := res.Code
	if code == ledgerapi.Exists {
		code = res.First
	}
	switch {
	case code == ledgerapi.OK && res.Unknown:
		r.reply.Code = codeUnknown
	case code == ledgerapi.OK:
		r.reply.Code = codeOK
	case code == ledgerapi.NotSameDay || code == ledgerapi.Sealed:
		r.reply.Code = codeOtherDate
	default:
		r.reply.Code, r.reply.Detail = payCode(code), code.String()
	}
}

// status answers what became of a payment.
func (c *conn) status(r *request) {
	p, ok := c.s.cfg.Ledger.Payment(r.id)
	switch {
	case !ok || p.State == ledgerapi.PayTombstone:
		c.say(r, codeUnknown)
	case p.State == ledgerapi.PayPosted:
		r.reply.Receipt, r.reply.Payment = p.Receipt, r.id
		c.say(r, codeOK)
	case p.State == ledgerapi.PayVoided:
		r.reply.Detail = p.State.String()
		c.say(r, codeUnknown)
	default:
		c.say(r, codeBusy)
	}
}

// inquire answers what a notice costs today. An inquiry by ID number is
// answered with the person's live notice, which is made if there is none.
func (c *conn) inquire(r *request) {
	if r.call.Notice != 0 {
		r.finish = func(r *request) { r.price(r.call.Notice) }
		c.answered(r)
		return
	}
	if !c.s.mayInquire(r.call.Teller) {
		c.say(r, codeNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.s.waits.hsm)
	defer cancel()
	h, err := c.s.cfg.Names.HashIDs(ctx, []si.IDNumber{r.call.ID})
	r.call.ID.Wipe()
	if err != nil {
		c.say(r, codeSystem)
		return
	}
	p, ok := c.s.cfg.Persons.Person(h[0])
	if !ok {
		c.say(r, codeUnknown)
		return
	}
	today := si.DateOf(c.s.cfg.Now()) // a paper of this day, whatever date is open
	c.submit(r, ledgerapi.Notice{ID: si.NewPaymentID(c.s.cfg.Now()), Person: p.No, Date: today, ValidUntil: today + noticeDays}, (*request).noticed)
}

// noticed answers with the notice that was made or found.
func (r *request) noticed() {
	switch code := r.result.Code; {
	case r.result.Notice != 0:
		r.price(r.result.Notice)
	case code == ledgerapi.NotFound: // the person is known: nothing is open
		r.reply.Code, r.reply.Detail = codePaid, code.String()
	default:
		r.reply.Code, r.reply.Detail = payCode(code), code.String()
	}
}

// price fills the answer with what the notice costs now: by the date that is
// open, as the ledger will reckon a payment.
func (r *request) price(no si.NoticeNo) {
	a, s := &r.reply, r.c.s
	today := s.today()
	v, ok := s.cfg.Ledger.NoticeByNo(no, today)
	a.Notice = no
	switch {
	case !ok:
		a.Code = codeUnknown
	case v.ValidUntil < today:
		a.Code = codeExpired
	case v.Held:
		a.Code = codeHeld
	case len(v.Dues) == 0 && len(v.Ahead) > 0:
		a.Code = codeNotAllowed // its window is not open yet
	case v.Paid || len(v.Dues) == 0:
		a.Code = codePaid
	default:
		a.Code, a.Amount, a.Count = codeOK, v.Total, len(v.Dues)
		r.describe(&v)
	}
}

// describe adds what the teller reads out: for whom (masked), what, since when.
func (r *request) describe(v *ledgerapi.NoticeView) {
	a, s := &r.reply, r.c.s
	first, last := v.Dues[0].Period, v.Dues[0].Period
	a.Fund = v.Dues[0].Fund
	for _, d := range v.Dues {
		if d.Period.Start() < first.Start() {
			first = d.Period
		}
		if d.Period.Start() > last.Start() {
			last = d.Period
		}
		if d.Fund != a.Fund {
			a.Fund = 0
		}
	}
	a.Term = first.String() + "/" + last.String()
	p, ok := s.cfg.Persons.PersonByNo(v.Person)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.waits.hsm)
	defer cancel()
	if n, err := s.cfg.Names.OpenPerson(ctx, p.Sealed); err == nil {
		a.Name = n.MaskedName // without it the number and the amount still stand
	}
}

// network answers sign-on, keys and echo. They need no code where the profile
// asks for none, because keys are proven by their block, but one that came must
// be good. A cutover is for the hub's own link to the bank's host and is not
// acknowledged here, where nothing would follow from it.
func (c *conn) network(r *request) {
	r.code = codeOK
	switch {
	case r.in.HasMAC && r.key == 0:
		c.s.bad.Add(1)
		r.code = codeBadMAC
	case r.in.Kind == profile.PeerSignOn && c.s.prof.Dialect == profile.POS:
		r.code = c.keysOfSignOn(r, r.msg.Field(62))
	case r.in.Kind == profile.KeyDelivery:
		r.code = c.keyDelivered(r)
	case r.in.Kind == profile.CutoverFrom:
		r.code = codeNotAllowed
	}
	if r.key == 0 {
		r.key = c.keys
	}
	r.bare = r.key == 0
	c.answered(r)
}

// keysOfSignOn takes the keys in DE 62. Keys that do not check are refused, and
// the old ones stay.
func (c *conn) keysOfSignOn(r *request, block []byte) string {
	name := ""
	for _, t := range c.s.prof.Terminals {
		if t.DE41 == string(r.msg.Field(41)) {
			name = t.TMK
		}
	}
	if name == "" || len(block) < 40 {
		return codeForm
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.s.waits.hsm)
	defer cancel()
	k, err := c.s.cfg.Codes.ImportDE62(ctx, hsmapi.ImportDE62{
		TMK: name, Block: append([]byte(nil), block[:40]...), MAKDouble: c.s.prof.MAKDouble,
		MACAlg: c.s.prof.MACAlg, PINFormat: c.s.prof.PINFormat,
	})
	if err != nil {
		return codeForm
	}
	c.old, c.keys = c.keys, k.MAC
	return codeOK
}

// keyDelivered takes a key block of the CUPS dialect. A PIN key is checked and
// not kept: no PIN comes this way.
func (c *conn) keyDelivered(r *request) string {
	block, forPIN, err := bankmsg.NewKey(&r.msg)
	if err != nil {
		return codeForm
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.s.waits.hsm)
	defer cancel()
	k, err := c.s.cfg.Codes.ImportTR31(ctx, hsmapi.ImportTR31{
		KBPK: c.s.prof.KBPK, Block: block, ForPIN: forPIN, MACAlg: c.s.prof.MACAlg, PINFormat: c.s.prof.PINFormat,
	})
	if err != nil {
		return codeForm
	}
	if !forPIN {
		c.old, c.keys = c.keys, k.Key
	}
	return codeOK
}
