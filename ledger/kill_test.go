package ledger

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The child's surroundings.
const (
	killDir  = "SHEBAO_TEST_KILL_DIR"
	killFrom = "SHEBAO_TEST_KILL_FROM"

	killRounds  = 20
	killPersons = 30_000
	killClients = 8
	// ackBytes is one acknowledgement on the pipe: number of the due, sequence
	// of its receipt. Less than a pipe's atomic write.
	ackBytes = 8
)

// payUntilKilled is the child: clients that each wait for their answer pay one
// due after another and report each answer only when they have it.
func payUntilKilled(dir string) {
	n, err := Open(testConfig(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
	from, err := strconv.ParseInt(os.Getenv(killFrom), 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
	var next atomic.Int64
	next.Store(from)
	for range killClients {
		go func() {
			for {
				k := int(next.Add(1) - 1)
				if k >= killPersons {
					return
				}
				r, err := n.Do(background(), payDue(k))
				if err != nil || r.Code != ledgerapi.OK && r.Code != ledgerapi.Exists {
					fmt.Fprintf(os.Stderr, "child: payment %d: %v %v\n", k, r.Code, err)
					os.Exit(4)
				}
				ack := binary.LittleEndian.AppendUint32(nil, uint32(k))
				if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint32(ack, r.Receipt.Seq)); err != nil {
					os.Exit(5)
				}
			}
		}()
	}
	select {}
}

// TestKill kills a paying process 20 times at random moments: between a write
// and its sync, in a checkpoint, at a new segment, in a start. What was
// acknowledged is in the ledger once, with the receipt that was told.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, testConfig(dir))
	settle(t, n, killPersons)
	closeNode(t, n)
	rng := rand.New(rand.NewPCG(3, uint64(time.Now().UnixNano())))
	receipts := map[uint32]uint32{}
	highest, acked := 0, 0
	for round := range killRounds {
		// The last answers may have been lost with the process: ask again by
		// the same ids, as a bank does.
		from := max(0, highest-2*killClients)
		acks := childRound(t, dir, from, rng)
		acked += len(acks)
		highest = max(highest, remember(t, fmt.Sprintf("round %d", round), acks, receipts))
	}
	t.Logf("%d kills, %d acknowledgements for %d payments", killRounds, acked, len(receipts))
	if len(receipts) < killRounds {
		t.Fatalf("only %d payments were acknowledged: the kills came too early to say anything", len(receipts))
	}
	holdsAcknowledged(t, dir, receipts, killRounds)
}

// remember adds what a child was told, and gives the highest due of it. A due
// that is acknowledged twice has one receipt.
func remember(t *testing.T, round string, acks []ack, receipts map[uint32]uint32) (highest int) {
	t.Helper()
	for _, a := range acks {
		if was, ok := receipts[a.due]; ok && was != a.receipt {
			t.Fatalf("%s: due %d was paid with receipt %d and is now with %d", round, a.due, was, a.receipt)
		}
		receipts[a.due] = a.receipt
		highest = max(highest, int(a.due))
	}
	return highest
}

// holdsAcknowledged checks that the ledger of killed children has each payment
// that was acknowledged, once, with its receipt, and few that were not.
func holdsAcknowledged(t *testing.T, dir string, receipts map[uint32]uint32, kills int) {
	t.Helper()
	n := openNode(t, testConfig(dir))
	posted := 0
	seen := map[uint32]bool{}
	for k := range killPersons {
		p, ok := n.Payment(id('y', k))
		if receipt, told := receipts[uint32(k)]; told && (!ok || p.State != ledgerapi.PayPosted || p.Receipt.Seq != receipt) {
			t.Fatalf("payment %d was acknowledged with receipt %d; the ledger has %v %v", k, receipt, p.State, p.Receipt)
		}
		if !ok {
			continue
		}
		posted++
		if seen[p.Receipt.Seq] {
			t.Fatalf("receipt %d stands on two payments", p.Receipt.Seq)
		}
		seen[p.Receipt.Seq] = true
	}
	if tot := n.Totals(testBank, testDay); int(tot.Payments.Count) != posted || posted > len(receipts)+kills*killClients {
		t.Fatalf("the books count %d payments, the ids %d, acknowledged %d", tot.Payments.Count, posted, len(receipts))
	}
	if err := n.Check(); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	if r := verifyOK(t, dir); r.Payments != uint64(posted) {
		t.Errorf("Verify counts %d payments, the ledger has %d", r.Payments, posted)
	}
}

type ack struct{ due, receipt uint32 }

// childRound runs one child, kills it a random time after its first answer (or
// during its start), and reads what it had told.
func childRound(t *testing.T, dir string, from int, rng *rand.Rand) (acks []ack) {
	t.Helper()
	c := startChild(t, dir, from)
	if rng.IntN(5) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(60))*time.Millisecond, c.kill)
	}
	acks = c.acks(func() { time.AfterFunc(time.Duration(rng.IntN(40_000))*time.Microsecond, c.kill) })
	if err := c.cmd.Wait(); c.cmd.ProcessState.ExitCode() > 0 {
		t.Fatalf("child: %v: %s", err, c.words.String())
	}
	return acks
}

// child is a process that pays until it is killed.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   io.Reader
	words bytes.Buffer
}

// startChild starts a child, under the command of wrap if there is one.
func startChild(t *testing.T, dir string, from int, wrap ...string) *child {
	t.Helper()
	line := append(wrap, os.Args[0])
	c := &child{t: t, cmd: exec.Command(line[0], line[1:]...)}
	c.cmd.Env = append(os.Environ(), killDir+"="+dir, killFrom+"="+strconv.Itoa(from))
	c.cmd.Stderr = &c.words
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) kill() {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Error(err)
	}
}

// acks reads what the child was told until it ends. first is called at the first.
func (c *child) acks(first func()) (acks []ack) {
	in := bufio.NewReader(c.out)
	var b [ackBytes]byte
	for {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return acks // the pipe ends with the process; a torn acknowledgement is none
		}
		if len(acks) == 0 {
			first()
		}
		acks = append(acks, ack{binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:])})
	}
}
