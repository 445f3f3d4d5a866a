package ledger

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killCalls are the system calls through which the ledger reaches the disk, and
// at which of a thread's calls the process is killed. They meet appends, syncs,
// new segments, the file of term and vote and both phases of a checkpoint; a
// "write" is the answer on its way out.
var killCalls = []struct {
	call string
	at   []int
}{
	{"pwrite64", []int{1, 2, 3, 4, 5, 6, 8, 10}},
	{"fdatasync", []int{1, 2, 3, 4, 5, 6, 8, 10}},
	{"fsync", []int{1, 2, 3, 4, 5, 6}},
	{"renameat", []int{1, 2, 3}},
	{"ftruncate", []int{1, 2, 3}},
	{"openat", []int{10, 30, 45}},
	{"write", []int{1, 2, 5, 9}},
}

// killCallWait bounds a round whose call is never reached so often.
const killCallWait = time.Second

// TestKillAtCalls kills a paying process at chosen system calls, before the call
// is done, so that every state of the disk between two calls is one to start
// from. What was acknowledged is in the ledger once, with the receipt that was
// told.
func TestKillAtCalls(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing; `make test` installs it")
	}
	dir := t.TempDir()
	n := openNode(t, testConfig(dir))
	settle(t, n, killPersons)
	closeNode(t, n)
	receipts := map[uint32]uint32{}
	highest, kills, missed := 0, 0, 0
	for _, k := range killCalls {
		for _, when := range k.at {
			acks, died := callRound(t, dir, max(0, highest-2*killClients), k.call, when)
			highest = max(highest, remember(t, fmt.Sprintf("%s %d", k.call, when), acks, receipts))
			if kills++; !died {
				missed++
			}
		}
	}
	t.Logf("%d kills, %d of them by time because the call was not reached; %d payments acknowledged", kills, missed, len(receipts))
	if missed > kills/2 {
		t.Errorf("%d of %d calls were never reached", missed, kills)
	}
	if len(receipts) < kills {
		t.Fatalf("only %d payments were acknowledged: the kills came too early to say anything", len(receipts))
	}
	holdsAcknowledged(t, dir, receipts, kills)
}

// callRound runs one child that dies at a call, or by time, and tells which.
func callRound(t *testing.T, dir string, from int, call string, when int) (acks []ack, died bool) {
	t.Helper()
	inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when)
	c := startChild(t, dir, from, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+call, "-e", inject)
	// The child is strace's: ending strace lets it go on, so both are ended.
	late := time.AfterFunc(killCallWait, func() {
		pids, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", c.cmd.Process.Pid))
		if err != nil {
			return // it has just ended
		}
		for _, p := range strings.Fields(string(pids)) {
			var pid int
			if _, err := fmt.Sscan(p, &pid); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	acks = c.acks(func() {})
	died = late.Stop()
	_ = c.cmd.Wait() // strace ends as its child did
	return acks, died
}
