package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
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
		},
	})
}

// running is a ledger with its operator socket, as settled has them. The HSM
// process is left out: hashing takes its place.
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
			Ledger: n, Register: n, Sealer: hashes{}, Now: time.Now,
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
	nodes[ts.Getenv("WORK")] = r
}

// pendings are two payments in doubt, one of which needs a person.
var pendings = []operator.PendingView{
	{ID: "0193a1b2c3d4e5f60718293a4b5c6d7e", Bank: "ccb", State: "WAITING", Amount: 51000, STAN: 7, RRN: "632610000007", Tries: 2, Since: "2026-11-22T10:00:00+08:00"},
	{ID: "0193a1b2c3d4e5f60718293a4b5c6d7f", Bank: "icbc", State: "DESK", Amount: 149200, STAN: 8, RRN: "632610000008", Tries: 1, Since: "2026-11-22T11:00:00+08:00", Why: operator.NeedsCrossDay},
}

// nodes are the running nodes by the folder of their script; scripts of this
// package run one after the other.
var nodes = map[string]*running{}

func stopNode(ts *testscript.TestScript, neg bool, args []string) {
	r := nodes[ts.Getenv("WORK")]
	if neg || len(args) != 0 || r == nil {
		ts.Fatalf("usage: stopnode, after node")
	}
	ts.Check(r.stop())
}

// writePeople writes import files: people DIR N; DIR/id.txt has the first ID
// number and DIR/ids.csv all of them.
func writePeople(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: people DIR N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
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

// hashes stands for the HSM process.
type hashes struct{}

func hashOf(s string) (h si.Hash) {
	sum := sha256.Sum256([]byte(s))
	copy(h[:], sum[:])
	return h
}

func (hashes) SealPersons(_ context.Context, in []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error) {
	out := make([]hsmapi.SealedPerson, len(in))
	for i, p := range in {
		out[i] = hsmapi.SealedPerson{IDHash: hashOf(p.IDNumber.Reveal("test")), Blob: []byte(p.Name.Masked() + "|" + p.IDNumber.Tail())}
	}
	return out, nil
}

func (hashes) HashCards(_ context.Context, in []hsmapi.CardRecord) ([]hsmapi.CardHashes, error) {
	out := make([]hsmapi.CardHashes, len(in))
	for i, c := range in {
		out[i] = hsmapi.CardHashes{
			IDHash: hashOf(c.IDNumber.Reveal("test")), CardHash: hashOf(c.CardID), NoHash: hashOf(c.CardNo), PANHash: hashOf(c.PAN.Reveal("test")),
		}
	}
	return out, nil
}

func (hashes) HashIDs(_ context.Context, in []si.IDNumber) ([]si.Hash, error) {
	out := make([]si.Hash, len(in))
	for i, id := range in {
		out[i] = hashOf(id.Reveal("test"))
	}
	return out, nil
}

func (hashes) OpenPerson(_ context.Context, blob []byte) (hsmapi.PersonView, error) {
	name, tail, _ := strings.Cut(string(blob), "|")
	return hsmapi.PersonView{MaskedName: name, IDTail: tail}, nil
}
