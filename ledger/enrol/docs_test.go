package enrol

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// table is the first table of docs/spec/cover.md behind a heading, cell by cell.
func table(t *testing.T, heading string) [][]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/spec/cover.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("cover.md has no heading %q", heading)
	}
	var rows [][]string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return append(rows[:1], rows[2:]...) // without the rule
}

// TestDocumentedCover holds the page's table of cover to the code.
func TestDocumentedCover(t *testing.T) {
	acts := map[string]ledgerapi.Type{"Enrol": ledgerapi.TypeEnrol, "TransferIn": ledgerapi.TypeTransferIn, "Suspend": ledgerapi.TypeSuspend,
		"Resume": ledgerapi.TypeResume, "ChangeGrade": ledgerapi.TypeChangeGrade, "TransferOut": ledgerapi.TypeTransferOut,
		"Terminate": ledgerapi.TypeTerminate}
	rows := table(t, "Cover")
	if len(rows) != 6 || len(rows[0]) != len(acts)+1 {
		t.Fatalf("the table has %d rows of %d", len(rows), len(rows[0]))
	}
	for i, row := range rows[1:] {
		from := ledgerapi.CoverState(i)
		if name := strings.ToUpper(row[0]); name != from.String() {
			t.Errorf("row %d is of %s, want %s", i+1, name, from)
		}
		for j, cell := range row[1:] {
			to, ok := Cover(from, acts[rows[0][j+1]])
			want := "–"
			if ok {
				want = to.String()
			}
			if got, _, _ := strings.Cut(cell, ","); got != want {
				t.Errorf("%s, %s: the page says %s, the code %s", from, rows[0][j+1], got, want)
			}
		}
	}
}

// TestDocumentedCases holds the page's table of cases to the code.
func TestDocumentedCases(t *testing.T) {
	for i, row := range table(t, "Cases")[1:] {
		for j, cell := range row[1:] {
			if got := Case(ledgerapi.CaseState(i+1), ledgerapi.CaseState(j+1)); got != (cell != "–") {
				t.Errorf("%s to state %d: the page says %q, the code %v", row[0], j+1, cell, got)
			}
		}
	}
}

// TestDocumentedReasons holds the page's list of reasons to the code.
func TestDocumentedReasons(t *testing.T) {
	rows := table(t, "Who may have what")[1:]
	for i, row := range rows[:len(rows)-1] {
		if want := ledgerapi.Reasons(1 << i); row[0] != fmt.Sprint(i) || row[1] != want.String() {
			t.Errorf("reason %s is %s on the page, %s in the code", row[0], row[1], want)
		}
	}
	if n := len(rows) - 1; ledgerapi.Reasons(1<<n).String() != "?" {
		t.Errorf("the page lacks %s", ledgerapi.Reasons(1<<n))
	}
	for s := ledgerapi.CoverNone; s <= ledgerapi.CoverTerminated; s++ {
		if got, want := ledgerapi.ReasonFrom(s), ledgerapi.Reasons(1<<(16+s)); got != want || got.String() != "FROM_"+s.String() {
			t.Errorf("ReasonFrom(%s) = %b %s, want bit %d", s, got, got, 16+s)
		}
	}
}
