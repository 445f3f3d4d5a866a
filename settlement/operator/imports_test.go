package operator

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/operator/sheet"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestNothingIsHalfImported: one line that does not fit, at the very end of a
// file of several batches, and no command is made.
func TestNothingIsHalfImported(t *testing.T) {
	head := strings.Join(PersonColumns, ",") + "\n"
	many := func(n int) string {
		b := head
		for i := range n {
			first := fmt.Sprintf("33019919%02d%02d%02d%03d", 50+i/12000, 1+i/1000%12, 1+i%28, i%1000)
			last, _ := si.IDCheckDigit(first)
			b += first + string(last) + ",王小明,RESIDENT,330110," + first[6:14] + ",1,0,,\n"
		}
		return b
	}
	body := many(2500)
	_, id := person(3)
	for name, c := range map[string]struct{ more, says string }{
		"bad cell":    {id + ",王,KING,330110,19800101,1,0,,\n", "line 2502: person_type: unknown person type; nothing was imported"},
		"charset":     {id + ",\xcd\xf5,RESIDENT,330110,19800101,1,0,,\n", "line 2502: not UTF-8"},
		"columns":     {"a,b\n", "line 2502: not 9 comma-separated columns"},
		"twice":       {strings.Split(body, "\n")[1] + "\n", "line 2502: id_number: this person stands on an earlier line, too"},
		"two of them": {"x,王,KING,330110,19800101,1,0,,\n" + id + ",王,RESIDENT,330110,19800101,5,0,,\n", "and 1 more lines do not fit"},
	} {
		cl, n := serve(t)
		o, err := upload(t, cl, "/v1/import/persons", nil, body+c.more)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if len(n.ids) != 0 || o.Made != 0 || o.Done != 0 || len(o.Lines) == 0 {
			t.Errorf("%s: %d commands were made, outcome %+v", name, len(n.ids), o)
		}
	}
	cl, n := serve(t)
	if o, err := upload(t, cl, "/v1/import/persons", nil, body); err != nil || o.Made != 2500 || len(n.persons) != 2500 {
		t.Errorf("the good file: %+v, %v", o, err)
	}
}

// TestAFileIsReadOn names every line that does not fit, up to the bound.
func TestAFileIsReadOn(t *testing.T) {
	bad := func(n int) string {
		b := strings.Join(PersonColumns, ",") + "\n"
		for range n {
			b += "1,王,RESIDENT,330110,19800101,1,0,,\n"
		}
		return b
	}
	cl, _ := serve(t)
	for _, c := range []struct{ lines, named int }{{maxFaults - 1, maxFaults - 1}, {maxFaults, maxFaults}, {maxFaults + 1, maxFaults}} {
		o, err := upload(t, cl, "/v1/import/persons", nil, bad(c.lines))
		if err == nil || len(o.Lines) != c.named || !strings.HasPrefix(o.Lines[c.named-1], fmt.Sprintf("line %d: id_number:", c.named+1)) {
			t.Errorf("%d bad lines: %d named, %v", c.lines, len(o.Lines), err)
		}
	}
}

// TestALostUpload: a client that dies in the middle of a file leaves nothing.
func TestALostUpload(t *testing.T) {
	cl, n := serve(t)
	lost := errors.New("the cable")
	r := io.MultiReader(strings.NewReader(persons(90)), failing{lost})
	if _, err := cl.Upload(t.Context(), "/v1/import/persons", nil, r, func(int, int) {}); err == nil {
		t.Error("a file that stops in its middle was imported")
	}
	if _, err := upload(t, cl, "/v1/import/persons", nil, persons(1)); err != nil || len(n.ids) != 1 {
		t.Errorf("afterwards: %d commands, %v", len(n.ids), err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestCardsOfNobodyAreRefused(t *testing.T) {
	cl, n := serve(t)
	if _, err := upload(t, cl, "/v1/import/persons", nil, persons(2)); err != nil {
		t.Fatal(err)
	}
	b := strings.Join(CardColumns, ",") + "\n"
	for i := range 3 {
		_, id := person(i)
		last, _ := si.LuhnDigit(fmt.Sprintf("62990003000000%d", i))
		b += fmt.Sprintf("%s,%032X,D2143569X,62990003000000%d%c,ccb,20200601\n", id, i, i, last)
	}
	before := len(n.ids)
	if _, err := upload(t, cl, "/v1/import/cards", nil, b); err == nil || !strings.Contains(err.Error(), "line 4: id_number: no such person") {
		t.Errorf("got %v", err)
	}
	rows := strings.SplitAfter(b, "\n")
	if _, err := upload(t, cl, "/v1/import/cards", nil, rows[0]+rows[1]+rows[2]+rows[1]); err == nil || !strings.Contains(err.Error(), "line 4: pan: this card stands on an earlier line") {
		t.Errorf("the same card twice: got %v", err)
	}
	if len(n.ids) != before {
		t.Errorf("%d commands of refused files were made", len(n.ids)-before)
	}
}

func TestEnrolments(t *testing.T) {
	cl, n := serve(t)
	if _, err := upload(t, cl, "/v1/import/persons", nil, persons(3)); err != nil {
		t.Fatal(err)
	}
	_, a := person(0)
	_, b := person(1)
	_, nobody := person(9)
	head := strings.Join(EnrolmentColumns, ",") + "\n"
	q := url.Values{"rates": {"4"}}
	consent := strings.Repeat("ab", 16)
	good := head + a + ",PENSION_RES,RESIDENT,30000,0,2026," + consent + "\n" + a + ",MED_RES,RESIDENT,0,1,2026,\n" + b + ",PENSION_EMP,FLEX,0,500000,2026-01,\n"
	for turn, made := range []int{3, 0} {
		if o, err := upload(t, cl, "/v1/import/enrolments", q, good); err != nil || o.Made != made || o.Made+o.Exists != 3 {
			t.Errorf("turn %d: got %+v, %v", turn, o, err)
		}
	}
	one, two := n.persons[hashOf(a)].No, n.persons[hashOf(b)].No
	want := map[ledgerapi.Enrol]bool{
		{Person: one, Fund: si.PensionRes, PType: si.Resident, Base: 30_000, From: si.YearPeriod(2026), Rates: 4,
			Consent: [16]byte{0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab}}: true,
		{Person: one, Fund: si.MedRes, PType: si.Resident, Base: 1, From: si.YearPeriod(2026), Rates: 4}:           true,
		{Person: two, Fund: si.PensionEmp, PType: si.Flex, Base: 500_000, From: si.MonthPeriod(2026, 1), Rates: 4}: true,
	}
	got := 0
	for _, c := range n.ids {
		if act, ok := c.(ledgerapi.Act); ok {
			got++
			if e, ok := act.Do.(*ledgerapi.Enrol); !ok || !want[*e] {
				t.Errorf("got %+v, which is none of the wanted", act.Do)
			}
		}
	}
	if got != len(want) {
		t.Errorf("%d covers began, want %d", got, len(want))
	}
	for name, c := range map[string]struct{ line, says string }{
		"nobody":           {nobody + ",PENSION_RES,RESIDENT,30000,0,2026,", "line 2: id_number: no such person"},
		"unknown type":     {a + ",GOLD,RESIDENT,30000,0,2026,", "line 2: fund: unknown insurance type"},
		"grade and base":   {a + ",PENSION_RES,RESIDENT,30000,1,2026,", "line 2: grade_fen: either"},
		"neither":          {a + ",PENSION_RES,RESIDENT,0,0,2026,", "line 2: grade_fen: either"},
		"negative":         {a + ",PENSION_RES,RESIDENT,-1,0,2026,", "line 2: grade_fen: not an amount"},
		"leading zero":     {a + ",PENSION_RES,RESIDENT,01,0,2026,", "line 2: grade_fen: not an amount"},
		"period":           {a + ",PENSION_RES,RESIDENT,30000,0,202601,", "line 2: first_period"},
		"consent":          {a + ",PENSION_RES,RESIDENT,30000,0,2026,ab", "line 2: consent"},
		"twice one type":   {a + ",PENSION_RES,RESIDENT,30000,0,2026,\n" + a + ",PENSION_RES,RESIDENT,50000,0,2026,", "line 3: fund: this person's cover"},
		"no rate version":  {"", "rates: not the version number"},
		"too long a sheet": {strings.Repeat("x", sheet.MaxLine+1), "line 2: longer than"},
	} {
		query := q
		if c.line == "" {
			query = nil
		}
		if _, err := upload(t, cl, "/v1/import/enrolments", query, head+c.line+"\n"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

// TestStage: what is staged comes back in its order, and the bound holds.
func TestStage(t *testing.T) {
	dir := t.TempDir()
	s, err := newStage(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the stage has a name: %v", left)
	}
	c := ledgerapi.PutPerson{ID: si.PaymentID{1}, IDHash: si.Hash{2}, PType: si.Resident, Sealed: []byte("sealed")}
	for i := range 3 {
		c.Household = si.AreaCode(i)
		if err := s.put(c, i+2, 1); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := s.each(func(got ledgerapi.Command, line, weight int) error {
		p, ok := got.(ledgerapi.PutPerson)
		if !ok || p.Household != si.AreaCode(n) || string(p.Sealed) != "sealed" || line != n+2 || weight != 1 {
			t.Errorf("row %d is %+v of line %d", n, got, line)
		}
		n++
		return nil
	}); err != nil || n != 3 {
		t.Errorf("%d rows, %v", n, err)
	}
	size := s.bytes / 3
	s.bytes = maxStage - size
	if err := s.put(c, 5, 1); err != nil {
		t.Errorf("a full stage: %v", err)
	}
	if err := s.put(c, 6, 1); err == nil || !strings.Contains(err.Error(), "two parts") {
		t.Errorf("one row more: %v", err)
	}
	if _, err := newStage(dir + "/none"); err == nil {
		t.Error("a stage in a folder that is not there")
	}
}
