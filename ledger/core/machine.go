package core

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/ledger/chain"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// ErrLog is returned when a batch is not what this program wrote at this place
// of the log. The state is not to be used any more.
var ErrLog = errors.New("core: log does not fit the ledger")

// ErrInvariant is returned when the books or the records contradict each other.
// The state is not to be used any more; no answer of the batch may leave.
var ErrInvariant = errors.New("core: invariant broken")

// Machine is the ledger of one region in memory.
type Machine struct {
	cfg Config

	// Counters, all in the meta row.
	applied    uint64
	head       chain.Head
	at         int64  // ms of the last record, never backwards
	payments   uint64 // ever made
	journal    uint64 // last journal number
	lastDue    uint64
	noticeYear int    // of noticeNo
	noticeNo   uint64 // last serial of the year
	sealed     si.BusinessDate
	pastMillis int64 // greatest creation time of an id that left memory
	pastDues   uint64
	sweep      sweep

	dues      pool[due]
	dueByID   dense
	deadDues  []uint32 // slots of dues to leave at the next seal
	pays      pool[pay]
	payByID   table[si.PaymentID]
	holds     pool[hold]
	live      []uint32 // slots of live payments, in no order
	closed    []uint32 // slots of those that ended without a receipt, in no order
	payGone   gone
	dueGone   gone
	postedOn  []datedSum // ascending
	byTrace   table[traceKey]
	items     runs[uint64]
	blobs     runs[byte]
	persons   pool[person]
	byIDHash  table[si.Hash]
	cards     pool[card]
	byCard    table[si.Hash]
	byPAN     table[si.Hash] // of cards that are not REPLACED
	notices   pool[notice]
	byNotice  table[si.NoticeNo]
	acks      pool[ack]
	ackByID   table[si.PaymentID]
	ackQueue  []uint32 // slots of acks, oldest first
	indivs    pool[individual]
	byIndiv   table[indivKey]
	indivSum  [funds]si.Fen
	banks     [256]bank
	acquirers []acquirer
	acqByDE41 map[acqKey]uint16
	receipts  []*receiptDay // ascending by date
	books     [funds]book
	dates     []*dateBook // ascending; the dates that are not sealed
	tree      chain.Tree  // of the batches since the last seal
	treeFrom  uint64      // index of the first of them
	configs   []*config   // in order of kind, name, version
	rates     []rates     // in order of arrival
	facts     [256][]facts
	terminals []TerminalRecord // ascending by number

	proxies   *shelf[proxyKey, proxy]
	proposals *shelf[si.PaymentID, proposal]
	money
	shelves [classes]kept // of the classes that are kept on one

	agencies [2]*thread // proxies by principal and by agent
	coverShelves
	mandateShelf
	paperShelves
	caseShelves
	bookingShelf

	track  [classes]marks
	gen    uint8 // current generation of track
	rows   rowBuf
	old    oldRows // what left memory since the last checkpoint
	frozen *Changes

	// Scratch that a command leaves dirty.
	chosen  []chosen
	bytes   []byte
	result  []byte
	key     []byte
	value   []byte
	reserve ledgerapi.Reserve
	payBody ledgerapi.Pay
	oldPay  pay
	oldHold hold
	oldDues []uint64
	second  int64 // de7Second is DE 7 of this second
	de7Then uint32

	walked uint64 // dues that refuseNewer looked at, for the test of its cost
	broken error
}

// chosen is one due of the command at hand.
type chosen struct {
	slot uint32
	late si.Fen
}

// New makes an empty ledger.
func New(cfg Config) *Machine {
	m := &Machine{cfg: cfg, head: chain.Genesis(cfg.Area), acqByDE41: map[acqKey]uint16{}, second: -1}
	m.items.unit, m.blobs.unit = 1, 32
	hashID := func(id si.PaymentID) uint64 { return mix16(id) }
	hashHash := func(h si.Hash) uint64 { return mix16(h) }
	m.payByID = newTable(hashID, func(s uint32) si.PaymentID { return m.pays.at(s).id })
	m.ackByID = newTable(hashID, func(s uint32) si.PaymentID { return m.acks.at(s).id })
	m.byTrace = newTable(func(k traceKey) uint64 { return mix(uint64(k.acq)<<52 ^ uint64(k.stan)<<32 ^ uint64(k.de7)) }, m.traceOf)
	m.byIDHash = newTable(hashHash, func(s uint32) si.Hash { return m.persons.at(s).idHash })
	m.byCard = newTable(hashHash, func(s uint32) si.Hash { return m.cards.at(s).cardHash })
	m.byPAN = newTable(hashHash, func(s uint32) si.Hash { return m.cards.at(s).panHash })
	m.byNotice = newTable(func(n si.NoticeNo) uint64 { return mix(uint64(n)) }, func(s uint32) si.NoticeNo { return m.notices.at(s).no })
	m.byIndiv = newTable(func(k indivKey) uint64 { return mix(uint64(k.person)<<24 | uint64(k.year)<<8 | uint64(k.fund)) },
		func(s uint32) indivKey { return m.indivs.at(s).key })
	m.shelveProxies()
	m.shelveCover()
	m.shelveMandates()
	m.shelvePapers()
	m.shelveCases()
	m.shelveBookings()
	m.proposals = shelve(m, classProposal, BucketProposal, mixID, func(p *proposal) si.PaymentID { return p.id }, appendID, m.proposalFields)
	m.shelveMoney()
	m.old.init()
	return m
}

// Head is the chain head after the last batch.
func (m *Machine) Head() [32]byte { return m.head }

// Applied is the index of the last batch, 0 before the first.
func (m *Machine) Applied() uint64 { return m.applied }

// AtMillis is the time of the last record: the greatest at_ms seen.
func (m *Machine) AtMillis() int64 { return m.at }

// ApplyBatch applies the records of one log entry in order and appends one
// result for each to results. The index must be greater than Applied. After an
// error the machine must not be used again.
func (m *Machine) ApplyBatch(index uint64, batch []byte, results []ledgerapi.Result) ([]ledgerapi.Result, error) {
	if m.broken != nil {
		return results, m.broken
	}
	if index <= m.applied || len(batch) == 0 {
		m.broken = fmt.Errorf("%w: batch of %d bytes at index %d after index %d", ErrLog, len(batch), index, m.applied)
		return results, m.broken
	}
	m.result = m.result[:0]
	before := len(results)
	for rest := batch; len(rest) > 0; {
		h, body, n, err := ledgerapi.SplitRecord(rest)
		if err != nil {
			m.broken = fmt.Errorf("%w: index %d, byte %d: %w", ErrLog, index, len(batch)-len(rest), err)
			return results, m.broken
		}
		results = append(results, ledgerapi.Result{})
		out := &results[len(results)-1]
		m.at = max(m.at, int64(h.AtMillis))
		m.apply(&h, body, out)
		if m.broken != nil {
			return results, fmt.Errorf("index %d: %w", index, m.broken)
		}
		m.result = ledgerapi.AppendResult(m.result, out)
		rest = rest[n:]
	}
	m.sweepOn(sweepPer * (len(results) - before))
	batchHash, resultHash := sha256.Sum256(batch), sha256.Sum256(m.result)
	m.head = chain.Next(m.head, index, batchHash, resultHash)
	m.leaf(index, batchHash, resultHash)
	m.applied = index
	m.checkBatch()
	return results, m.broken
}

// apply does one command. It is the only place that knows all of them.
func (m *Machine) apply(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	switch h.Type {
	case ledgerapi.TypeReserve:
		m.applyReserve(h, body, out)
	case ledgerapi.TypeAnnotate:
		m.applyAnnotate(h, body, out)
	case ledgerapi.TypePost:
		m.applyPost(h, body, out)
	case ledgerapi.TypeVoid:
		m.applyVoid(h, body, out)
	case ledgerapi.TypePay:
		m.applyPay(h, body, out)
	case ledgerapi.TypeReverse:
		m.applyReverse(h, body, out)
	case ledgerapi.TypeUnpost:
		m.applyUnpost(h, body, out)
	default:
		m.applyData(h, body, out)
	}
}

// fail records a broken invariant; ApplyBatch returns it.
func (m *Machine) fail(format string, args ...any) {
	if m.broken == nil {
		m.broken = fmt.Errorf("%w: %s", ErrInvariant, fmt.Sprintf(format, args...))
	}
}

// refuse notes a reason against a command and tells whether it is the first in
// precedence so far, in which case the result was started anew for it.
func refuse(out *ledgerapi.Result, code ledgerapi.Code) bool {
	if out.Code != 0 && out.Code <= code {
		return false
	}
	*out = ledgerapi.Result{Code: code}
	return true
}

func (m *Machine) fingerprint(h *ledgerapi.Header, body []byte) (fp [16]byte) {
	fp, m.bytes = ledgerapi.Fingerprint(h.Type, body, m.bytes)
	return fp
}

// today is the China date of the last record.
func (m *Machine) today() si.BusinessDate { return dateOfMillis(m.at) }

const (
	millisPerDay  = 24 * 60 * 60 * 1000
	chinaOffset   = 8 * 60 * 60 * 1000
	epochMillis   = 946_684_800_000 // 2000-01-01 00:00 UTC
	lastDateKnown = 1<<16 - 1
)

// dateOfMillis is the China date of an instant, within what a date can say.
func dateOfMillis(at int64) si.BusinessDate {
	d := (at + chinaOffset - epochMillis) / millisPerDay
	return si.BusinessDate(min(max(d, 0), lastDateKnown))
}

// MaxIDAge is how long an id is good that the ledger does not know: 40 days
// after its creation, longer than any bank or terminal keeps a payment in
// doubt. An older one is refused, because it may be a payment that was sealed
// on another machine long ago.
const MaxIDAge = 40 * millisPerDay

func (m *Machine) tooOld(id si.PaymentID) bool { return id.Millis()+MaxIDAge < m.at }

// MaxDateSkew is how many days a date in a command may lie from the bank's open
// date: the longest public holiday with the weekends around it, during which a
// bank keeps one date open.
const MaxDateSkew = 10

func nearDate(d, open si.BusinessDate) bool {
	return int(d) >= int(open)-MaxDateSkew && int(d) <= int(open)+MaxDateSkew
}
