package profile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// The names of a profile's two files, as errors and archives know them.
const (
	SpecName  = "spec.json"
	RulesName = "rules.yaml"
)

// MaxFile bounds each of the two files. The demo's are under 16 KiB.
const MaxFile = 90 << 10

// ErrProfile is wrapped by every error about the contents of a profile.
var ErrProfile = errors.New("profile: refused")

// Load reads and checks a profile. The error names file, line, key and rule of
// every mistake that was found.
func Load(spec, rules []byte) (*Profile, error) {
	if len(spec) > MaxFile || len(rules) > MaxFile {
		return nil, fmt.Errorf("%w: a file is larger than %d bytes", ErrProfile, MaxFile)
	}
	var sf specFile
	var rf rulesFile
	c := &checker{}
	if !json.Valid(spec) {
		return nil, fmt.Errorf("%w: %s is not JSON", ErrProfile, SpecName)
	}
	// JSON is YAML, and the YAML reader knows lines and refuses unknown keys.
	if err := c.read(SpecName, spec, &sf); err != nil {
		return nil, err
	}
	if err := c.read(RulesName, rules, &rf); err != nil {
		return nil, err
	}
	p := &Profile{spec: bytes.Clone(spec)}
	c.p = p
	h := sha256.New()
	h.Write(spec)
	h.Write([]byte{0})
	h.Write(rules)
	h.Sum(p.Hash[:0])

	c.identity(&rf)
	c.framing(&rf)
	c.keys(&rf)
	c.behaviour(&rf)
	c.timers(&rf)
	c.limits(&rf)
	c.codes(&rf)
	c.fields(&sf)
	c.content(&rf)
	c.messages(&rf)
	if err := c.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// LoadFS loads the profile in the folder dir of fsys.
func LoadFS(fsys fs.FS, dir string) (*Profile, error) {
	spec, rules, err := ReadFS(fsys, dir)
	if err != nil {
		return nil, err
	}
	p, err := Load(spec, rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return p, nil
}

// ReadFS reads the two files of the folder dir of fsys.
func ReadFS(fsys fs.FS, dir string) (spec, rules []byte, err error) {
	if spec, err = fs.ReadFile(fsys, path.Join(dir, SpecName)); err != nil {
		return nil, nil, fmt.Errorf("profile: %w", err)
	}
	if rules, err = fs.ReadFile(fsys, path.Join(dir, RulesName)); err != nil {
		return nil, nil, fmt.Errorf("profile: %w", err)
	}
	return spec, rules, nil
}

// WithTimers gives a copy of the profile with other waits, for tests and for
// the simulated world. The copy keeps the hash: it is the same bank.
func (p *Profile) WithTimers(change func(*Timers)) *Profile {
	q := *p
	change(&q.Timers)
	return &q
}

// SpecJSON is the specification file that the profile was loaded from.
func (p *Profile) SpecJSON() []byte { return bytes.Clone(p.spec) }

// Class is what a response code means. A code in no class is unknown.
func (p *Profile) Class(code string) Class {
	if c, ok := p.Classes[code]; ok {
		return c
	}
	return ClassUnknown
}

// OwnCode gives what this bank is sent for one of our own codes, such as N1.
// Other codes are sent as they are.
func (p *Profile) OwnCode(code string) string {
	if c, ok := p.OwnCodes[code]; ok {
		return c
	}
	return code
}

// Owns tells whether a PAN begins with one of the bank's IINs.
func (p *Profile) Owns(pan string) bool {
	for _, iin := range p.IINs {
		if strings.HasPrefix(pan, iin) {
			return true
		}
	}
	return false
}

// BankSends tells whether requests of this kind come from the bank.
func (k Kind) BankSends() bool {
	return k == KeyDelivery || k == CutoverFrom || (k >= Inquiry && k < KindEnd)
}

var kindNames = [...]string{Debit: "debit", PINProof: "pin_proof", Reversal: "reversal",
	SignOn: "sign_on", SignOff: "sign_off", Echo: "echo", KeyReset: "key_reset",
	KeyDelivery: "key_delivery", CutoverFrom: "cutover", StatusInquiry: "status_inquiry", ScriptNotify: "script_notify", Inquiry: "inquiry",
	NoticePay: "notice_pay", PayStatus: "pay_status", PayReversal: "pay_reversal",
	PeerSignOn: "peer_sign_on", PeerEcho: "peer_echo"}

// String writes the name used in rules files, such as pin_proof.
func (k Kind) String() string {
	if k == 0 || k >= KindEnd {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// checker collects the mistakes of one profile.
type checker struct {
	p     *Profile
	nodes map[string]*yaml.Node
	errs  []mistake
}

// mistake is one error about one line.
type mistake struct {
	file string
	line int
	err  error
}

// err joins the mistakes in the order of the files, nil if there are none.
func (c *checker) err() error {
	if len(c.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(c.errs, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.err.Error(), b.err.Error()))
	})
	all := make([]error, len(c.errs))
	for i, m := range c.errs {
		all[i] = m.err
	}
	return fmt.Errorf("%w: %w", ErrProfile, errors.Join(all...))
}

// read decodes one file strictly and keeps its lines.
func (c *checker) read(name string, body []byte, into any) error {
	var node yaml.Node
	if err := yaml.Unmarshal(body, &node); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrProfile, name, err)
	}
	if c.nodes == nil {
		c.nodes = map[string]*yaml.Node{}
	}
	c.nodes[name] = &node
	d := yaml.NewDecoder(bytes.NewReader(body))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrProfile, name, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s: more than one document", ErrProfile, name)
	}
	return nil
}

// line finds where a key such as mac.field stands, or the nearest key above it.
func (c *checker) line(file, key string) int {
	n := c.nodes[file]
	if n == nil || len(n.Content) == 0 {
		return 1
	}
	n = n.Content[0]
	line := n.Line
	for _, part := range strings.Split(key, ".") {
		next := (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == part {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
				next = n.Content[i]
				line = next.Line
			}
		}
		if next == nil {
			break
		}
		if next.Kind == yaml.AliasNode {
			next = next.Alias
		}
		n = next
	}
	return line
}

// bad notes a mistake in rules.yaml.
func (c *checker) bad(key, format string, args ...any) { c.note(RulesName, key, format, args...) }

// badSpec notes a mistake in spec.json.
func (c *checker) badSpec(key, format string, args ...any) { c.note(SpecName, key, format, args...) }

func (c *checker) note(file, key, format string, args ...any) {
	line := c.line(file, key)
	c.errs = append(c.errs, mistake{file, line, fmt.Errorf("%s:%d: %s: %s", file, line, key, fmt.Sprintf(format, args...))})
}

// pick looks a word up in a closed list.
func pick[T any](c *checker, key, word string, list map[string]T) T {
	v, ok := list[word]
	if !ok {
		words := make([]string, 0, len(list))
		for w := range list {
			words = append(words, w)
		}
		sort.Strings(words)
		c.bad(key, "%q is none of %s", word, strings.Join(words, ", "))
	}
	return v
}

// hexBytes reads n bytes of hexadecimal digits.
func (c *checker) hexBytes(key, s string, n int) []byte {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != n {
		c.bad(key, "must be %d bytes as hexadecimal digits", n)
		return make([]byte, n)
	}
	return b
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) > 0
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (c *checker) identity(r *rulesFile) {
	p := c.p
	p.Code, p.Name, p.NameEn, p.Phone, p.Version = r.Code, r.Name, r.NameEn, r.Phone, r.Version
	if r.Code == "" || len(r.Code) > 8 || strings.Trim(r.Code, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		c.bad("code", "must be 1 to 8 small letters and digits")
	}
	if r.Number < 1 || r.Number > 255 {
		c.bad("number", "must be 1 to 255")
	}
	p.Number = si.Bank(r.Number)
	if r.Name == "" || r.Version == "" {
		c.bad("name", "name and version must not be empty")
	}
	p.Dialect = pick(c, "dialect", r.Dialect, map[string]Dialect{"pos": POS, "cups": CUPS})
	p.BankInitiated = r.BankInitiated
	for i, iin := range r.IINs {
		if !allDigits(iin) || len(iin) < 6 || len(iin) > 10 {
			c.bad(fmt.Sprintf("iins.%d", i), "must be 6 to 10 digits")
		}
	}
	if len(r.IINs) == 0 {
		c.bad("iins", "a bank needs at least one IIN")
	}
	p.IINs = append([]string(nil), r.IINs...)
	sort.SliceStable(p.IINs, func(i, j int) bool { return len(p.IINs[i]) > len(p.IINs[j]) })
}

func (c *checker) framing(r *rulesFile) {
	p, f := c.p, &r.Framing
	p.LengthBytes, p.LengthScope = f.LengthBytes, f.LengthScope
	switch p.Dialect {
	case POS:
		if f.LengthBytes != 2 {
			c.bad("framing.length_bytes", "must be 2 in the pos dialect")
		}
		if f.LengthScope != "excludes" && f.LengthScope != "includes" {
			c.bad("framing.length_scope", "must be excludes or includes in the pos dialect")
		}
		p.TPDU = c.hexBytes("framing.tpdu", f.TPDU, 5)
		p.Header = c.hexBytes("framing.header", f.Header, 6)
		if p.TPDU[0] != 0x60 {
			c.bad("framing.tpdu", "must begin with 60")
		}
		if bytes.Equal(p.TPDU[1:3], p.TPDU[3:5]) {
			c.bad("framing.tpdu", "the two addresses must differ, or nobody can tell who sent a message")
		}
	case CUPS:
		if f.LengthBytes != 0 {
			c.bad("framing.length_bytes", "must be 0 in the cups dialect, whose header carries the length")
		}
		if f.LengthScope != "excludes" && f.LengthScope != "includes" && f.LengthScope != "includes-less-length" {
			c.bad("framing.length_scope", "must be excludes, includes or includes-less-length")
		}
		p.HeaderFlag = c.hexBytes("framing.header_flag", f.HeaderFlag, 1)[0]
		for key, id := range map[string]string{"framing.destination": f.Destination, "framing.source": f.Source} {
			if id == "" || len(id) > 11 || !printable(id) {
				c.bad(key, "must be 1 to 11 printable characters")
			}
		}
		if f.Destination == f.Source {
			c.bad("framing.source", "must differ from destination, or nobody can tell who sent a message")
		}
		p.HeaderDest = fmt.Sprintf("%-11s", f.Destination)
		p.HeaderSource = fmt.Sprintf("%-11s", f.Source)
	}
}

func (c *checker) keys(r *rulesFile) {
	p := c.p
	p.KeyForm, p.MAKDouble, p.KBPK = r.Keys.Form, r.Keys.MAKDouble, r.Keys.KBPK
	p.MACAlg = pick(c, "mac.algorithm", r.MAC.Algorithm, map[string]hsmapi.MACAlg{
		"cup-ecb": hsmapi.MACCUPECB, "x919-pad1": hsmapi.MACX919Pad1, "x919-pad2": hsmapi.MACX919Pad2,
		"aes-cmac": hsmapi.MACAESCMAC, "sm4-cmac": hsmapi.MACSM4CMAC, "sm4-pos": hsmapi.MACSM4POS})
	p.MACScope = pick(c, "mac.scope", r.MAC.Scope, map[string]MACScope{"full": MACFull, "selected": MACSelected})
	p.MACField, p.AllowWeak = r.MAC.Field, r.MAC.AllowWeak
	p.PINFormat = pick(c, "pin.format", r.PIN.Format, map[string]si.PINFormat{
		"iso4-aes": si.PINFormat4AES, "iso0-tdes": si.PINFormat0TDES, "iso0-sm4": si.PINFormat0SM4})
	p.PINField, p.Proof = r.PIN.Field, r.PIN.Proof
	if p.Proof != "balance" && p.Proof != "verify" {
		c.bad("pin.proof", "must be balance or verify: without a proof of the PIN no menu opens")
	}
	if p.MACAlg == hsmapi.MACCUPECB && !p.AllowWeak {
		c.bad("mac.allow_weak", "cup-ecb is a code of 32 bits whose blocks can be swapped: it needs allow_weak and a private line or TLS")
	}
	if (p.MACAlg == hsmapi.MACX919Pad1 || p.MACAlg == hsmapi.MACX919Pad2) && p.Dialect == POS && !p.MAKDouble {
		c.bad("keys.mak_double", "X9.19 needs a MAC key of 16 bytes")
	}
	short := p.PINFormat == si.PINFormat0TDES
	switch p.PINField {
	case "52":
		if !short {
			c.bad("pin.field", "a block of 16 bytes does not fit 52: use 52b128 or 63.SM")
		}
	case "52b128", "63.SM":
		if short {
			c.bad("pin.field", "holds 16 bytes, the format makes 8")
		}
	default:
		c.bad("pin.field", "must be 52, 52b128 or 63.SM")
	}
	if p.Dialect == POS {
		c.posKeys(r)
	} else {
		c.cupsKeys(r)
	}
}

func (c *checker) posKeys(r *rulesFile) {
	p := c.p
	if p.KeyForm != "de62" {
		c.bad("keys.form", "must be de62 in the pos dialect")
	}
	if p.MACField != 64 {
		c.bad("mac.field", "must be 64 in the pos dialect")
	}
	if p.MACScope != MACFull {
		c.bad("mac.scope", "must be full in the pos dialect")
	}
	seen := map[string]bool{}
	for i, t := range r.Keys.Terminals {
		at := fmt.Sprintf("keys.terminals.%d", i)
		if len(t.DE41) != 8 || !printable(t.DE41) {
			c.bad(at+".de41", "must be 8 printable characters")
		}
		if len(t.DE42) != 15 || !printable(t.DE42) {
			c.bad(at+".de42", "must be 15 printable characters")
		}
		if t.TMK == "" {
			c.bad(at+".tmk", "must name the terminal master key")
		}
		if seen[t.DE41] {
			c.bad(at+".de41", "is given to two virtual terminals")
		}
		seen[t.DE41] = true
		p.Terminals = append(p.Terminals, VirtualTerminal(t))
	}
	if len(p.Terminals) == 0 {
		c.bad("keys.terminals", "a pos bank needs at least one virtual terminal")
	}
}

func (c *checker) cupsKeys(r *rulesFile) {
	p := c.p
	if p.KeyForm != "nk-tr31" || p.KBPK == "" {
		c.bad("keys.form", "must be nk-tr31 with the name of a kbpk in the cups dialect")
	}
	if p.MACField != 128 {
		c.bad("mac.field", "must be 128 in the cups dialect")
	}
	if len(r.Keys.Terminals) > 0 {
		c.bad("keys.terminals", "belong to the pos dialect")
	}
	q := &r.Parties
	p.Acquirer, p.Forwarder, p.MerchantB, p.TerminalB, p.Account = q.Acquirer, q.Forwarder, q.Merchant, q.Terminal, q.Account
	for key, id := range map[string]string{"parties.acquirer": q.Acquirer, "parties.forwarder": q.Forwarder} {
		if !allDigits(id) || len(id) > 11 {
			c.bad(key, "must be 1 to 11 digits")
		}
	}
	if len(q.Terminal) != 8 || len(q.Merchant) != 15 || !printable(q.Terminal+q.Merchant) {
		c.bad("parties", "terminal must be 8 and merchant 15 printable characters")
	}
	if q.Account == "" || len(q.Account) > 28 || !printable(q.Account) {
		c.bad("parties.account", "must be 1 to 28 printable characters")
	}
}

func (c *checker) behaviour(r *rulesFile) {
	p := c.p
	p.Reversal = pick(c, "reversal.style", r.Reversal.Style, map[string]ReversalStyle{
		"request-0400": Request0400, "advice-0420": Advice0420})
	if p.Dialect == POS && p.Reversal == Advice0420 {
		c.bad("reversal.style", "advice-0420 needs DE 90, which a message of 64 fields cannot have")
	}
	p.CrossDaySend = pick(c, "reversal.cross_day", r.Reversal.CrossDay, map[string]bool{"send": true, "forbidden": false})
	p.NoOriginalFinal = r.Reversal.NoOriginalFinal
	p.InquireFirst, p.InquiryIsProof = r.Reversal.InquireFirst, r.Reversal.InquiryIsProof
	if p.InquiryIsProof && !p.InquireFirst {
		c.bad("reversal.inquiry_is_proof", "needs inquire_first: true")
	}
	keep := map[string]bool{"keep": false, "reverse": true}
	p.CardRefusal.RemovedReverses = pick(c, "card_refusal.removed", r.CardRefusal.Removed, keep)
	if p.InquireFirst && p.CardRefusal.RemovedReverses {
		c.bad("card_refusal.removed", "must be keep with reversal.inquire_first: the answer to an inquiry comes when the card is gone, so that it would post only to be reversed")
	}
	p.CardRefusal.AACReverses = pick(c, "card_refusal.aac", r.CardRefusal.AAC, keep)
	at := r.Cutover
	if len(at) != 5 || at[2] != ':' || !allDigits(at[:2]+at[3:]) || at > "24:00" || at[3:] > "59" {
		c.bad("cutover", "must be a time of day from 00:00 to 24:00")
		return
	}
	h, _ := strconv.Atoi(at[:2])
	m, _ := strconv.Atoi(at[3:])
	p.CutoverAt = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
}
