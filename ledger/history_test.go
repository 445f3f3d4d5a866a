package ledger

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// historyDir makes the test binary a ledger that serves operations on a pipe.
const historyDir = "SHEBAO_TEST_HISTORY_DIR"

// opKind is what a client does to a due.
type opKind uint8

const (
	opReserve opKind = iota
	opPost
	opVoid
	opPay
	opReverse
	opQuery
	opKinds
)

// histIDs is how many payment ids each due has: the even ones are reserved, the
// odd ones paid at once, so that one id is always the same request.
const histIDs = 16

// op is one operation on one due, named by its position.
type op struct {
	kind    opKind
	due     int
	id      int
	version uint16 // of the due, as the id names it for ever
}

// answer is what came back; a query's is state, holder and version.
type answer struct {
	known   bool
	code    ledgerapi.Code
	state   ledgerapi.DueState
	version uint16
}

// dueModel is one due as the rules say, with the fate of each of its ids.
type dueModel struct {
	state   ledgerapi.DueState
	version uint16
	ids     [histIDs]ledgerapi.PayState
}

// next is what the ledger has to answer to an operation, and the due after it.
func (m dueModel) next(o op) (answer, dueModel) {
	is := m.ids[o.id]
	code := ledgerapi.OK
	to := func(p ledgerapi.PayState, d ledgerapi.DueState) { m.ids[o.id], m.state = p, d }
	switch o.kind {
	case opQuery:
		return answer{state: m.state, version: m.version}, m
	case opReserve, opPay:
		switch {
		case is == ledgerapi.PayTombstone:
			code = ledgerapi.Tombstoned
		case is != ledgerapi.PayNone:
			code = ledgerapi.Exists
		case m.state == ledgerapi.DueStateHeld:
			code = ledgerapi.DueHeld
		case m.state == ledgerapi.DueStatePaid:
			code = ledgerapi.DuePaid
		case o.version != m.version:
			code = ledgerapi.DueChanged
		case o.kind == opReserve:
			to(ledgerapi.PayReserved, ledgerapi.DueStateHeld)
		default:
			to(ledgerapi.PayPosted, ledgerapi.DueStatePaid)
		}
	case opPost:
		switch is {
		case ledgerapi.PayNone:
			code = ledgerapi.NotFound
		case ledgerapi.PayReserved:
			to(ledgerapi.PayPosted, ledgerapi.DueStatePaid)
		case ledgerapi.PayPosted:
			code = ledgerapi.Exists
		case ledgerapi.PayTombstone:
			code = ledgerapi.Tombstoned
		case ledgerapi.PayVoided, ledgerapi.PayReversing:
			code = ledgerapi.BadTransition
		}
	case opVoid:
		switch is {
		case ledgerapi.PayNone:
			m.ids[o.id] = ledgerapi.PayTombstone
		case ledgerapi.PayReserved:
			to(ledgerapi.PayVoided, ledgerapi.DueOpen)
		case ledgerapi.PayVoided, ledgerapi.PayTombstone:
			code = ledgerapi.Exists
		case ledgerapi.PayPosted, ledgerapi.PayReversing:
			code = ledgerapi.BadTransition
		}
	case opReverse:
		switch is {
		case ledgerapi.PayNone:
			m.ids[o.id] = ledgerapi.PayTombstone
		case ledgerapi.PayPosted:
			to(ledgerapi.PayVoided, ledgerapi.DueOpen)
			m.version++
		case ledgerapi.PayVoided, ledgerapi.PayTombstone:
			code = ledgerapi.Exists
		case ledgerapi.PayReserved, ledgerapi.PayReversing:
			code = ledgerapi.BadTransition
		}
	case opKinds:
	}
	return answer{code: code}, m
}

// histModel is dueModel for the checker, one due at a time.
var histModel = porcupine.Model{
	Partition: func(h []porcupine.Operation) (parts [][]porcupine.Operation) {
		byDue := map[int]int{}
		for _, o := range h {
			due := o.Input.(op).due
			i, ok := byDue[due]
			if !ok {
				i = len(parts)
				byDue[due] = i
				parts = append(parts, nil)
			}
			parts[i] = append(parts[i], o)
		}
		return parts
	},
	Init: func() any { return dueModel{state: ledgerapi.DueOpen, version: 1} },
	Step: func(state, in, out any) (bool, any) {
		want, next := state.(dueModel).next(in.(op))
		got := out.(answer)
		if !got.known {
			return true, next // it may have been done; undone it fits behind everything
		}
		want.known = true
		return got == want, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
}

// command is the operation for the ledger.
func (o op) command() ledgerapi.Command {
	key := id('h', o.due*histIDs+o.id)
	dues := []ledgerapi.DueRef{{ID: si.DueID(o.due + 1), Version: o.version, Amount: testAmount}}
	switch o.kind {
	case opReserve:
		return ledgerapi.Reserve{ID: key, Channel: si.ChannelTerminal, Terminal: 7, Bank: testBank, OurDate: testDay,
			Dues: dues, Total: testAmount}
	case opPost:
		return ledgerapi.Post{ID: key, Evidence: ledgerapi.Evidence{Source: ledgerapi.SourceWire, Resp: [2]byte{'0', '0'}, MACOK: true}}
	case opVoid:
		return ledgerapi.Void{ID: key, Proof: ledgerapi.ProofDeclined}
	case opPay:
		return ledgerapi.Pay{ID: key, Channel: si.ChannelCounter, Bank: testBank, Total: testAmount, Dues: dues,
			HostSerial: "000000000001", BankDate: testDay, STAN: uint32(o.id + 1)}
	case opReverse:
		return ledgerapi.Reverse{ID: key, Bank: testBank, BankDate: testDay}
	case opQuery, opKinds:
	}
	return nil
}

// perform does an operation on a node.
func (o op) perform(n *Node) (answer, error) {
	if o.kind == opQuery {
		for _, d := range n.DuesOf(si.PersonNo(o.due+1), testDay) {
			return answer{known: true, state: d.State, version: d.Ref.Version}, nil
		}
		return answer{}, fmt.Errorf("person %d has no due", o.due+1)
	}
	r, err := n.Do(background(), o.command())
	return answer{known: err == nil, code: r.Code}, err
}

// random is an operation as a client might think of it. Ids are named anew for
// as long as there are any, and often again. The kinds that end a payment go to
// ids of their own sort.
func randomOp(rng *rand.Rand, dues int) op {
	o := op{kind: opKind(rng.IntN(int(opKinds))), due: rng.IntN(dues)}
	o.id = rng.IntN(histIDs/2) * 2
	if o.kind == opPay || o.kind == opReverse {
		o.id++
	}
	// The first ids name the first version of the due, later ones later ones.
	o.version = uint16(1 + o.id/6)
	return o
}

// serveHistory is the child: it does what it reads and writes what came back.
func serveHistory(dir string) {
	n, err := Open(testConfig(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
	var out sync.Mutex
	for in := bufio.NewReader(os.Stdin); ; {
		var seq int
		var o op
		if _, err := fmt.Fscanln(in, &seq, &o.kind, &o.due, &o.id, &o.version); err != nil {
			os.Exit(0)
		}
		go func() {
			a, err := o.perform(n)
			if err != nil {
				fmt.Fprintln(os.Stderr, "child:", err)
				os.Exit(4)
			}
			out.Lock()
			defer out.Unlock()
			fmt.Println(seq, uint8(a.code), uint8(a.state), a.version)
		}()
	}
}

// historyChild is a child with the operations that it has not answered yet.
type historyChild struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	mu      sync.Mutex
	waiting map[int]chan answer
	dead    bool
	ended   chan struct{}
}

func startHistory(t *testing.T, dir string) *historyChild {
	t.Helper()
	c := &historyChild{cmd: exec.Command(os.Args[0]), waiting: map[int]chan answer{}, ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), historyDir+"="+dir)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in = in
	go c.read(out)
	return c
}

// read hands out answers until the child is dead, and then says unknown.
func (c *historyChild) read(out io.Reader) {
	defer close(c.ended)
	for in := bufio.NewReader(out); ; {
		var seq int
		a := answer{known: true}
		if _, err := fmt.Fscanln(in, &seq, &a.code, &a.state, &a.version); err != nil {
			break
		}
		c.mu.Lock()
		c.waiting[seq] <- a
		delete(c.waiting, seq)
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, w := range c.waiting {
		w <- answer{}
	}
}

// do sends an operation and waits for its answer or the child's end. sent is
// false if the child was dead before.
func (c *historyChild) do(seq int, o op) (a answer, sent bool) {
	w := make(chan answer, 1)
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return answer{}, false
	}
	c.waiting[seq] = w
	_, _ = fmt.Fprintln(c.in, seq, uint8(o.kind), o.due, o.id, o.version) // an error is the child's end
	c.mu.Unlock()
	return <-w, true
}

const (
	histDues    = 24
	histClients = 6
	histKills   = 8
	histOps     = 260 // between two kills
)

// TestHistory lets clients work on the same few dues while the ledger is killed
// again and again, and holds the history of what they were told against the
// rules: there is one order of the operations, each at a moment between its call
// and its answer, that explains every answer. So two payers of one due cannot
// both win, nothing answered is lost, and no query shows what was not.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, testConfig(dir))
	settle(t, n, histDues)
	closeNode(t, n)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var seq atomic.Int64
	var mu sync.Mutex
	var history []porcupine.Operation
	began := time.Now()
	for round := range histKills {
		c := startHistory(t, dir)
		last := seq.Load() + histOps
		var clients sync.WaitGroup
		for client := range histClients {
			clients.Add(1)
			go func() {
				defer clients.Done()
				rng := rand.New(rand.NewPCG(seed, uint64(round*histClients+client)))
				for {
					k := seq.Add(1)
					o := randomOp(rng, histDues)
					call := time.Since(began)
					a, sent := c.do(int(k), o)
					if !sent {
						return
					}
					ret := time.Since(began)
					if !a.known {
						ret = math.MaxInt64 // it may take effect at any time from now on
					}
					mu.Lock()
					history = append(history, porcupine.Operation{ClientId: client, Input: o, Output: a, Call: int64(call), Return: int64(ret)})
					mu.Unlock()
					if k == last {
						_ = c.cmd.Process.Kill()
					}
				}
			}()
		}
		clients.Wait()
		<-c.ended
		_ = c.cmd.Wait()
	}
	checkHistory(t, history)
	verifyOK(t, dir)
}

// checkWait bounds the checker; a history of this size takes milliseconds.
const checkWait = time.Minute

// checkHistory holds a history against the model, and the test against a
// history in which nothing happened.
func checkHistory(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	codes := map[ledgerapi.Code]int{}
	unknown := 0
	for _, o := range history {
		if a := o.Output.(answer); a.known {
			codes[a.code]++
		} else {
			unknown++
		}
	}
	t.Logf("%d operations, %d of unknown outcome, answers %v", len(history), unknown, codes)
	for _, c := range []ledgerapi.Code{ledgerapi.OK, ledgerapi.Exists, ledgerapi.DueHeld, ledgerapi.DuePaid, ledgerapi.DueChanged} {
		if codes[c] == 0 {
			t.Errorf("no operation was answered %s: the history says little", c)
		}
	}
	switch porcupine.CheckOperationsTimeout(histModel, history, checkWait) {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Errorf("the checker did not end within %s", checkWait)
	case porcupine.Illegal:
		t.Error("no order of the operations explains the answers")
	}
}

// TestHistoryModel holds that the checker sees a due that two payers won.
func TestHistoryModel(t *testing.T) {
	ok := answer{known: true, code: ledgerapi.OK}
	two := []porcupine.Operation{
		{ClientId: 0, Input: op{kind: opPay, id: 1, version: 1}, Output: ok, Call: 0, Return: 10},
		{ClientId: 1, Input: op{kind: opPay, id: 3, version: 1}, Output: ok, Call: 5, Return: 15},
	}
	if porcupine.CheckOperations(histModel, two) {
		t.Error("two payers of one due passed")
	}
	stale := []porcupine.Operation{
		{ClientId: 0, Input: op{kind: opPay, id: 1, version: 1}, Output: ok, Call: 0, Return: 10},
		{ClientId: 1, Input: op{kind: opQuery}, Output: answer{known: true, state: ledgerapi.DueOpen, version: 1}, Call: 11, Return: 12},
	}
	if porcupine.CheckOperations(histModel, stale) {
		t.Error("a query that does not see an answered payment passed")
	}
}
