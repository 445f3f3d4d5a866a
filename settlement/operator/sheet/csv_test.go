package sheet

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

var columns = []string{"id", "name", "note"}

func readAll(r io.Reader) (rows [][]string, err error) {
	c, err := NewReader(r, columns)
	if err != nil {
		return nil, err
	}
	for {
		cells, line, err := c.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		if line != len(rows)+2 {
			return rows, fmt.Errorf("line %d is called %d", len(rows)+2, line)
		}
		rows = append(rows, cells)
	}
}

func TestCSV(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":            {"id,name,note\n1,王,x\n", `[["1" "王" "x"]]`},
		"no last line end": {"id,name,note\n1,2,3", `[["1" "2" "3"]]`},
		"CRLF":             {"id,name,note\r\n1,2,3\r\n", `[["1" "2" "3"]]`},
		"BOM":              {"\xef\xbb\xbfid,name,note\n1,2,3\n", `[["1" "2" "3"]]`},
		"quoted":           {"id,name,note\n\"1\",\"a,\"\"b\"\"\",\"\"\n", `[["1" "a,\"b\"" ""]]`},
		"empty cells":      {"id,name,note\n,,\n", `[["" "" ""]]`},
		"header alone":     {"id,name,note\n", `[]`},
	} {
		got, err := readAll(strings.NewReader(c.in))
		if err != nil || fmt.Sprintf("%q", got) != c.want {
			t.Errorf("%s: got %q, %v, want %s", name, got, err, c.want)
		}
	}
}

func TestCSVRefuses(t *testing.T) {
	const head = "id,name,note\n"
	for name, c := range map[string]struct{ in, says string }{
		"nothing":          {"", "line 1: the header must be id,name,note"},
		"other header":     {"id,note,name\n", "line 1: the header must be id,name,note"},
		"short header":     {"id\n", "line 1: the header must be id,name,note"},
		"UTF-16":           {"\xff\xfei\x00d\x00", "line 1: the file is UTF-16"},
		"packed":           {"PK\x03\x04....", "line 1: the file is a packed one"},
		"GBK":              {head + "1,\xcd\xf5,x\n", "line 2: not UTF-8"},
		"GBK header":       {"\xcd\xf5,name,note\n", "line 1: not UTF-8"},
		"few columns":      {head + "1,2\n", "line 2: not 3 comma-separated columns"},
		"many columns":     {head + "1,2,3\n1,2,3,4\n", "line 3: not 3 comma-separated columns"},
		"semicolons":       {head + "1;2;3\n", "line 2: not 3"},
		"empty line":       {head + "1,2,3\n\n1,2,3\n", "line 3: empty"},
		"NUL":              {head + "1,\x00,3\n", "line 2: holds a control character"},
		"tab":              {head + "1,\t,3\n", "line 2: holds a control character"},
		"lone CR":          {head + "1,2\r3,3\n", "line 2: holds a control character"},
		"open quote":       {head + "1,\"2,3\n4\",5\n", "line 2: a quotation mark is not closed"},
		"text after quote": {head + "1,\"2\"x,3\n", "line 2: text behind"},
		"quote inside":     {head + "1,2\"2,3\n", "line 2: a quotation mark inside"},
		"long":             {head + "1,2," + strings.Repeat("x", MaxLine) + "\n", "line 2: longer than 4096 bytes"},
		"very long":        {head + strings.Repeat("x", bufSize+1), "line 2: longer than 4096 bytes"},
	} {
		_, err := readAll(strings.NewReader(c.in))
		if err == nil || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if c := "王"; err != nil && strings.Contains(err.Error(), c) {
			t.Errorf("%s: the error repeats the line", name)
		}
	}
}

// repeated gives n times the same line.
type repeated struct {
	line string
	n    int
	rest string
}

func (r *repeated) Read(b []byte) (int, error) {
	for len(r.rest) < len(b) && r.n > 0 {
		k := min(r.n, 1000)
		r.rest += strings.Repeat(r.line, k)
		r.n -= k
	}
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestCSVBounds(t *testing.T) {
	longest := "1,2," + strings.Repeat("x", MaxLine-5) + "\n"
	if _, err := readAll(strings.NewReader("id,name,note\n" + longest)); err != nil {
		t.Errorf("a line of %d bytes: %v", len(longest), err)
	}
	c, err := NewReader(strings.NewReader("id,name,note\n1,2,3\n1,2,3\n"), columns)
	if err != nil {
		t.Fatal(err)
	}
	c.line = MaxLines - 1 // as if the others had been read
	if _, line, err := c.Next(); err != nil || line != MaxLines {
		t.Errorf("the last line of a full file: %d, %v", line, err)
	}
	if _, _, err := c.Next(); err == nil || !strings.Contains(err.Error(), "line 2000001: more than 2000000 lines") {
		t.Errorf("one line more: %v", err)
	}
}

// TestNonsense: a gigabyte of one line is refused at once and in small memory.
func TestNonsense(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readAll(io.MultiReader(strings.NewReader("id,name,note\n"), &repeated{line: "nonsense", n: 1 << 27}))
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "line 2: longer") {
		t.Errorf("got %v", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were taken for it", got)
	}
}

// FuzzCSV: whatever is read can be written and read again.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("id,name,note\n1,\"a,\"\"b\"\"\",\r\n"))
	f.Add([]byte("\xef\xbb\xbfid,name,note\n"))
	f.Add([]byte("id,name,note\n\"\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rows, err := readAll(strings.NewReader(string(in)))
		if err != nil {
			return
		}
		out := []byte("id,name,note\n")
		for _, r := range rows {
			for i, c := range r {
				if i > 0 {
					out = append(out, ',')
				}
				out = appendCell(out, c)
			}
			out = append(out, '\n')
		}
		again, err := readAll(strings.NewReader(string(out)))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", rows) {
			t.Errorf("%q became %q, %v", rows, again, err)
		}
	})
}
