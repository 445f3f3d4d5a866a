package chipcard

import (
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/cardauth/apdu"
)

// Hooks connect a card with what is around it. All are optional. They are called
// while the card works on a command and must not call it back.
type Hooks struct {
	Save   func(State)         // after every change of what the card keeps
	Pulled func()              // the card was pulled by a fault
	Sleep  func(time.Duration) // instead of time.Sleep
}

// Card is one card. Its methods may be called from several goroutines.
type Card struct {
	mu      sync.Mutex
	data    Data
	atr     []byte
	social  *social
	bank    *bank
	state   State
	hooks   Hooks
	faults  []Fault
	count   int // commands since power-up
	total   int // commands since it was made
	mute    bool
	removed bool
	power   power
}

// application is what SELECT by name chose.
type application uint8

const (
	master application = iota
	socialApp
	directoryApp
	bankApp
)

// power is what a card forgets when it loses power.
type power struct {
	selected application
	file     byte // current EF of the social security application
	record   int  // current record, for next and previous
	pending  []byte
	emv      session
}

// New makes a card that has kept state since it was last used.
func New(d Data, state State, hooks Hooks) (*Card, error) {
	c := &Card{data: d, state: state, hooks: hooks, faults: append([]Fault(nil), d.Faults...)}
	var err error
	holder := ""
	serial := "00000001"
	if d.Social != nil {
		if c.social, err = d.Social.build(); err != nil {
			return nil, err
		}
		holder, serial = d.Social.IDNumber, d.Social.CardID[16:24]
	}
	if d.Bank != nil {
		if c.bank, err = d.Bank.build(holder); err != nil {
			return nil, err
		}
	}
	// Historical bytes: chip 0090, COS 543116, maker 8660, area 3301, serial.
	c.atr, err = hex.DecodeString(or(d.ATR, "3B6D000000905431168660"+"3301"+serial))
	if err != nil || len(c.atr) < 2 || len(c.atr) > 33 {
		return nil, fmt.Errorf("%w: atr", ErrData)
	}
	if c.hooks.Sleep == nil {
		c.hooks.Sleep = time.Sleep
	}
	return c, nil
}

// ID names the card.
func (c *Card) ID() string { return c.data.ID }

// ATR is the answer to reset.
func (c *Card) ATR() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return nil, apdu.ErrRemoved
	}
	return append([]byte(nil), c.atr...), nil
}

// State is what the card keeps without power.
func (c *Card) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Commands is the number of commands since power-up, and since the card was made.
func (c *Card) Commands() (sincePower, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count, c.total
}

// SetFaults replaces the card's faults while it is in use.
func (c *Card) SetFaults(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append([]Fault(nil), faults...)
}

// Power is a power-up or a reset: the card forgets what it does not keep.
func (c *Card) Power() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.power = power{}
	c.count = 0
	c.mute = false
}

// Insert puts a pulled card back, powered.
func (c *Card) Insert() {
	c.Power()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = false
}

// Remove pulls the card.
func (c *Card) Remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = true
}

// Transmit works on one command. The error wraps apdu.ErrRemoved after a pull
// and apdu.ErrMute where a real card would never answer.
func (c *Card) Transmit(command []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return nil, apdu.ErrRemoved
	}
	c.count++
	c.total++
	fault := c.now()
	switch fault.Kind {
	case Mute:
		c.mute = true
	case PullBefore:
		return nil, c.pull()
	case Slow:
		c.hooks.Sleep(time.Duration(fault.Millis) * time.Millisecond)
	case ResetSelf:
		c.power = power{}
		return nil, apdu.ErrReset
	case WrongSW:
		return []byte{0x6F, 0x00}, nil
	case Loop61:
		return []byte{0x61, 0x10}, nil
	case Loop6C:
		return []byte{0x6C, 0x10}, nil
	}
	if c.mute {
		return nil, apdu.ErrMute
	}
	answer := c.answer(command)
	switch fault.Kind {
	case PullAfter:
		return nil, c.pull()
	case Truncated:
		if n := len(answer); n > 2 {
			answer = append(answer[:n-3:n-3], answer[n-2:]...)
		}
	case Oversize:
		answer = append(make([]byte, apdu.MaxResponse), answer...)
	case WrongTag:
		if len(answer) > 2 {
			answer[0] ^= 0x01
		}
	}
	return answer, nil
}

// pull removes the card by a fault.
func (c *Card) pull() error {
	c.removed = true
	if c.hooks.Pulled != nil {
		c.hooks.Pulled()
	}
	return apdu.ErrRemoved
}

// save hands the kept state to its owner.
func (c *Card) save() {
	if c.hooks.Save != nil {
		c.hooks.Save(c.state)
	}
}

// answer makes the bytes of an answer as protocol T=0 has them: data never
// comes with an answer to a command that carried data, and only in the length
// that was asked for.
func (c *Card) answer(b []byte) []byte {
	command, err := apdu.Parse(b)
	if err != nil {
		return word(apdu.WrongLength)
	}
	if command.INS == 0xC0 && command.CLA == 0 {
		return c.getResponse(command)
	}
	c.power.pending = nil
	data, sw := c.process(command)
	switch {
	case len(data) == 0:
		return word(sw)
	case len(command.Data) > 0:
		c.power.pending = append(data[:len(data):len(data)], byte(sw>>8), byte(sw))
		return []byte{0x61, byte(len(data))}
	case command.Le != len(data)&0xFF:
		return []byte{0x6C, byte(len(data))}
	}
	return append(data[:len(data):len(data)], byte(sw>>8), byte(sw))
}

// getResponse hands out what the last command left, in the length asked for.
func (c *Card) getResponse(command apdu.Command) []byte {
	n := len(c.power.pending) - 2
	if n < 0 {
		return word(apdu.ConditionsNotMet)
	}
	if command.Le != n&0xFF {
		return []byte{0x6C, byte(n)}
	}
	out := c.power.pending
	c.power.pending = nil
	return out
}

// word is an answer without data.
func word(sw apdu.SW) []byte { return []byte{byte(sw >> 8), byte(sw)} }

// process works on one command and gives its full data.
func (c *Card) process(command apdu.Command) ([]byte, apdu.SW) {
	if c.data.Blocked {
		return nil, apdu.NotSupported
	}
	if command.INS == 0xA4 && command.CLA == 0 {
		return c.selectFile(command)
	}
	switch c.power.selected {
	case socialApp:
		return c.socialCommand(command)
	case directoryApp:
		if command.INS == 0xB2 && command.P1 == 1 && command.P2 == 1<<3|4 {
			return c.bank.directory, apdu.OK
		}
		if command.INS == 0xB2 {
			return nil, apdu.NoRecord
		}
	case bankApp:
		return c.bankCommand(command)
	}
	return nil, apdu.WrongINS
}

// selectFile is SELECT in the forms of 社会保障(个人)卡规范 part 5 and EMV.
func (c *Card) selectFile(command apdu.Command) ([]byte, apdu.SW) {
	name := string(command.Data)
	switch {
	case command.P1 == 0x00 && (name == "" || name == "\x3F\x00"):
		c.power = power{}
		return nil, apdu.OK
	case command.P1 == 0x04:
		return c.selectName(name)
	case (command.P1 == 0x00 || command.P1 == 0x02) && c.power.selected == socialApp && len(name) == 2 && name[0] == 0xEF:
		if name[1] != 0x05 && name[1] != 0x06 {
			return nil, apdu.NoFile
		}
		c.power.file, c.power.record = name[1], 0
		return nil, apdu.OK
	case command.P1 == 0x00 || command.P1 == 0x02:
		return nil, apdu.NoFile
	}
	return nil, apdu.WrongP1P2
}

// selectName selects an application. Whatever was going on in another one is
// forgotten.
func (c *Card) selectName(name string) ([]byte, apdu.SW) {
	switch {
	case c.social != nil && name == socialName:
		if c.social.blocked {
			return nil, apdu.ApplicationLocked
		}
		c.power = power{selected: socialApp}
		return c.social.fci, apdu.OK
	case c.bank != nil && c.bank.pse != nil && name == string(c.bank.pse):
		c.power = power{selected: directoryApp}
		return c.bank.psefci, apdu.OK
	case c.bank != nil && name == string(c.bank.aid):
		if c.data.Bank.Blocked || c.state.Blocked {
			return nil, apdu.Invalidated
		}
		c.power = power{selected: bankApp}
		return c.bank.fci, apdu.OK
	}
	return nil, apdu.NoFile
}
