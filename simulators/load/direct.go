package load

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Taker decides commands: a ledger node in this process, or what is measured
// beside it. done is called once, from another goroutine, and must not block.
type Taker interface {
	Submit(c ledgerapi.Command, actor si.Actor, done func(ledgerapi.Result, error))
}

// Direct pays dues at a Taker without a network: what is measured is the ledger
// alone. Dues are numbered from 0 in the order in which they are assessed, which
// is the ledger's own numbering less one: the n-th belongs to person n mod
// Persons and to the year 2026 + n / Persons. They are paid year by year, as the
// oldest goes first, and scattered over the persons within a year; where fewer
// dues than persons are kept open, over a thousand at a time.
type Direct struct {
	taker   Taker
	persons int
	keep    int // open dues kept by assessing more
	block   int // payers are scattered over so many dues
	stride  int
	only    bool // takes nothing but Pay
	null    bool

	open     si.BusinessDate
	made     int // dues assessed and acknowledged
	asked    int // dues assessed or being assessed
	paid     int // dues handed out
	seq      uint64
	base     uint64 // keeps the ids of runs apart
	receipts receipts
}

// DirectConfig says what a Direct pays.
type DirectConfig struct {
	Taker Taker
	// Persons owe Dues together; so many open dues are kept.
	Persons, Dues int
	// PayOnly is a taker that knows nothing but Pay: it has all dues already and
	// gets no more of them.
	PayOnly bool
	// Null answers OK to everything and gives no receipts.
	Null bool
}

// The direct run's bank and what each due costs: MED_RES by the rates of
// data/rates/330110.yaml.
const (
	DirectBank   = si.Bank(3)
	DirectAmount = si.Fen(510_00)

	directArea  = si.AreaCode(330110)
	directYear  = 2026
	minPersons  = ledgerapi.MaxAssess
	sealedBytes = 120 // of a person's sealed particulars, about what the HSM makes
	// fillQueue commands are under way while the ledger is filled: the log's
	// queue takes 32 MiB, and an assessment is 12 KiB.
	fillQueue = 2000
	// strideFrom scatters payments over the persons: the step from one payer to
	// the next, made coprime to their number.
	strideFrom = 7919
	// maxAssessing is how many assessments are under way at once: a thousand
	// dues each.
	maxAssessing = 4
	// MaxDirectInFlight bounds the clients of a direct run; the log's own queue
	// takes no more.
	MaxDirectInFlight = 8192
)

// NewDirect makes a run's supply of dues. Nothing is sent yet.
func NewDirect(c DirectConfig) (*Direct, error) {
	if c.Persons < minPersons || c.Dues < minPersons {
		return nil, fmt.Errorf("load: %d persons with %d dues; at least %d of each are needed", c.Persons, c.Dues, minPersons)
	}
	d := &Direct{taker: c.Taker, persons: c.Persons, keep: c.Dues, only: c.PayOnly, null: c.Null,
		stride: strideFrom, open: si.DateOf(time.Now()), base: uint64(time.Now().UnixNano())}
	if d.block = d.persons; d.keep < d.persons {
		d.block = minPersons
	}
	for gcd(d.stride, d.block) != 1 {
		d.stride++
	}
	if c.PayOnly || c.Null {
		d.made, d.asked = c.Dues, c.Dues
	}
	return d, nil
}

// Resume goes on where another process stood: so many dues assessed, so many of
// them paid.
func Resume(c DirectConfig, made, paid int) (*Direct, error) {
	d, err := NewDirect(c)
	if err == nil {
		d.made, d.asked, d.paid = made, made, paid
	}
	return d, err
}

// Args are the flags of a command that resumes.
func (d *Direct) Args() []string {
	return []string{"--persons", strconv.Itoa(d.persons), "--made", strconv.Itoa(d.made), "--paid", strconv.Itoa(d.paid)}
}

// SetOpen tells the bank's open date, if it is not today.
func (d *Direct) SetOpen(open si.BusinessDate) { d.open = open }

// SetTaker goes on with another taker, such as the same ledger opened again.
func (d *Direct) SetTaker(t Taker) { d.taker = t }

// Made is how many dues were assessed so far, Open how many of them are unpaid.
func (d *Direct) Made() int { return d.made }

// Open is how many dues nobody has been asked to pay.
func (d *Direct) Open() int { return d.made - d.paid }

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// id makes the id of a command that is no payment.
func (d *Direct) id(kind byte, n uint64) (p si.PaymentID) {
	binary.BigEndian.PutUint64(p[:], uint64(time.Now().UnixMilli())<<16)
	p[6], p[7] = byte(d.base), kind
	binary.BigEndian.PutUint64(p[8:], n)
	return p
}

// payID makes a bank payment's id as the hub does: the midnight of its date,
// then bytes without order.
func (d *Direct) payID(date si.BusinessDate) (p si.PaymentID) {
	d.seq++
	binary.BigEndian.PutUint64(p[:], uint64(date.Time().UnixMilli())<<16)
	binary.BigEndian.PutUint64(p[6:], spread(d.base+2*d.seq))
	binary.BigEndian.PutUint16(p[14:], uint16(spread(d.base+2*d.seq+1)))
	return p
}

// spread turns a count into bits without order (the finaliser of splitmix64).
func spread(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Fill brings business data, persons with a card each, and the dues into an
// empty ledger, and a notice for each person. tell hears of its progress.
func (d *Direct) Fill(ctx context.Context, tell func(string)) error {
	rates, err := data.Start.ReadFile("rates/330110.yaml")
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	facts, err := data.Start.ReadFile("facts/ccb.txt")
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	from := si.Date(directYear, time.January, 1)
	f := filler{ctx: ctx, taker: d.taker, slots: make(chan struct{}, fillQueue)}
	f.do(ledgerapi.PutConfig{ID: d.id('c', 1), Kind: ledgerapi.ConfigRates, Name: "330110", From: from, Body: rates, Maker: 1, Checker: 2})
	f.do(ledgerapi.PutConfig{ID: d.id('c', 2), Kind: ledgerapi.ConfigBankFacts, Name: "ccb", From: from, Body: facts, Maker: 1, Checker: 2})
	f.do(ledgerapi.Cutover{ID: d.id('w', 0), Bank: DirectBank, To: d.open})
	for i := range d.persons {
		f.do(ledgerapi.PutPerson{ID: d.id('p', uint64(i)), IDHash: hash(1, i), PType: si.Resident, Household: directArea, Sex: 1,
			Sealed: make([]byte, sealedBytes)})
	}
	if err := f.wait(); err != nil {
		return err
	}
	tell(fmt.Sprintf("%d persons registered", d.persons))
	for i := range d.persons {
		f.do(ledgerapi.PutCard{ID: d.id('k', uint64(i)), IDHash: hash(1, i), CardHash: hash(2, i), NoHash: hash(3, i), PANHash: hash(4, i),
			Bank: DirectBank, State: ledgerapi.CardActive, Since: d.open, Source: ledgerapi.CardImport})
	}
	for d.asked < d.keep {
		f.do(d.assess())
	}
	if err := f.wait(); err != nil {
		return err
	}
	d.made = d.asked
	tell(fmt.Sprintf("%d dues assessed", d.made))
	for i := range min(d.persons, d.keep) { // of those who owe something
		f.do(ledgerapi.Notice{ID: d.id('n', uint64(i)), Person: si.PersonNo(i + 1), Date: d.open, ValidUntil: d.open + noticeDays})
	}
	// The day of the import is sealed: what the ledger keeps of its commands until
	// then is no part of a due.
	if err := f.wait(); err != nil {
		return err
	}
	f.do(ledgerapi.Cutover{ID: d.id('w', 1), Bank: DirectBank, From: d.open, To: d.open + 1})
	f.do(ledgerapi.SealDay{ID: d.id('s', 0), Date: d.open})
	d.open++
	tell("a notice for each person made, the day of the import sealed")
	return f.wait()
}

func hash(kind byte, i int) (h si.Hash) {
	binary.BigEndian.PutUint64(h[:], spread(uint64(kind)<<32|uint64(i)))
	binary.BigEndian.PutUint64(h[8:], uint64(i+1))
	h[8] = kind
	return h
}

// assess is the command for the next dues: at most a thousand persons of one
// year.
func (d *Direct) assess() ledgerapi.Assess {
	first := d.asked % d.persons
	year := directYear + d.asked/d.persons
	c := ledgerapi.Assess{ID: d.id('a', uint64(d.asked)), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(year),
		Kind: ledgerapi.DueYear, DueDay: si.Date(directYear, time.December, 31), Version: 1}
	for k := first; k < min(d.persons, first+ledgerapi.MaxAssess); k++ {
		c.Items = append(c.Items, ledgerapi.AssessItem{Person: si.PersonNo(k + 1)})
	}
	d.asked += len(c.Items)
	return c
}

// next hands out a due that nobody has paid; false when none is ready.
func (d *Direct) next() (si.DueID, bool) {
	first := d.paid / d.block * d.block
	if first+d.block > d.made {
		return 0, false // not all of them are assessed yet
	}
	n := first + d.paid%d.block*d.stride%d.block
	d.paid++
	return si.DueID(n + 1), true
}

// filler sends many commands and remembers the first that was not done.
type filler struct {
	ctx   context.Context
	taker Taker
	slots chan struct{}
	mu    sync.Mutex
	err   error
}

func (f *filler) do(c ledgerapi.Command) {
	f.slots <- struct{}{}
	f.taker.Submit(c, 0, func(r ledgerapi.Result, err error) {
		if err == nil && r.Code != ledgerapi.OK {
			err = fmt.Errorf("load: %T is answered %s", c, r.Code)
		}
		if err != nil {
			f.mu.Lock()
			f.err = cmp.Or(f.err, err)
			f.mu.Unlock()
		}
		<-f.slots
	})
}

// wait lets everything sent be answered.
func (f *filler) wait() error {
	for range cap(f.slots) {
		f.slots <- struct{}{}
	}
	for range cap(f.slots) {
		<-f.slots
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.err, f.ctx.Err())
}
