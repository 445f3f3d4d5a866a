package ledger

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// makeRelease writes the data directory of this version as a new fixture:
//
//	go test ./ledger -run TestReleases -make-release v2
//
// The fixtures of earlier versions are never written again.
var makeRelease = flag.String("make-release", "", "write testdata/NAME.tar.gz and testdata/NAME.json")

// releaseFacts are what the log of a fixture says, recorded when it was made.
// None of it may ever change: a version that replays the log to something else
// would read other money out of the same records.
type releaseFacts struct {
	Head     string // chain head
	Digest   string // of the state, good for one schema: rows of another are other bytes
	Schema   int
	Index    uint64 // of the last batch
	Records  uint64
	Payments uint64                       // posted
	States   map[string]int               // payments by state
	Accounts map[string][2]int64          // book and account: posted debit, credit
	Receipts map[string]string            // payment: receipt
	Pending  []string                     // payments
	Dues     map[string]map[string]uint64 // persons by the state of their dues
}

// TestReleases opens the data directory of every earlier version as it was left
// behind by a power failure: it opens at once, or names the command that makes
// it open. Log and books are then what they were.
func TestReleases(t *testing.T) {
	if *makeRelease != "" {
		writeRelease(t, *makeRelease)
	}
	fixtures, err := filepath.Glob(filepath.Join("testdata", "*.tar.gz"))
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, f := range fixtures {
		name := filepath.Base(f[:len(f)-len(".tar.gz")])
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var want releaseFacts
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			cfg := testConfig(t.TempDir())
			unpack(t, f, cfg.Dir)
			n, err := Open(cfg)
			if errors.Is(err, store.ErrSchema) {
				t.Logf("%s needs a migration: %v", name, err)
				migrated(t, cfg.Dir, err)
				n, err = Open(cfg)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := factsOf(n)
			closeNode(t, n)
			got.Records, got.Payments = want.Records, want.Payments // Verify counts them
			if want.Schema != store.Schema {
				got.Digest, got.Schema = want.Digest, want.Schema
			}
			if g, w := asJSON(t, got), asJSON(t, want); !bytes.Equal(g, w) {
				t.Errorf("the ledger of %s now reads\n%s\nand was\n%s", name, g, w)
			}
			if r := verifyOK(t, cfg.Dir); r.Records != want.Records || r.Payments != want.Payments || r.Head != want.Head {
				t.Errorf("Verify: %d records, %d payments, head %s; want %d, %d, %s", r.Records, r.Payments, r.Head, want.Records, want.Payments, want.Head)
			}
		})
	}
}

// factsOf reads a node's facts.
func factsOf(n *Node) releaseFacts {
	head, index := n.Head()
	f := releaseFacts{
		Head: fmt.Sprintf("%x", head), Digest: fmt.Sprintf("%x", n.machine.Digest()), Schema: store.Schema, Index: index, States: map[string]int{}, Accounts: map[string][2]int64{},
		Receipts: map[string]string{}, Dues: map[string]map[string]uint64{},
	}
	for _, b := range n.TrialBalance() {
		key := fmt.Sprintf("%s %d bank %d date %d part %d", b.Fund, b.Code, b.Bank, b.Date, b.Part)
		f.Accounts[key] = [2]int64{int64(b.PostedDr), int64(b.PostedCr)}
	}
	for i := range releasePersons {
		for _, kind := range []byte("yr") {
			p, ok := n.Payment(id(kind, i))
			if !ok {
				continue
			}
			f.States[p.State.String()]++
			if p.Receipt.Seq != 0 {
				f.Receipts[p.ID.String()] = p.Receipt.String()
			}
		}
		for _, d := range n.DuesOf(si.PersonNo(i+1), testDay) {
			fund := d.Fund.String()
			if f.Dues[fund] == nil {
				f.Dues[fund] = map[string]uint64{}
			}
			f.Dues[fund][d.State.String()]++
		}
	}
	for _, p := range n.Pending(0) {
		f.Pending = append(f.Pending, p.ID.String())
	}
	return f
}

const releasePersons = 160

// writeRelease makes a small ledger that has every command of this version, with
// a checkpoint and a tail behind it, and packs it.
func writeRelease(t *testing.T, name string) {
	cfg := testConfig(t.TempDir())
	cfg.Segment = 16 << 10
	n := openNode(t, cfg)
	settle(t, n, releasePersons)
	reserve := func(i int) ledgerapi.Reserve {
		return ledgerapi.Reserve{ID: id('r', i), Channel: si.ChannelTerminal, Terminal: 7, Acq: [8]byte{'T', '1'}, Bank: testBank, OurDate: testDay,
			Dues: []ledgerapi.DueRef{{ID: si.DueID(i + 1), Version: 1, Amount: testAmount}}, Total: testAmount, Memo: []byte("sealed")}
	}
	wire := ledgerapi.Evidence{Source: ledgerapi.SourceWire, Resp: [2]byte{'0', '0'}, MACOK: true, BankDate: testDay, KeyGen: 1}
	must(t, n, ledgerapi.PutTerminal{ID: id('t', 1), Terminal: 7, Bank: testBank, Outlet: "outlet", State: ledgerapi.TerminalInService})
	for i := range 8 {
		must(t, n, ledgerapi.PutCard{ID: id('k', i), IDHash: n.mustPerson(t, i), CardHash: si.Hash{1, byte(i)}, NoHash: si.Hash{2, byte(i)},
			PANHash: si.Hash{3, byte(i)}, Bank: testBank, State: ledgerapi.CardActive, Source: ledgerapi.CardImport, Since: testDay})
		must(t, n, ledgerapi.Notice{ID: id('n', 100+i), Person: si.PersonNo(40 + i), Date: testDay, ValidUntil: testDay + 30})
	}
	for i := range 12 { // paid at a counter, three of them taken back
		must(t, n, payDue(i))
		if i%4 == 0 {
			must(t, n, ledgerapi.Reverse{ID: id('y', i), Bank: testBank, BankDate: testDay, Reason: [2]byte{'1', '7'}})
		}
	}
	for i := 12; i < 20; i++ { // paid at a terminal; the last taken back by the card
		must(t, n, reserve(i), ledgerapi.Post{ID: id('r', i), Evidence: wire})
	}
	must(t, n, ledgerapi.Unpost{ID: id('r', 19), Reason: ledgerapi.UnpostCardAAC})
	must(t, n, ledgerapi.Void{ID: id('r', 19), Proof: ledgerapi.ProofReversalAck, Resp: [2]byte{'0', '0'}})
	must(t, n, reserve(20), ledgerapi.Annotate{ID: id('r', 20), Stage: ledgerapi.StageReversing, Reason: [2]byte{'9', '8'}, Memo: []byte("again")},
		ledgerapi.Void{ID: id('r', 20), Proof: ledgerapi.ProofReversalAck, Resp: [2]byte{'0', '0'}})
	must(t, n, ledgerapi.Cutover{ID: id('w', 2), Bank: testBank, From: testDay, To: testDay + 1})
	must(t, n, ledgerapi.SealDay{ID: id('s', 1), Date: testDay})
	if err := n.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for i := 32; i < releasePersons; i++ { // the tail: paid on the new date, and pending
		p := payDue(i)
		p.BankDate, p.OurDate = testDay+1, testDay+1
		must(t, n, p)
	}
	must(t, n, reserve(30), reserve(31))
	must(t, n, ledgerapi.Annotate{ID: id('r', 31), Stage: ledgerapi.StageReversing, Reason: [2]byte{'9', '8'}, Memo: []byte("pending")})
	facts := factsOf(n)
	n.saving.Lock() // no checkpoint while the files are copied
	dir := t.TempDir()
	copyDir(t, cfg.Dir, dir)
	n.saving.Unlock()
	closeNode(t, n)
	r := verifyOK(t, dir)
	facts.Records, facts.Payments = r.Records, r.Payments
	if r.Checkpoint == 0 || r.Checkpoint >= facts.Index || r.Segments < 2 {
		t.Fatalf("the fixture has its checkpoint at %d of %d and %d segments", r.Checkpoint, facts.Index, r.Segments)
	}
	if err := os.WriteFile(filepath.Join("testdata", name+".json"), asJSON(t, facts), 0o600); err != nil {
		t.Fatal(err)
	}
	pack(t, dir, filepath.Join("testdata", name+".tar.gz"))
}

// mustPerson gives the hash by which settle made the n-th person (from 0).
func (n *Node) mustPerson(t *testing.T, i int) si.Hash {
	t.Helper()
	p, ok := n.PersonByNo(si.PersonNo(i + 1))
	if !ok {
		t.Fatalf("person %d is not there", i+1)
	}
	return p.IDHash
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func pack(t *testing.T, dir, path string) {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		// A segment that is only being prepared holds zeros.
		if err != nil || d.IsDir() || d.Name() == lockName || d.Name() == "next" {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		body, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Mode: 0o600, Size: int64(len(body))}); err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	})
	if err := errors.Join(err, w.Close(), z.Close(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.FromSlash(h.Name))
		b, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// migrated migrates a directory as the refusal says.
func migrated(t *testing.T, dir string, refusal error) {
	t.Helper()
	if !strings.Contains(refusal.Error(), "shebaoctl migrate --data "+dir) {
		t.Fatalf("the refusal names no command: %v", refusal)
	}
	var last, total int64
	if _, err := Migrate(dir, store.Options{}, func(done, all int64) { last, total = done, all }); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	if last == 0 || last > total {
		t.Errorf("the migration told of %d bytes of %d", last, total)
	}
}

// TestMigrate makes the newest fixture one of an earlier schema: it is refused,
// migrated, and then what it was; a fall at each step of it changes nothing.
func TestMigrate(t *testing.T) {
	cfg := testConfig(t.TempDir())
	unpack(t, filepath.Join("testdata", "v1.tar.gz"), cfg.Dir)
	if n, err := Open(cfg); !errors.Is(err, store.ErrSchema) { // until this version has another schema than v1
		if err != nil {
			t.Fatal(err)
		}
		closeNode(t, n)
	}
	state := filepath.Join(cfg.Dir, stateName)
	older := func() {
		t.Helper()
		b, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		now := binary.LittleEndian.AppendUint32([]byte("schema"), store.Schema)
		if bytes.Count(b, now) == 0 {
			return
		}
		b = bytes.ReplaceAll(b, now, binary.LittleEndian.AppendUint32([]byte("schema"), 0))
		if err := os.WriteFile(state, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	older()
	for _, fall := range []string{"none", "after the old file got its other name", "while the new file was written"} {
		older()
		_, err := Open(cfg)
		if !errors.Is(err, store.ErrSchema) {
			t.Fatalf("fall %s: Open of an earlier schema: %v, want store.ErrSchema", fall, err)
		}
		switch fall {
		case "after the old file got its other name":
			if err := os.Rename(state, filepath.Join(cfg.Dir, oldState)); err != nil {
				t.Fatal(err)
			}
		case "while the new file was written":
			if err := os.WriteFile(filepath.Join(cfg.Dir, newState), []byte("half a file"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		migrated(t, cfg.Dir, err)
		n := openNode(t, cfg)
		if leads, _ := n.Leader(); !leads || len(n.Pending(0)) != 2 {
			t.Errorf("fall %s: after the migration %d payments are pending, want 2", fall, len(n.Pending(0)))
		}
		closeNode(t, n)
		verifyOK(t, cfg.Dir)
		left, err := filepath.Glob(filepath.Join(cfg.Dir, stateName+".*"))
		if err != nil || len(left) != 0 {
			t.Errorf("fall %s: left behind: %v %v", fall, left, err)
		}
	}
	if _, err := Migrate(t.TempDir(), store.Options{}, nil); err == nil {
		t.Error("Migrate of an empty folder succeeded")
	}
}
