package ledger

import (
	"context"
	"time"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// read runs one query under the machine's lock, between two batches.
func read[T any](n *Node, ask func(m *core.Machine) T) T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return ask(n.machine)
}

// found is read for queries that may find nothing.
func found[T any](n *Node, ask func(m *core.Machine) (T, bool)) (T, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return ask(n.machine)
}

// Person finds a person by the keyed hash of the ID number.
func (n *Node) Person(idHash si.Hash) (ledgerapi.Person, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Person, bool) { return m.Person(idHash) })
}

// PersonByNo finds a person by number.
func (n *Node) PersonByNo(no si.PersonNo) (ledgerapi.Person, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Person, bool) { return m.PersonByNo(no) })
}

// Cards are a person's registered cards.
func (n *Node) Cards(person si.PersonNo) []ledgerapi.Card {
	return read(n, func(m *core.Machine) []ledgerapi.Card { return m.Cards(person) })
}

// CardByPAN finds a card by the keyed hash of its PAN.
func (n *Node) CardByPAN(panHash si.Hash) (ledgerapi.Card, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Card, bool) { return m.CardByPAN(panHash) })
}

// DuesOf are a person's dues by fund and period, with late fees as of a date; 0
// is today by the ledger's clock.
func (n *Node) DuesOf(person si.PersonNo, on si.BusinessDate) []ledgerapi.Due {
	return read(n, func(m *core.Machine) []ledgerapi.Due { return m.DuesOf(person, n.day(on)) })
}

// Payment finds a payment, also one of a sealed date.
func (n *Node) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Payment, bool) { return m.Payment(id) })
}

// Pending are the payments of a bank (0: of all) that went or may have gone over
// a link and are not final, in the order of their reservation.
func (n *Node) Pending(bank si.Bank) []ledgerapi.Payment {
	return read(n, func(m *core.Machine) []ledgerapi.Payment { return m.Pending(bank) })
}

// Advices are the posted payments about which an advice to their bank waits for
// its answer, in the order of their reservation.
func (n *Node) Advices() []ledgerapi.Payment {
	return read(n, func(m *core.Machine) []ledgerapi.Payment { return m.Advices() })
}

// NoticeByNo recomputes a payment notice as of a date; 0 is today.
func (n *Node) NoticeByNo(no si.NoticeNo, on si.BusinessDate) (ledgerapi.NoticeView, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.NoticeView, bool) { return m.NoticeByNo(no, n.day(on)) })
}

// LiveNoticeOf is the person's notice that is valid on a date; 0 is today.
func (n *Node) LiveNoticeOf(person si.PersonNo, on si.BusinessDate) (ledgerapi.NoticeView, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.NoticeView, bool) { return m.LiveNoticeOf(person, n.day(on)) })
}

// PaymentsOf are a person's payments, newest first, at most limit.
func (n *Node) PaymentsOf(person si.PersonNo, limit int) []ledgerapi.Payment {
	return read(n, func(m *core.Machine) []ledgerapi.Payment { return m.PaymentsOf(person, limit) })
}

// PaymentByReceipt finds the payment of a receipt.
func (n *Node) PaymentByReceipt(r si.ReceiptNo) (ledgerapi.Payment, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Payment, bool) { return m.PaymentByReceipt(r) })
}

// Config is the version of a piece of business data in force on a date; 0 is
// today.
func (n *Node) Config(kind ledgerapi.ConfigKind, name string, on si.BusinessDate) (ledgerapi.Config, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Config, bool) { return m.Config(kind, name, n.day(on)) })
}

// Configs are all versions of a kind.
func (n *Node) Configs(kind ledgerapi.ConfigKind) []ledgerapi.Config {
	return read(n, func(m *core.Machine) []ledgerapi.Config { return m.Configs(kind) })
}

// Terminal is a terminal's record.
func (n *Node) Terminal(t si.Terminal) (core.TerminalRecord, bool) {
	return found(n, func(m *core.Machine) (core.TerminalRecord, bool) { return m.Terminal(t) })
}

// Totals are what a bank's business date comes to.
func (n *Node) Totals(bank si.Bank, date si.BusinessDate) core.Totals {
	return read(n, func(m *core.Machine) core.Totals { return m.Totals(bank, date) })
}

// Window is a bank's open business date.
func (n *Node) Window(bank si.Bank) (core.Window, bool) {
	return found(n, func(m *core.Machine) (core.Window, bool) { return m.Window(bank) })
}

// Windows are the open business dates of all banks.
func (n *Node) Windows() []core.Window {
	return read(n, func(m *core.Machine) []core.Window { return m.Windows() })
}

// TrialBalance is every account of every book.
func (n *Node) TrialBalance() []core.Balance {
	return read(n, func(m *core.Machine) []core.Balance { return m.TrialBalance() })
}

// IndividualOf are a person's individual accounts by year.
func (n *Node) IndividualOf(person si.PersonNo) []core.IndividualYear {
	return read(n, func(m *core.Machine) []core.IndividualYear { return m.IndividualOf(person) })
}

// Head is the chain head and the log index at which it stands.
func (n *Node) Head() (head [32]byte, index uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine.Head(), n.machine.Applied()
}

// Check walks the whole live state and returns the first broken invariant. It
// holds up every batch meanwhile.
func (n *Node) Check() error {
	return read(n, func(m *core.Machine) error { return m.Check() })
}

// Leader tells whether this node leads, and the name of the node that does.
func (n *Node) Leader() (bool, string) { return n.log.Leader() }

// Role is whether this node leads and a channel that is closed when that is
// another. It leads from when it has applied all that earlier leaders committed.
func (n *Node) Role() (replog.Role, <-chan struct{}) { return n.log.Role() }

// Current returns nil if this node led at some moment after the call, by the word
// of a majority: what is asked of it then is as new as anything it or another
// node has answered. Callers that come together ask the others once.
func (n *Node) Current(ctx context.Context) error { return n.log.Current(ctx) }

// day takes 0 for today in China by the leader's clock.
func (n *Node) day(on si.BusinessDate) si.BusinessDate {
	if on != 0 {
		return on
	}
	return si.DateOf(n.cfg.Now())
}

// Stats are the node's counters and gauges.
type Stats struct {
	Log     replog.Stats
	Applied uint64 // index of the last entry applied
	Leader  bool
	// Checkpoint is the index at which the state file stands, Checkpoints how
	// many were made since the start, CheckpointTook the time of the last one and
	// CheckpointAge the time since (0 before the first).
	Checkpoint     uint64
	Checkpoints    uint64
	CheckpointTook time.Duration
	CheckpointAge  time.Duration
	// Tail is how many records a start would replay now.
	Tail       int
	DirtyRows  int
	DirtyBytes int
	StateBytes int64 // size of the state file
	FreeBytes  uint64
}

// Stats reads the counters.
func (n *Node) Stats() Stats {
	s := Stats{
		Log: n.log.Stats(), Applied: n.applied.Load(),
		Checkpoint: n.saved.index.Load(), Checkpoints: n.saved.count.Load(),
		CheckpointTook: time.Duration(n.saved.nanos.Load()),
		FreeBytes:      n.free.Load(),
	}
	s.Leader, _ = n.log.Leader()
	if at := n.saved.at.Load(); at != 0 {
		s.CheckpointAge = time.Since(time.Unix(0, at))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.StateBytes = n.store.Size()
	s.Tail = n.tail
	s.DirtyRows, s.DirtyBytes = n.machine.Dirty()
	return s
}
