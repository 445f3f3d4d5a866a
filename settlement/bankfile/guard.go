package bankfile

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
)

// Limits of an XML message. encoding/xml itself has none: it takes a million
// levels, holds a token of any length in memory, and of a repeated element the
// last.
const (
	MaxDepth    = 32        // levels of elements: a statement has fewer than twenty
	MaxElements = 5_000_000 // elements of a message
	MaxToken    = 64 << 10  // bytes of one tag or one text
	MaxKinds    = 64        // different children of one element
)

// manyTimes are the elements that may repeat inside their parent. Every other
// one comes once.
var manyTimes = []string{
	"Stmt/Bal", "Stmt/Ntry", "Stmt/Intrst", "Bal/CdtLine", "Bal/Avlbty", "TxsSummry/TtlNtriesPerBkTxCd", "TtlNtriesPerBkTxCd/Avlbty",
	"Ntry/NtryDtls", "Ntry/Avlbty", "NtryDtls/TxDtls", "TxDtls/RltdRmtInf", "TxDtls/Avlbty", "Refs/Prtry", "RmtInf/Ustrd", "RmtInf/Strd",
	"Strd/RfrdDocInf", "Strd/AddtlRmtInf", "PstlAdr/AdrLine", "OrgId/Othr", "PrvtId/Othr", "Chrgs/Rcrd", "Intrst/Rcrd",
}

// inEntry are the elements that an entry may have. An unknown one could be a
// misspelt mark of reversal.
var inEntry = []string{
	"NtryRef", "Amt", "CdtDbtInd", "RvslInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef", "Avlbty", "BkTxCd", "ComssnWvrInd", "AddtlInfInd",
	"AmtDtls", "Chrgs", "TechInptChanl", "Intrst", "CardTx", "NtryDtls", "AddtlNtryInf",
}

// guard stands between the XML reader and the structs. It passes elements, text
// and ends; it refuses what a statement never has.
type guard struct {
	d        *xml.Decoder
	in       *metered
	allowed  []string // namespaces
	space    string   // of the message
	elements int
	levels   [][]string // names seen inside each open element
	names    []string   // of the open elements
	first    bool       // nothing has come
}

// metered counts what is read since the last token.
type metered struct {
	io.Reader
	since  int
	broken error // of the source
}

var errToken = errors.New("bankfile: token too long")

func (m *metered) Read(p []byte) (int, error) {
	if m.since > 2*MaxToken { // Token counts exactly; this bounds memory
		return 0, errToken
	}
	n, err := m.Reader.Read(p)
	m.since += n
	if err != nil && err != io.EOF {
		m.broken = err
	}
	return n, err
}

func newGuard(r io.Reader, namespaces []string) *guard {
	g := &guard{in: &metered{Reader: r}, allowed: namespaces, first: true}
	g.d = xml.NewDecoder(g.in)
	return g
}

// place is where the reader stands: byte and line.
func (g *guard) place() (int64, int) {
	line, _ := g.d.InputPos()
	return g.d.InputOffset(), line
}

func (g *guard) offset() int64 { return g.d.InputOffset() }

func (g *guard) refuse(code Code, field, why string) error {
	at, line := g.place()
	return &Quarantine{Code: code, Offset: at, Line: line, Field: field, Why: why}
}

// Token gives the next token that a statement may have.
func (g *guard) Token() (xml.Token, error) {
	before := g.d.InputOffset()
	t, err := g.d.Token()
	g.in.since = 0
	if err == errToken || g.d.InputOffset()-before > MaxToken {
		return nil, g.refuse(OverLimit, "", "a tag or text has more than 64 KiB")
	}
	if err != nil {
		return nil, err
	}
	first := g.first
	g.first = false
	switch t := t.(type) {
	case xml.StartElement:
		if err := g.enter(t); err != nil {
			return nil, err
		}
	case xml.EndElement:
		g.levels, g.names = g.levels[:len(g.levels)-1], g.names[:len(g.names)-1]
	case xml.Directive:
		return nil, g.refuse(BadStatement, "", "a document type or entity is declared")
	case xml.ProcInst:
		if !first || t.Target != "xml" {
			return nil, g.refuse(BadStatement, "", "there is an instruction to a program")
		}
	case xml.Comment:
		return nil, g.refuse(BadStatement, "", "there is a comment")
	}
	return t, nil
}

// enter judges an element that opens.
func (g *guard) enter(t xml.StartElement) error {
	name := t.Name.Local
	if g.elements++; g.elements > MaxElements {
		return g.refuse(OverLimit, "", "the message has more than five million elements")
	}
	if len(g.names) == MaxDepth {
		return g.refuse(OverLimit, "", "elements lie more than 32 deep")
	}
	if g.space == "" {
		if !slices.Contains(g.allowed, t.Name.Space) {
			return g.refuse(BadStatement, "Document", "the bank's profile does not list this version of the message")
		}
		g.space = t.Name.Space
	} else if len(g.names) == 0 {
		return g.refuse(Truncated, "", "something stands after the message")
	}
	if t.Name.Space != g.space {
		return g.refuse(BadStatement, "", "an element is of another namespace than the message")
	}
	for i, a := range t.Attr {
		if slices.ContainsFunc(t.Attr[:i], func(b xml.Attr) bool { return a.Name == b.Name }) {
			return g.refuse(BadStatement, "", "an attribute comes twice")
		}
	}
	if n := len(g.names); n > 0 {
		parent, seen := g.names[n-1], &g.levels[n-1]
		known := slices.Contains(*seen, name)
		switch {
		case known && !slices.Contains(manyTimes, parent+"/"+name):
			return g.refuse(BadStatement, "", "an element comes twice that may come once")
		case parent == "Ntry" && !slices.Contains(inEntry, name):
			return g.refuse(BadStatement, "Ntry", "an entry has an element that the standard does not know")
		case !known && len(*seen) == MaxKinds:
			return g.refuse(OverLimit, "", "an element has more than 64 different ones inside")
		case !known:
			*seen = append(*seen, name)
		}
	}
	g.names = append(g.names, name)
	if n := len(g.names); n <= cap(g.levels) { // keep what an earlier element of this level had room for
		g.levels = g.levels[:n]
		g.levels[n-1] = g.levels[n-1][:0]
	} else {
		g.levels = append(g.levels, nil)
	}
	return nil
}
