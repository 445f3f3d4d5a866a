package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// act is an Act at hand: who asked for it, and who agreed.
type act struct {
	id      si.PaymentID
	maker   si.Actor
	checker si.Actor // 0 until a second person has approved
}

// second refuses an act of two persons that one person did alone. The rule of
// an act calls it where it knows that two are needed; the act then waits for an
// Approve, and its rule runs again as a whole.
func (a *act) second(out *ledgerapi.Result) {
	if a.checker == 0 {
		refuse(out, ledgerapi.NeedsSecondPerson)
	}
}

// applyAct does an Act, or keeps it for a second person.
func (m *Machine) applyAct(h *ledgerapi.Header, fp [16]byte, body []byte, out *ledgerapi.Result) {
	do, err := ledgerapi.DecodeAct(h.Type, body)
	if err != nil {
		out.Code = ledgerapi.Malformed
		return
	}
	if c, ok := do.(*ledgerapi.Approve); ok {
		m.applyApprove(h, c, out)
		return
	}
	if p := m.proposals.get(h.ID); p != nil {
		m.proposedBefore(p, fp, out)
		return
	}
	m.do(&act{id: h.ID, maker: h.Actor}, do, out)
	if out.Code == ledgerapi.NeedsSecondPerson && h.Actor != 0 {
		m.proposals.add(proposal{id: h.ID, fp: fp, maker: h.Actor, at: m.at, kind: h.Type, state: proposalWaiting,
			body: m.putBlob(body), n: uint32(len(body))})
	}
}

// do does one Act. It and apply are the only places that know all commands.
func (m *Machine) do(a *act, do ledgerapi.Body, out *ledgerapi.Result) {
	switch c := do.(type) {
	case *ledgerapi.Proxy:
		m.applyProxy(c, out)
	case *ledgerapi.Open:
		m.applyOpen(c, out)
	case *ledgerapi.Replace:
		m.applyReplace(a, c, out)
	case *ledgerapi.Cancel:
		m.applyCancel(a, c, out)
	case *ledgerapi.WriteOff:
		m.applyWriteOff(a, c, out)
	case *ledgerapi.SetLateRule:
		m.applySetLateRule(a, c, out)
	case *ledgerapi.BackPay:
		m.applyBackPay(c, out)
	case *ledgerapi.Enrol:
		m.applyEnrol(a, c, out)
	case *ledgerapi.TransferIn:
		m.applyTransferIn(a, c, out)
	case *ledgerapi.Suspend:
		m.applySuspend(a, c, out)
	case *ledgerapi.Resume:
		m.applyResume(a, c, out)
	case *ledgerapi.ChangeGrade:
		m.applyChangeGrade(a, c, out)
	case *ledgerapi.TransferOut:
		m.applyTransferOut(a, c, out)
	case *ledgerapi.Terminate:
		m.applyTerminate(a, c, out)
	case *ledgerapi.Bind:
		m.applyBind(c, out)
	case *ledgerapi.Certify:
		m.applyCertify(a, c, out)
	case *ledgerapi.IssueStatement:
		m.applyIssueStatement(c, out)
	case *ledgerapi.MandateSign:
		m.applyMandateSign(c, out)
	case *ledgerapi.MandateMove:
		m.applyMandateMove(c, out)
	case *ledgerapi.CaseOpen:
		m.applyCaseOpen(a, c, out)
	case *ledgerapi.CaseMove:
		m.applyCaseMove(a, c, out)
	case *ledgerapi.Book:
		m.applyBook(c, out)
	case *ledgerapi.CancelBooking:
		m.applyCancelBooking(c, out)
	default:
		m.doMoney(a, do, out)
	}
}

// proposalState is what became of an act that needs a second person.
type proposalState uint8

const (
	proposalWaiting proposalState = iota + 1
	proposalDone
	proposalRejected
)

// proposal is an act that waits, or waited, for a second person.
type proposal struct {
	id      si.PaymentID
	fp      [16]byte
	maker   si.Actor
	checker si.Actor
	at      int64 // ms of the act
	kind    ledgerapi.Type
	state   proposalState
	body    uint32 // reference to n bytes, 0 once decided
	n       uint32
}

// maxProposal bounds a waiting act's body in bytes: the largest is a resolution
// with the command inside it and a note.
const maxProposal = 8 << 10

func (m *Machine) proposalFields(f *wire.Form, p *proposal) {
	f.Fixed(p.id[:])
	f.Fixed(p.fp[:])
	wire.U32(f, &p.maker)
	wire.U32(f, &p.checker)
	wire.U64(f, &p.at)
	wire.U8(f, &p.kind)
	wire.U8(f, &p.state)
	m.blobField(f, &p.body, &p.n, maxProposal)
}

// blobField is a byte string that a record keeps in m.blobs.
func (m *Machine) blobField(f *wire.Form, ref, n *uint32, most int) {
	var b []byte
	if *ref != 0 {
		b = m.blobs.get(*ref, int(*n))
	}
	f.Blob(&b, most)
	if f.Reading() {
		*ref, *n = m.putBlob(b), uint32(len(b))
	}
}

// proposedBefore answers an act that has been proposed under its id.
func (m *Machine) proposedBefore(p *proposal, fp [16]byte, out *ledgerapi.Result) {
	switch {
	case p.fp != fp:
		out.Code = ledgerapi.IDReused
	case p.state == proposalWaiting:
		out.Code = ledgerapi.NeedsSecondPerson
	default:
		out.Code = ledgerapi.BadTransition
	}
}

// applyApprove is the second person's word.
func (m *Machine) applyApprove(h *ledgerapi.Header, c *ledgerapi.Approve, out *ledgerapi.Result) {
	p := m.proposals.get(c.Subject)
	switch {
	case p == nil:
		out.Code = ledgerapi.NotFound
		return
	case p.state != proposalWaiting:
		out.Code = ledgerapi.BadTransition
		return
	case h.Actor == 0:
		out.Code = ledgerapi.NeedsSecondPerson
		return
	case h.Actor == p.maker:
		out.Code = ledgerapi.SamePerson
		return
	case c.Verdict == ledgerapi.VerdictNo:
		m.rejected(p, h.Actor, c.Note)
		m.decide(p, proposalRejected, h.Actor)
		out.Code = ledgerapi.OK
		return
	case c.Verdict != ledgerapi.VerdictYes:
		out.Code = ledgerapi.Malformed
		return
	}
	do, err := ledgerapi.DecodeAct(p.kind, append([]byte(nil), m.blobs.get(p.body, int(p.n))...))
	if err != nil {
		m.fail("the act that %s proposes does not decode", p.id)
		return
	}
	m.do(&act{id: p.id, maker: p.maker, checker: h.Actor}, do, out)
	if out.Code == ledgerapi.OK {
		m.decide(p, proposalDone, h.Actor)
		m.ack(p.id, p.fp, out)
	}
}

func (m *Machine) decide(p *proposal, s proposalState, checker si.Actor) {
	p = m.proposals.change(p.id)
	p.state, p.checker = s, checker
	m.blobs.drop(p.body, int(p.n))
	p.body, p.n = 0, 0
}

func mixID(id si.PaymentID) uint64 { return mix16(id) }

func appendID(dst []byte, id si.PaymentID) []byte { return append(dst, id[:]...) }

// Waiting lists the acts that wait for a second person, oldest first.
func (m *Machine) Waiting() []ledgerapi.Waiting {
	var all []ledgerapi.Waiting
	for _, slot := range m.proposals.sorted() {
		p := m.proposals.at(slot)
		if p.state != proposalWaiting {
			continue
		}
		do, err := ledgerapi.DecodeAct(p.kind, append([]byte(nil), m.blobs.get(p.body, int(p.n))...))
		if err == nil {
			all = append(all, ledgerapi.Waiting{ID: p.id, Maker: p.maker, AtMillis: p.at, Do: do})
		}
	}
	return all
}
