package bankhost

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// pinTries is how many wrong PINs block a card.
const pinTries = 3

// Account is a card with its money and PIN.
type Account struct {
	PAN     string
	PIN     string
	Balance si.Fen
	Lost    bool // reported lost: answers 41

	tries  int
	atc    uint16
	opened si.Fen // the balance it began with
	since  int    // entries of the journal before it
}

// Op is what an entry of the journal records.
type Op string

// The operations.
const (
	OpDebit    Op = "debit"
	OpReversal Op = "reversal"
	OpProof    Op = "proof"
	OpScript   Op = "script"
)

// Entry is one line of the host's journal: every debit, reversal, PIN proof and script notice
// that reached it with a good code, whatever it answered.
type Entry struct {
	N        int             `json:"n"`
	Op       Op              `json:"op"`
	PAN      string          `json:"pan"`
	Amount   si.Fen          `json:"amount,omitempty"`
	Key      string          `json:"key,omitempty"` // of the debit
	STAN     string          `json:"stan"`
	RRN      string          `json:"rrn,omitempty"`
	DE7      string          `json:"de7,omitempty"`
	DE41     string          `json:"de41,omitempty"`
	Auth     string          `json:"auth,omitempty"`
	Reason   string          `json:"reason,omitempty"` // of a reversal
	Script   string          `json:"script,omitempty"` // results of issuer scripts, hexadecimal
	Code     string          `json:"code"`             // answered
	Date     si.BusinessDate `json:"date"`             // booked on
	At       time.Time       `json:"at"`
	Reversed bool            `json:"-"`

	// What a restart needs.
	Tries  int            `json:"tries"`
	ATC    uint16         `json:"atc"`
	Digest string         `json:"digest,omitempty"`
	Reply  map[int]string `json:"reply,omitempty"` // values as hexadecimal digits
	MTI    string         `json:"mti,omitempty"`
}

// AddAccount adds a card.
func (h *Host) AddAccount(a Account) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addAccount(a)
}

func (h *Host) addAccount(a Account) error {
	if _, err := si.ParsePAN(a.PAN); err != nil {
		return fmt.Errorf("bankhost: account: %w", err)
	}
	if !h.cfg.Profile.Owns(a.PAN) {
		return fmt.Errorf("bankhost: account: card does not belong to %s", h.cfg.Profile.Code)
	}
	if len(a.PIN) < 4 || len(a.PIN) > 12 || a.Balance < 0 {
		return errors.New("bankhost: account: the PIN has 4 to 12 digits, the balance is not below zero")
	}
	a.tries, a.opened, a.since = pinTries, a.Balance, len(h.entries)
	h.accounts[a.PAN] = &a
	return nil
}

// Entries is the journal so far.
func (h *Host) Entries() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.entries)
}

// Debited is what the card has paid: debits that stand.
func (h *Host) Debited(pan string) si.Fen {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sum si.Fen
	for _, e := range h.entries {
		if e.Op == OpDebit && e.PAN == pan && e.Code == "00" && !e.Reversed {
			sum += e.Amount
		}
	}
	return sum
}

// Total is what all cards have paid: debits that stand.
func (h *Host) Total() si.Fen {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sum si.Fen
	for _, e := range h.entries {
		if e.Op == OpDebit && e.Code == "00" && !e.Reversed {
			sum += e.Amount
		}
	}
	return sum
}

// Balance is what is left on the card's account.
func (h *Host) Balance(pan string) si.Fen {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.accounts[pan]; a != nil {
		return a.Balance
	}
	return 0
}

// book moves the money, writes the line and keeps the outcome of a debit.
// Called with h.mu held.
func (h *Host) book(e Entry, a *Account, o *outcome) int {
	e.N = len(h.entries)
	if a != nil {
		e.Tries, e.ATC = a.tries, a.atc
	}
	if o != nil {
		e.Digest, e.MTI, e.Reply = hex.EncodeToString(o.digest[:]), o.reply.mti, map[int]string{}
		for de, v := range o.reply.fields {
			e.Reply[de] = hex.EncodeToString([]byte(v))
		}
		h.byKey[e.Key] = o
	}
	h.move(&e, a)
	h.entries = append(h.entries, e)
	h.state.append(&e)
	return e.N
}

// move changes the balance as the entry says.
func (h *Host) move(e *Entry, a *Account) {
	switch {
	case a == nil || e.Code != "00":
	case e.Op == OpDebit:
		a.Balance -= e.Amount
	case e.Op == OpReversal:
		a.Balance += e.Amount
	}
}

// Crash ends the host's memory and begins a new life: links are gone, working keys
// are forgotten, and what is known is read from the journal, of which the last
// entries are lost, as after a restore of an older state.
func (h *Host) Crash(lost int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crash(lost)
}

// crash is Crash with h.mu held.
func (h *Host) crash(lost int) {
	for c := range h.conns {
		_ = c.Close()
	}
	kept := h.entries[:max(0, len(h.entries)-lost)]
	h.entries, h.byKey, h.buried, h.keys = nil, map[string]*outcome{}, map[string]bool{}, map[string]*session{}
	for _, a := range h.accounts {
		a.Balance, a.tries, a.atc = a.opened, pinTries, 0
	}
	h.state.empty()
	for _, e := range kept {
		e.Reversed = false
		h.restore(e)
		h.state.append(&e)
	}
}

// stateFile is the journal on disk, one JSON object a line.
type stateFile struct {
	f   *os.File
	err error
}

// openState reads the journal back: accounts begin with the balances of the
// configuration and everything since is done again.
func (h *Host) openState(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) // #nosec G304 -- the configuration names it
	if err != nil {
		return fmt.Errorf("bankhost: %w", err)
	}
	lines := bufio.NewReader(f)
	good := int64(0)
	for {
		line, err := lines.ReadBytes('\n')
		var e Entry
		if err != nil || json.Unmarshal(line, &e) != nil {
			break // the end, or a line cut short by a crash, which was never answered
		}
		good += int64(len(line))
		h.restore(e)
	}
	if err := f.Truncate(good); err != nil {
		_ = f.Close()
		return fmt.Errorf("bankhost: %w", err)
	}
	h.state = &stateFile{f: f}
	return nil
}

func (h *Host) restore(e Entry) {
	e.N = len(h.entries)
	a := h.accounts[e.PAN]
	if a != nil && (e.Op == OpDebit || e.Op == OpProof) { // the others say nothing of the card
		a.tries, a.atc = e.Tries, e.ATC
	}
	switch e.Op {
	case OpDebit:
		o := &outcome{debited: e.Code == "00", entry: e.N, account: a, amount: e.Amount,
			reply: &message{mti: e.MTI, fields: map[int]string{}}}
		if d, err := hex.DecodeString(e.Digest); err == nil {
			copy(o.digest[:], d)
		}
		for de, v := range e.Reply {
			if b, err := hex.DecodeString(v); err == nil {
				o.reply.fields[de] = string(b)
			}
		}
		h.byKey[e.Key] = o
	case OpReversal:
		if e.Code == "25" {
			h.buried[e.Key] = true
		} else if o := h.byKey[e.Key]; o != nil && e.Code == "00" {
			o.debited = false
			h.entries[o.entry].Reversed = true
		}
	}
	if a != nil && e.N >= a.since {
		h.move(&e, a)
	}
	h.entries = append(h.entries, e)
}

// empty throws the lines away.
func (s *stateFile) empty() {
	if s != nil && s.f != nil && s.err == nil {
		s.err = s.f.Truncate(0) // what is appended begins anew
	}
}

func (s *stateFile) append(e *Entry) {
	if s == nil || s.f == nil || s.err != nil {
		return
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = s.f.Write(append(b, '\n'))
	}
	s.err = err
}

func (s *stateFile) close() error {
	if s == nil || s.f == nil {
		return nil
	}
	err := errors.Join(s.err, s.f.Close())
	s.f = nil
	return err
}
