package core

import (
	"github.com/shebao-pay/shebao/ledger/enrol"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// mandate is a citizen's standing leave to debit an account (代扣签约).
type mandate struct {
	no        ledgerapi.MandateNo
	limit     si.Fen
	account   si.Hash
	consent   [16]byte
	person    si.PersonNo
	next      uint32 // another mandate of the person
	agreement uint32 // reference to agreed bytes
	agreed    uint32
	signed    si.BusinessDate
	changed   si.BusinessDate
	funds     ledgerapi.FundSet
	bank      si.Bank
	channel   si.Channel
	state     ledgerapi.MandateState
}

func (m *Machine) mandateFields(f *wire.Form, x *mandate) {
	wire.U64(f, &x.no)
	wire.U32(f, &x.person)
	wire.U16(f, &x.funds)
	wire.U8(f, &x.bank)
	wire.U8(f, &x.channel)
	wire.U8(f, &x.state)
	f.Fixed(x.account[:])
	wire.U64(f, &x.limit)
	f.Fixed(x.consent[:])
	wire.U16(f, &x.signed)
	wire.U16(f, &x.changed)
	m.blobField(f, &x.agreement, &x.agreed, ledgerapi.MaxAgreement)
}

// mandateShelf are the mandates.
type mandateShelf struct {
	mandates   *shelf[ledgerapi.MandateNo, mandate]
	mandatesOf *thread
}

func (m *Machine) shelveMandates() {
	m.mandates = shelve(m, classMandate, BucketMandate, numberHash[ledgerapi.MandateNo],
		func(x *mandate) ledgerapi.MandateNo { return x.no }, numberRow[ledgerapi.MandateNo], m.mandateFields)
	m.mandatesOf = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		x := m.mandates.at(slot)
		return x.person, &x.next
	})
	m.mandates.placed = func(slot uint32, _ *mandate) { m.mandatesOf.put(slot) }
}

// applyMandateSign signs, or signs a suspended mandate again under its number.
// The account must be that of a card of the person's that is in use: the holder
// was checked when the card was registered.
func (m *Machine) applyMandateSign(c *ledgerapi.MandateSign, out *ledgerapi.Result) {
	if !c.Funds.Valid() || c.Bank == 0 || c.Account == (si.Hash{}) || c.Limit < 0 || c.Limit > si.MaxFen ||
		c.Channel < si.ChannelTerminal || c.Channel > si.ChannelDesk {
		refuse(out, ledgerapi.Malformed)
		return
	}
	held := m.byPAN.get(c.Account)
	if m.personOf(c.Person) == nil || held == 0 || m.cards.at(held).person != c.Person || m.cards.at(held).bank != c.Bank {
		refuse(out, ledgerapi.NotFound)
		return
	}
	if m.dead(c.Person) && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(ledgerapi.ReasonDeceased)
	}
	if m.cards.at(held).state != ledgerapi.CardActive {
		refuse(out, ledgerapi.BadTransition)
	}
	var again *mandate
	for _, slot := range m.mandatesOf.slots(c.Person) {
		x := m.mandates.at(slot)
		if x.bank != c.Bank || x.funds&c.Funds == 0 || x.state == ledgerapi.MandateCancelled {
			continue
		}
		switch {
		case out.Code == 0 && x.state != ledgerapi.MandateSuspended && x.funds == c.Funds && x.account == c.Account && x.limit == c.Limit:
			*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, No: uint64(x.no), Person: c.Person}
			return
		case enrol.Mandate(x.state, ledgerapi.MandateSigned) && x.funds == c.Funds:
			again = x
		default:
			// Another account, limit or set of funds: the old one is cancelled first.
			refuse(out, ledgerapi.BadTransition)
		}
	}
	if out.Code != 0 {
		return
	}
	no := ledgerapi.MandateNo(m.mandates.used) + 1
	if again != nil {
		no = again.no
		again = m.mandates.change(no)
		m.blobs.drop(again.agreement, int(again.agreed))
		again.agreement, again.agreed = 0, 0
	} else {
		m.mandates.add(mandate{no: no, person: c.Person, funds: c.Funds, bank: c.Bank})
		again = m.mandates.get(no)
	}
	again.state, again.account, again.limit, again.channel, again.consent = ledgerapi.MandateSigned, c.Account, c.Limit, c.Channel, c.Consent
	again.signed, again.changed = m.today(), m.today()
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(no), Person: c.Person}
}

func (m *Machine) applyMandateMove(c *ledgerapi.MandateMove, out *ledgerapi.Result) {
	if c.To < ledgerapi.MandateActive || c.To > ledgerapi.MandateCancelled || (c.To == ledgerapi.MandateActive) != (c.Agreement != "") {
		refuse(out, ledgerapi.Malformed)
		return
	}
	x := m.mandates.get(c.Mandate)
	if x == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	if c.Bank != 0 && c.Bank != x.bank {
		refuse(out, ledgerapi.BadTransition) // only the bank that signed speaks of it
		return
	}
	switch {
	case x.state == c.To && (c.To != ledgerapi.MandateActive || m.agreementOf(x) == c.Agreement):
		*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, No: uint64(x.no), Person: x.person}
		return
	case !enrol.Mandate(x.state, c.To):
		refuse(out, ledgerapi.BadTransition)
		return
	}
	x = m.mandates.change(c.Mandate)
	x.state, x.changed = c.To, m.today()
	if c.To == ledgerapi.MandateActive {
		x.agreement, x.agreed = m.putBlob([]byte(c.Agreement)), uint32(len(c.Agreement))
	}
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(x.no), Person: x.person}
}

func (m *Machine) agreementOf(x *mandate) string {
	if x.agreement == 0 {
		return ""
	}
	return string(m.blobs.get(x.agreement, int(x.agreed)))
}

// moveMandates takes those mandates of a person that pick chooses to a state,
// where their state allows it.
func (m *Machine) moveMandates(who si.PersonNo, to ledgerapi.MandateState, pick func(*mandate) bool) {
	for _, slot := range m.mandatesOf.slots(who) {
		if x := m.mandates.at(slot); enrol.Mandate(x.state, to) && pick(x) {
			x = m.mandates.change(x.no)
			x.state, x.changed = to, m.today()
		}
	}
}

// suspendMandates holds up what is signed on the account of a replaced card,
// until it is signed again.
func (m *Machine) suspendMandates(c *card) {
	m.moveMandates(c.person, ledgerapi.MandateSuspended, func(x *mandate) bool { return x.bank == c.bank && x.account == c.panHash })
}
