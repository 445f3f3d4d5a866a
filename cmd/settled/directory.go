package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/assess"
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/settlement/termsrv"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/termapi"
)

// directory is the region's business data as this node serves it, read from the
// ledger. Profiles are compiled when the node starts; the rest is read again
// when the ledger's configuration has changed.
type directory struct {
	cfg      *Config
	node     *ledger.Node
	envelope []byte

	mu       sync.Mutex
	profiles map[si.Bank]*profile.Profile
}

// loadProfiles reads every bank profile in force from the ledger.
func (d *directory) loadProfiles(on si.BusinessDate) error {
	if d.cfg.NullLedger != "" {
		return d.nullProfiles(d.cfg.NullLedger)
	}
	found := map[si.Bank]*profile.Profile{}
	for _, c := range inForce(d.node.Configs(ledgerapi.ConfigBankProfile), on) {
		spec, rules, err := profile.Unpack(c.Body)
		if err != nil {
			return fmt.Errorf("bank profile %s, version %d: %w", c.Name, c.Version, err)
		}
		p, err := profile.Load(spec, rules)
		if err != nil {
			return fmt.Errorf("bank profile %s, version %d: %w", c.Name, c.Version, err)
		}
		if other, twice := found[p.Number]; twice {
			return fmt.Errorf("bank profiles %s and %s have the same number %d", other.Code, p.Code, p.Number)
		}
		found[p.Number] = p
	}
	return d.use(found)
}

// nullProfiles reads the profiles of a node without a ledger.
func (d *directory) nullProfiles(dir string) error {
	found := map[si.Bank]*profile.Profile{}
	folders, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("null_ledger: %w", err)
	}
	for _, f := range folders {
		p, err := profile.LoadFS(os.DirFS(dir), f.Name())
		if err != nil {
			return fmt.Errorf("null_ledger: %s: %w", f.Name(), err)
		}
		found[p.Number] = p
	}
	return d.use(found)
}

// use takes a set of profiles that do not contradict each other.
func (d *directory) use(found map[si.Bank]*profile.Profile) error {
	if err := oneBankPerIIN(found); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.profiles = found
	return nil
}

// inForce keeps of each name the latest version that has begun.
func inForce(all []ledgerapi.Config, on si.BusinessDate) []ledgerapi.Config {
	last := map[string]ledgerapi.Config{}
	for _, c := range all {
		if old, ok := last[c.Name]; c.From <= on && (!ok || c.From > old.From || (c.From == old.From && c.Version > old.Version)) {
			last[c.Name] = c
		}
	}
	out := make([]ledgerapi.Config, 0, len(last))
	for _, c := range last {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// oneBankPerIIN refuses a prefix that two banks claim.
func oneBankPerIIN(found map[si.Bank]*profile.Profile) error {
	owner := map[string]string{}
	for _, p := range found {
		for _, iin := range p.IINs {
			if other, taken := owner[iin]; taken {
				return fmt.Errorf("issuer number %s is claimed by banks %s and %s", iin, other, p.Code)
			}
			owner[iin] = p.Code
		}
	}
	return nil
}

// Profiles are the loaded profiles by number.
func (d *directory) Profiles() map[si.Bank]*profile.Profile {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.profiles
}

// number finds a bank's number by its code.
func (d *directory) number(code string) (si.Bank, bool) {
	for n, p := range d.Profiles() {
		if p.Code == code {
			return n, true
		}
	}
	return 0, false
}

func (d *directory) facts(p *profile.Profile) termsrv.BankFacts {
	f := termsrv.BankFacts{Number: p.Number, Info: termapi.BankInfo{Code: p.Code, Name: p.Name, NameE: p.NameEn, Phone: p.Phone}}
	if c, ok := d.node.Config(ledgerapi.ConfigBankFacts, p.Code, 0); ok {
		bf, err := core.ParseBankFacts(c.Body)
		f.Beneficiary = err == nil && bf.Bank == p.Number
	}
	return f
}

// BankByNumber finds a bank.
func (d *directory) BankByNumber(n si.Bank) (termsrv.BankFacts, bool) {
	p, ok := d.Profiles()[n]
	if !ok {
		return termsrv.BankFacts{}, false
	}
	return d.facts(p), true
}

// BankByIIN finds the issuing bank of a card: the longest prefix wins.
func (d *directory) BankByIIN(pan si.PAN) (termsrv.BankFacts, bool) {
	digits := pan.Reveal("find the issuing bank")
	var best *profile.Profile
	longest := 0
	for _, p := range d.Profiles() {
		for _, iin := range p.IINs {
			if len(iin) > longest && strings.HasPrefix(digits, iin) {
				best, longest = p, len(iin)
			}
		}
	}
	if best == nil {
		return termsrv.BankFacts{}, false
	}
	return d.facts(best), true
}

// TerminalConfig is what terminals are given at the heartbeat.
func (d *directory) TerminalConfig() termapi.Config {
	c := termapi.Config{
		Region: fmt.Sprintf("%06d", d.cfg.Region.Area), RegionName: d.cfg.Region.Name, Hotline: d.cfg.Region.Hotline,
		Areas: d.cfg.Region.IssuingAreas, EnvelopeKey: d.envelope, Demo: d.cfg.Demo, Version: 1,
	}
	for _, p := range sorted(d.Profiles()) {
		c.Banks = append(c.Banks, termapi.BankInfo{Code: p.Code, Name: p.Name, NameE: p.NameEn, Phone: p.Phone})
		for _, iin := range p.IINs {
			c.IINs = append(c.IINs, termapi.IIN{Prefix: iin, Bank: p.Code})
		}
	}
	return c
}

func sorted(m map[si.Bank]*profile.Profile) []*profile.Profile {
	out := make([]*profile.Profile, 0, len(m))
	for _, p := range m {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Number < out[j].Number })
	return out
}

// allowSkip reads the region's rule from the rate table in force.
func (d *directory) allowSkip() bool {
	c, ok := d.node.Config(ledgerapi.ConfigRates, fmt.Sprintf("%06d", d.cfg.Region.Area), 0)
	if !ok {
		return false
	}
	t, err := assess.Parse(c.Body)
	return err == nil && t.AllowSkip
}
