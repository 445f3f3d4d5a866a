package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/residents"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"shebaoctl": main})
}

// TestScript runs the sessions of testdata/script: what an operator types and
// reads.
func TestScript(t *testing.T) {
	data, err := filepath.Abs(filepath.Join("..", "..", "data"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": runNode, "stopnode": stopNode, "people": writePeople, "replace": replace, "flip": flip,
			"register": writeRegister, "planted": foundPlanted,
		},
	})
}

// running is a ledger with its operator socket, as settled has them. The verbs
// of the HSM process are done in this process.
type running struct {
	ledger *ledger.Node
	server *http.Server
	ended  chan error
}

func (r *running) stop() error {
	if r.server == nil {
		return nil
	}
	err := r.server.Close()
	<-r.ended // always that it was closed
	r.server = nil
	if closed := r.ledger.Close(); err == nil {
		err = closed
	}
	return err
}

// runNode starts a node: node DIR SOCKET.
func runNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: node DIR SOCKET")
	}
	n, err := ledger.Open(ledger.Config{
		Dir: ts.MkAbs(args[0]), Region: 1, Area: 330110, Segment: 1 << 20, Election: 10 * time.Millisecond, MinFree: 1,
	})
	ts.Check(err)
	l, err := operator.Listen(ts.MkAbs(args[1]))
	ts.Check(err)
	banks := map[string]si.Bank{}
	for _, b := range residents.Banks {
		banks[b.Code] = b.Number
	}
	r := &running{ledger: n, ended: make(chan error, 1), server: &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: operator.New(operator.Config{
			Ledger: n, Register: n, Sealer: keys(ts), Node: lone{n}, Now: time.Now,
			Banks: func(code string) (si.Bank, bool) { b, ok := banks[code]; return b, ok },
			Agency: func() operator.Agency {
				return operator.Agency{Name: "示范区社会保险经办中心", Hotline: "12333", Area: "330110", Banks: []string{"示例农商银行"}, Demo: true}
			},
			Pending: func() []operator.PendingView { return pendings },
			Status: func() operator.Status {
				head, applied := n.Head()
				return operator.Status{Version: "test", Area: "330110", Leader: true, Applied: applied, Head: hex.EncodeToString(head[:])}
			},
		}).Handler(),
	}}
	go func() { r.ended <- r.server.Serve(l) }()
	ts.Defer(func() { _ = r.stop() })
	nodes.Store(ts.Getenv("WORK"), r)
}

// keys are the keys that persons are hashed and sealed under.
func keys(ts *testscript.TestScript) *softhsm.Store {
	s, err := softhsm.NewVolatile()
	ts.Check(err)
	for name, use := range map[string]softhsm.Usage{
		softhsm.NameHashID: softhsm.HashID, softhsm.NameHashCard: softhsm.HashCard, softhsm.NameHashNo: softhsm.HashNo,
		softhsm.NameHashPAN: softhsm.HashPAN, softhsm.PersonKeyName(1, 2026): softhsm.Person,
	} {
		_, err := s.GenerateKey(name, use)
		ts.Check(err)
	}
	ts.Defer(func() { _ = s.Close() })
	return s
}

// lone is the node as settled shows it to the socket.
type lone struct{ *ledger.Node }

func (l lone) Members() ([]operator.Member, error) {
	list, err := l.Node.Members()
	out := make([]operator.Member, len(list))
	for i, m := range list {
		out[i] = operator.Member(m)
	}
	return out, err
}

func (l lone) Backup(dir string, progress func(done, total int64)) (operator.Backup, error) {
	b, err := l.Node.Backup(dir, progress)
	return operator.Backup{Index: b.Index, Head: b.Head, Files: b.Files, Bytes: b.Bytes}, err
}

// pendings are two payments in doubt, one of which needs a person.
var pendings = []operator.PendingView{
	{ID: "0193a1b2c3d4e5f60718293a4b5c6d7e", Bank: "ccb", State: "WAITING", Amount: 51000, STAN: 7, RRN: "632610000007", Tries: 2, Since: "2026-11-22T10:00:00+08:00"},
	{ID: "0193a1b2c3d4e5f60718293a4b5c6d7f", Bank: "icbc", State: "DESK", Amount: 149200, STAN: 8, RRN: "632610000008", Tries: 1, Since: "2026-11-22T11:00:00+08:00", Why: operator.NeedsCrossDay},
}

// nodes are the running nodes by the folder of their script; scripts run beside
// one another.
var nodes sync.Map

func stopNode(ts *testscript.TestScript, neg bool, args []string) {
	r, ok := nodes.Load(ts.Getenv("WORK"))
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: stopnode, after node")
	}
	ts.Check(r.(*running).stop())
}

// writePeople writes import files: people DIR N; DIR/id.txt has the first ID
// number and DIR/ids.csv all of them.
func writePeople(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: people DIR N")
	}
	n := number(ts, args[1])
	gen := residents.New(1)
	ts.Check(gen.Write(context.Background(), ts.MkAbs(args[0]), n, func(int) {}))
	first, err := gen.At(0)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), "id.txt"), []byte(first.IDNumber+"\n"), 0o600))
	list := operator.NoticeColumns[0] + "\n"
	for i := range n {
		p, err := gen.At(i)
		ts.Check(err)
		list += p.IDNumber + "\n"
	}
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), "ids.csv"), []byte(list), 0o600))
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

// replace changes one place of a file: replace FILE OLD NEW.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if n := bytes.Count(b, []byte(args[1])); n != 1 {
		ts.Fatalf("%s has %d times %q", args[0], n, args[1])
	}
	ts.Check(os.WriteFile(path, bytes.Replace(b, []byte(args[1]), []byte(args[2]), 1), 0o600))
}

// flip turns one bit: flip FILE OFFSET.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b[at] ^= 4
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}
