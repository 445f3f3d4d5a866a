package profile

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// The terminal waits this long for the hub's answer to a payment, and the hub
// needs this margin beside the bank's own time.
const (
	terminalWait = 45 * time.Second
	hubMargin    = 15 * time.Second
)

// maxFrame is the largest frame of either dialect, the length field included.
const maxFrame = 2048

func (c *checker) timers(r *rulesFile) {
	t := Timers(r.Timers)
	c.p.Timers = t
	for _, e := range []struct {
		key string
		d   time.Duration
	}{
		{"connect", t.Connect}, {"sign_on", t.SignOn}, {"reply", t.Reply}, {"reversal_reply", t.ReversalReply},
		{"retry_first", t.RetryFirst}, {"retry_most", t.RetryMost}, {"echo_idle", t.EchoIdle}, {"write", t.Write},
		{"send_deadline", t.SendDeadline}, {"reconnect_min", t.ReconnectMin}, {"reconnect_most", t.ReconnectMost},
		{"card_outcome", t.CardOutcome},
	} {
		if e.d <= 0 || e.d > time.Hour {
			c.bad("timers."+e.key, "must be over 0 and at most 1h")
		}
	}
	if t.Reply+hubMargin > terminalWait {
		c.bad("timers.reply", "%v and the margin of %v are more than the %v that a terminal waits", t.Reply, hubMargin, terminalWait)
	}
	if c.p.InquireFirst && (t.Inquiry <= 0 || t.Inquiry > time.Hour) {
		c.bad("timers.inquiry", "must be over 0 and at most 1h with reversal.inquire_first")
	}
	if !c.p.InquireFirst && t.Inquiry != 0 {
		c.bad("timers.inquiry", "needs reversal.inquire_first: true")
	}
	if t.RetryFirst > t.RetryMost {
		c.bad("timers.retry_first", "must not be over retry_most")
	}
	if t.ReconnectMin > t.ReconnectMost {
		c.bad("timers.reconnect_min", "must not be over reconnect_most")
	}
	if t.SendDeadline >= t.Reply {
		c.bad("timers.send_deadline", "must be shorter than reply")
	}
}

func (c *checker) limits(r *rulesFile) {
	l := &r.Limits
	c.p.Limits = Limits{InFlight: l.InFlight, BreakerCount: l.BreakerCount, BreakerWindow: l.BreakerWindow,
		BadReplies: l.BadReplies, AlarmAfter: l.AlarmAfter, BatchPayments: l.BatchPayments,
		MaxAmount: si.Fen(l.MaxAmountFen), MaxFrame: l.MaxFrame, Connections: l.Connections, InquiryPerMin: l.InquiryPerMin}
	for _, e := range []struct {
		key       string
		v, lo, hi int64
	}{
		{"in_flight", int64(l.InFlight), 1, 10_000},
		{"breaker_count", int64(l.BreakerCount), 1, 1000},
		{"breaker_window", int64(l.BreakerWindow), int64(time.Second), int64(time.Hour)},
		{"bad_replies", int64(l.BadReplies), 1, 100},
		{"alarm_after", int64(l.AlarmAfter), 1, 100},
		{"max_amount_fen", l.MaxAmountFen, 1, int64(si.MaxFen)},
		{"max_frame", int64(l.MaxFrame), 256, maxFrame},
		{"connections", int64(l.Connections), 1, 1000},
		{"inquiry_per_min", int64(l.InquiryPerMin), 1, 10_000},
	} {
		if e.v < e.lo || e.v > e.hi {
			c.bad("limits."+e.key, "must be %d to %d", e.lo, e.hi)
		}
	}
	// DE 48 of a settlement message counts a batch in three digits.
	if c.p.Dialect == POS && (l.BatchPayments < 1 || l.BatchPayments > 999) {
		c.bad("limits.batch_payments", "must be 1 to 999")
	}
}

var classNames = map[string]Class{"approved": ClassApproved, "retry": ClassRetry, "refused": ClassRefused,
	"capture": ClassCapture, "system": ClassSystem, "sign_on": ClassSignOn}

func (c *checker) codes(r *rulesFile) {
	p := c.p
	p.Classes = map[string]Class{}
	for name, list := range r.Classes {
		class := pick(c, "classes."+name, name, classNames)
		for i, code := range list {
			at := fmt.Sprintf("classes.%s.%d", name, i)
			if len(code) != 2 || strings.Trim(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				c.bad(at, "a response code is two digits or capital letters")
			}
			if _, ok := p.Classes[code]; ok {
				c.bad(at, "code %s stands in two classes", code)
			}
			if code == "10" || code == "68" || code == "98" {
				c.bad(at, "code %s does not say whether all the money moved: it must be in no class, so that it is reversed", code)
			}
			p.Classes[code] = class
		}
	}
	if p.Classes["00"] != ClassApproved {
		c.bad("classes.approved", "must hold 00")
	}
	p.OwnCodes = r.OwnCodes
	for own, code := range r.OwnCodes {
		if len(own) != 2 || own[0] != 'N' || own[1] < '1' || own[1] > '6' || len(code) != 2 || code == "00" {
			c.bad("own_codes."+own, "must give N1 to N6 a refusal of two characters")
		}
	}
	if p.BankInitiated && len(r.OwnCodes) != 6 {
		c.bad("own_codes", "must give a code for each of N1 to N6")
	}
	p.DE55 = map[string][]uint32{}
	for name, list := range r.DE55 {
		if name != "request" && name != "reply" && name != "reversal" && name != "script" {
			c.bad("de55."+name, "must be request, reply, reversal or script")
		}
		for i, tag := range list {
			v, err := strconv.ParseUint(tag, 16, 32)
			if err != nil || v == 0 || len(tag)%2 != 0 {
				c.bad(fmt.Sprintf("de55.%s.%d", name, i), "%q is not a tag such as 9F26", tag)
			}
			p.DE55[name] = append(p.DE55[name], uint32(v))
		}
	}
	if len(p.DE55["request"]) == 0 || len(p.DE55["reversal"]) == 0 {
		c.bad("de55", "must list the tags of request and reversal")
	}
}

// isoLengths are the lengths of the fields that we fill or read, fixed or largest,
// in digits or characters (ISO 8583:1987, 4.4). Others are the bank's.
var isoLengths = map[int]int{2: 19, 3: 6, 4: 12, 7: 10, 11: 6, 12: 6, 13: 4, 14: 4, 15: 4, 22: 3, 23: 3, 25: 2, 26: 2, 32: 11, 33: 11,
	35: 37, 37: 12, 38: 6, 39: 2, 41: 8, 42: 15, 49: 3, 53: 16, 70: 3, 90: 42}

var encodings = map[string]Encoding{"ASCII": ASCII, "BCD": BCD, "LBCD": LBCD, "Binary": Binary}

// prefixes are the library's names of length fields: digits and whether BCD.
var prefixes = map[string]struct {
	digits int
	bcd    bool
}{"ASCII.Fixed": {}, "BCD.Fixed": {}, "Binary.Fixed": {}, "ASCII.LL": {2, false}, "ASCII.LLL": {3, false},
	"BCD.LL": {2, true}, "BCD.LLL": {3, true}}

// fields reads spec.json.
func (c *checker) fields(s *specFile) {
	for key, f := range s.Fields {
		at := "fields." + key
		de, err := strconv.Atoi(key)
		if err != nil || strconv.Itoa(de) != key || de < 0 || de > 128 || de == 65 {
			c.badSpec(at, "is no field number")
			continue
		}
		if c.p.Dialect == POS && de > 64 {
			c.badSpec(at, "a message of the pos dialect has 64 fields")
		}
		enc, ok := encodings[f.Enc]
		if !ok {
			c.badSpec(at+".enc", "%q is none of ASCII, BCD, LBCD, Binary", f.Enc)
		}
		pre, ok := prefixes[f.Prefix]
		if !ok {
			c.badSpec(at+".prefix", "%q is none of ASCII.Fixed, BCD.Fixed, Binary.Fixed, ASCII.LL, ASCII.LLL, BCD.LL, BCD.LLL", f.Prefix)
		}
		most := 999
		if pre.digits == 2 {
			most = 99
		}
		if f.Length < 1 || f.Length > most {
			c.badSpec(at+".length", "must be 1 to %d", most)
		}
		switch {
		case de == 0:
			if f.Length != 4 || pre.digits != 0 || (enc != BCD && enc != ASCII) {
				c.badSpec(at, "the message type is 4 digits of fixed length")
			}
		case de == 1:
			if f.Type != "Bitmap" || f.Length != 8 || enc != Binary || f.DisableAutoExpand != (c.p.Dialect == POS) {
				c.badSpec(at, "must be a Bitmap of 8 binary bytes; disableAutoExpand is true in the pos dialect only")
			}
		case f.Type != "String" && f.Type != "Binary":
			c.badSpec(at+".type", "must be String or Binary: a Numeric loses its leading zeros")
		case (f.Type == "Binary") != (enc == Binary):
			c.badSpec(at+".type", "Binary and the encoding Binary go together")
		}
		if want := isoLengths[de]; want != 0 && f.Length != want {
			c.badSpec(at+".length", "must be %d: ISO 8583:1987 has no other for field %d, and our messages are made for it", want, de)
		}
		c.p.Fields[de] = Field{Name: f.Description, Encoding: enc, LengthDigits: pre.digits, LengthBCD: pre.bcd, Length: f.Length}
	}
	if c.p.Fields[0].Length == 0 || c.p.Fields[1].Length == 0 {
		c.badSpec("fields", "must define 0 and 1")
	}
}

var contents = map[string]Content{"n": Digits, "an": Alphanumeric, "ans": Printable, "z": Track,
	"xn": SignedNumber, "b": Bytes, "icc": ICC, "records": RecordContent}

// content gives each field its alphabet.
func (c *checker) content(r *rulesFile) {
	p := c.p
	names := make([]string, 0, len(r.Content))
	for name := range r.Content {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		kind := pick(c, "content."+name, name, contents)
		for i, de := range r.Content[name] {
			at := fmt.Sprintf("content.%s.%d", name, i)
			if de < 2 || de > 128 || p.Fields[de].Length == 0 {
				c.bad(at, "field %d is not in %s", de, SpecName)
				continue
			}
			f := &p.Fields[de]
			if f.Content != 0 {
				c.bad(at, "field %d has two contents", de)
			}
			f.Content = kind
			binary := kind == Bytes || kind == ICC || kind == RecordContent
			bcd := f.Encoding == BCD || f.Encoding == LBCD
			switch {
			case binary != (f.Encoding == Binary):
				c.bad(at, "field %d is %s, which does not fit its encoding", de, name)
			case bcd && kind != Digits && kind != Track:
				c.bad(at, "field %d is BCD, which holds digits or a track only", de)
			case kind == Track && f.Encoding == BCD:
				c.bad(at, "field %d: a track in half bytes is left aligned, so LBCD", de)
			}
		}
	}
	for de := 2; de <= 128; de++ {
		if p.Fields[de].Length > 0 && p.Fields[de].Content == 0 {
			c.bad("content", "field %d has none", de)
		}
	}
	if r.Separator != "=" && r.Separator != "D" {
		c.bad("track_separator", "must be = or D")
	} else {
		p.TrackSeparator = r.Separator[0]
	}
	mac := p.Fields[p.macField()]
	if mac.Length != 8 || mac.Encoding != Binary || mac.LengthDigits != 0 {
		c.bad("mac.field", "must be 8 binary bytes of fixed length in %s", SpecName)
	}
	want := map[string]int{"52": 8, "52b128": 16}[p.PINField]
	if want != 0 && (p.Fields[52].Length != want || p.Fields[52].LengthDigits != 0) {
		c.bad("pin.field", "field 52 must be %d bytes of fixed length in %s", want, SpecName)
	}
	if p.PINField == "63.SM" && p.Fields[63].Content != RecordContent {
		c.bad("pin.field", "field 63 must hold records")
	}
	p.RecordField = r.Records
	if p.BankInitiated && (r.Records != 48 && r.Records != 62 || p.Fields[r.Records].Encoding != Binary) {
		c.bad("record_field", "must be 48 or 62 and binary")
	}
}

// macField is the MAC field or 0, an element that has no content, when the
// number is out of range.
func (p *Profile) macField() int {
	if p.MACField < 2 || p.MACField > 128 {
		return 0
	}
	return p.MACField
}
