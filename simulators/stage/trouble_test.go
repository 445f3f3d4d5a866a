package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
)

// tell runs a program that must end by itself with an error, and gives what it
// says. It must say it in plain lines, not in a stack trace.
func tell(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*wait)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(binDir, program), args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%s %s ended with %v, want exit status 1:\n%s", program, strings.Join(args, " "), err, out)
	}
	if bytes.Contains(out, []byte("goroutine ")) || bytes.Contains(out, []byte("panic:")) {
		t.Errorf("%s %s ended with a stack trace:\n%s", program, strings.Join(args, " "), out)
	}
	return string(out)
}

// holds tells whether a text has all of the words.
func holds(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

// changed writes a node file of the stage anew with a change.
func changed(t *testing.T, s *Stage, name, old, now string) string {
	t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), old, now, 1)
	if text == string(b) {
		t.Fatalf("%s has no %q", name, old)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTroubleAtStart holds that a program that cannot start says what is wrong
// and where, and that nothing is harmed by the attempt.
func TestTroubleAtStart(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly)
	s.cfg.HubOnly = false
	if _, err := s.writeFile("terminald.yaml", terminaldFile); err != nil {
		t.Fatal(err)
	}

	t.Run("unknown key", func(t *testing.T) {
		for program, name := range map[string]string{"settled": "settled.yaml", "terminald": "terminald.yaml"} {
			holds(t, tell(t, program, "-config", changed(t, s, name, "demo: true", "demo: true\nfree_spice_mib: 1")), "free_spice_mib", "config", "line ")
		}
		holds(t, tell(t, "settled", "-hsm", "-config", changed(t, s, "hsm.yaml", "demo: true", "demo: true\nsockett: x")), "sockett", "config", "line ")
	})

	t.Run("port taken", func(t *testing.T) {
		ports, err := FreePorts()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", addr(ports.Kiosk))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		_, err = Start(t.Context(), Config{Dir: t.TempDir(), Bin: binDir, Persons: persons, Ports: ports})
		if err == nil {
			t.Fatal("a stage started on a taken port")
		}
		holds(t, err.Error(), strconv.Itoa(ports.Kiosk), "kiosk page", "taken by another program", "ss -ltnp")

		// settled itself, with everything else its own: its terminal port is that of
		// the hub that runs.
		file := changed(t, s, "settled.yaml", s.path("ledger"), t.TempDir())
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		other := bytes.Replace(b, []byte(s.path("operator.sock")), []byte(s.path("other.sock")), 1)
		if err := os.WriteFile(file, other, 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, tell(t, "settled", "-config", file), "terminals.listen", strconv.Itoa(s.cfg.Ports.Terminals), "address already in use")
	})

	t.Run("second on the same data", func(t *testing.T) {
		holds(t, tell(t, "settled", "-config", s.path("settled.yaml")), s.path("ledger"))
		if err := get(t.Context(), "http://"+addr(s.cfg.Ports.Admin)+"/ready"); err != nil {
			t.Errorf("the first was harmed: %v", err)
		}
	})

	t.Run("no HSM process", func(t *testing.T) {
		file := changed(t, s, "settled.yaml", s.path("hsm.sock"), s.path("nobody.sock"))
		holds(t, tell(t, "settled", "-config", file), "HSM process", s.path("nobody.sock"), "settled -hsm")
	})
}

// lastSegment is the log's newest segment and where its frames end.
func lastSegment(t *testing.T, s *Stage) (path string, content []byte, end int) {
	t.Helper()
	names, err := filepath.Glob(s.path("ledger", "log", "*.seg"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segment: %v", err)
	}
	slices.Sort(names)
	path = names[len(names)-1]
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	const header = 64 // docs/format/log-segments.md: then frames, each with its length in front, at multiples of 8
	for end = header; end+4 <= len(content); {
		n := int(binary.LittleEndian.Uint32(content[end:]))
		if n == 0 {
			return path, content, end
		}
		end += (n + 7) / 8 * 8
	}
	t.Fatalf("%s has no end of frames", path)
	return "", nil, 0
}

// write puts bytes into a file at an offset.
func write(t *testing.T, path string, at int, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedLog writes a torn frame behind the log, which the next start cuts
// off, and then damages what had been acknowledged, at which the node refuses to
// start and names the place.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly)
	it := deal(t, s, "ccb")
	no, total := notice(t, s, it)
	c := counter(t, s, "ccb")
	if r, err := c.Pay(c.NewPayment(no, total)); err != nil || r.Code != "00" {
		t.Fatalf("got %+v, %v", r, err)
	}
	_ = c.Close()
	before := ask[operator.Status](t, s, "/v1/status", nil)
	s.Close()

	path, _, end := lastSegment(t, s)
	torn := bytes.Repeat([]byte{0xA5}, 100)
	torn[0], torn[1], torn[2], torn[3] = 140, 0, 0, 0 // a length, and then half a frame
	write(t, path, end, torn)
	s = open(t, s.cfg)
	after := ask[operator.Status](t, s, "/v1/status", nil)
	if after.Applied < before.Applied {
		t.Errorf("applied %d after a torn tail, was %d", after.Applied, before.Applied)
	}
	if got := paidFen(t, s, it); got != total {
		t.Errorf("after a torn tail %d fen are paid, want %d", got, total)
	}
	s.Close()
	verified(t, s)

	path, content, end := lastSegment(t, s)
	at := end / 2
	write(t, path, at, []byte{content[at] ^ 0x01})
	sum := treeSum(t, s.path("ledger", "log"))
	_, err := Start(t.Context(), s.cfg)
	if err == nil {
		t.Fatal("a node started on a damaged log")
	}
	holds(t, err.Error(), "settled ended", filepath.Base(path), "offset", "damaged")
	if treeSum(t, s.path("ledger", "log")) != sum {
		t.Error("the refused start changed the log")
	}
	out, err := exec.Command(filepath.Join(binDir, "shebaoctl"), "verify", "--json", "--data", s.path("ledger")).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(filepath.Base(path))) {
		t.Errorf("shebaoctl verify finds nothing: %v: %s", err, out)
	}
	write(t, path, at, []byte{content[at]})
	verified(t, s)
}

// treeSum is a hash of all segments of a folder.
func treeSum(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", name, len(b))
		_, _ = h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// counted reads a number of settled's metrics; labels as they are written there.
func counted(t *testing.T, s *Stage, name string) int {
	t.Helper()
	resp, err := http.Get("http://" + addr(s.cfg.Ports.Admin) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no metric %s in\n%s", name, b)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBadFrames sends what is no message to the counter ports: the link is
// closed and counted, and counters beside it are served as before.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly)
	pid := s.HubPID()
	for _, bank := range counterBanks {
		good := counter(t, s, bank)
		name := fmt.Sprintf(`shebao_counter_ended_total{bank=%q,why="bad_frame"}`, bank)
		for what, frame := range map[string][]byte{
			"oversized": append([]byte{0xFF, 0xFF}, bytes.Repeat([]byte{0x2E}, 70_000)...),
			"malformed": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		} {
			before := counted(t, s, name)
			c, err := net.Dial("tcp", addr(s.cfg.Ports.Counters[bank]))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write(frame) // the far end may hang up in the middle of it
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
				t.Errorf("%s %s: the link is still open: %v", bank, what, err)
			}
			_ = c.Close()
			until(t, "the frame is counted", func() bool { return counted(t, s, name) > before })
		}
		if err := good.Echo(); err != nil {
			t.Errorf("%s: the counter beside it: %v", bank, err)
		}
	}
	if err := get(t.Context(), "http://"+addr(s.cfg.Ports.Admin)+"/ready"); err != nil || s.HubPID() != pid {
		t.Errorf("the process was harmed: %v", err)
	}
}

// TestTroubleWhileServing takes away what a running system leans on, one after
// the other: the HSM process, a bank host before the hub starts, and the hub
// itself, five times during payments.
func TestTroubleWhileServing(t *testing.T) {
	s := begin(t)
	kiosk := stand(t, s)

	t.Run("HSM process away", func(t *testing.T) {
		s.mu.Lock()
		hsm := s.hsm
		s.mu.Unlock()
		hsm.kill()
		ready := "http://" + addr(s.cfg.Ports.Admin) + "/ready"
		var err error
		until(t, "the hub says that its HSM process is away", func() bool {
			err = get(t.Context(), ready)
			return err != nil
		})
		holds(t, err.Error(), "503", "the HSM process does not answer")
		if err := s.startHSM(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "the hub is ready again", func() bool { return get(t.Context(), ready) == nil })
	})

	t.Run("bank host down at the start", func(t *testing.T) {
		icbc, err := s.Bank("icbc")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Banks["icbc"].Close(); err != nil {
			t.Fatal(err)
		}
		s.KillHub()
		if err := s.StartHub(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "the other banks are up", func() bool {
			st := ask[operator.Status](t, s, "/v1/status", nil)
			return st.Banks["rcb"] == "up" && st.Banks["ccb"] == "up" && st.Banks["boc"] == "up" && st.Banks["icbc"] == "down"
		})
		until(t, "the terminal has heard of it", func() bool { return terminalSays(t, s, "shebao_terminal_banks_down 1\n") })
		it := card(t, s, "resident-icbc")
		insert(t, s, it)
		v := see(t, kiosk, "card-problem", "pin")
		if v.ID != "card-problem" || !contains(v, "您的银行现在连不上") {
			t.Errorf("the kiosk shows %s: %s", v.ID, v.Text)
		}
		press(t, kiosk, v, "exit")
		see(t, kiosk, "take-card")
		pull(t, s, kiosk)
		kiosk.Leave()
		f, err := FindFault("none")
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.PlayCard(t.Context(), deal(t, s, "boc"), f, func(string) {}); err != nil {
			t.Errorf("a payment with another bank: %v; got %+v", err, r)
		}
		if err := s.startBank(icbc); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("hub killed five times", func(t *testing.T) {
		f, err := FindFault("hub-killed-after-send")
		if err != nil {
			t.Fatal(err)
		}
		for i, bank := range []string{"ccb", "rcb", "icbc", "boc", "ccb"} {
			s.OnRequest(nil)
			serves(t, s)
			pid := s.HubPID()
			if r, err := s.PlayCard(t.Context(), deal(t, s, bank), f, func(string) {}); err != nil {
				t.Fatalf("kill %d, %s: %v; got %+v", i+1, bank, err, r)
			}
			if s.HubPID() == pid {
				t.Fatal("the hub was not killed")
			}
		}
	})
	s.Close()
	verified(t, s)
}
