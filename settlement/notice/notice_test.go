package notice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/paper"
	"github.com/shebao-pay/shebao/si"
)

// fontFile is of Debian's fonts-noto-cjk.
const fontFile = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"

func font(t testing.TB) *paper.Font {
	t.Helper()
	b, err := os.ReadFile(fontFile)
	if err != nil {
		t.Fatalf("%v: install fonts-noto-cjk", err)
	}
	f, err := paper.OpenFont(b, "Noto Sans CJK SC")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sender() *Sender {
	return &Sender{Agency: "示范区社会保险经办中心", Hotline: "12333", Banks: []string{"示例农商银行", "示例建设银行"}, Demo: true}
}

func office() *Office {
	return &Office{Code: "330110901", Name: "示例街道社保服务站", Address: "示例路1号", Phone: "0571-00000000"}
}

// sample is a notice of so many dues.
func sample(serial uint64, name string, dues int) *Notice {
	n := &Notice{
		No: si.NewNoticeNo(330110, 2026, serial), Name: name, IDTail: "023X",
		Issued: si.Date(2026, time.November, 22), ValidUntil: si.Date(2026, time.December, 22),
	}
	funds := []si.Fund{si.PensionRes, si.MedRes, si.PensionEmp, si.MedEmp, si.PensionGov, si.Injury, si.Unemp, si.Maternity}
	for i := range dues {
		d := Due{Fund: funds[i%len(funds)], Amount: si.Fen(38_000 + 101*i), LateFee: si.Fen(7 * i)}
		d.Period = must(si.ParsePeriod(fmt.Sprintf("2026-%02d", 1+i%12)))
		if i == 0 {
			d.Period = must(si.ParsePeriod("2026"))
		}
		n.Dues = append(n.Dues, d)
		n.Total += d.Amount + d.LateFee
	}
	return n
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// printed draws notices into a file and gives its path.
func printed(t *testing.T, list ...*Notice) string {
	t.Helper()
	var b bytes.Buffer
	d := paper.New(&b, font(t), "缴费通知单")
	for _, n := range list {
		if err := Draw(d, sender(), office(), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if m := d.Missing(); len(m) > 0 {
		t.Errorf("the font lacks %q", m)
	}
	path := filepath.Join(t.TempDir(), "notices.pdf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, errs.String())
	}
	if strings.Contains(errs.String(), "rror") {
		t.Errorf("%s complains: %s", name, errs.String())
	}
	return out.String()
}

// TestReadBack prints notices, and reads text and symbols back with programs
// that know nothing of ours.
func TestReadBack(t *testing.T) {
	list := []*Notice{
		sample(1, "李*明", 1), sample(9_999_999_999, "𠮷*文", 2), sample(123_454, "买*****·吐**", 24), sample(77, "赵䶮", 5),
	}
	path := printed(t, list...)
	for i, n := range list {
		page := fmt.Sprint(i + 1)
		text := tool(t, "pdftotext", "-layout", "-f", page, "-l", page, path, "-")
		for _, want := range []string{
			n.Name, n.IDTail, spaced(n.No.String()), n.Total.Grouped(), "人民币" + n.Total.Capitals(), "2026-12-22", "2026-11-22",
			"社会保险费缴费通知单", "示例街道社保服务站（330110901）", "城乡居民基本养老保险", "2026年度", "示例农商银行、示例建设银行", "12333", "演示用",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("notice %d: the text has no %q:\n%s", i, want, text)
			}
		}
		for _, d := range n.Dues {
			if !strings.Contains(text, (d.Amount + d.LateFee).Grouped()) {
				t.Errorf("notice %d: no line of %s", i, (d.Amount + d.LateFee).Grouped())
			}
		}
		picture := filepath.Join(t.TempDir(), "page")
		tool(t, "pdftoppm", "-r", "150", "-gray", "-png", "-singlefile", "-f", page, "-l", page, path, picture)
		codes := tool(t, "zbarimg", "--quiet", "--nodbus", picture+".png")
		for _, want := range []string{"CODE-128:" + n.No.String(), "QR-Code:" + n.No.String()} {
			if !strings.Contains(codes, want) {
				t.Errorf("notice %d: read %q, want %s", i, codes, want)
			}
		}
	}
}

// TestFits looks that no page runs over its edges: the text of the fullest one
// lies inside the frame.
func TestFits(t *testing.T) {
	n := sample(5, strings.Repeat("长", 50), MaxDues)
	path := printed(t, n)
	boxes := tool(t, "pdftotext", "-bbox", path, "-")
	words := 0
	for line := range strings.Lines(boxes) {
		var x1, y1, x2, y2 float64
		if _, err := fmt.Sscanf(strings.TrimSpace(line), `<word xMin="%g" yMin="%g" xMax="%g" yMax="%g">`, &x1, &y1, &x2, &y2); err != nil {
			continue
		}
		words++
		if x1 < 40 || x2 > 595-40 || y1 < 20 || y2 > 842-5 {
			t.Errorf("outside the frame: %s", line)
		}
	}
	if words < 100 {
		t.Errorf("%d words on the fullest page", words)
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(*Notice){
		"no dues":        func(n *Notice) { n.Dues, n.Total = nil, 0 },
		"a due too many": func(n *Notice) { n.Dues = append(n.Dues, make([]Due, MaxDues)...) },
		"total":          func(n *Notice) { n.Total++ },
		"negative":       func(n *Notice) { n.Dues[0].LateFee = -1; n.Total-- },
		"expired":        func(n *Notice) { n.ValidUntil = n.Issued - 1 },
		"undated":        func(n *Notice) { n.Issued = 0 },
	} {
		n := sample(1, "李*明", 1)
		change(n)
		d := paper.New(io.Discard, font(t), "")
		if err := Draw(d, sender(), office(), n); !errors.Is(err, ErrNotice) || d.Pages() != 0 {
			t.Errorf("%s: got %v and %d pages, want a refusal", name, err, d.Pages())
		}
	}
}

// TestThousands prints what a town of 3,000 households needs and says what that
// takes.
func TestThousands(t *testing.T) {
	began := time.Now()
	out := &counter{}
	d := paper.New(out, font(t), "缴费通知单")
	for i := range 3000 {
		if err := Draw(d, sender(), office(), sample(uint64(i+1), "李*明", 1+i%MaxDues)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("3,000 notices: %.1f s, %.1f MB", time.Since(began).Seconds(), float64(out.n)/1e6)
	if d.Pages() != 3000 || out.n > 20_000_000 {
		t.Errorf("%d pages in %d bytes, want 3,000 in at most 20 MB", d.Pages(), out.n)
	}
}

type counter struct{ n int }

func (c *counter) Write(b []byte) (int, error) { c.n += len(b); return len(b), nil }
