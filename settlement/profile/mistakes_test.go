package profile

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

func files(t testing.TB, code string) (spec, rules []byte) {
	t.Helper()
	spec, rules, err := ReadFS(os.DirFS("../../data/banks"), code)
	if err != nil {
		t.Fatal(err)
	}
	return spec, rules
}

// place is how an error names file and line.
var place = regexp.MustCompile(`(spec\.json|rules\.yaml)(:\d+:|: yaml: .*line \d+)`)

// TestMistakes plants one mistake at a time; the error must name the file, the
// line where the changed text stands, and the rule.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		bank, file, old, new string
		says                 string
	}{
		{"rcb", RulesName, "reply: 30s", "reply: 31s", "terminal waits"},
		{"rcb", RulesName, "allow_weak: true", "allow_weak: false", "cup-ecb is a code of 32 bits"},
		{"rcb", RulesName, "algorithm: cup-ecb", "algorithm: md5", `"md5" is none of`},
		{"rcb", RulesName, "  field: 64", "  field: 63", "must be 64"},
		{"rcb", RulesName, "style: request-0400", "style: advice-0420", "needs DE 90"},
		{"rcb", RulesName, `tpdu: "6000030000"`, `tpdu: "6000030003"`, "must differ"},
		{"rcb", RulesName, `tpdu: "6000030000"`, `tpdu: "60000300"`, "5 bytes"},
		{"rcb", RulesName, `cutover: "22:00"`, `cutover: "24:01"`, "time of day"},
		{"rcb", RulesName, `approved: ["00", "11"`, `approved: ["11"`, "must hold 00"},
		{"rcb", RulesName, `system: ["06"]`, `system: ["06", "68"]`, "so that it is reversed"},
		{"rcb", RulesName, `system: ["06"]`, `system: ["06", "05"]`, "two classes"},
		{"rcb", RulesName, "N6: \"12\"", "N7: \"12\"", "N1 to N6"},
		{"rcb", RulesName, "max_frame: 2048", "max_frame: 2049", "256 to 2048"},
		{"rcb", RulesName, "batch_payments: 900", "batch_payments: 1000", "1 to 999"},
		{"rcb", RulesName, "in_flight: 500", "in_flight: 0", "1 to 10000"},
		{"rcb", RulesName, "retry_first: 5s", "retry_first: 20m", "must not be over retry_most"},
		{"rcb", RulesName, "in_flight: 500", "inflight: 500", "field inflight not found"},
		{"rcb", RulesName, "cutover: \"22:00\"", "cutover: \"22:00\"\ncutover: \"23:00\"", "already defined"},
		{"rcb", RulesName, "n: [2, 3, 4,", "n: [2, 3, 4, 5,", "field 5 is not in spec.json"},
		{"rcb", RulesName, "ans: [41,", "ans: [", "field 41 has none"},
		{"rcb", RulesName, "b: [52, 62, 64]", "b: [52, 62, 64, 37]", "two contents"},
		{"rcb", RulesName, "optional: [14, 38, 55]", "optional: [14, 38, 55, 52]", "must not be in a reversal"},
		{"rcb", RulesName, "mandatory: [2, 3, 11, 14, 22, 25, 26, 35,", "mandatory: [2, 3, 4, 11, 14, 22, 25, 26, 35,", "moves no money"},
		{"rcb", RulesName, "49, 62, 64]\n      fixed: {49: \"156\"}\n    reply:\n      mti: \"0210\"\n      proc: \"500000\"",
			"49, 62]\n      fixed: {49: \"156\"}\n    reply:\n      mti: \"0210\"\n      proc: \"500000\"", "must hold field 64"},
		{"rcb", RulesName, `proc: "330000"`, `proc: "310000"`, "must be those of the request"},
		{"rcb", RulesName, `fixed: {22: "051", 25: "00", 26`, `fixed: {22: "0510", 25: "00", 26`, "length of field 22"},
		{"rcb", RulesName, "balance", "none", "no menu opens"},
		{"rcb", SpecName, `"4": {"type": "String", "length": 12`, `"4": {"type": "String", "length": 13`, "must be 12"},
		{"ccb", SpecName, `"90": {"type": "String", "length": 42`, `"90": {"type": "String", "length": 43`, "must be 42"},
		{"rcb", RulesName, `mti: "0400"`, `mti: "1400"`, "must begin with 0"},
		{"rcb", RulesName, `repeat: "0401"`, `repeat: "0411"`, "differ from mti in the last one only"},
		{"icbc", RulesName, "mak_double: true", "mak_double: false", "16 bytes"},
		{"ccb", RulesName, `field: "52b128"`, `field: "52"`, "does not fit 52"},
		{"boc", RulesName, `field: "63.SM"`, `field: "52b128"`, "must be 16 bytes"},
		{"ccb", RulesName, "form: nk-tr31", "form: de62", "must be nk-tr31"},
		{"ccb", RulesName, "length_scope: includes", "length_scope: perhaps", "must be excludes, includes"},
		{"ccb", RulesName, `source: "03330110"`, `source: "01059999"`, "must differ"},
		{"ccb", RulesName, "account: SI-INCOME-330110-CCB", "account: \"\"", "1 to 28"},
		{"rcb", SpecName, `"4": {"type": "String"`, `"4": {"type": "Numeric"`, "leading zeros"},
		{"rcb", SpecName, `"52": {"type": "Binary", "length": 8`, `"52": {"type": "Binary", "length": 16`, "must be 8 bytes"},
		{"rcb", SpecName, `"enc": "LBCD", "prefix": "BCD.LL"},` + "\n" + `    "3"`, `"enc": "EBCDIC", "prefix": "BCD.LL"},` + "\n" + `    "3"`, "none of ASCII"},
		{"rcb", SpecName, `"64": {`, `"65": {`, "no field number"},
		{"rcb", SpecName, `"disableAutoExpand": true`, `"disableAutoExpand": false`, "pos dialect only"},
		{"rcb", SpecName, `"63": {"type": "String", "length": 163`, `"63": {"type": "String", "length": 1000`, "1 to 999"},
	} {
		spec, rules := files(t, tc.bank)
		old := map[string]*[]byte{SpecName: &spec, RulesName: &rules}[tc.file]
		if !bytes.Contains(*old, []byte(tc.old)) {
			t.Errorf("%s %s: no %q to change", tc.bank, tc.file, tc.old)
			continue
		}
		*old = bytes.Replace(*old, []byte(tc.old), []byte(tc.new), 1)
		_, err := Load(spec, rules)
		if !errors.Is(err, ErrProfile) {
			t.Errorf("%s with %q: got %v, want %v", tc.bank, tc.new, err, ErrProfile)
			continue
		}
		if !strings.Contains(err.Error(), tc.says) || !place.MatchString(strings.ReplaceAll(err.Error(), "\n", " ")) {
			t.Errorf("%s with %q: got %v, want file, line and %q", tc.bank, tc.new, err, tc.says)
		}
	}
}

// TestInquiryMistakes is TestMistakes of a bank that takes inquiries.
func TestInquiryMistakes(t *testing.T) {
	for _, code := range []string{"rcb", "icbc", "ccb", "boc"} {
		spec, rules := files(t, code)
		for _, proof := range []bool{false, true} {
			p, err := Load(spec, Inquiring(rules, proof))
			if err != nil || !p.InquireFirst || p.InquiryIsProof != proof || p.Timers.Inquiry != 10*time.Second || !p.Rules[StatusInquiry].Request.Used() {
				t.Fatalf("%s with inquiries: got %v", code, err)
			}
		}
		if p, err := Load(spec, rules); err != nil || p.InquireFirst || p.InquiryIsProof || p.Timers.Inquiry != 0 {
			t.Errorf("%s takes inquiries of itself", code)
		}
	}
	for _, tc := range []struct{ bank, old, new, says string }{
		{"rcb", "inquire_first: true", "inquire_first: false", "needs inquire_first: true"},
		{"rcb", "  inquire_first: true\n  inquiry_is_proof: true\n", "", "needs reversal.inquire_first: true"},
		{"rcb", "inquiry: 10s", "inquiry: 0s", "over 0 and at most 1h with reversal.inquire_first"},
		{"rcb", "inquiry: 10s", "inquiry: 61m", "over 0 and at most 1h with reversal.inquire_first"},
		{"rcb", "status_inquiry:", "no_inquiry:", "is no kind of message"},
		{"rcb", "removed: keep", "removed: reverse", "when the card is gone"},
		{"rcb", "mandatory: [2, 3, 4, 11, 41, 42, 49, 60, 61, 64]", "mandatory: [2, 3, 4, 11, 41, 42, 49, 60, 64]", "must hold field 61"},
		{"rcb", "mandatory: [2, 3, 4, 11, 41, 42, 49, 60, 61, 64]", "mandatory: [2, 3, 4, 11, 41, 42, 49, 60, 61]", "must hold field 64"},
		{"rcb", "mandatory: [2, 3, 4, 11, 41, 42, 49, 60, 61, 64]", "mandatory: [2, 3, 4, 11, 41, 42, 49, 52, 60, 61, 64]", "must not be in a status inquiry"},
		{"rcb", "mandatory: [3, 4, 11, 39, 41, 42, 49, 60, 61]", "mandatory: [3, 4, 11, 39, 41, 42, 49, 60]", "must hold field 61"},
		{"rcb", "mandatory: [3, 4, 11, 39, 41, 42, 49, 60, 61]", "mandatory: [3, 11, 39, 41, 42, 49, 60, 61]", "must hold field 4"},
		{"rcb", "optional: [2, 12, 13, 15, 32, 37, 38, 64]", "optional: [2, 12, 13, 15, 32, 37, 38]", "must list field 64"},
		{"rcb", "optional: [2, 12, 13, 15, 32, 37, 38, 64]", "optional: [2, 12, 13, 15, 32, 37, 38, 55, 64]", "must not be in a status inquiry"},
		{"rcb", "      proc: \"340000\"\n      function: \"01\"\n      network: [\"000\"]\n      tail", "      proc: \"310000\"\n      function: \"01\"\n      network: [\"000\"]\n      tail", "cannot be told from"},
		{"ccb", "37, 41, 42, 49, 90, 128]\n      fixed: {49: \"156\"}", "37, 41, 42, 49, 128]\n      fixed: {49: \"156\"}", "must hold field 90"},
		{"ccb", "mandatory: [3, 4, 7, 11, 32, 33, 39, 41, 42, 49, 90]", "mandatory: [3, 4, 7, 11, 32, 33, 39, 41, 42, 49]", "must hold field 90"},
	} {
		spec, rules := files(t, tc.bank)
		rules = Inquiring(rules, true)
		if !bytes.Contains(rules, []byte(tc.old)) {
			t.Errorf("%s: no %q to change", tc.bank, tc.old)
			continue
		}
		_, err := Load(spec, bytes.Replace(rules, []byte(tc.old), []byte(tc.new), 1))
		if !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), tc.says) || !place.MatchString(err.Error()) {
			t.Errorf("%s with %q: got %v, want file, line and %q", tc.bank, tc.new, err, tc.says)
		}
	}
}

// TestScriptMistakes is TestMistakes of a bank that wants to know of scripts.
func TestScriptMistakes(t *testing.T) {
	for _, tc := range []struct{ bank, old, new, says string }{
		{"ccb", "  script: [\"95\", \"9F1E\", \"9F10\", \"9F36\", \"DF31\"]\n", "", "goes with the tags of de55.script"},
		{"ccb", "  script: [\"95\"", "  scripts: [\"95\"", "must be request, reply, reversal or script"},
		{"ccb", "\"9F36\", \"DF31\"]", "\"9F36\"]", "must hold DF31"},
		{"ccb", "\n  script_notify:", "\n  script_notice:", "is no kind of message"},
		{"ccb", "49, 55, 60, 70, 90, 128]", "49, 55, 60, 70, 128]", "must hold field 90"},
		{"ccb", "49, 55, 60, 70, 90, 128]", "49, 60, 70, 90, 128]", "must hold field 55"},
		{"ccb", "49, 55, 60, 70, 90, 128]", "49, 55, 60, 70, 90]", "must hold field 128"},
		{"ccb", "49, 55, 60, 70, 90, 128]", "49, 52, 55, 60, 70, 90, 128]", "must not be in a script notice"},
		{"ccb", "49, 55, 57, 60, 90, 100, 128]", "49, 55, 57, 60, 90, 100]", "must list field 128"},
		{"rcb", "", "", "belongs to the cups dialect"},
	} {
		spec, rules := files(t, tc.bank)
		rules = ScriptTold(rules)
		if !bytes.Contains(rules, []byte(tc.old)) {
			t.Errorf("%s: no %q to change", tc.bank, tc.old)
			continue
		}
		_, err := Load(spec, bytes.Replace(rules, []byte(tc.old), []byte(tc.new), 1))
		if !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), tc.says) || !place.MatchString(err.Error()) {
			t.Errorf("%s with %q: got %v, want file, line and %q", tc.bank, tc.new, err, tc.says)
		}
	}
	for _, code := range []string{"ccb", "boc"} {
		spec, rules := files(t, code)
		if p, err := Load(spec, Inquiring(ScriptTold(rules), true)); err != nil || !p.Rules[ScriptNotify].Request.Used() {
			t.Errorf("%s with both: %v", code, err)
		}
		if p, err := Load(spec, rules); err != nil || p.Rules[ScriptNotify].Request.Used() {
			t.Errorf("%s wants script notices of itself", code)
		}
	}
}

// TestLine: the line of the error is the line of the mistake.
func TestLine(t *testing.T) {
	spec, rules := files(t, "rcb")
	bad := bytes.Replace(rules, []byte("  in_flight: 500"), []byte("  in_flight: 0"), 1)
	line := 1 + bytes.Count(rules[:bytes.Index(rules, []byte("  in_flight: 500"))], []byte("\n"))
	_, err := Load(spec, bad)
	want := regexp.MustCompile(`rules\.yaml:(\d+): limits\.in_flight`).FindStringSubmatch(err.Error())
	if want == nil || want[1] != strconv.Itoa(line) {
		t.Errorf("got %v, want line %d", err, line)
	}
}

// TestDemoProfiles holds the four profiles to what docs/spec/bank-wire.md says
// of them.
func TestDemoProfiles(t *testing.T) {
	for _, tc := range []struct {
		code    string
		number  si.Bank
		dialect Dialect
		mac     hsmapi.MACAlg
		pin     si.PINFormat
		style   ReversalStyle
		reply   time.Duration
		cutover time.Duration
		cross   bool
		final   bool
		bank    bool
		proof   string
	}{
		{"rcb", 1, POS, hsmapi.MACCUPECB, si.PINFormat0TDES, Request0400, 30 * time.Second, 22 * time.Hour, true, true, true, "balance"},
		{"icbc", 2, POS, hsmapi.MACX919Pad1, si.PINFormat0TDES, Request0400, 25 * time.Second, 23 * time.Hour, false, true, false, "balance"},
		{"ccb", 3, CUPS, hsmapi.MACAESCMAC, si.PINFormat4AES, Advice0420, 20 * time.Second, 23*time.Hour + 30*time.Minute, true, true, true, "balance"},
		{"boc", 4, CUPS, hsmapi.MACSM4CMAC, si.PINFormat0SM4, Advice0420, 15 * time.Second, 24 * time.Hour, true, false, true, "verify"},
	} {
		p, err := Load(files(t, tc.code))
		if err != nil {
			t.Fatal(err)
		}
		if p.Number != tc.number || p.Dialect != tc.dialect || p.MACAlg != tc.mac || p.PINFormat != tc.pin || p.Reversal != tc.style ||
			p.Timers.Reply != tc.reply || p.CutoverAt != tc.cutover || p.CrossDaySend != tc.cross || p.NoOriginalFinal != tc.final ||
			p.BankInitiated != tc.bank || p.Proof != tc.proof {
			t.Errorf("%s: got %+v", tc.code, p)
		}
		for code, class := range map[string]Class{"00": ClassApproved, "A6": ClassApproved, "10": ClassUnknown, "68": ClassUnknown,
			"98": ClassUnknown, "55": ClassRetry, "51": ClassRefused, "94": ClassRefused, "41": ClassCapture, "06": ClassSystem,
			"A0": ClassSignOn, "97": ClassSignOn, "ZZ": ClassUnknown} {
			if got := p.Class(code); got != class {
				t.Errorf("%s: Class(%s): got %d, want %d", tc.code, code, got, class)
			}
		}
		if !p.Owns(p.IINs[0]+"00000000") || p.Owns("1234567890123456") {
			t.Errorf("%s: Owns is wrong", tc.code)
		}
	}
}

func TestWithTimers(t *testing.T) {
	p, err := Load(files(t, "rcb"))
	if err != nil {
		t.Fatal(err)
	}
	q := p.WithTimers(func(tm *Timers) { tm.Reply = time.Millisecond })
	if q.Timers.Reply != time.Millisecond || p.Timers.Reply != 30*time.Second || q.Hash != p.Hash {
		t.Error("WithTimers changed the original or the hash")
	}
}

func TestArchive(t *testing.T) {
	spec, rules := files(t, "ccb")
	a, err := Pack(spec, rules)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Pack(spec, rules)
	if err != nil || !bytes.Equal(a, b) {
		t.Error("two archives of one profile differ")
	}
	s, r, err := Unpack(a)
	if err != nil || !bytes.Equal(s, spec) || !bytes.Equal(r, rules) {
		t.Errorf("Unpack: got %v", err)
	}
	p, err := LoadArchive(a)
	if err != nil || p.Code != "ccb" || !bytes.Equal(p.SpecJSON(), spec) {
		t.Errorf("LoadArchive: got %v", err)
	}
	if _, err := Pack(spec, []byte("code: x\n")); !errors.Is(err, ErrProfile) {
		t.Errorf("Pack of a broken profile: got %v", err)
	}
	for _, bad := range []string{"", "SBP", "SBP1", "SBP1\xff\xff\xff\xff", "SBP2\x00\x00\x00\x00", "SBP1\x01\x00\x00\x00"} {
		if _, _, err := Unpack([]byte(bad)); !errors.Is(err, ErrArchive) {
			t.Errorf("Unpack(%q): got %v, want %v", bad, err, ErrArchive)
		}
	}
}

// TestFileBound: a file of the largest size is read, one more byte is not.
func TestFileBound(t *testing.T) {
	spec, rules := files(t, "boc")
	fill := func(n int) []byte {
		return append(bytes.Clone(rules), "#"+strings.Repeat("x", n-len(rules)-1)...)
	}
	if _, err := Load(spec, fill(MaxFile)); err != nil {
		t.Errorf("rules of %d bytes: got %v", MaxFile, err)
	}
	if _, err := Pack(spec, fill(MaxFile)); err != nil {
		t.Errorf("archive with rules of %d bytes: got %v", MaxFile, err)
	}
	if _, err := Load(spec, fill(MaxFile+1)); !errors.Is(err, ErrProfile) {
		t.Errorf("rules of %d bytes: got %v, want %v", MaxFile+1, err, ErrProfile)
	}
}

// FuzzLoadArchive: no body of the ledger makes the loader panic. The seeds are
// small, because the search takes its time to shorten what it finds.
func FuzzLoadArchive(f *testing.F) {
	for _, seed := range []struct{ spec, rules string }{
		{`{}`, "code: x"},
		{`{"name": "x", "fields": {"0": {"type": "String", "length": 4, "enc": "BCD", "prefix": "BCD.Fixed"}, "x": {}}}`,
			"code: rcb\nnumber: 1\ndialect: pos\nkeys: {terminals: [{de41: \"1\"}]}\ncutover: \"22:00\"\n"},
		{`{"fields": {"2": {"type": "String", "length": 19, "enc": "LBCD", "prefix": "BCD.LL"}, "200": {}}}`,
			"dialect: cups\ncontent: {n: [2, 3, -1, 999]}\nmessages: {debit: {request: {mti: \"0200\", mandatory: [2, 2, 500], fixed: {2: a}}}}\n"},
	} {
		a := append([]byte(archiveMagic), byte(len(seed.spec)), 0, 0, 0)
		f.Add(append(append(a, seed.spec...), seed.rules...))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := LoadArchive(body); err == nil && p.Code == "" {
			t.Error("a profile without a code was accepted")
		}
	})
}
