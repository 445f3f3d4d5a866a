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
		for _, ack := range childRound(t, dir, from, rng) {
			acked++
			if was, ok := receipts[ack.due]; ok && was != ack.receipt {
				t.Fatalf("round %d: due %d was paid with receipt %d and is now with %d", round, ack.due, was, ack.receipt)
			}
			receipts[ack.due] = ack.receipt
			highest = max(highest, int(ack.due))
		}
	}
	t.Logf("%d kills, %d acknowledgements for %d payments", killRounds, acked, len(receipts))
	if len(receipts) < killRounds {
		t.Fatalf("only %d payments were acknowledged: the kills came too early to say anything", len(receipts))
	}
	n = openNode(t, testConfig(dir))
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
	if tot := n.Totals(testBank, testDay); int(tot.Payments.Count) != posted || posted > len(receipts)+killRounds*killClients {
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
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, killFrom+"="+strconv.Itoa(from))
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	var b [ackBytes]byte
	kill := func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
	if rng.IntN(5) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(60))*time.Millisecond, kill)
	}
	for {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			break // the pipe ends with the process; a torn acknowledgement is none
		}
		if len(acks) == 0 {
			time.AfterFunc(time.Duration(rng.IntN(40_000))*time.Microsecond, kill)
		}
		acks = append(acks, ack{binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:])})
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() > 0 {
		t.Fatalf("child: %v: %s", err, words.String())
	}
	return acks
}
