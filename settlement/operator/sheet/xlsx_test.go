package sheet

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// write makes a workbook with another program's code.
func write(t testing.TB, change func(f *excelize.File)) string {
	t.Helper()
	f := excelize.NewFile()
	for i, row := range [][]any{{"id", "name", "note"}, {"330199200001011234", "𠮷田文", "a,\"b\""}, {42, "", "阿依古丽·麦麦提"}} {
		if err := f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &row); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(f)
	}
	path := filepath.Join(t.TempDir(), "t.xlsx")
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(path string) ([][]string, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	rows, err := readAll(f)
	if f.Err() != nil {
		return rows, f.Err()
	}
	return rows, err
}

// TestWorkbook reads what another library wrote, and as that library reads it.
func TestWorkbook(t *testing.T) {
	for name, change := range map[string]func(f *excelize.File){
		"shared strings": nil,
		"another name":   func(f *excelize.File) { must(t, f.SetSheetName("Sheet1", "名册")) },
		"rich text": func(f *excelize.File) {
			must(t, f.SetCellRichText("Sheet1", "B2", []excelize.RichTextRun{{Text: "𠮷"}, {Text: "田文", Font: &excelize.Font{Bold: true}}}))
		},
		"empty rows behind": func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "A9", "")) },
		"styled": func(f *excelize.File) {
			must(t, f.SetRowHeight("Sheet1", 2, 30))
			must(t, f.SetColWidth("Sheet1", "A", "C", 40))
		},
	} {
		path := write(t, change)
		got, err := open(path)
		want := `[["330199200001011234" "𠮷田文" "a,\"b\""] ["42" "" "阿依古丽·麦麦提"]]`
		if err != nil || fmt.Sprintf("%q", got) != want {
			t.Errorf("%s: got %q, %v, want %s", name, got, err, want)
		}
	}
	// Inline strings, as a program that streams writes them.
	path := write(t, func(f *excelize.File) {
		w, err := f.NewStreamWriter("Sheet1")
		must(t, err)
		for i, row := range [][]any{{"id", "name", "note"}, {"1", "王", nil}, {nil, nil, "x"}} {
			must(t, w.SetRow(fmt.Sprintf("A%d", i+1), row))
		}
		must(t, w.Flush())
	})
	if got, err := open(path); err != nil || fmt.Sprintf("%q", got) != `[["1" "王" ""] ["" "" "x"]]` {
		t.Errorf("streamed: got %q, %v", got, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWorkbookRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *excelize.File)
		says   string
	}{
		"formula":        {func(f *excelize.File) { must(t, f.SetCellFormula("Sheet1", "B3", "HYPERLINK(\"x\")")) }, "line 3: column B: a formula"},
		"formula in id":  {func(f *excelize.File) { must(t, f.SetCellFormula("Sheet1", "A2", "1+1")) }, "line 2: column A: a formula"},
		"rounded number": {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "A2", 330199200001011234)) }, "line 2: column A: a number that a spreadsheet rounds"},
		"fraction":       {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "A2", 1.5)) }, "line 2: column A: a number"},
		"truth value":    {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "C2", true)) }, "line 2: column C: neither text nor"},
		"line break":     {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "C2", "a\nb")) }, "line 2: column C: holds a line break"},
		"second sheet":   {func(f *excelize.File) { _, err := f.NewSheet("Sheet2"); must(t, err) }, "2 sheets; keep the one"},
		"empty row":      {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "A6", "x")) }, "line 4: empty"},
		"far column":     {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "BZ2", "x")) }, "line 2: cells are not in order"},
		"fourth column":  {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "D2", "x")) }, "line 2: not 3"},
		"other header":   {func(f *excelize.File) { must(t, f.SetCellValue("Sheet1", "A1", "x")) }, "line 1: the header must be"},
	} {
		_, err := open(write(t, c.change))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	encrypted := filepath.Join(t.TempDir(), "t.xlsx")
	f := excelize.NewFile()
	must(t, f.SaveAs(encrypted, excelize.Options{Password: "secret"}))
	must(t, f.Close())
	if _, err := open(encrypted); err == nil || !strings.Contains(err.Error(), "encrypted workbook") {
		t.Errorf("encrypted: got %v", err)
	}
	if _, err := open(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(unwrapped(err)) {
		t.Errorf("no file: %v", err)
	}
}

func unwrapped(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

// parts of the smallest workbook; each test changes one of them.
func parts() map[string]string {
	return map[string]string{
		"xl/workbook.xml":            `<workbook xmlns="m" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml":   sheetOf(row(1, "id", "name", "note") + row(2, "1", "2", "3")),
	}
}

func sheetOf(rows string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><worksheet><sheetData>` + rows + `</sheetData></worksheet>`
}

func row(n int, cells ...string) string {
	s := fmt.Sprintf(`<row r="%d">`, n)
	for i, c := range cells {
		s += fmt.Sprintf(`<c r="%s%d" t="inlineStr"><is><t>%s</t></is></c>`, columnName(i), n, c)
	}
	return s + "</row>"
}

func pack(t testing.TB, parts map[string]string) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range parts {
		w, err := z.Create(name)
		must(t, err)
		_, err = io.WriteString(w, text)
		must(t, err)
	}
	must(t, z.Close())
	return bytes.NewReader(b.Bytes())
}

func unpacked(t testing.TB, parts map[string]string) ([][]string, error) {
	t.Helper()
	r := pack(t, parts)
	b, err := newWorkbook(r, r.Size())
	if err != nil {
		return nil, err
	}
	return readAll(b)
}

func TestHostileWorkbooks(t *testing.T) {
	if got, err := unpacked(t, parts()); err != nil || fmt.Sprintf("%q", got) != `[["1" "2" "3"]]` {
		t.Fatalf("the workbook that the cases change: %q, %v", got, err)
	}
	const sheet = "xl/worksheets/sheet1.xml"
	head := row(1, "id", "name", "note")
	for name, c := range map[string]struct {
		part, text, says string
	}{
		"bomb":             {sheet, sheetOf(head + row(2, "1", "2", "3") + strings.Repeat(" ", 64<<20)), "a piece of XML longer than"},
		"bomb of rows":     {sheet, sheetOf(head + strings.Repeat("<row></row>", 4<<20)), "unpacks to far more"},
		"bomb of strings":  {"xl/sharedStrings.xml", "<sst>" + strings.Repeat("<si><t>a</t></si>", 4<<20) + "</sst>", "unpacks to far more"},
		"bomb of names":    {"xl/workbook.xml", "<workbook>" + strings.Repeat(" ", MaxSmall+1), "at most 1048576"},
		"one long text":    {sheet, sheetOf(head + row(2, strings.Repeat("x", MaxToken+1), "2", "3")), "line 2: longer than 4096"},
		"long cell":        {sheet, sheetOf(head + row(2, strings.Repeat("x", MaxLine+1), "2", "3")), "line 2: longer than 4096"},
		"document type":    {sheet, `<!DOCTYPE x [<!ENTITY a "aaaa">]>` + sheetOf(head), "document type"},
		"unknown entity":   {sheet, sheetOf(head + row(2, "&a;", "2", "3")), "line 2"},
		"other charset":    {sheet, `<?xml version="1.0" encoding="GBK"?>` + sheetOf(head), "not UTF-8"},
		"cut":              {sheet, `<worksheet><sheetData>` + head + `<row r="2"><c r="A2"><v>1`, "line 2"},
		"no sheet data":    {sheet, `<worksheet/>`, "unexpected EOF"},
		"rows backwards":   {sheet, sheetOf(head + row(3, "1", "2", "3") + row(2, "1", "2", "3")), "line 2: empty"},
		"row twice":        {sheet, sheetOf(head + row(1, "1", "2", "3")), "not in order"},
		"cells backwards":  {sheet, sheetOf(head + `<row r="2"><c r="B2"><v>1</v></c><c r="A2"><v>1</v></c></row>`), "not in order"},
		"no shared string": {sheet, sheetOf(head + `<row r="2"><c r="A2" t="s"><v>7</v></c></row>`), "line 2: column A: its text is missing"},
		"hidden formula":   {sheet, sheetOf(head + `<row r="2"><c r="A2" t="str"><f>1+1</f><v>2</v></c></row>`), "line 2: column A: a formula"},
		"error value":      {sheet, sheetOf(head + `<row r="2"><c r="A2" t="e"><v>#REF!</v></c></row>`), "neither text nor"},
		"macros":           {"xl/vbaProject.bin", "x", "macros"},
		"links":            {"xl/externalLinks/externalLink1.xml", "x", "links"},
		"name leads out":   {"../../etc/passwd", "x", "leads out"},
		"same part twice":  {"XL/workbook.xml", "x", "there twice"},
		"no relations":     {"xl/_rels/workbook.xml.rels", "<Relationships/>", "its sheet is missing"},
		"not XML":          {"xl/workbook.xml", "not xml at all", "part workbook.xml"},
	} {
		p := parts()
		p[c.part] = c.text
		var before, after runtime.MemStats
		r := pack(t, p)
		runtime.ReadMemStats(&before)
		b, err := newWorkbook(r, r.Size())
		if err == nil {
			_, err = readAll(b)
		}
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
			t.Errorf("%s: %d MB were taken", name, got>>20)
		}
	}
	many := parts()
	for i := range MaxParts - len(many) {
		many[fmt.Sprintf("xl/more%d", i)] = ""
	}
	if _, err := unpacked(t, many); err != nil {
		t.Errorf("%d parts: %v", len(many), err)
	}
	many["xl/one"] = ""
	if _, err := unpacked(t, many); err == nil || !strings.Contains(err.Error(), "129 parts") {
		t.Errorf("%d parts: %v", len(many), err)
	}
	if _, err := newWorkbook(bytes.NewReader([]byte("PK\x03\x04")), 4); err == nil || !strings.Contains(err.Error(), "not a whole ZIP file") {
		t.Errorf("a cut file: %v", err)
	}
}

// FuzzWorkbook: no sheet and no strings make the reader fail, and whatever it
// answers the other side's reader judges.
func FuzzWorkbook(f *testing.F) {
	f.Add(sheetOf(row(1, "id", "name", "note")+row(2, "1", "2", "3")), "<sst><si><t>a</t></si></sst>")
	f.Add(sheetOf(`<row><c t="s"><v>0</v></c></row>`), `<sst><si><r><t>a</t></r><rPh sb="0" eb="1"><t>b</t></rPh></si></sst>`)
	f.Add("<sheetData><row><c><f/></c></row>", "")
	f.Fuzz(func(t *testing.T, sheet, shared string) {
		p := parts()
		p["xl/worksheets/sheet1.xml"] = sheet
		p["xl/sharedStrings.xml"] = shared
		_, _ = unpacked(t, p)
	})
}

// BenchmarkDistrict reads a workbook of a register's shape.
func BenchmarkDistrict(b *testing.B) {
	const rows = 50_000
	path := write(b, func(f *excelize.File) {
		w, err := f.NewStreamWriter("Sheet1")
		must(b, err)
		for i := range rows {
			must(b, w.SetRow(fmt.Sprintf("A%d", i+1), []any{fmt.Sprintf("33019919%06d%04d", i%28000, i%9999), "王小明", "1", "19800101", "330110", "ALIVE", ""}))
		}
		must(b, w.Flush())
	})
	for b.Loop() {
		f, err := Open(path)
		must(b, err)
		_, err = io.Copy(io.Discard, f)
		must(b, err)
		must(b, f.Close())
	}
	z, err := zip.OpenReader(path)
	must(b, err)
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "sheet1.xml") {
			b.ReportMetric(float64(f.UncompressedSize64)/float64(f.CompressedSize64), "ratio")
		}
	}
	must(b, z.Close())
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
