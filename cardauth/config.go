package cardauth

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// ErrConfig is returned for settings that contradict themselves.
var ErrConfig = errors.New("cardauth: settings")

// TerminalData is what the machine says of itself to a card.
type TerminalData = emv.Terminal

// NewTerminalData gives the data of an unattended, online-only terminal with an
// eight-character serial.
func NewTerminalData(serial string) TerminalData { return emv.NewTerminal(serial) }

// Tag is the tag of a data object, such as 0x9F26.
type Tag = tlv.Tag

// Seal closes a card envelope for the hub: cardauth/envelope's Seal with the
// hub's key and the terminal's number bound in.
type Seal func(cardSession [16]byte, counter uint64, f envelope.Fields) ([]byte, error)

// Config is what a terminal needs to know before it takes a card.
type Config struct {
	// IINs says which bank issued a card: prefix of the account number → bank
	// code. The longest prefix wins.
	IINs map[string]string
	// Areas are the issuing areas that the hub serves, as prefixes of two, four
	// or six digits of an area code.
	Areas []string
	// Terminal is the terminal's EMV data.
	Terminal TerminalData
	// DE55 is a bank's list of tags for its requests, by bank code. A bank
	// without a list gets the usual one.
	DE55 map[string][]Tag
	// Sequence gives the next transaction number of the terminal (9F41), which
	// must go on when settings change. Nil counts from 1 for these settings.
	Sequence func() uint32
	// Random gives unpredictable numbers and session ids: crypto/rand.Reader.
	Random io.Reader
	// Seal closes envelopes.
	Seal Seal
}

// Bounds of the settings.
const (
	maxIIN  = 10 // digits; ISO/IEC 7812-1 has eight, some banks split further
	maxDE55 = 40 // tags
)

// Sessions opens the sessions of one terminal, one card after the other.
type Sessions struct {
	cfg Config
}

// New checks the settings.
func New(cfg Config) (*Sessions, error) {
	if cfg.Random == nil || cfg.Seal == nil {
		return nil, fmt.Errorf("%w: random source or seal is missing", ErrConfig)
	}
	if len(cfg.IINs) == 0 || len(cfg.Areas) == 0 {
		return nil, fmt.Errorf("%w: no IIN or no served area, so no card could be used", ErrConfig)
	}
	for iin, bank := range cfg.IINs {
		if len(iin) < 4 || len(iin) > maxIIN || !digits(iin) || bank == "" {
			return nil, fmt.Errorf("%w: IIN %q of bank %q is not 4 to %d digits", ErrConfig, iin, bank, maxIIN)
		}
	}
	for _, area := range cfg.Areas {
		if n := len(area); n != 2 && n != 4 && n != 6 || !digits(area) {
			return nil, fmt.Errorf("%w: area %q is not 2, 4 or 6 digits", ErrConfig, area)
		}
	}
	for bank, list := range cfg.DE55 {
		if len(list) == 0 || len(list) > maxDE55 {
			return nil, fmt.Errorf("%w: DE 55 list of bank %q has %d tags, not 1 to %d", ErrConfig, bank, len(list), maxDE55)
		}
	}
	if err := cfg.Terminal.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if cfg.Sequence == nil {
		count := new(atomic.Uint32)
		cfg.Sequence = func() uint32 { return count.Add(1) }
	}
	return &Sessions{cfg: cfg}, nil
}

// bankOf finds the issuer of an account number, empty if none is connected.
func (c *Config) bankOf(pan string) string {
	for n := min(maxIIN, len(pan)); n > 0; n-- {
		if bank, ok := c.IINs[pan[:n]]; ok {
			return bank
		}
	}
	return ""
}

// serves tells whether cards of an issuing area are taken.
func (c *Config) serves(area string) bool {
	for _, a := range c.Areas {
		if area[:len(a)] == a {
			return true
		}
	}
	return false
}

// tags is a bank's list for DE 55.
func (c *Config) tags(bank string) []Tag {
	if list, ok := c.DE55[bank]; ok {
		return list
	}
	return emv.RequestTags
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
