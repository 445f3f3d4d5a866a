package operator

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// TestDemoOffices reads the table that the demo starts with.
func TestDemoOffices(t *testing.T) {
	body, err := data.Start.ReadFile("offices/330110.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseOffices(body)
	if err != nil {
		t.Fatal(err)
	}
	of := areaTable(list)
	for area, want := range map[si.AreaCode]string{
		330110: "DISTRICT", 330110901: "TOWN-01", 330110910: "TOWN-10", 330110911: "DISTRICT", 330111: "", 330111901: "",
	} {
		if got := of(area); got != want {
			t.Errorf("area %s belongs to %q, want %q", area, got, want)
		}
	}
}

func table(n int) string {
	var b strings.Builder
	b.WriteString("offices:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {code: O%d, name: 示例, areas: [%d]}\n", i, 330110000+i)
	}
	return b.String()
}

func TestOfficesRefused(t *testing.T) {
	for name, body := range map[string]string{
		"none":          "offices: []",
		"no text":       "",
		"unknown field": "offices:\n- {code: A, name: x, areas: [330110], hours: 9}",
		"no code":       "offices:\n- {name: x}",
		"code too long": "offices:\n- {code: ABCDEFGHIJKLMNOPQ, name: x}",
		"code form":     "offices:\n- {code: 'A B', name: x}",
		"twice":         "offices:\n- {code: A, name: x}\n- {code: A, name: y}",
		"no name":       "offices:\n- {code: A}",
		"name too long": "offices:\n- {code: A, name: " + strings.Repeat("长", maxOfficeName+1) + "}",
		"line break":    "offices:\n- {code: A, name: \"x\\ny\"}",
		"seven digits":  "offices:\n- {code: A, name: x, areas: [3301101]}",
		"five digits":   "offices:\n- {code: A, name: x, areas: [33011]}",
		"claimed twice": "offices:\n- {code: A, name: x, areas: [330110]}\n- {code: B, name: y, areas: [330110]}",
		"one too many":  table(MaxOffices + 1),
	} {
		if list, err := ParseOffices([]byte(body)); err == nil {
			t.Errorf("%s: taken as %+v", name, list)
		}
	}
	if list, err := ParseOffices([]byte(table(MaxOffices))); err != nil || len(list) != MaxOffices {
		t.Errorf("as many as fit: %d, %v", len(list), err)
	}
	if _, err := ParseOffices([]byte("offices:\n- {code: ABCDEFGHIJKLMNOP, name: " + strings.Repeat("长", maxOfficeName) + "}")); err != nil {
		t.Errorf("texts at their bounds: %v", err)
	}
}

// FuzzOffices: whatever is taken can be asked for every area.
func FuzzOffices(f *testing.F) {
	f.Add("offices:\n- {code: A, name: x, areas: [330110, 330110901]}")
	f.Add("offices: [")
	f.Fuzz(func(t *testing.T, body string) {
		list, err := ParseOffices([]byte(body))
		if err != nil {
			return
		}
		of := areaTable(list)
		for _, o := range list {
			for _, a := range o.Areas {
				if of(a) != o.Code {
					t.Errorf("area %s belongs to %q, the table says %q", a, of(a), o.Code)
				}
			}
		}
	})
}

// TestBadOfficesAreNotPut: a table that does not fit never reaches the ledger.
func TestBadOfficesAreNotPut(t *testing.T) {
	c, n := serve(t)
	put := func(body string) error {
		var a Answer
		return c.Ask(t.Context(), "/v1/config", ConfigRequest{
			ID: fmt.Sprintf("%032x", len(body)), Kind: "offices", Name: "330110", From: "2026-01-01", Body: []byte(body), Maker: 1, Checker: 2,
		}, &a)
	}
	var refused *RefusedError
	if err := put("offices: []"); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || len(n.ids) != 0 {
		t.Errorf("got %v, and %d commands", err, len(n.ids))
	}
	if err := put(table(1)); err != nil || len(n.ids) != 1 {
		t.Errorf("a good table: %v, and %d commands", err, len(n.ids))
	}
}

// TestOfficeNotices issues the notices of one office of two with their sheets,
// over the bound of a batch.
func TestOfficeNotices(t *testing.T) {
	c, n := serve(t)
	n.offices = []byte("offices:\n- {code: A, name: x, areas: [330110]}\n- {code: B, name: y, areas: [330110901]}")
	const many = hsmapi.MaxPersons + 300
	for i := range many {
		h := hashOf(fmt.Sprint(i))
		p := n.persons[h]
		p.No, p.Household, p.Sealed = si.PersonNo(i+1), 330110, []byte("330110199001010011|王小明")
		if i%5 == 0 {
			p.Household = 330110901
		}
		if i%50 == 0 {
			p.Household = 330111 // nobody's
		}
		n.persons[h] = p
	}
	for office, want := range map[string]int{"A": many - many/5, "B": many/5 - many/50} {
		var got []NoticeLine
		o, err := c.Notices(t.Context(), NoticeAsk{Days: 30, Office: office, Sheets: true}, strings.NewReader(""), func(l NoticeLine) { got = append(got, l) })
		if err != nil || len(got) != want || o.Done != want {
			t.Fatalf("office %s: %d lines, %+v, %v, want %d", office, len(got), o, err, want)
		}
		for i, l := range got {
			no, _ := si.ParseNoticeNo(l.Notice)
			switch person := uint64(no) % 10_000_000_000; {
			case l.Line != i+1:
				t.Fatalf("office %s: line %d is numbered %d", office, i+1, l.Line)
			case l.Notice == "":
				if l.Code != "NOT_FOUND" || l.Sheet != nil {
					t.Fatalf("office %s: %+v", office, l)
				}
			case person > 2 && (l.Sheet == nil || l.Sheet.Name != "王*明" || l.Sheet.IDTail != "0011" || l.Sheet.Office != office ||
				l.Sheet.ValidUntil != "2026-12-31" || len(l.Sheet.Dues) != 1 || l.Sheet.Dues[0].Amount+l.Sheet.Dues[0].LateFee != l.Total || l.Sheet.Dues[0].Fund != "MED_RES"):
				t.Fatalf("office %s: %+v with sheet %+v", office, l, l.Sheet)
			}
		}
	}
	var refused *RefusedError
	if _, err := c.Notices(t.Context(), NoticeAsk{Days: 30, Office: "NOWHERE"}, nil, func(NoticeLine) {}); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("no such office: got %v", err)
	}
	var a Agency
	if err := c.Ask(t.Context(), "/v1/agency", nil, &a); err != nil || len(a.Offices) != 2 || a.Name != "示例" {
		t.Errorf("agency: %+v, %v", a, err)
	}
}

func TestPending(t *testing.T) {
	c, _ := serve(t)
	for path, want := range map[string]string{"/v1/pending": "23", "/v1/pending?all=1": "123"} {
		var list []PendingView
		if err := c.Ask(t.Context(), path, nil, &list); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range list {
			got += p.ID
		}
		if got != want {
			t.Errorf("%s lists %s, want %s", path, got, want)
		}
	}
}
