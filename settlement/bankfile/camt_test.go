package bankfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// statementXML is a statement of n entries: every fourth is a debit, every
// eighth of those takes an earlier entry back. It opens with 1,000.00.
func statementXML(n int) string {
	var b strings.Builder
	credits, debits, in, out := 0, 0, 0, 0
	var entries strings.Builder
	for i := 1; i <= n; i++ {
		sign, reversal := "CRDT", ""
		if i%4 == 0 {
			sign = "DBIT"
			debits, out = debits+1, out+10_000+i
		} else {
			credits, in = credits+1, in+10_000+i
		}
		if i%8 == 0 {
			reversal = "<RvslInd>true</RvslInd>"
		}
		fmt.Fprintf(&entries, `<Ntry><NtryRef>E%d</NtryRef><Amt Ccy="CNY">%d.%02d</Amt><CdtDbtInd>%s</CdtDbtInd>%s<Sts><Cd>BOOK</Cd></Sts>`+
			`<BookgDt><Dt>2026-11-22</Dt></BookgDt><ValDt><DtTm>2026-11-22T21:00:00</DtTm></ValDt><AcctSvcrRef>B%d</AcctSvcrRef>`+
			`<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly></Domn></BkTxCd></Ntry>`+"\n",
			i, (10_000+i)/100, (10_000+i)%100, sign, reversal, i)
	}
	balance := func(code string, fen int) {
		sign := "CRDT"
		if fen < 0 {
			sign, fen = "DBIT", -fen
		}
		fmt.Fprintf(&b, `<Bal><Tp><CdOrPrtry><Cd>%s</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">%d.%02d</Amt><CdtDbtInd>%s</CdtDbtInd><Dt><Dt>2026-11-22</Dt></Dt></Bal>`+"\n",
			code, fen/100, fen%100, sign)
	}
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<Document xmlns="` + Namespaces[0] + `"><BkToCstmrStmt>` + "\n" +
		`<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-23T00:30:00+08:00</CreDtTm><MsgPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></MsgPgntn></GrpHdr>` + "\n" +
		`<Stmt><Id>S1</Id><ElctrncSeqNb>41</ElctrncSeqNb><FrToDt><FrDtTm>2026-11-22T00:00:00+08:00</FrDtTm><ToDtTm>2026-11-22T23:59:59</ToDtTm></FrToDt>` +
		`<Acct><Id><Othr><Id>SI-INCOME</Id></Othr></Id></Acct>` + "\n")
	balance("OPBD", 100_000)
	balance("CLBD", 100_000+in-out)
	fmt.Fprintf(&b, `<TxsSummry><TtlNtries><NbOfNtries>%d</NbOfNtries><Sum>%d.%02d</Sum></TtlNtries>`+
		`<TtlCdtNtries><NbOfNtries>%d</NbOfNtries><Sum>%d.%02d</Sum></TtlCdtNtries>`+
		`<TtlDbtNtries><NbOfNtries>%d</NbOfNtries><Sum>%d.%02d</Sum></TtlDbtNtries></TxsSummry>`+"\n",
		n, (in+out)/100, (in+out)%100, credits, in/100, in%100, debits, out/100, out%100)
	return b.String() + entries.String() + "</Stmt></BkToCstmrStmt></Document>\n"
}

func readStatement(b []byte, want WantStatement) ([]Entry, Statement, error) {
	var out []Entry
	s, err := ReadStatement(bytes.NewReader(b), int64(len(b)), want, func(e *Entry) error { out = append(out, *e); return nil })
	return out, s, err
}

// statementCorpus is the statements of the corpus.
func statementCorpus(t testing.TB) []corpusFile {
	whole := statementXML(4)
	var out []corpusFile
	read := func(b []byte) error {
		_, _, err := readStatement(b, WantStatement{Date: theDay, Previous: &Statement{Sequence: 40, Closing: 100_000}})
		return err
	}
	add := func(code Code, name, text string) {
		out = append(out, corpusFile{code, "statement-" + name, []byte(text), read})
	}
	swap := func(code Code, name, from, to string) {
		if !strings.Contains(whole, from) {
			t.Fatalf("the statement has no %q", from)
		}
		add(code, name, strings.Replace(whole, from, to, 1))
	}
	for _, n := range []int{3, 30, 300, 1000, 1500} {
		add(Truncated, fmt.Sprintf("lacks-%d", n), whole[:len(whole)-n])
	}
	add(Truncated, "then-text", whole+"x")
	add(Truncated, "then-element", whole+"<Document/>")
	swap(Misplaced, "closed-on-another-day", `<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">1200.02</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-22`,
		`<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">1200.02</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-23`)
	swap(BadForm, "tag-not-closed", "</GrpHdr>", "")
	swap(BadForm, "not-UTF-8", "M1", "M\xff")
	swap(BadForm, "other-encoding", "UTF-8", "GB18030")
	swap(BadForm, "control-character", "M1", "M\x01")
	swap(BadForm, "unknown-entity", "M1", "&m;")
	add(BadForm, "byte-order-mark", "\ufeff"+whole)
	swap(OtherDate, "entry", "<BookgDt><Dt>2026-11-22", "<BookgDt><Dt>2026-11-21")
	add(OverLimit, "33-levels", strings.Replace(whole, "<MsgId>M1</MsgId>", "<MsgId>M1</MsgId>"+strings.Repeat("<a>", MaxDepth-2)+strings.Repeat("</a>", MaxDepth-2), 1))
	var many strings.Builder
	for i := range MaxKinds + 1 {
		fmt.Fprintf(&many, "<a%d/>", i)
	}
	swap(OverLimit, "65-kinds", "<CreDtTm>", "<X>"+many.String()+"</X><CreDtTm>")
	swap(OverLimit, "long-text", "<Id>SI-INCOME</Id>", "<Id>"+strings.Repeat("x", MaxToken+1)+"</Id>")

	for name, p := range ordered[[2]string](
		"document-type", [2]string{"<Document", "<!DOCTYPE a>\n<Document"},
		"entities", [2]string{"<Document", `<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>` + "\n<Document"},
		"comment", [2]string{"M1", "M<!-- 1 -->1"},
		"instruction", [2]string{"<GrpHdr>", "<?php x?><GrpHdr>"},
		"other-version", [2]string{"053.001.08", "053.001.99"},
		"no-namespace", [2]string{` xmlns="` + Namespaces[0] + `"`, ""},
		"foreign-element", [2]string{"<Stmt>", `<Stmt><x xmlns="urn:x"/>`},
		"amount-twice", [2]string{`<Amt Ccy="CNY">100.01</Amt>`, `<Amt Ccy="CNY">100.01</Amt><Amt Ccy="CNY">1.00</Amt>`},
		"sign-twice", [2]string{`</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>`, `</Amt><CdtDbtInd>CRDT</CdtDbtInd><CdtDbtInd>DBIT</CdtDbtInd><Sts>`},
		"currency-twice", [2]string{`<Amt Ccy="CNY">100.01`, `<Amt Ccy="USD" Ccy="CNY">100.01`},
		"code-twice", [2]string{"<Cd>BOOK</Cd>", "<Cd>BOOK</Cd><Cd>PDNG</Cd>"},
		"unknown-in-entry", [2]string{"<NtryRef>E1</NtryRef>", "<NtryRef>E1</NtryRef><RvsIInd>true</RvsIInd>"},
		"currency", [2]string{`<Amt Ccy="CNY">100.01`, `<Amt Ccy="USD">100.01`},
		"three-decimals", [2]string{"100.01", "100.010"},
		"exponent", [2]string{"100.01", "1e2"},
		"negative", [2]string{"100.01", "-100.01"},
		"zero-in-front", [2]string{"100.01", "0100.01"},
		"nothing", [2]string{"100.01", "0.00"},
		"too-much", [2]string{"100.01", "10000000000.00"},
		"one-fen-more", [2]string{"100.01", "100.02"},
		"credit-for-debit", [2]string{"<CdtDbtInd>DBIT</CdtDbtInd><Sts>", "<CdtDbtInd>CRDT</CdtDbtInd><Sts>"},
		"no-sign", [2]string{"<CdtDbtInd>DBIT</CdtDbtInd><Sts>", "<CdtDbtInd>C</CdtDbtInd><Sts>"},
		"pending", [2]string{"BOOK", "PDNG"},
		"odd-reversal", [2]string{"<Sts>", "<RvslInd>perhaps</RvslInd><Sts>"},
		"no-reference", [2]string{"<AcctSvcrRef>B2</AcctSvcrRef>", ""},
		"no-transaction-code", [2]string{"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly></Domn></BkTxCd>", ""},
		"no-booking-date", [2]string{"<BookgDt><Dt>2026-11-22</Dt></BookgDt>", ""},
		"impossible-date", [2]string{"<BookgDt><Dt>2026-11-22", "<BookgDt><Dt>2026-11-31"},
		"page-2", [2]string{"<PgNb>1", "<PgNb>2"},
		"not-the-last-page", [2]string{"<LastPgInd>true", "<LastPgInd>false"},
		"no-pages", [2]string{"<MsgPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></MsgPgntn>", ""},
		"no-message-id", [2]string{"<MsgId>M1</MsgId>", ""},
		"no-id", [2]string{"<Id>S1</Id>", ""},
		"no-sequence", [2]string{"<ElctrncSeqNb>41</ElctrncSeqNb>", ""},
		"sequence-again", [2]string{"<ElctrncSeqNb>41", "<ElctrncSeqNb>40"},
		"sequence-gap", [2]string{"<ElctrncSeqNb>41", "<ElctrncSeqNb>42"},
		"no-span", [2]string{"<FrDtTm>2026-11-22T00:00:00+08:00</FrDtTm>", ""},
		"span-of-another-day", [2]string{"<FrDtTm>2026-11-22T00:00:00+08:00</FrDtTm><ToDtTm>2026-11-22", "<FrDtTm>2026-11-20T00:00:00+08:00</FrDtTm><ToDtTm>2026-11-21"},
		"opening-one-fen-more", [2]string{"1000.00", "1000.01"},
		"closing-one-fen-less", [2]string{"1200.02", "1200.01"},
		"overdrawn", [2]string{`1000.00</Amt><CdtDbtInd>CRDT`, `1000.00</Amt><CdtDbtInd>DBIT`},
		"no-opening", [2]string{"OPBD", "PRCD"},
		"opening-twice", [2]string{"CLBD", "OPBD"},
		"no-summary-of-credits", [2]string{"TtlCdtNtries><NbOfNtries>3</NbOfNtries>", "TtlCdtNtries>"},
		"credits-one-more", [2]string{"<TtlCdtNtries><NbOfNtries>3", "<TtlCdtNtries><NbOfNtries>4"},
		"debits-one-more", [2]string{"<TtlDbtNtries><NbOfNtries>1", "<TtlDbtNtries><NbOfNtries>2"},
		"all-one-more", [2]string{"<TtlNtries><NbOfNtries>4", "<TtlNtries><NbOfNtries>5"},
		"sum-of-debits", [2]string{"<Sum>100.04</Sum>", "<Sum>100.03</Sum>"},
		"second-statement", [2]string{"</Stmt>", "</Stmt><Stmt><Id>S2</Id></Stmt>"},
		"text-between", [2]string{"<Stmt>", "<Stmt>1"},
		"other-message", [2]string{"<BkToCstmrStmt>", "<BkToCstmrStmtX></BkToCstmrStmtX><BkToCstmrStmt>"},
	) {
		swap(BadStatement, name, p[0], p[1])
	}
	return out
}

func TestStatement(t *testing.T) {
	text := []byte(statementXML(9))
	flag := Flag{Size: int64(len(text)), SHA256: sha256.Sum256(text)}
	entries, s, err := readStatement(text, WantStatement{Date: theDay, Flag: &flag, Previous: &Statement{Sequence: 40, Closing: 100_000}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Credits != 7 || s.Debits != 2 || s.Opening != 100_000 || s.Closing != 100_000+s.CreditSum-s.DebitSum || s.DebitSum != 20_012 ||
		s.Sequence != 41 || s.SHA256 != flag.SHA256 || s.Closed != theDay {
		t.Errorf("statement is %+v", s)
	}
	want := Entry{entries[7].Offset, "E8", 10_008, false, true, theDay, theDay, "B8", "PMNT/RCDT/DMCT"}
	if len(entries) != 9 || entries[7] != want || !strings.HasPrefix(string(text[want.Offset:]), "<NtryRef>E8") {
		t.Errorf("entry 8 of %d is %+v, want %+v", len(entries), entries[7], want)
	}
	flag.SHA256[0] ^= 1
	if _, _, err := readStatement(text, WantStatement{Date: theDay, Flag: &flag}); codeOf(err) != HashDiffers {
		t.Errorf("with the flag of another file: %v", err)
	}
	older := strings.NewReplacer("053.001.08", "053.001.02", "<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>").Replace(string(text))
	if _, _, err := readStatement([]byte(older), WantStatement{Date: theDay}); codeOf(err) != BadStatement {
		t.Errorf("an older version that the profile does not list: %v", err)
	}
	old, _, err := readStatement([]byte(older), WantStatement{Date: theDay, Namespaces: []string{"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"}})
	if err != nil || !slices.EqualFunc(old, entries, func(a, b Entry) bool { a.Offset = b.Offset; return a == b }) {
		t.Errorf("an older version that the profile lists: %v", err)
	}
	stop := errors.New("stop")
	if _, err := ReadStatement(bytes.NewReader(text), int64(len(text)), WantStatement{Date: theDay}, func(*Entry) error { return stop }); err != stop {
		t.Errorf("ReadStatement = %v, want what the callback said", err)
	}
}

func codeOf(err error) Code {
	if q, ok := errors.AsType[*Quarantine](err); ok {
		return q.Code
	}
	return 0
}

// TestStatementLimits: at each bound of the guard a message is taken, one past it
// is not.
func TestStatementLimits(t *testing.T) {
	whole := statementXML(1)
	read := func(from, to string) error {
		_, _, err := readStatement([]byte(strings.Replace(whole, from, to, 1)), WantStatement{Date: theDay})
		return err
	}
	deep := func(n int) string { // GrpHdr is the third level
		return strings.Repeat("<a>", n-3) + strings.Repeat("</a>", n-3) + "<CreDtTm>"
	}
	kinds := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<a%d/>", i)
		}
		return "<x>" + b.String() + "</x><CreDtTm>"
	}
	for _, tc := range []struct {
		name     string
		from     string
		at, past string
	}{
		{"depth", "<CreDtTm>", deep(MaxDepth), deep(MaxDepth + 1)},
		{"kinds", "<CreDtTm>", kinds(MaxKinds), kinds(MaxKinds + 1)},
		{"token", "SI-INCOME", strings.Repeat("x", MaxToken), strings.Repeat("x", MaxToken+1)},
	} {
		if err := read(tc.from, tc.at); err != nil {
			t.Errorf("%s at the limit: %v", tc.name, err)
		}
		if err := read(tc.from, tc.past); codeOf(err) != OverLimit {
			t.Errorf("%s one past the limit: %v", tc.name, err)
		}
	}
	g := newGuard(strings.NewReader(whole), Namespaces)
	g.elements = MaxElements - strings.Count(whole, "</")
	for {
		if _, err := g.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("five million elements: %v", err)
		}
	}
	g = newGuard(strings.NewReader(whole), Namespaces)
	g.elements = MaxElements - strings.Count(whole, "</") + 1
	for {
		_, err := g.Token()
		if err == nil {
			continue
		}
		if codeOf(err) != OverLimit {
			t.Errorf("one more than five million elements: %v", err)
		}
		break
	}
	if _, err := ReadStatement(strings.NewReader(""), MaxSize+1, WantStatement{Date: theDay}, nil); codeOf(err) != OverLimit {
		t.Errorf("a byte more than 2 GiB: %v", err)
	}
	if _, err := ReadStatement(strings.NewReader(""), MaxSize, WantStatement{Date: theDay}, nil); codeOf(err) != Truncated {
		t.Errorf("2 GiB that are not there: %v", err)
	}
}

// endless is an attack of any length: a beginning, then the same for ever.
type endless struct {
	begin, more string
	read        int64 // the furthest byte that was asked for
}

func (e *endless) ReadAt(p []byte, at int64) (int, error) {
	for i := range p {
		if n := at + int64(i); n < int64(len(e.begin)) {
			p[i] = e.begin[n]
		} else {
			p[i] = e.more[(n-int64(len(e.begin)))%int64(len(e.more))]
		}
	}
	e.read = max(e.read, at+int64(len(p)))
	return len(p), nil
}

// TestStatementAttacks: a message of 2 GiB that nests, repeats or never ends a
// token is refused after a few bytes, with little memory.
func TestStatementAttacks(t *testing.T) {
	open := `<Document xmlns="` + Namespaces[0] + `">`
	for _, tc := range []struct {
		name string
		e    endless
		want Code
	}{
		{"nesting", endless{begin: open + "<BkToCstmrStmt><GrpHdr>", more: "<a>"}, OverLimit},
		{"duplicates", endless{begin: open, more: "<BkToCstmrStmt></BkToCstmrStmt>"}, BadStatement},
		{"one text", endless{begin: open, more: "x"}, OverLimit},
		{"one tag", endless{begin: open, more: "<a" + strings.Repeat("b", 1000)}, BadForm},
		{"one name", endless{begin: open + "<", more: "b"}, OverLimit},
		{"attributes", endless{begin: open + "<a ", more: `b="c" `}, OverLimit},
		{"document type", endless{begin: "<!DOCTYPE a [", more: `<!ENTITY b "c">`}, OverLimit},
		{"comments", endless{begin: open, more: "<!-- -->"}, BadStatement},
		{"white space", endless{begin: "", more: " "}, OverLimit},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadStatement(&tc.e, MaxSize, WantStatement{Date: theDay}, func(*Entry) error { return nil })
		runtime.ReadMemStats(&after)
		if codeOf(err) != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
		if tc.e.read > 4*MaxToken {
			t.Errorf("%s: refused after %d bytes, want at most %d", tc.name, tc.e.read, 4*MaxToken)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: %d bytes of memory, want at most 64 MiB", tc.name, used)
		}
	}
}

// TestStatementDamage: a statement cut anywhere, or with any byte changed, is
// refused when its flag file is at hand; without one what is read is never more
// than was written.
func TestStatementDamage(t *testing.T) {
	text := []byte(statementXML(2))
	flag := Flag{Size: int64(len(text)), SHA256: sha256.Sum256(text)}
	want := WantStatement{Date: theDay, Flag: &flag, Previous: &Statement{Sequence: 40, Closing: 100_000}}
	good, _, err := readStatement(text, want)
	if err != nil {
		t.Fatal(err)
	}
	alone := want
	alone.Flag = nil
	b := bytes.Clone(text)
	for i := range b {
		if _, _, err := readStatement(text[:i], alone); codeOf(err) == 0 && i < len(text)-1 { // the last byte is the end of the line
			t.Errorf("cut at byte %d: %v", i, err)
		}
		b[i] ^= 1
		if _, _, err := readStatement(b, want); codeOf(err) == 0 {
			t.Errorf("byte %d changed, with the flag file: %v", i, err)
		}
		if got, _, err := readStatement(b, alone); err == nil {
			for n := range got {
				if got[n].Amount != good[n].Amount || got[n].Credit != good[n].Credit || got[n].Reversal != good[n].Reversal {
					t.Errorf("byte %d changed: entry %+v, want %+v", i, got[n], good[n])
				}
			}
		}
		b[i] ^= 1
	}
}

func TestDecimalFen(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want si.Fen
		ok   bool
	}{
		{"0", 0, true}, {"0.00", 0, true}, {"12", 1200, true}, {"12.3", 1230, true}, {"12.34", 1234, true}, {"9999999999999999.99", sumLimit, true},
		{"", 0, false}, {".5", 0, false}, {"5.", 0, false}, {"1.234", 0, false}, {"00.10", 0, false}, {"-1", 0, false}, {"+1", 0, false}, {" 1", 0, false},
		{"1e3", 0, false}, {"10000000000000000", 0, false}, {"1,00", 0, false}, {"１", 0, false}, {"1.2.3", 0, false},
	} {
		if got, ok := decimalFen(tc.in); ok != tc.ok || ok && got != tc.want {
			t.Errorf("decimalFen(%q) = %d, %v, want %d, %v", tc.in, got, ok, tc.want, tc.ok)
		}
	}
}
