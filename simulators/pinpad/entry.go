package pinpad

import (
	"encoding/hex"
	"time"

	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

// The keys beside the digits.
const (
	keyEnter  = "enter"
	keyClear  = "clear"
	keyCancel = "cancel"
)

const purpose si.Purpose = "answer the terminal with the enciphered block"

// request is one entry that the terminal asks for.
type request struct {
	pan      si.PAN
	format   si.PINFormat
	amount   si.Fen
	min, max int
}

// entry is one PIN entry under way. The pad's lock guards it.
type entry struct {
	request
	pin     pinblock.PIN
	ends    time.Time
	timer   *time.Timer
	short   bool        // enter was pressed too early
	sealing bool        // the block is being made; no more keys
	events  chan result // counts and the last word; closed after it
}

// result is what the terminal is told: a count, a block, or an error.
type result struct {
	counts bool
	count  int
	block  string
	key    string
	format si.PINFormat
	err    string
	text   string
}

// maxEvents bounds what waits for a terminal that does not read: more keys than
// an entry can sensibly have. Beyond it counts are left out, never the last word.
const maxEvents = 256

// begin starts an entry, or says why not.
func (p *Pad) begin(r request) (*entry, *result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.fault == Tamper || p.fault == NoKey:
		return nil, &result{err: "fault", text: p.fault.String()}
	case p.ciphers[r.format] == nil:
		return nil, &result{err: "fault", text: NoKey.String()}
	case p.entry != nil:
		return nil, &result{err: "fault", text: "another entry is under way"}
	}
	t := p.cfg.Times
	e := &entry{request: r, ends: time.Now().Add(t.Whole), events: make(chan result, maxEvents+1)}
	e.timer = time.AfterFunc(min(t.FirstKey, t.Whole), func() { p.finishEntry(e, result{err: "timeout"}) })
	p.entry = e
	p.turned()
	p.showLocked()
	return e, nil
}

// press takes one key event, from the page or from Go.
func (p *Pad) press(key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	digit := len(key) == 1 && key[0] >= '0' && key[0] <= '9'
	if !digit && key != keyEnter && key != keyClear && key != keyCancel {
		return ErrKey
	}
	e := p.entry
	if e == nil || e.sealing {
		return ErrNoEntry
	}
	e.short = false
	switch {
	case digit:
		if e.pin.Len() < e.max {
			e.pin.Push(key[0])
		}
	case key == keyClear:
		e.pin.Pop()
	case key == keyCancel:
		p.finishLocked(result{err: "cancelled"})
		return nil
	case e.pin.Len() < e.min:
		e.short = true
	default:
		p.sealLocked(e)
		return nil
	}
	e.timer.Reset(max(0, min(p.cfg.Times.Between, time.Until(e.ends))))
	if len(e.events) < maxEvents {
		e.events <- result{counts: true, count: e.pin.Len()}
	}
	p.showLocked()
	return nil
}

// sealLocked makes the block and ends the entry, at once or, when slow, later.
func (p *Pad) sealLocked(e *entry) {
	c := p.ciphers[e.format]
	block, err := c.Encipher(&e.pin, &e.pan)
	e.pin.Wipe()
	last := result{err: "fault", text: "no block"}
	if err == nil {
		name := p.cfg.AESName
		if e.format == si.PINFormat0TDES {
			name = p.cfg.TDESName
		}
		last = result{block: hex.EncodeToString(block.Reveal(purpose)), key: name, format: e.format}
	}
	if p.fault != Slow {
		p.finishLocked(last)
		return
	}
	e.sealing = true
	e.timer.Stop()
	e.timer = time.AfterFunc(p.cfg.Times.Slow, func() { p.finishEntry(e, last) })
	p.showLocked()
}

// finishEntry ends this entry, unless it has ended.
func (p *Pad) finishEntry(e *entry, last result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry == e {
		p.finishLocked(last)
	}
}

// finish ends whatever entry is under way.
func (p *Pad) finish(last result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry != nil {
		p.finishLocked(last)
	}
}

func (p *Pad) finishLocked(last result) {
	e := p.entry
	e.timer.Stop()
	e.pin.Wipe()
	e.pan.Wipe()
	e.events <- last // there is room for it beyond maxEvents
	close(e.events)
	p.entry = nil
	p.turned()
	p.showLocked()
}

func (p *Pad) turned() {
	close(p.turn)
	p.turn = make(chan struct{})
}
