package profile

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// The kinds that every bank must have, and those that come with messages from
// the bank to our server.
var (
	alwaysKinds = []Kind{Debit, PINProof, Reversal, SignOn, Echo}
	cupsKinds   = []Kind{KeyReset, KeyDelivery}
	bankKinds   = []Kind{Inquiry, NoticePay, PayStatus, PayReversal, PeerSignOn, PeerEcho}
)

func (c *checker) messages(r *rulesFile) {
	p := c.p
	names := make([]string, 0, len(r.Messages))
	for name := range r.Messages {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		k := Kind(slices.Index(kindNames[:], name))
		if k == 0 || int(k) >= len(kindNames) {
			c.bad("messages."+name, "is no kind of message")
			continue
		}
		e := r.Messages[name]
		p.Rules[k].Request = c.message(k, false, &e.Request)
		p.Rules[k].Reply = c.message(k, true, &e.Reply)
		c.pair(k)
	}
	need := slices.Clone(alwaysKinds)
	if p.Dialect == CUPS {
		need = append(need, cupsKinds...)
	}
	if p.BankInitiated {
		need = append(need, bankKinds...)
	}
	if p.InquireFirst {
		need = append(need, StatusInquiry)
	} else if p.Rules[StatusInquiry].Request.Used() {
		c.bad("messages.status_inquiry", "needs reversal.inquire_first: true")
	}
	for _, k := range need {
		if !p.Rules[k].Request.Used() {
			c.bad("messages", "%s is missing", k)
		}
	}
	if !p.BankInitiated {
		for _, k := range bankKinds[:4] {
			if p.Rules[k].Request.Used() {
				c.bad("messages."+k.String(), "needs bank_initiated: true")
			}
		}
	}
	if script := p.Rules[ScriptNotify].Request.Used(); script != (len(p.DE55["script"]) > 0) {
		c.bad("messages.script_notify", "goes with the tags of de55.script, which must hold DF31")
	} else if script && !slices.Contains(p.DE55["script"], tagScriptResults) {
		c.bad("de55.script", "must hold DF31, the results")
	}
	c.ambiguous()
}

// tagScriptResults is the data object with the results of issuer scripts.
const tagScriptResults = 0xDF31

// message checks one field list.
func (c *checker) message(k Kind, reply bool, m *messageFile) MessageRule {
	p := c.p
	at := "messages." + k.String() + ".request"
	if reply {
		at = "messages." + k.String() + ".reply"
	}
	r := MessageRule{MTI: m.MTI, Repeat: m.Repeat, Proc: m.Proc, Function: m.Function, Tail: m.Tail,
		Mandatory: m.Mandatory, Optional: m.Optional, Dropped: m.Dropped, Fixed: m.Fixed}
	if len(m.Network) > 0 {
		r.Network, r.Networks = m.Network[0], m.Network[1:]
	}
	if len(r.MTI) != 4 || !allDigits(r.MTI) {
		c.bad(at+".mti", "must be four digits")
		return MessageRule{}
	}
	if r.MTI[0] != '0' {
		c.bad(at+".mti", "must begin with 0, ISO 8583:1987")
	}
	if r.Repeat != "" && (len(r.Repeat) != 4 || !allDigits(r.Repeat) || r.Repeat[:3] != r.MTI[:3]) {
		c.bad(at+".repeat", "must be four digits and differ from mti in the last one only")
	}
	seen := map[int]bool{}
	for _, part := range []struct {
		name string
		list []int
	}{{"mandatory", r.Mandatory}, {"optional", r.Optional}} {
		for i, de := range part.list {
			key := fmt.Sprintf("%s.%s.%d", at, part.name, i)
			if de < 2 || de > 128 || p.Fields[de].Length == 0 {
				c.bad(key, "field %d is not in %s", de, SpecName)
			}
			if seen[de] {
				c.bad(key, "field %d is listed twice", de)
			}
			seen[de] = true
		}
	}
	for i, de := range r.Dropped {
		if !slices.Contains(r.Optional, de) {
			c.bad(fmt.Sprintf("%s.dropped.%d", at, i), "field %d must be optional", de)
		}
	}
	c.fixed(at, &r, seen)
	c.selectors(at, &r)
	c.safety(at, k, reply, &r)
	return r
}

// fixed checks the values that never change against their fields.
func (c *checker) fixed(at string, r *MessageRule, listed map[int]bool) {
	for de, v := range r.Fixed {
		key := fmt.Sprintf("%s.fixed.%d", at, de)
		if !listed[de] {
			c.bad(key, "field %d is in no list", de)
			continue
		}
		f := c.p.Fields[de]
		if len(v) > f.Length || f.LengthDigits == 0 && len(v) != f.Length {
			c.bad(key, "does not have the length of field %d", de)
		}
		if f.Content == Digits && !allDigits(v) || !printable(v) {
			c.bad(key, "does not fit the content of field %d", de)
		}
	}
}

// selectors checks what tells messages of one type apart.
func (c *checker) selectors(at string, r *MessageRule) {
	if r.Proc != "" && (len(r.Proc) != 6 || !allDigits(r.Proc) || !slices.Contains(r.Mandatory, 3)) {
		c.bad(at+".proc", "must be six digits, with field 3 mandatory")
	}
	de := 70
	if c.p.Dialect == POS {
		de = 60
	}
	for _, n := range append([]string{r.Network}, r.Networks...) {
		if n != "" && (len(n) != 3 || !allDigits(n) || !slices.Contains(r.Mandatory, de)) {
			c.bad(at+".network", "must be three digits, with field %d mandatory", de)
		}
	}
	if c.p.Dialect == CUPS && (r.Function != "" || r.Tail != "") {
		c.bad(at+".function", "belongs to the pos dialect")
	}
	if r.Function != "" && (len(r.Function) != 2 || !allDigits(r.Function) || r.Network == "") {
		c.bad(at+".function", "must be two digits, with network")
	}
	if r.Tail != "" && (!allDigits(r.Tail) || len(r.Tail) > 6 || r.Function == "") {
		c.bad(at+".tail", "must be at most six digits, with function")
	}
}

// safety checks what a message must or must not carry for the money's sake.
func (c *checker) safety(at string, k Kind, reply bool, r *MessageRule) {
	p := c.p
	must := func(des ...int) {
		for _, de := range des {
			if !slices.Contains(r.Mandatory, de) {
				c.bad(at+".mandatory", "must hold field %d", de)
			}
		}
	}
	never := func(why string, des ...int) {
		for _, de := range des {
			if slices.Contains(r.Mandatory, de) || slices.Contains(r.Optional, de) {
				c.bad(at, "field %d must not be in a %s", de, why)
			}
		}
	}
	if reply {
		must(39)
	}
	money := k == Debit || k == Reversal || k == NoticePay || k == PayReversal
	if money {
		must(3, 4, 11)
	}
	switch k {
	case Debit, PINProof, Reversal:
		if p.Dialect == POS {
			must(11, 41, 42, 60)
		} else {
			must(7, 11, 32, 33)
		}
	case NoticePay, PayStatus, PayReversal:
		must(7, 11, 15, 32, 37)
	case Inquiry:
		must(7, 11, 32, 37)
	case StatusInquiry:
		c.inquiry(must, never)
	case ScriptNotify:
		if p.Dialect == POS {
			c.bad(at, "belongs to the cups dialect")
		}
		if must(7, 11, 32, 33, 70); !reply {
			must(55, 90)
		}
		never("script notice", 14, 26, 35, 36, 52, 53)
	}
	if money || k == PINProof || k == StatusInquiry || k == ScriptNotify || k == Inquiry || k == PayStatus {
		if !reply {
			must(p.MACField)
		} else if !slices.Contains(r.Mandatory, p.MACField) && !slices.Contains(r.Optional, p.MACField) {
			c.bad(at, "must list field %d, the code", p.MACField)
		}
	}
	if k == Reversal && !reply {
		must(39, 25)
		never("reversal", 26, 35, 36, 52, 53)
		if p.Reversal == Advice0420 {
			must(90)
		} else {
			must(61)
		}
	}
	if k == PINProof {
		never("proof of the PIN: it moves no money", 4)
		if reply && slices.Contains(r.Optional, 54) && !slices.Contains(r.Dropped, 54) {
			c.bad(at+".dropped", "must hold field 54: a balance is never read")
		}
	}
	if k == Debit && !reply && p.Dialect == CUPS {
		must(103)
	}
}

// inquiry checks what ties an inquiry and its answer to one debit: amount and
// numbers of the original, in both directions. It carries nothing of the card but
// its number.
func (c *checker) inquiry(must func(...int), never func(string, ...int)) {
	if must(3, 4, 11, 41, 42); c.p.Dialect == POS {
		must(60, 61)
	} else {
		must(7, 32, 33, 90)
	}
	never("status inquiry", 14, 23, 26, 35, 36, 52, 53, 55)
}

// pair checks a reply against its request.
func (c *checker) pair(k Kind) {
	q, a := &c.p.Rules[k].Request, &c.p.Rules[k].Reply
	if !q.Used() || !a.Used() {
		return
	}
	at := "messages." + k.String() + ".reply"
	req, _ := strconv.Atoi(q.MTI)
	ans, _ := strconv.Atoi(a.MTI)
	if ans != req+10 {
		c.bad(at+".mti", "must be the request's plus 10")
	}
	if a.Repeat != "" {
		c.bad(at+".repeat", "a repeat is answered like the first")
	}
	if a.Proc != q.Proc || a.Network != q.Network || a.Function != q.Function || !slices.Equal(a.Networks, q.Networks) {
		c.bad(at, "proc, function and network must be those of the request")
	}
}

// ambiguous refuses two kinds that nobody can tell apart on the wire.
func (c *checker) ambiguous() {
	seen := map[string]Kind{}
	for k := Kind(1); k < KindEnd; k++ {
		r := &c.p.Rules[k].Request
		if !r.Used() {
			continue
		}
		for _, n := range append([]string{r.Network}, r.Networks...) {
			for _, mti := range []string{r.MTI, r.Repeat} {
				if mti == "" {
					continue
				}
				key := fmt.Sprint(k.BankSends(), mti, r.Proc, r.Function, n)
				if other, ok := seen[key]; ok {
					c.bad("messages."+k.String()+".request", "cannot be told from %s", other)
				}
				seen[key] = k
			}
		}
	}
}
