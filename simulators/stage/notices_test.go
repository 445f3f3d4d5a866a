package stage

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// run runs a program and gives what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var errs strings.Builder
	c := exec.Command(name, args...)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", filepath.Base(name), args, err, errs.String())
	}
	return string(out)
}

// TestNotices prints the notices of an office with the operator's tool, scans one
// from the paper, and pays it at a counter: what the sheet says is what the bank is
// asked for, and of the person it shows no more than it may.
func TestNotices(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly)
	pdf := filepath.Join(t.TempDir(), "town.pdf")
	out := run(t, filepath.Join(binDir, "shebaoctl"), "notice", "--office", "TOWN-01", "--pdf", pdf, "--socket", s.path("operator.sock"))
	var said struct {
		Sheets int    `json:"sheets"`
		Total  string `json:"total"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Sheets < 20 {
		t.Fatalf("got %s, %v", out, err)
	}
	if st, err := os.Stat(pdf); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v, want 0600", st.Mode(), err)
	}
	text := run(t, "pdftotext", "-layout", pdf, "-")
	var sum si.Fen
	for _, m := range regexp.MustCompile(`￥([0-9,]+)\.([0-9]{2})`).FindAllStringSubmatch(text, -1) {
		f, err := si.ParseFen(strings.ReplaceAll(m[1], ",", "") + "." + m[2])
		if err != nil {
			t.Fatal(err)
		}
		sum += f
	}
	if sum.Grouped() != said.Total {
		t.Errorf("the sheets come to %s, the tool says %s", sum.Grouped(), said.Total)
	}
	for i := range s.cfg.Persons {
		p, err := s.gen.At(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{p.IDNumber, p.PAN, p.Phone} {
			if strings.Contains(text, secret) {
				t.Fatalf("resident %d's number is on a sheet", i)
			}
		}
		if len([]rune(p.Name)) > 2 && strings.Contains(text, p.Name+"\n") {
			t.Errorf("resident %d's name is on a sheet", i)
		}
	}
	for page, bank := range map[int]string{1: "ccb", said.Sheets: "rcb"} {
		payScanned(t, s, pdf, page, bank)
	}
}

// payScanned scans a sheet and pays it at a bank's counter.
func payScanned(t *testing.T, s *Stage, pdf string, page int, bank string) {
	t.Helper()
	n, picture := fmt.Sprint(page), filepath.Join(t.TempDir(), "sheet")
	run(t, "pdftoppm", "-r", "150", "-gray", "-png", "-singlefile", "-f", n, "-l", n, pdf, picture)
	codes := strings.Fields(run(t, "zbarimg", "--quiet", "--nodbus", "--raw", picture+".png"))
	if len(codes) != 2 || codes[0] != codes[1] {
		t.Fatalf("sheet %d: scanned %q, want the number twice", page, codes)
	}
	no, err := si.ParseNoticeNo(codes[0])
	if err != nil {
		t.Fatal(err)
	}
	teller, err := s.Counter(t.Context(), bank)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = teller.Close() }()
	asked, err := teller.InquireNotice(no)
	if err != nil || asked.Code != "00" {
		t.Fatalf("sheet %d: inquiry: %+v, %v", page, asked, err)
	}
	sheet := run(t, "pdftotext", "-layout", "-f", n, "-l", n, pdf, "-")
	if !strings.Contains(sheet, "￥"+asked.Amount.Grouped()) || !strings.Contains(sheet, asked.Amount.Capitals()) || !strings.Contains(sheet, asked.Records["NM"]) {
		t.Errorf("sheet %d: the bank is told %s of %s, the sheet says:\n%s", page, asked.Amount.Grouped(), asked.Records["NM"], sheet)
	}
	if r, err := teller.Pay(teller.NewPayment(no, asked.Amount)); err != nil || r.Code != "00" || r.Records["RN"] == "" {
		t.Errorf("sheet %d: payment: %+v, %v", page, r, err)
	}
}
