package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/flow"
)

var start = time.Date(2026, 11, 2, 9, 30, 0, 0, si.China)

func plenty() (uint64, error) { return 1 << 40, nil }

func open(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := Open(path, Options{Terminal: "terminal-1", Free: plenty})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func newJournal(t testing.TB) *Journal {
	return open(t, filepath.Join(t.TempDir(), "journal.bolt"))
}

func intent(n byte, s flow.PayState) flow.Intent {
	return flow.Intent{ID: si.PaymentID{0x01, 0x90, 15: n}, State: s, Session: 3, At: start, Bank: "rcb",
		Lines: []termapi.PayLine{{ID: "11", Version: 2, Amount: 30000, LateFee: 1234}, {ID: "12", Version: 1, Amount: 5}},
		Total: 31239}
}

func put(t testing.TB, j *Journal, is ...flow.Intent) {
	t.Helper()
	for n, i := range is {
		if err := j.Put(start.Add(time.Duration(n)*time.Second), i); err != nil {
			t.Fatalf("Put %v: %v", i.State, err)
		}
	}
}

func check(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// TestSteps walks every pair of states through the file.
func TestSteps(t *testing.T) {
	j := newJournal(t)
	n := byte(0)
	for from := flow.Created; from <= flow.Archived; from++ {
		for to := flow.Created; to <= flow.Archived; to++ {
			n++
			if !bring(t, j, n, from) {
				continue
			}
			err := j.Put(start, intent(n, to))
			if may := flow.MayFollow(from, to); may != (err == nil) || (!may && !errors.Is(err, ErrStep)) {
				t.Errorf("%v to %v: %v, want allowed %v", from, to, err, may)
			}
			got, found, err := j.Payment(intent(n, 0).ID)
			want := from
			if flow.MayFollow(from, to) {
				want = to
			}
			if err != nil || !found || got.State != want {
				t.Errorf("%v to %v: on disk %v, want %v (%v)", from, to, got.State, want, err)
			}
		}
	}
	check(t, j)
}

// bring takes a payment to a state on a legal way.
func bring(t testing.TB, j *Journal, n byte, to flow.PayState) bool {
	ways := map[flow.PayState][]flow.PayState{
		flow.Created: {flow.Created}, flow.Sent: {flow.Created, flow.Sent},
		flow.Unknown: {flow.Created, flow.Sent, flow.Unknown}, flow.Posted: {flow.Created, flow.Sent, flow.Posted},
		flow.Undoing:  {flow.Created, flow.Sent, flow.Posted, flow.Undoing},
		flow.Declined: {flow.Created, flow.Sent, flow.Declined}, flow.Failed: {flow.Created, flow.Failed},
		flow.Receipted: {flow.Created, flow.Sent, flow.Posted, flow.Receipted},
		flow.Archived:  {flow.Created, flow.Failed, flow.Archived},
	}
	for _, s := range ways[to] {
		put(t, j, intent(n, s))
	}
	return true
}

// TestReopen keeps head, hash, payments and the list of open ones.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.bolt")
	j := open(t, path)
	put(t, j, intent(1, flow.Created), intent(1, flow.Sent), intent(2, flow.Created), intent(2, flow.Failed), intent(3, flow.Created))
	if err := j.Note(start, flow.Entry{Session: 3, Kind: flow.NoteScreen, Screen: flow.ScreenMenu}); err != nil {
		t.Fatal(err)
	}
	if got := j.Head(); got != 5 {
		t.Errorf("head %d before the flush, want 5", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path)
	if got := j.Head(); got != 6 {
		t.Errorf("head %d after reopening, want 6", got)
	}
	u, err := j.Unresolved()
	if err != nil || len(u) != 2 || u[0].State != flow.Sent || u[1].State != flow.Created {
		t.Errorf("unresolved %+v, %v", u, err)
	}
	want := intent(1, flow.Sent)
	if got := u[0]; !got.At.Equal(want.At) || got.Total != want.Total || len(got.Lines) != 2 || got.Lines[0] != want.Lines[0] || got.Bank != "rcb" {
		t.Errorf("read back %+v", got)
	}
	put(t, j, intent(1, flow.Posted))
	check(t, j)
	if _, err := Open(path, Options{Terminal: "terminal-1"}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	_ = j.Close()
	if _, err := Open(path, Options{Terminal: "terminal-2"}); err == nil || !strings.Contains(err.Error(), "terminal-1") {
		t.Errorf("another terminal's file: %v", err)
	}
}

// TestSpace begins no payment below the gate, and goes on with those begun.
func TestSpace(t *testing.T) {
	free := uint64(LeastFree)
	j, err := Open(filepath.Join(t.TempDir(), "j"), Options{Terminal: "t", Free: func() (uint64, error) { return free, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	put(t, j, intent(1, flow.Created))
	free--
	if err := j.Put(start, intent(2, flow.Created)); !errors.Is(err, ErrFull) {
		t.Errorf("one byte below the gate: %v", err)
	}
	if err := j.Space(); !errors.Is(err, ErrFull) {
		t.Errorf("Space: %v", err)
	}
	put(t, j, intent(1, flow.Sent), intent(1, flow.Posted))
	if got := j.Head(); got != 3 {
		t.Errorf("head %d, want 3: a refused payment leaves no record", got)
	}
}

// TestOpenBound holds the number of payments without an end.
func TestOpenBound(t *testing.T) {
	j := newJournal(t)
	for n := 0; n < MaxOpen; n++ {
		i := intent(0, flow.Created)
		binary.BigEndian.PutUint16(i.ID[6:], uint16(n))
		put(t, j, i)
	}
	one := intent(9, flow.Created)
	if err := j.Put(start, one); !errors.Is(err, ErrFull) {
		t.Errorf("one beyond the bound: %v", err)
	}
}

// TestFault breaks the journal for good at a failed write.
func TestFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	put(t, j, intent(1, flow.Created))
	disk := errors.New("input/output error")
	j.commitFault = func() error { return disk }
	if err := j.Put(start, intent(1, flow.Sent)); !errors.Is(err, ErrBroken) || !errors.Is(err, disk) {
		t.Errorf("failed write: %v", err)
	}
	j.commitFault = nil
	for name, err := range map[string]error{
		"Put": j.Put(start, intent(1, flow.Sent)), "Note": j.Note(start, flow.Entry{Kind: "x"}), "Flush": j.Flush(),
		"Space": j.Space(), "Acknowledge": j.Acknowledge(1),
	} {
		if !errors.Is(err, ErrBroken) {
			t.Errorf("%s after a failed write: %v", name, err)
		}
	}
	if _, err := j.Prune(start); !errors.Is(err, ErrBroken) {
		t.Errorf("Prune after a failed write: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	j = open(t, path)
	u, err := j.Unresolved()
	if err != nil || len(u) != 1 || u[0].State != flow.Created {
		t.Errorf("after a restart: %+v, %v", u, err)
	}
	check(t, j)
}

// TestAnotherAmount refuses to change what was confirmed.
func TestAnotherAmount(t *testing.T) {
	j := newJournal(t)
	put(t, j, intent(1, flow.Created))
	i := intent(1, flow.Sent)
	i.Lines = i.Lines[:1]
	i.Total = 31234
	if err := j.Put(start, i); !errors.Is(err, ErrStep) {
		t.Errorf("other dues: %v", err)
	}
	i = intent(1, flow.Sent)
	i.Total++
	if err := j.Put(start, i); !errors.Is(err, ErrRecord) {
		t.Errorf("a total that is not the sum: %v", err)
	}
}

// TestWaitingBound writes the lines kept back when they are too many.
func TestWaitingBound(t *testing.T) {
	j := newJournal(t)
	for n := 1; n <= MaxWaiting; n++ {
		if err := j.Note(start, flow.Entry{Kind: flow.NoteScreen, Ref: strconv.Itoa(n)}); err != nil {
			t.Fatal(err)
		}
		if want := uint64(n / MaxWaiting * MaxWaiting); j.Head() != want {
			t.Fatalf("after %d lines: head %d, want %d", n, j.Head(), want)
		}
	}
	if err := j.Note(start, flow.Entry{Kind: "x", Ref: strings.Repeat("9", maxWord)}); err != nil {
		t.Errorf("text at the bound: %v", err)
	}
	if err := j.Note(start, flow.Entry{Kind: "x", Ref: strings.Repeat("9", maxWord+1)}); !errors.Is(err, ErrRecord) {
		t.Errorf("text one beyond: %v", err)
	}
	if err := j.Note(start, flow.Entry{Kind: "x", Word: "李明"}); !errors.Is(err, ErrRecord) {
		t.Errorf("a name: %v", err)
	}
}

// TestUpload brings the records in order, by number and by size, and keeps what
// is not acknowledged.
func TestUpload(t *testing.T) {
	j := newJournal(t)
	for n := 0; n < MaxBatch+1; n++ {
		if err := j.Note(start, flow.Entry{Kind: flow.NoteScreen}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	first, recs, err := j.Batch(1 << 20)
	if err != nil || first != 1 || len(recs) != MaxBatch {
		t.Fatalf("batch from %d of %d, %v; want %d from 1", first, len(recs), err, MaxBatch)
	}
	if _, recs, _ = j.Batch(1); len(recs) != 1 {
		t.Errorf("%d records in one byte, want the one that must go", len(recs))
	}
	if err := j.Acknowledge(j.Head() + 1); err == nil {
		t.Error("a head that does not exist was acknowledged")
	}
	if err := j.Acknowledge(MaxBatch); err != nil {
		t.Fatal(err)
	}
	if first, recs, _ = j.Batch(1 << 20); first != MaxBatch+1 || len(recs) != 1 {
		t.Errorf("next batch: %d from %d", len(recs), first)
	}
	if _, err := Parse(recs[0][32:]); err != nil {
		t.Errorf("an uploaded record: %v", err)
	}
}

// TestPrune removes only what is acknowledged, old, and final.
func TestPrune(t *testing.T) {
	j := newJournal(t)
	old := func(n byte, s flow.PayState) flow.Intent {
		i := intent(n, s)
		id := si.NewPaymentID(start)
		copy(i.ID[:6], id[:6])
		return i
	}
	put(t, j, old(1, flow.Created), old(1, flow.Failed), old(2, flow.Created), old(2, flow.Sent))
	late := start.Add(Keep + 5*time.Second)
	if n, err := j.Prune(late); n != 0 || err != nil {
		t.Errorf("unacknowledged: removed %d, %v", n, err)
	}
	_ = j.Flush()
	if err := j.Acknowledge(3); err != nil {
		t.Fatal(err)
	}
	if n, err := j.Prune(start.Add(Keep)); n != 0 || err != nil {
		t.Errorf("not old enough: removed %d, %v", n, err)
	}
	if n, err := j.Prune(late); n != 3 || err != nil {
		t.Errorf("removed %d, %v; want the 3 acknowledged", n, err)
	}
	if _, found, _ := j.Payment(old(1, 0).ID); found {
		t.Error("the failed payment is still there")
	}
	if u, err := j.Unresolved(); err != nil || len(u) != 1 {
		t.Errorf("unresolved %v, %v: want the sent one", u, err)
	}
	put(t, j, old(2, flow.Unknown))
	check(t, j)
}

// TestDamage changes every byte of each record in turn: the chain finds it.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	put(t, j, intent(1, flow.Created), intent(1, flow.Sent), intent(1, flow.Posted))
	try := func(name string, spoil func(tx *bolt.Tx) error) {
		t.Helper()
		var good []byte
		err := j.db.Update(func(tx *bolt.Tx) error {
			var b bytes.Buffer
			_, err := tx.WriteTo(&b)
			good = b.Bytes()
			return errors.Join(err, spoil(tx))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Check(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Check gave %v", name, err)
		}
		_ = j.db.Close()
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		j = open(t, path)
		check(t, j)
	}
	var size int
	_ = j.db.View(func(tx *bolt.Tx) error { size = len(tx.Bucket(bucketRecords).Get(u64(2))); return nil })
	for n := 0; n < size; n += 7 {
		try("byte "+strconv.Itoa(n), func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketRecords)
			v := bytes.Clone(b.Get(u64(2)))
			v[n] ^= 1
			return b.Put(u64(2), v)
		})
	}
	try("removed", func(tx *bolt.Tx) error { return tx.Bucket(bucketRecords).Delete(u64(2)) })
	try("cut off", func(tx *bolt.Tx) error { return tx.Bucket(bucketRecords).Delete(u64(3)) })
	try("swapped", func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketRecords)
		v, w := bytes.Clone(b.Get(u64(1))), bytes.Clone(b.Get(u64(2)))
		return errors.Join(b.Put(u64(1), w), b.Put(u64(2), v))
	})
	id := intent(1, 0).ID
	try("payment removed", func(tx *bolt.Tx) error { return tx.Bucket(bucketPayments).Delete(id[:]) })
	try("payment changed", func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketPayments)
		return b.Put(id[:], bytes.Replace(b.Get(id[:]), []byte("T_POSTED"), []byte("T_FAILED"), 1))
	})
	try("open list", func(tx *bolt.Tx) error { return tx.Bucket(bucketOpen).Delete(id[:]) })
}

// TestTampered refuses to open a file whose newest record is not its head.
func TestTampered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	put(t, j, intent(1, flow.Created), intent(1, flow.Sent))
	if err := j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketRecords).Delete(u64(2)) }); err != nil {
		t.Fatal(err)
	}
	_ = j.db.Close()
	if _, err := Open(path, Options{Terminal: "terminal-1"}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open: %v", err)
	}
}

// TestLargestPayment fits the bound of a record.
func TestLargestPayment(t *testing.T) {
	i := intent(1, flow.Created)
	i.Lines, i.Total = nil, 0
	for n := 0; n < flow.MaxDues; n++ {
		l := termapi.PayLine{ID: strings.Repeat("9", 20), Version: 65535, Amount: 40_000_000_000, LateFee: 1_000_000_000}
		i.Lines, i.Total = append(i.Lines, l), i.Total+41_000_000_000
	}
	j := newJournal(t)
	put(t, j, i)
	i.Lines, i.Total = append(i.Lines, termapi.PayLine{ID: "1", Amount: 1}), i.Total+1
	i.ID[0]++
	if err := j.Put(start, i); !errors.Is(err, ErrRecord) {
		t.Errorf("one due more: %v", err)
	}
}

// TestCardWord keeps what the card said until it is reported, at most what DE 55
// holds.
func TestCardWord(t *testing.T) {
	j := newJournal(t)
	i := intent(1, flow.Posted)
	i.Outcome, i.CardWord = termapi.OutcomeTC, bytes.Repeat([]byte{0xDF}, maxCardWord)
	put(t, j, intent(1, flow.Created), intent(1, flow.Sent), i)
	if got, found, err := j.Payment(i.ID); err != nil || !found || !bytes.Equal(got.CardWord, i.CardWord) {
		t.Errorf("read back %x, %v, %v", got.CardWord, found, err)
	}
	i.CardWord = append(i.CardWord, 0)
	if err := j.Put(start, i); !errors.Is(err, ErrRecord) {
		t.Errorf("one byte more: %v", err)
	}
	i.CardWord, i.Reported = []byte{1}, true
	if err := j.Put(start, i); !errors.Is(err, ErrRecord) {
		t.Errorf("kept after it was reported: %v", err)
	}
	i.CardWord = nil
	put(t, j, i)
	check(t, j)
}

// FuzzParse feeds Parse what a damaged file could hold. What it takes, encode
// writes the same.
func FuzzParse(f *testing.F) {
	i := intent(1, flow.Posted)
	i.Receipt, i.Outcome, i.Reported = "33011020261102000017", termapi.OutcomeTC, true
	said := i
	said.Reported, said.CardWord = false, []byte{0xDF, 0x31, 0}
	for _, r := range []Record{
		{Seq: 1, At: start, Entry: flow.Entry{Kind: flow.NoteScreen, Screen: flow.ScreenMenu, Session: 1}},
		{Seq: 2, At: start, Entry: flow.Entry{Kind: KindPayment, Ref: i.ID.String(), Word: "T_POSTED"}, Payment: &i},
		{Seq: 3, At: start, Entry: flow.Entry{Kind: KindPayment, Ref: i.ID.String(), Word: "T_POSTED"}, Payment: &said},
	} {
		b, err := encode(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, '\n'))
	}
	f.Add([]byte(`{"seq":1,"at_ms":0,"kind":"payment","payment":null}`))
	f.Add([]byte(`{"seq":1,"at_ms":1e3,"kind":"x"}`))
	f.Add([]byte(`{"seq":1,"at_ms":0,"kind":"x","kind":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		back, err := encode(&r)
		if err != nil || !bytes.Equal(back, b) {
			t.Errorf("Parse took %q, encode writes %q (%v)", b, back, err)
		}
	})
}

// BenchmarkPut is one state of a payment, synced.
func BenchmarkPut(b *testing.B) {
	j := newJournal(b)
	for n := 0; b.Loop(); n++ {
		i := intent(0, flow.Created)
		binary.BigEndian.PutUint64(i.ID[6:], uint64(n))
		if n%2 == 1 {
			binary.BigEndian.PutUint64(i.ID[6:], uint64(n-1))
			i.State = flow.Failed
		}
		if err := j.Put(start, i); err != nil {
			b.Fatal(err)
		}
	}
}
