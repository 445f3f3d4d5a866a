package settlement

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// perform carries out one effect. Nothing here waits: the HSM process is asked
// by the workers, and the ledger and the links answer with events.
func (h *Hub) perform(ef engine.Effect) {
	switch ef := ef.(type) {
	case engine.Submit:
		if ef.Memo == nil {
			h.submit(&ef)
			return
		}
		h.work.put(func() { h.seal(&ef) })
	case engine.Translate:
		h.work.put(func() { h.translate(&ef) })
	case engine.OpenMemo:
		h.work.put(func() { h.openMemo(&ef) })
	case engine.Look:
		p, _ := h.cfg.Ledger.Payment(ef.ID)
		p.ID = ef.ID
		h.box.put(message{ev: engine.Seen{Payment: p}})
	case engine.SendDebit:
		h.sendDebit(&ef)
	case engine.SendReversal:
		h.sendReversal(&ef)
	case engine.SendInquiry:
		h.sendInquiry(&ef)
	case engine.SendScript:
		h.sendScript(&ef)
	case engine.ScriptHeld:
		for _, ch := range h.scripts[ef.ID] {
			close(ch)
		}
		delete(h.scripts, ef.ID)
	case engine.SendProof:
		h.sendProof(&ef)
	case engine.SignOnAgain:
		if pool := h.pools[ef.Link.Bank]; pool != nil {
			pool.SignOn(ef.Link.N)
		}
	case engine.Tell:
		h.tell(&ef)
	case engine.TellProof:
		for _, ch := range h.provers[ef.ID] {
			ch <- ef.Answer
		}
		delete(h.provers, ef.ID)
	case engine.Note:
		h.note(&ef)
	}
}

// tell answers who waits. Who just asked is the last in the list.
func (h *Hub) tell(t *engine.Tell) {
	list := h.waiters[t.ID]
	if n := len(list); t.Asker && n > 1 {
		list[n-1] <- t.Answer
		h.waiters[t.ID] = list[:n-1]
		return
	}
	for _, ch := range list {
		ch <- t.Answer
	}
	delete(h.waiters, t.ID)
}

// submit asks the ledger.
func (h *Hub) submit(s *engine.Submit) {
	id, seq := s.ID, s.Seq
	h.cfg.Ledger.Submit(s.Command, 0, func(r ledgerapi.Result, err error) {
		ev := engine.LedgerDone{ID: id, Seq: seq, Result: r}
		if err != nil {
			ev.Fault = engine.FaultUnknown
			if h.cfg.NotWritten != nil && h.cfg.NotWritten(err) {
				ev.Fault = engine.FaultUnsent
			}
		}
		h.box.put(message{ev: ev})
	})
}

// seal seals the memo into the command and submits it.
func (h *Hub) seal(s *engine.Submit) {
	clear, err := engine.AppendMemo(make([]byte, 0, engine.MaxMemoBytes), s.Memo)
	var sealed []byte
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), hsmWait)
		sealed, err = h.cfg.HSM.SealMemo(ctx, hsmapi.SealMemo{Bank: s.Bank, Date: s.Date, Payment: s.ID, Data: clear})
		cancel()
	}
	for i := range clear {
		clear[i] = 0
	}
	sealed = dated(s.Date, sealed)
	if err == nil && len(sealed) > ledgerapi.MaxMemo {
		err = fmt.Errorf("settlement: sealed memo of %d bytes, at most %d fit", len(sealed), ledgerapi.MaxMemo)
	}
	switch c := s.Command.(type) {
	case ledgerapi.Reserve:
		c.Memo = sealed
		s.Command = c
	case ledgerapi.Annotate:
		c.Memo = sealed
		s.Command = c
	}
	if err != nil {
		h.cfg.Log.Warn().Str("payment", s.ID.String()).Str("bank", h.codes[s.Bank]).Err(err).Msg("memo not sealed")
		h.box.put(message{ev: engine.LedgerDone{ID: s.ID, Seq: s.Seq, Fault: engine.FaultUnsent}})
		return
	}
	h.submit(s)
}

// dated puts the date before what was sealed under its key. The payment's own
// date in the ledger is another one from the bank's cutover to midnight, and is
// given by the ledger when the memo is sealed already.
func dated(d si.BusinessDate, sealed []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(sealed)), uint16(d)), sealed...)
}

func undated(memo []byte) (si.BusinessDate, []byte, error) {
	if len(memo) < 2 {
		return 0, nil, errors.New("settlement: a memo without its date")
	}
	return si.BusinessDate(binary.BigEndian.Uint16(memo)), memo[2:], nil
}

// openMemo opens the memo of a payment that an earlier hub left.
func (h *Hub) openMemo(o *engine.OpenMemo) {
	ctx, cancel := context.WithTimeout(context.Background(), hsmWait)
	defer cancel()
	ev := engine.MemoOpened{ID: o.ID}
	date, sealed, err := undated(o.Data)
	var clear []byte
	if err == nil {
		clear, err = h.cfg.HSM.OpenMemo(ctx, hsmapi.SealMemo{Bank: o.Bank, Date: date, Payment: o.ID, Data: sealed})
	}
	if err == nil {
		ev.Memo, err = engine.ParseMemo(clear)
	}
	for i := range clear {
		clear[i] = 0
	}
	if ev.OK = err == nil; !ev.OK {
		h.cfg.Log.Warn().Str("payment", o.ID.String()).Str("bank", h.codes[o.Bank]).Err(err).Msg("memo not opened")
	}
	h.box.put(message{ev: ev})
}

// translate re-enciphers a PIN block for a link.
func (h *Hub) translate(t *engine.Translate) {
	ev := engine.Translated{ID: t.ID, Op: t.Op}
	prof, pool := h.profs[t.Link.Bank], h.pools[t.Link.Bank]
	if pool != nil {
		key, ok := pool.PINKey(t.Link.N)
		err := hsmapi.ErrNoKey
		if ok {
			ctx, cancel := context.WithTimeout(context.Background(), hsmWait)
			ev.Block, err = h.cfg.HSM.TranslatePIN(ctx, hsmapi.TranslatePIN{
				From: t.Card.PINKey, FromFormat: t.Card.PINFormat, To: key, ToFormat: prof.PINFormat, PAN: t.Card.PAN, Block: t.Card.PINBlock,
			})
			if errors.Is(err, hsmapi.ErrNoKey) { // the terminal's key, or the link's
				pool.CheckKeys(ctx, t.Link.N)
			}
			cancel()
		}
		ev.OK, ev.Gen = err == nil, uint32(key)
		if err != nil {
			h.cfg.Log.Warn().Str("payment", t.ID.String()).Str("bank", prof.Code).Err(err).Msg("PIN block not translated")
		}
	}
	t.Card = engine.CardData{}
	h.box.put(message{ev: ev})
}

func (h *Hub) place(l engine.LinkID, batch uint32) bankmsg.Place {
	if h.profs[l.Bank].Dialect != profile.POS {
		return bankmsg.Place{}
	}
	return bankmsg.Place{Terminal: h.pools[l.Bank].Terminal(l.N), Batch: batch}
}

func cardPart(c *engine.CardData) bankmsg.CardPart {
	return bankmsg.CardPart{PAN: c.PAN, PSN: c.PSN, Track2: c.Track2, Expiry: c.Expiry, PINBlock: c.PINBlock, DE55: c.DE55}
}

func (h *Hub) sendDebit(s *engine.SendDebit) {
	r := &banklink.Request{
		ID: s.ID, Seq: s.Seq, By: s.By, PINKey: hsmapi.KeyRef(s.Gen),
		Debit: &bankmsg.DebitRequest{
			Place: h.place(s.Link, s.Batch), STAN: s.STAN, RRN: s.RRN, DE7: s.DE7, At: timeOf(s.DE7, s.Date),
			Amount: s.Amount, Card: cardPart(&s.Card),
		},
	}
	h.send(s.Link, r, engine.OpDebit)
}

func (h *Hub) sendProof(s *engine.SendProof) {
	r := &banklink.Request{
		ID: s.ID, Seq: s.Seq, By: s.By, PINKey: hsmapi.KeyRef(s.Gen),
		Proof: &bankmsg.ProofRequest{Place: h.place(s.Link, 0), Card: cardPart(&s.Card)}, // the link adds numbers, time and batch
	}
	h.send(s.Link, r, engine.OpProof)
}

func (h *Hub) sendReversal(s *engine.SendReversal) {
	m := &s.Memo
	auth := ""
	if m.Auth != ([6]byte{}) {
		auth = string(m.Auth[:])
	}
	r := &banklink.Request{
		ID: s.ID, Seq: s.Seq,
		Reversal: &bankmsg.ReversalRequest{
			Place: h.place(s.Link, m.Batch), STAN: s.STAN, RRN: s.RRN, DE7: s.DE7, At: timeOf(s.DE7, s.Date),
			Amount: s.Amount, PAN: m.PAN, PSN: m.PSN, Expiry: m.Expiry, Auth: auth, Reason: string(m.Reason[:]),
			EMV: m.EMV, Repeat: s.Repeat,
		},
	}
	h.send(s.Link, r, engine.OpReversal)
}

func (h *Hub) sendInquiry(s *engine.SendInquiry) {
	r := &banklink.Request{
		ID: s.ID, Seq: s.Seq, By: s.By,
		Inquiry: &bankmsg.InquiryRequest{ // the link adds numbers, time and batch
			Place: h.place(s.Link, 0), Amount: s.Amount, PAN: s.Memo.PAN, Original: bankmsg.OriginalPayment{
				Batch: s.Memo.Batch, STAN: s.STAN, RRN: s.RRN, DE7: s.DE7, At: timeOf(s.DE7, s.Date),
			},
		},
	}
	h.send(s.Link, r, engine.OpInquiry)
}

func (h *Hub) sendScript(s *engine.SendScript) {
	m := &s.Memo
	r := &banklink.Request{
		ID: s.ID, Seq: s.Seq,
		Script: &bankmsg.ScriptNotice{
			STAN: s.STAN, RRN: s.RRN, DE7: s.DE7, At: timeOf(s.DE7, s.Date), Amount: s.Amount,
			PAN: m.PAN, PSN: m.PSN, Resp: string(s.Resp[:]), DE55: m.Script, Repeat: s.Repeat,
		},
	}
	h.send(s.Link, r, engine.OpScript)
}

// send hands a request to its link. A link that does not take it has not sent
// a byte of it.
func (h *Hub) send(l engine.LinkID, r *banklink.Request, op engine.Op) {
	if pool := h.pools[l.Bank]; pool == nil || !pool.Send(l.N, r) {
		h.box.put(message{ev: engine.NotSent{ID: r.ID, Op: op, Seq: r.Seq}})
	}
}

// timeOf is the time that DE 7 of a payment says, in the year of its date: DE 12
// and 13 of the debit, and of its reversal on whatever day that leaves.
func timeOf(de7 [10]byte, date si.BusinessDate) time.Time {
	day := date.Time()
	n, err := strconv.ParseUint(string(de7[:]), 10, 64)
	if err != nil {
		return day
	}
	year := day.Year()
	month, dom := time.Month(n/100_000_000), int(n/1_000_000%100)
	switch { // the reservation and its date lie at most some days apart
	case month == time.December && day.Month() == time.January:
		year--
	case month == time.January && day.Month() == time.December:
		year++
	}
	return time.Date(year, month, dom, int(n/10_000%100), int(n/100%100), int(n%100), 0, si.China)
}

// note counts and logs what the engine noted.
func (h *Hub) note(n *engine.Note) {
	h.notes[n.Kind].Add(1)
	var ev *zerolog.Event
	switch {
	case n.Kind == engine.NoteReversalStuck, n.Kind == engine.NoteCrossDay, n.Kind == engine.NoteLedgerOdd:
		ev = h.cfg.Log.Error()
	case n.Kind.Alarm(), n.Kind == engine.NoteLateApproval, n.Kind == engine.NoteDoubt, n.Kind == engine.NoteInquiryVain, n.Kind == engine.NoteLedgerUnknown:
		ev = h.cfg.Log.Warn()
	default:
		ev = h.cfg.Log.Info()
	}
	ev = ev.Str("payment", n.ID.String()).Str("bank", h.codes[n.Bank]).Str("state", n.State.String())
	if n.STAN != 0 {
		ev = ev.Uint32("stan", n.STAN).Str("rrn", printable(n.RRN[:]))
	}
	if n.Resp != ([2]byte{}) {
		ev = ev.Str("resp", printable(n.Resp[:]))
	}
	if n.Trigger != 0 {
		ev = ev.Str("trigger", n.Trigger.String())
	}
	if n.Code != 0 {
		ev = ev.Str("ledger", n.Code.String())
	}
	if n.Tries > 0 {
		ev = ev.Int("tries", n.Tries)
	}
	ev.Msg(n.Kind.String())
}

// printable keeps what a bank may put into a log line to letters and digits.
func printable(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			out = append(out, c)
		}
	}
	return string(out)
}
