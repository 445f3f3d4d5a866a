package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/cardauth/hsm"
	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/acceptor"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// The test binary is also the hub and the HSM process, each a process of its
// own, as it is where the system runs.
const (
	envRole    = "LOAD_TEST_ROLE" // hub or hsm
	envDir     = "LOAD_TEST_DIR"
	envPersons = "LOAD_TEST_PERSONS"
	envNull    = "LOAD_TEST_NULL"
	envAddr    = "LOAD_TEST_ADDR"
	envProfile = "LOAD_TEST_CPUPROFILE"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(envRole) {
	case "hub":
		err = hub()
	case "hsm":
		err = hsmProcess()
	default:
		goleak.VerifyTestMain(m)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const testKBPK = "0123456789abcdefFEDCBA9876543210"

func testKeys() bankhost.Keys { return bankhost.Keys{KBPK: []byte(testKBPK)} }

func testProfile() (*profile.Profile, error) { return profile.LoadFS(data.Banks, "banks/ccb") }

// hsmProcess serves the software HSM on a socket until the parent hangs up.
func hsmProcess() error {
	s, err := softhsm.NewVolatile()
	if err != nil {
		return err
	}
	if err := s.AddKey("ccb/kbpk", softhsm.Protect, []byte(testKBPK)); err != nil {
		return err
	}
	if err := s.AddKey(softhsm.NameHashID, softhsm.HashID, []byte(testKBPK)); err != nil {
		return err
	}
	l, err := hsm.Listen(filepath.Join(os.Getenv(envDir), "hsm.sock"), false)
	if err != nil {
		return err
	}
	ctx, cancel := untilHangUp()
	defer cancel()
	fmt.Println("ready")
	return hsm.Serve(ctx, l, s, hsm.ServeOptions{})
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// untilHangUp ends when standard input does, which is when the parent is gone.
func untilHangUp() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx, cancel
}

// hub is ledger and ISO 8583 server, without what the other channels need.
func hub() error {
	dir := os.Getenv(envDir)
	p, err := testProfile()
	if err != nil {
		return err
	}
	persons, err := strconv.Atoi(os.Getenv(envPersons))
	if err != nil {
		return err
	}
	segment := int64(0) // the default
	if persons < 100_000 {
		segment = 1 << 20 // a test does not fill more
	}
	node, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Region: 1, Area: 330110,
		NullState: os.Getenv(envNull) != "", MinFree: 1, Segment: segment})
	if err != nil {
		return err
	}
	if _, begun := node.Window(p.Number); !begun && os.Getenv(envNull) == "" {
		if err := fill(node, persons); err != nil {
			return err
		}
	}
	ctx, cancel := untilHangUp()
	defer cancel()
	client, err := hsm.Dial(ctx, filepath.Join(dir, "hsm.sock"))
	if err != nil {
		return err
	}
	s, err := acceptor.New(acceptor.Config{Profile: p, Ledger: node, Persons: node, Codes: client, Names: client,
		Open: func(si.Bank) si.BusinessDate { return si.DateOf(time.Now()) }, Now: time.Now})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", os.Getenv(envAddr))
	if err != nil {
		return err
	}
	if name := os.Getenv(envProfile); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Println("ready", l.Addr())
	began := cpu()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	<-ctx.Done()
	s.Close()
	_ = l.Close()
	client.Close()
	st, log, used := s.Stats(), node.Stats().Log, cpu()-began
	fmt.Printf("hub %.1f µs of CPU a payment, answers/write %.1f, records/batch %.1f, µs/sync %.0f\n",
		float64(used.Microseconds())/float64(max(st.Payments, 1)), float64(st.Answers)/float64(max(st.Writes, 1)),
		float64(log.Records)/float64(max(log.Batches, 1)), float64(log.SyncNanos)/float64(max(log.Appends, 1))/1e3)
	return errors.Join(<-served, node.Close())
}

// fill brings persons, dues and notices into a new ledger. The notice of the
// i-th person, from 0, has serial i+1.
func fill(node *ledger.Node, persons int) error {
	today := si.DateOf(time.Now())
	id := func(kind byte, n int) (p si.PaymentID) {
		p[7] = kind
		binary.BigEndian.PutUint64(p[8:], uint64(n))
		return p
	}
	rates, err := data.Start.ReadFile("rates/330110.yaml")
	if err != nil {
		return err
	}
	facts, err := data.Start.ReadFile("facts/ccb.txt")
	if err != nil {
		return err
	}
	from := si.Date(2026, time.January, 1)
	var bad atomic.Value
	slots := make(chan struct{}, 4000)
	do := func(c ledgerapi.Command) {
		slots <- struct{}{}
		node.Submit(c, 0, func(r ledgerapi.Result, err error) {
			if err != nil || r.Code != ledgerapi.OK {
				bad.Store(fmt.Errorf("%T: %v %v", c, r.Code, err))
			}
			<-slots
		})
	}
	wait := func() error {
		for range cap(slots) {
			slots <- struct{}{}
		}
		for range cap(slots) {
			<-slots
		}
		err, _ := bad.Load().(error)
		return err
	}
	do(ledgerapi.PutConfig{ID: id('c', 1), Kind: ledgerapi.ConfigRates, Name: "330110", From: from, Body: rates, Maker: 1, Checker: 2})
	do(ledgerapi.PutConfig{ID: id('c', 2), Kind: ledgerapi.ConfigBankFacts, Name: "ccb", From: from, Body: facts, Maker: 1, Checker: 2})
	do(ledgerapi.Cutover{ID: id('w', 1), Bank: 3, To: today})
	if err := wait(); err != nil {
		return err
	}
	for i := range persons {
		var h si.Hash
		binary.BigEndian.PutUint64(h[:], uint64(i+1))
		do(ledgerapi.PutPerson{ID: id('p', i), IDHash: h, PType: si.Resident, Household: 330110, Sex: 1, Sealed: []byte("-")})
	}
	if err := wait(); err != nil {
		return err
	}
	for i := 0; i < persons; i += ledgerapi.MaxAssess {
		a := ledgerapi.Assess{ID: id('a', i), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2026), Kind: ledgerapi.DueYear,
			DueDay: si.Date(2026, time.December, 31), Version: 1}
		for k := i; k < min(persons, i+ledgerapi.MaxAssess); k++ {
			a.Items = append(a.Items, ledgerapi.AssessItem{Person: si.PersonNo(k + 1)})
		}
		do(a)
	}
	if err := wait(); err != nil {
		return err
	}
	for i := range persons {
		do(ledgerapi.Notice{ID: id('n', i), Person: si.PersonNo(i + 1), Date: today, ValidUntil: today + 30})
	}
	if err := wait(); err != nil {
		return err
	}
	return node.Checkpoint() // what was filled in is no part of a measurement
}

// child is one of the processes.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func spawn(t testing.TB, role string, env ...string) (*child, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(append(os.Environ(), envRole+"="+role), env...)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // one that a failed test left
	line, err := c.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready") {
		t.Fatalf("%s did not start: %q, %v", role, line, err)
	}
	return c, strings.TrimSpace(strings.TrimPrefix(line, "ready"))
}

// stop ends the process in order and gives what else it said.
func (c *child) stop(t testing.TB) string {
	t.Helper()
	_ = c.stdin.Close()
	said, err := io.ReadAll(c.out)
	if err := errors.Join(err, c.cmd.Wait()); err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(said))
}

func (c *child) kill(t testing.TB) {
	t.Helper()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	_ = c.stdin.Close()
}

// notices counts through the notices that fill made.
type notices struct {
	next atomic.Uint64
	most uint64
}

func (n *notices) Next() (si.NoticeNo, si.Fen, bool) {
	i := n.next.Add(1)
	return si.NewNoticeNo(330110, time.Now().In(si.China).Year(), i), testAmount, i <= n.most
}
