package world

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// ledger is the region's log and the state that follows from it. Commands
// gather while a batch is being made durable; a batch is then applied whole, and
// its answers leave. Who asked hears nothing, or that nothing is known, when the
// leader is lost.
type ledger struct {
	w       *World
	d       dice
	m       *core.Machine
	index   uint64
	batches []entry // the log
	queue   []command
	flying  []command
	results []ledgerapi.Result
	at      uint64
}

// entry is one batch as it stands in the log.
type entry struct {
	index uint64
	data  []byte
}

// command waits to be durable.
type command struct {
	record []byte
	body   ledgerapi.Command
	done   func(ledgerapi.Result, engine.Fault)
}

const (
	region = si.Region(1)
	area   = si.AreaCode(330110)
)

func newLedger(w *World, d dice) *ledger {
	return &ledger{w: w, d: d, m: core.New(core.Config{Region: region, Area: area, Volatile: true})}
}

// submit asks for a command in the name of the hub's present life.
func (l *ledger) submit(c ledgerapi.Command, actor si.Actor, done func(ledgerapi.Result, engine.Fault)) {
	if l.w.chance(l.d, LogUnsent) {
		l.w.meets(LogUnsent, c.Key())
		l.w.hub.soon(time.Millisecond, func() { done(ledgerapi.Result{}, engine.FaultUnsent) })
		return
	}
	l.at = max(l.at, uint64(l.w.wall().UnixMilli()))
	record := ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: l.at, Actor: actor}, c)
	l.queue = append(l.queue, command{record, c, done})
	if l.flying == nil {
		l.fly()
	}
}

// fly makes the waiting commands durable.
func (l *ledger) fly() {
	l.flying, l.queue = l.queue, nil
	wait := l.d.between(200*time.Microsecond, 4*time.Millisecond)
	if l.w.chance(l.d, LogSlow) {
		l.w.meetsAll(LogSlow, 0)
		wait = l.d.between(time.Second, 8*time.Second)
	}
	life := l.w.hub.life
	l.w.k.after(wait, func() {
		if l.w.hub.life == life { // else the crash has decided about them
			l.land()
		}
	})
}

// land applies the batch and answers.
func (l *ledger) land() {
	batch := l.flying
	l.flying = nil
	fault := engine.FaultNone
	var results []ledgerapi.Result
	switch {
	case l.w.chance(l.d, LogUnknown):
		fault = engine.FaultUnknown
		l.w.meetsEach(LogUnknown, batch)
		if l.d.IntN(2) == 0 {
			l.apply(batch)
		}
	case l.w.chance(l.d, LogTwice):
		l.w.meetsEach(LogTwice, batch)
		first := append([]ledgerapi.Result(nil), l.apply(batch)...)
		if results = l.apply(batch); l.d.IntN(2) == 0 {
			results = first
		}
	default:
		results = l.apply(batch)
	}
	results = append([]ledgerapi.Result(nil), results...)
	if l.w.chance(l.d, PauseOnCommit) { // the machine stands still just then
		l.w.meetsEach(PauseOnCommit, batch)
		l.w.hub.frozen = l.w.k.now + l.d.between(200*time.Millisecond, 5*time.Second)
	}
	if len(l.queue) > 0 {
		l.fly()
	}
	for i, c := range batch {
		r := ledgerapi.Result{}
		if fault == engine.FaultNone {
			r = results[i]
			l.w.truth.answered(c.body, &r)
		}
		l.w.hub.soon(0, func() { c.done(r, fault) })
	}
}

// apply puts a batch into the log and the state, and tells the truth about it.
func (l *ledger) apply(batch []command) []ledgerapi.Result {
	var data []byte
	for _, c := range batch {
		data = append(data, c.record...)
	}
	l.index++
	l.batches = append(l.batches, entry{l.index, data})
	results, err := l.m.ApplyBatch(l.index, data, l.results[:0])
	l.results = results
	if err != nil {
		l.w.violate("I4", si.PaymentID{}, "the log cannot be applied: %v", err)
		return make([]ledgerapi.Result, len(batch))
	}
	for i, c := range batch {
		id := c.body.Key()
		l.w.k.note('L', binary.LittleEndian.Uint64(id[8:])^uint64(c.body.Type())<<56, uint64(results[i].Code)|uint64(results[i].State)<<8|uint64(results[i].Receipt.Seq)<<16)
		l.w.truth.applied(c.body, &results[i])
	}
	return results
}

// crash ends the leader: what is being made durable is in the log or not; what
// waited is not.
func (l *ledger) crash() {
	if len(l.flying) > 0 && l.d.IntN(2) == 0 {
		l.apply(l.flying)
	}
	l.flying, l.queue = nil, nil
}

// direct applies a command at once: the setting up of a region, and what people
// do at the day's end, where no fault is meant.
func (l *ledger) direct(c ledgerapi.Command, actor si.Actor) ledgerapi.Result {
	l.at = max(l.at, uint64(l.w.wall().UnixMilli()))
	record := ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: l.at, Actor: actor}, c)
	return l.apply([]command{{record: record, body: c}})[0]
}

// must is direct for a command that has to be answered OK.
func (l *ledger) must(c ledgerapi.Command, actor si.Actor) ledgerapi.Result {
	r := l.direct(c, actor)
	if r.Code != ledgerapi.OK {
		l.w.violate("setup", c.Key(), "%T is answered %s", c, r.Code)
	}
	return r
}

// replay applies the whole log to an empty ledger, and compares.
func (l *ledger) replay() error {
	m := core.New(core.Config{Region: region, Area: area, Volatile: true})
	for _, e := range l.batches {
		if _, err := m.ApplyBatch(e.index, e.data, nil); err != nil {
			return fmt.Errorf("entry %d: %w", e.index, err)
		}
	}
	if m.Head() != l.m.Head() {
		return fmt.Errorf("the replay ends in another chain head")
	}
	if m.Digest() != l.m.Digest() {
		return fmt.Errorf("the replay ends in another state")
	}
	return nil
}
