package engine

import (
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si/planted"
)

// lineUp waits for a link that may carry the inquiry, where the bank takes one;
// elsewhere, and after the bank's time for inquiries, the reversal begins.
func (e *Engine) lineUp(p *payment) {
	if !p.askable {
		e.fire(p, NoInquiry)
		return
	}
	p.sendBy = e.now.Add(p.bank.prof.Timers.Inquiry)
	e.timers.arm(&p.timer, p.sendBy)
	e.line(p)
}

// inquire puts the one inquiry of a payment on its link.
func (e *Engine) inquire(p *payment) {
	p.link = e.in.link
	p.askable = false
	p.seq++
	e.hold(p)
	e.stats.Inquiries++
	e.timers.arm(&p.timer, p.sendBy)
	e.out = append(e.out, SendInquiry{
		ID: p.id, Seq: p.seq, Link: p.on(), By: p.sendBy, STAN: p.stan, RRN: p.rrn, DE7: p.de7, Date: p.date,
		Amount: p.total, Memo: p.memo,
	})
}

// inquiryReply takes the answer to an inquiry. One that comes when the reversal
// has begun says nothing any more.
func (e *Engine) inquiryReply(p *payment) {
	if p.state != Inquiring {
		e.stats.Stale++
		return
	}
	t := e.judgeInquiry(p)
	switch t {
	case Declined, NotKnown:
		e.stats.InquiriesProven++
	case InquiryVain:
		e.note(NoteInquiryVain, p, Note{Resp: e.in.reply.Resp})
	}
	e.fire(p, t)
}

// judgeInquiry says what the answer to an inquiry means. Approved is proof at
// every bank that takes inquiries; that no money moved is proof where the
// profile says so. A code that may be about the inquiry itself is none.
func (e *Engine) judgeInquiry(p *payment) Trigger {
	r := &e.in.reply
	if !e.trusted(p) {
		return InquiryVain
	}
	class := p.bank.prof.Classes[string(r.Resp[:])]
	proof := p.bank.prof.InquiryIsProof || planted.On(planted.InquiryAlwaysProof)
	switch {
	case class == profile.ClassApproved && r.Amount == p.total:
		return Approved
	case class == profile.ClassSignOn:
		e.signOnAgain(p)
	case class == profile.ClassNone, class == profile.ClassUnknown:
		e.note(NoteUnknownCode, p, Note{Resp: r.Resp})
	case !proof:
	case string(r.Resp[:]) == "12", string(r.Resp[:]) == "25": // the original was never seen
		return NotKnown
	case class == profile.ClassRefused, class == profile.ClassCapture:
		return Declined
	}
	return InquiryVain
}
