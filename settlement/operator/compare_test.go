package operator

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// compared is what a comparison answered.
type compared struct {
	Comparison
	diffs    []Difference
	proposal string
}

func compare(t *testing.T, c *Client, maker uint32, rows ...string) (compared, error) {
	t.Helper()
	var got compared
	var err error
	body := strings.Join(RegisterColumns, ",") + "\n" + strings.Join(rows, "\n")
	got.Comparison, err = c.Compare(t.Context(), maker, strings.NewReader(body), func(d Difference) { got.diffs = append(got.diffs, d) },
		func(line string) { got.proposal += line + "\n" }, func(int) {})
	return got, err
}

func apply(t *testing.T, c *Client, checker, proposal string) (Outcome, error) {
	t.Helper()
	return upload(t, c, "/v1/compare/apply", url.Values{"checker": {checker}}, proposal)
}

// registered serves a node with n persons and answers their ID numbers.
func registered(t *testing.T, n int) (*Client, *node, []string) {
	t.Helper()
	c, nd := serve(t)
	if _, err := upload(t, c, "/v1/import/persons", nil, persons(n)); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, n)
	for i := range ids {
		_, ids[i] = person(i)
	}
	return c, nd, ids
}

func TestCompare(t *testing.T) {
	c, n, ids := registered(t, 8)
	// With us the seventh is dead, and nothing is sealed of the eighth.
	for i, change := range map[int]func(p *ledgerapi.Person){
		6: func(p *ledgerapi.Person) { p.Flags |= ledgerapi.FlagDeceased },
		7: func(p *ledgerapi.Person) { p.Sealed = nil },
	} {
		p := n.persons[hashOf(ids[i])]
		change(&p)
		n.persons[hashOf(ids[i])] = p
	}
	before := len(n.ids)
	_, stranger := person(50)
	got, err := compare(t, c, 7,
		ids[0]+",王小明,1,19800101,330110,ALIVE,",            // 2: the same
		ids[1]+",王大明,2,19810101,330199,DECEASED,20200101", // 3: everything differs
		ids[2]+",,,,,,", // 4: says nothing
		stranger+",李四,1,19800101,330110,ALIVE,", // 5: not with us
		ids[6]+",王小明,,,,ALIVE,",                 // 6: alive there, dead here
		ids[7]+",王小明,,,330199,,",                // 7: nothing sealed here
	)
	if err != nil {
		t.Fatal(err)
	}
	two := uint32(n.persons[hashOf(ids[1])].No)
	seven, eight := uint32(n.persons[hashOf(ids[6])].No), uint32(n.persons[hashOf(ids[7])].No)
	want := []Difference{
		{Kind: DiffField, Line: 3, Person: two, ID: ids[1][14:], Name: "王*明", Field: "name", Ours: "王*明", Theirs: "王*明", Proposed: true},
		{Kind: DiffField, Line: 3, Person: two, ID: ids[1][14:], Name: "王*明", Field: "sex", Ours: "1", Theirs: "2", Proposed: true},
		{Kind: DiffField, Line: 3, Person: two, ID: ids[1][14:], Name: "王*明", Field: "birth", Ours: "1980-**", Theirs: "1981-**", Proposed: true},
		{Kind: DiffField, Line: 3, Person: two, ID: ids[1][14:], Name: "王*明", Field: "household", Ours: "330110", Theirs: "330199", Proposed: true},
		{Kind: DiffField, Line: 3, Person: two, ID: ids[1][14:], Name: "王*明", Field: "status", Ours: "ALIVE", Theirs: "DECEASED", Proposed: true},
		{Kind: DiffNew, Line: 5, ID: stranger[14:], Name: "李*"},
		{Kind: DiffField, Line: 6, Person: seven, ID: ids[6][14:], Name: "王*明", Field: "status", Ours: "DECEASED", Theirs: "ALIVE"},
		{Kind: DiffField, Line: 7, Person: eight, ID: ids[7][14:], Field: "household", Ours: "330110", Theirs: "330199", Proposed: true},
	}
	var missing []Difference
	for _, i := range []int{3, 4, 5} {
		missing = append(missing, Difference{Kind: DiffMissing, Person: uint32(n.persons[hashOf(ids[i])].No), ID: ids[i][14:], Name: "王*明"})
	}
	slices.SortFunc(missing, func(a, b Difference) int { return int(a.Person) - int(b.Person) })
	want = append(want, missing...)
	// The lines of one batch come as new ones first.
	byLine := func(a, b Difference) int { return a.Line - b.Line }
	slices.SortStableFunc(got.diffs, byLine)
	slices.SortStableFunc(want, byLine)
	if !slices.Equal(got.diffs, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got.diffs, want)
	}
	if o := got.Comparison; !o.OK || o.Lines != 6 || o.Same != 2 || o.New != 1 || o.Missing != 3 || o.Differ != 3 || o.Proposed != 2 || o.Fields["status"] != 2 {
		t.Errorf("outcome %+v", o)
	}
	if len(n.ids) != before {
		t.Error("a comparison changed something")
	}

	// Meanwhile the eighth is changed by somebody else.
	p := n.persons[hashOf(ids[7])]
	p.Version++
	n.persons[hashOf(ids[7])] = p
	o, err := apply(t, c, "8", got.proposal)
	if err != nil || o.OK || o.Made != 1 || o.Refused != 1 || len(o.Lines) != 1 ||
		o.Lines[0] != fmt.Sprintf("line 3: person %d changed meanwhile (now version 2); compare again", eight) {
		t.Errorf("apply: %+v, %v", o, err)
	}
	p = n.persons[hashOf(ids[1])]
	if p.Version != 2 || p.Sex != 2 || p.Birth.Year() != 1981 || p.Household != 330199 || p.Flags != ledgerapi.FlagDeceased || string(p.Sealed) != ids[1]+"|王大明" {
		t.Errorf("the second person became %+v", p)
	}
	if p := n.persons[hashOf(ids[7])]; p.Household != 330110 {
		t.Error("a person who changed meanwhile was overwritten")
	}
}

func TestCompareRefuses(t *testing.T) {
	c, n, ids := registered(t, 3)
	_, stranger := person(50)
	for name, tc := range map[string]struct {
		rows []string
		says string
	}{
		"status":         {[]string{ids[0] + ",,,,,GONE,"}, "line 2: status: neither ALIVE nor DECEASED"},
		"no day":         {[]string{ids[0] + ",,,,,DECEASED,"}, "line 2: status_date: not a YYYYMMDD"},
		"day to come":    {[]string{ids[0] + ",,,,,DECEASED,21000101"}, "line 2: status_date: a day of death that has not come"},
		"before birth":   {[]string{ids[0] + ",,,,,DECEASED,19700101"}, "line 2: status_date: a day of death that"},
		"number":         {[]string{"123,,,,,,"}, "line 2: id_number"},
		"sex":            {[]string{ids[0] + ",,3,,,,"}, "line 2: sex"},
		"twice with us":  {[]string{ids[0] + ",,,,,,", ids[0] + ",,,,,,"}, "line 3: id_number: this person stands on an earlier line"},
		"twice and new":  {[]string{stranger + ",,,,,,", stranger + ",,,,,,"}, "line 3: id_number: this person stands on an earlier line"},
		"not UTF-8":      {[]string{ids[0] + ",\xcd\xf5,,,,,"}, "line 2: not UTF-8"},
		"spoilt far off": {[]string{ids[0] + ",,,,,,", ids[1] + ",,,,,x,"}, "line 3: status"},
	} {
		got, err := compare(t, c, 7, tc.rows...)
		if err == nil || !strings.Contains(err.Error(), tc.says) || got.OK {
			t.Errorf("%s: got %+v, %v, want %q", name, got.Comparison, err, tc.says)
		}
	}
	if _, err := compare(t, c, 0, ids[0]+",,,,,,"); err == nil || !strings.Contains(err.Error(), "maker") {
		t.Errorf("without a maker: %v", err)
	}
	if len(n.ids) != 3 {
		t.Error("a comparison changed something")
	}
}

// TestProposals: whatever was done to a proposal, nothing of it is applied.
func TestProposals(t *testing.T) {
	c, n, ids := registered(t, 3)
	got, err := compare(t, c, 7, ids[0]+",,2,,,,", ids[1]+",,2,,,,")
	if err != nil || got.Proposed != 2 {
		t.Fatalf("%+v, %v", got.Comparison, err)
	}
	lines := strings.SplitAfter(got.proposal, "\n")
	// Sealed anew with a right sum: what only the checks of a change can find.
	again := func(change func(p *proposalWriter)) string {
		var b strings.Builder
		p := &proposalWriter{to: func(l string) { b.WriteString(l + "\n") }}
		if err := p.begin(proposalHead{ProposalFormat, "330110", 7, "2026-11-29"}); err != nil {
			t.Fatal(err)
		}
		change(p)
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	who := n.persons[hashOf(ids[0])]
	put := ledgerapi.PutPerson{ID: si.PaymentID{9}, IDHash: who.IDHash, PType: si.Resident, ExpectVersion: 1}
	newOne := put
	newOne.ExpectVersion = 0
	for name, tc := range map[string]struct{ checker, body, says string }{
		"own":            {"7", got.proposal, "SAME_PERSON"},
		"nobody":         {"0", got.proposal, "checker: not a user number"},
		"empty":          {"8", "", "line 1: the proposal was cut short"},
		"other file":     {"8", "id_number\n", "line 1: not a proposal"},
		"other region":   {"8", strings.Replace(got.proposal, "330110", "330111", 1), "line 1: a proposal of region 330111, this is 330110"},
		"maker renamed":  {"7", strings.Replace(got.proposal, `"maker":7`, `"maker":9`, 1), "the proposal was changed"},
		"cut":            {"8", strings.Join(lines[:3], ""), "line 4: the proposal was cut short"},
		"line out":       {"8", lines[0] + lines[2] + lines[3], "line 3: the proposal was changed"},
		"lines swapped":  {"8", lines[0] + lines[2] + lines[1] + lines[3], "line 4: the proposal was changed"},
		"more behind":    {"8", got.proposal + "x", "bytes behind the end"},
		"not a change":   {"8", lines[0] + "{\"x\":1}\n", "line 2: not a change"},
		"long line":      {"8", lines[0] + strings.Repeat("x", maxProposalLine+1) + "\n", "line 2: longer than"},
		"another person": {"8", again(func(p *proposalWriter) { _ = p.change(2, who.No+1, nil, put) }), "is not the one of its record"},
		"a new person":   {"8", again(func(p *proposalWriter) { _ = p.change(2, who.No, nil, newOne) }), "not the change of a person"},
		"another command": {"8", again(func(p *proposalWriter) {
			_ = p.line(proposalChange{Line: 2, Person: 1, Version: 1, Record: ledgerapi.AppendRecord(nil, ledgerapi.Header{}, ledgerapi.SealDay{ID: si.PaymentID{1}, Date: 9000})})
		}), "not the change of a person"},
	} {
		if _, err := apply(t, c, tc.checker, tc.body); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
	if len(n.ids) != 3 {
		t.Errorf("%d changes of spoilt proposals were made", len(n.ids)-3)
	}
	if o, err := apply(t, c, "8", got.proposal); err != nil || o.Made != 2 {
		t.Errorf("the proposal itself: %+v, %v", o, err)
	}
	if o, err := apply(t, c, "8", got.proposal); err != nil || o.Made != 0 || o.Exists != 2 {
		t.Errorf("and again: %+v, %v", o, err)
	}
}

// TestLongestChange: a change with the longest sealed record fits its line.
func TestLongestChange(t *testing.T) {
	var line string
	p := &proposalWriter{to: func(l string) { line = l }}
	if err := p.begin(proposalHead{}); err != nil {
		t.Fatal(err)
	}
	c := ledgerapi.PutPerson{ExpectVersion: 65_535, Sealed: make([]byte, ledgerapi.MaxSealed)}
	if err := p.change(1<<31, 1<<32-1, []string{"name", "sex", "birth", "household", "status"}, c); err != nil || len(line) >= maxProposalLine {
		t.Errorf("%d bytes, %v, want less than %d", len(line), err, maxProposalLine)
	}
}

// TestLastPerson finds the highest number of every small register.
func TestLastPerson(t *testing.T) {
	for n := range 20 {
		nd := &node{persons: map[si.Hash]ledgerapi.Person{}}
		for i := 1; i <= n; i++ {
			nd.persons[si.Hash{byte(i)}] = ledgerapi.Person{No: si.PersonNo(i)}
		}
		if got := New(Config{Register: nd}).lastPerson(); got != si.PersonNo(n) {
			t.Errorf("%d persons: the last is %d", n, got)
		}
	}
}

// TestAwayHSM: without the HSM process nothing is compared and nothing is left.
func TestAwayHSM(t *testing.T) {
	n := &node{ids: map[si.PaymentID]ledgerapi.Command{}, persons: map[si.Hash]ledgerapi.Person{}}
	s := New(Config{Ledger: n, Register: n, Sealer: away{}, Now: nowForTests, Status: func() Status { return Status{Area: "330110"} }})
	for _, path := range []string{"/v1/compare/register?maker=7", "/v1/import/persons"} {
		_, id := person(1)
		body := strings.Join(RegisterColumns, ",") + "\n" + id + ",,,,,,\n"
		if strings.Contains(path, "import") {
			body = persons(1)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
		if got := w.Body.String(); !strings.Contains(got, `"ok":false`) || !strings.Contains(got, hsmapi.ErrAway.Error()) {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// FuzzProposal: no bytes make the reader fail, and none but its own are taken.
func FuzzProposal(f *testing.F) {
	f.Add([]byte(`{"format":"shebao-proposal-1","area":"330110","maker":7,"made":"2026-11-29"}` + "\n" +
		`{"line":2,"person":1,"version":1,"fields":["sex"],"record":"AAAA"}` + "\n" + `{"changes":1,"sum":""}` + "\n"))
	f.Add([]byte("{}\n"))
	n := &node{ids: map[si.PaymentID]ledgerapi.Command{}, persons: map[si.Hash]ledgerapi.Person{}}
	s := New(Config{Ledger: n, Register: n, Status: func() Status { return Status{Area: "330110"} }})
	f.Fuzz(func(t *testing.T, body []byte) {
		st, err := newStage(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer st.close()
		im := &importing{s: s, body: bytes.NewReader(body), stage: st}
		if err := im.readProposal(8); err == nil && st.rows != 0 {
			t.Errorf("a proposal for an empty register was taken: %q", body)
		}
	})
}

// FuzzRows: no cell makes a row fail, and a refusal names a column.
func FuzzRows(f *testing.F) {
	line, id := person(1)
	f.Add(line)
	f.Add(id + ",王小明,1,19800101,330110,DECEASED,20200101")
	f.Add(id + ",PENSION_RES,RESIDENT,30000,0,2026,")
	f.Fuzz(func(t *testing.T, line string) {
		of := strings.Split(line, ",")
		for _, columns := range [][]string{PersonColumns, CardColumns, EnrolmentColumns, RegisterColumns} {
			if len(of) != len(columns) {
				continue
			}
			c := cells{columns: columns, of: of}
			switch len(columns) {
			case len(PersonColumns):
				c.person()
			case len(CardColumns):
				c.card(func(string) (si.Bank, bool) { return 1, true })
			default:
				if &columns[0] == &RegisterColumns[0] {
					c.register(nowForTests())
				} else {
					c.enrolment()
				}
			}
			if (c.why == "") != (c.column == "") || c.why != "" && !slices.Contains(columns, c.column) {
				t.Errorf("refused with column %q, %q", c.column, c.why)
			}
		}
	})
}

// away is an HSM process that is not there.
type away struct{ Sealer }

var errAway = fmt.Errorf("%w: no socket", hsmapi.ErrAway)

func (away) HashIDs(context.Context, []si.IDNumber) ([]si.Hash, error) { return nil, errAway }
func (away) SealPersons(context.Context, []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error) {
	return nil, errAway
}

func nowForTests() time.Time { return time.Date(2026, time.November, 29, 12, 0, 0, 0, time.UTC) }
