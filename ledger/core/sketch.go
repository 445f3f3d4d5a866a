package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Machine is the ledger of one region in memory.
type Machine struct{ cfg Config }

// New makes an empty ledger.
func New(cfg Config) *Machine { return &Machine{cfg: cfg} }

// ApplyBatch applies the records of one log entry in order and appends one
// result for each to results. The index must be greater than Applied. It
// returns an error, and must not be called again, when the batch is not what
// ledgerapi.AppendRecord writes or an invariant is broken.
func (m *Machine) ApplyBatch(index uint64, batch []byte, results []ledgerapi.Result) ([]ledgerapi.Result, error) {
	return results, nil
}

// Head is the chain head after the last batch.
func (m *Machine) Head() [32]byte { return [32]byte{} }

// Applied is the index of the last batch, 0 before the first.
func (m *Machine) Applied() uint64 { return 0 }

// AtMillis is the time of the last record: the greatest at_ms seen.
func (m *Machine) AtMillis() int64 { return 0 }

// Digest is SHA-256 over the live state in canonical form. Two machines that
// applied the same log have the same digest, whether replayed or restored.
func (m *Machine) Digest() [32]byte { return [32]byte{} }

// Check walks the whole live state and returns the first broken invariant.
func (m *Machine) Check() error { return nil }

// Freeze begins a checkpoint: everything that changed since the last one, as it
// stands now. It takes constant time; the caller then calls Step until done,
// between batches as it likes. Only one checkpoint may be under way.
func (m *Machine) Freeze() *Changes { return &Changes{} }

// Dirty is how many rows and about how many bytes the next Freeze would hold.
func (m *Machine) Dirty() (rows, bytes int) { return 0, 0 }

// Release is called when a Changes is durable and visible through Past. What
// was kept in memory only for it is let go.
func (m *Machine) Release(c *Changes) {}

// Restore fills an empty machine from the live buckets (up to LastLive), fed in
// bucket order and ascending key order; ok false ends the feed.
func (m *Machine) Restore(next func() (c Change, ok bool, err error)) error { return nil }

// Changes is a checkpoint in the making.
type Changes struct{}

// Applied is the index of the last batch that the checkpoint contains.
func (c *Changes) Applied() uint64 { return 0 }

// Head is the chain head at Applied.
func (c *Changes) Head() [32]byte { return [32]byte{} }

// Step encodes about max further rows and tells whether it is done. It belongs
// to the machine's owner, like Apply: call it under the same lock, release the
// lock between calls.
func (c *Changes) Step(max int) (done bool) { return true }

// Each visits every change in ascending order of bucket and key. It may be
// called once Step has said done, by any goroutine, without the lock. Applied
// index and head are in BucketMeta like everything else.
func (c *Changes) Each(visit func(Change) error) error { return nil }

// Person, PersonByNo … are the queries. A date on asks for late fees as of that
// date; 0 means the China date of the last record.
func (m *Machine) Person(idHash si.Hash) (ledgerapi.Person, bool) { return ledgerapi.Person{}, false }
func (m *Machine) PersonByNo(no si.PersonNo) (ledgerapi.Person, bool) {
	return ledgerapi.Person{}, false
}
func (m *Machine) Cards(person si.PersonNo) []ledgerapi.Card                { return nil }
func (m *Machine) CardByPAN(panHash si.Hash) (ledgerapi.Card, bool)         { return ledgerapi.Card{}, false }
func (m *Machine) DuesOf(p si.PersonNo, on si.BusinessDate) []ledgerapi.Due { return nil }
func (m *Machine) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	return ledgerapi.Payment{}, false
}
func (m *Machine) Pending(bank si.Bank) []ledgerapi.Payment { return nil }
func (m *Machine) NoticeByNo(no si.NoticeNo, on si.BusinessDate) (ledgerapi.NoticeView, bool) {
	return ledgerapi.NoticeView{}, false
}
func (m *Machine) LiveNoticeOf(p si.PersonNo, on si.BusinessDate) (ledgerapi.NoticeView, bool) {
	return ledgerapi.NoticeView{}, false
}
func (m *Machine) PaymentsOf(p si.PersonNo, limit int) []ledgerapi.Payment { return nil }
func (m *Machine) PaymentByReceipt(r si.ReceiptNo) (ledgerapi.Payment, bool) {
	return ledgerapi.Payment{}, false
}
func (m *Machine) Config(kind ledgerapi.ConfigKind, name string, on si.BusinessDate) (ledgerapi.Config, bool) {
	return ledgerapi.Config{}, false
}
func (m *Machine) Configs(kind ledgerapi.ConfigKind) []ledgerapi.Config { return nil }
func (m *Machine) Terminal(t si.Terminal) (TerminalRecord, bool)        { return TerminalRecord{}, false }
func (m *Machine) Totals(bank si.Bank, date si.BusinessDate) Totals     { return Totals{} }
func (m *Machine) Window(bank si.Bank) (Window, bool)                   { return Window{}, false }
func (m *Machine) Windows() []Window                                    { return nil }
func (m *Machine) TrialBalance() []Balance                              { return nil }
func (m *Machine) IndividualOf(p si.PersonNo) []IndividualYear          { return nil }
