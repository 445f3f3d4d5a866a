package bankfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page is the specification of the files.
var page = filepath.Join("..", "..", "docs", "format", "bank-files.md")

// formNames are how the page calls the classes.
var formNames = [classEnd]string{
	digits: "digits", count: "number", amount: "amount", signed: "signed amount", date: "YYYYMMDD", clock: "hhmmss", stamp: "MMDDhhmmss",
	created: "YYYYMMDDhhmmss", choice: "one of", printable: "characters", masked: "masked account", lowerHex: "hexadecimal", upperHex: "HEXADECIMAL",
	dayHead: "YYYYMMDD:hexadecimal", text: "text",
}

// columnTable is the table of a line's fields as the page has it, without what
// a person wrote behind.
func columnTable(cols []column) []string {
	var out []string
	for i, c := range cols {
		size := fmt.Sprint(c.max)
		switch {
		case c.min == 0:
			size = "0–" + size
		case c.min != c.max:
			size = fmt.Sprintf("%d–%d", c.min, c.max)
		}
		form := formNames[c.class]
		if c.set != "" {
			form += " " + strings.Join(strings.Split(c.set, ""), " ")
		}
		out = append(out, fmt.Sprintf("| %d | %s | %s | %s |", i+2, c.name, form, size))
	}
	return out
}

// TestPage: the page's tables are the code's, and its examples are files.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	body := string(b)
	want := func(heading string, lines ...string) {
		t.Helper()
		_, section, ok := strings.Cut(body, "\n"+heading+"\n")
		if section, _, _ = strings.Cut(section, "\n#"); !ok {
			t.Errorf("%s lacks the heading %s", page, heading)
		}
		for _, line := range lines {
			at := strings.Index(section, "\n"+line)
			if at < 0 {
				t.Errorf("%s, %s lacks, or has not in this order, the line\n%s", page, heading, line)
				continue
			}
			section = section[at+1:]
		}
	}
	for c := Missing; c < codeEnd; c++ {
		want("## Quarantine", fmt.Sprintf("| %s | %s | %s |", c, c.English(), c.Chinese()))
		if c.English() == "" || c.Chinese() == "" {
			t.Errorf("%s has no reason", c)
		}
	}
	if rows := strings.Count(body, "\n| Q"); rows != int(codeEnd)-1 {
		t.Errorf("%s has %d codes, want %d", page, rows, codeEnd-1)
	}
	for name, cols := range ordered[[]column]("Header", headColumns, "Trailer", tailColumns, "Details", detailColumns, "Totals", totalColumns,
		"Account", accountColumns, "Mandates", mandateColumns, "Batch debit orders", orderColumns, "Batch debit results", resultColumns,
		"Batch debit receipt", receiptColumns, "Refunds", refundColumns) {
		want("### "+name, columnTable(cols)...)
	}
	for name, cells := range ordered[[]Cell]("header", Reference().Head, "detail", Reference().Detail, "trailer", Reference().Tail) {
		var lines []string
		for _, c := range cells {
			form, pad := []string{N: "n", AN: "an", DATE: "date"}[c.Type], "spaces, left"
			if c.Pad == '0' {
				pad = "zeros, right"
			}
			lines = append(lines, fmt.Sprintf("| %s | %d | %d | %s | %s |", c.Name, c.Start, c.Length, form, pad))
		}
		want("### Fixed "+name, lines...)
	}
	for name, n := range ordered[int]("2 GiB", MaxSize>>30, "5,000,000 lines", MaxLines/1_000_000, "1,024 bytes", MaxLine, "32 levels", MaxDepth,
		"64 KiB", MaxToken>>10, "64 different", MaxKinds) {
		if head := fmt.Sprint(n); !strings.Contains(body, name) || !strings.Contains(strings.ReplaceAll(name, ",", ""), head) {
			t.Errorf("%s says nothing of %q, or the limit is %d", page, name, n)
		}
	}

	l, fixed := layoutOf(t, Settings{}), layoutOf(t, Settings{Fixed: Reference()})
	example := func(l *Layout, b []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := l.Text(b)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(body, "\n```\n"+text+"```\n") {
			t.Errorf("%s lacks the file\n%s", page, text)
		}
	}
	rows := exampleDetails(t, l)
	b, err = written(l, Details, rows...)
	example(l, b, err)
	var out bytes.Buffer
	sum, err := Write(&out, l, headerOf(Details), pointers(rows))
	if err != nil {
		t.Fatal(err)
	}
	example(l, FlagOf(sum).Append(nil), nil)
	note := hex.EncodeToString(rows[0].Note)
	if !strings.Contains(body, "`"+strings.ToUpper(note)+"`") {
		t.Errorf("%s lacks the bytes of the note, %s", page, strings.ToUpper(note))
	}
	b, err = written(fixed, Details, rows...)
	example(fixed, b, err)
	b, err = written(l, Totals, Total{1, 'P', "", "", "", 3, 60_000}, Total{2, 'P', "PENSION_RES", "", "", 2, 20_000}, Total{3, 'P', "MEDICAL_RES", "", "", 1, 40_000}, Total{4, 'R', "", "", "", 1, 10_000})
	example(l, b, err)
}

func exampleDetails(t *testing.T, l *Layout) []Detail {
	note, err := l.Bytes("居民养老·𠮷")
	if err != nil {
		t.Fatal(err)
	}
	var rows [3]Detail
	detailOf(&rows[0], 1, note)
	detailOf(&rows[1], 7, nil)
	detailOf(&rows[2], 9, nil)
	rows[1].Line, rows[2].Line = 2, 3
	return rows[:]
}
