package termsrv

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestJournalsKeepRecordsInOrder(t *testing.T) {
	dir := t.TempDir()
	take := func(j *Journals, first uint64, n int, want uint64) {
		t.Helper()
		got, err := j.Take(7, first, records(n))
		if err != nil || got != want {
			t.Fatalf("Take(%d, %d records) = %d, %v, want %d", first, n, got, err, want)
		}
	}
	j, err := OpenJournals(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	take(j, 1, 10, 10)
	take(j, 6, 10, 15) // half of it is held already
	take(j, 1, 5, 15)  // all of it is
	if _, err := j.Take(7, 17, records(1)); !errors.Is(err, ErrGap) {
		t.Errorf("gap: got %v, want ErrGap", err)
	}
	if _, err := j.Take(7, 0, records(1)); !errors.Is(err, ErrGap) {
		t.Errorf("record 0: got %v, want ErrGap", err)
	}
	if _, err := j.Take(7, 16, [][]byte{make([]byte, MaxRecord+1)}); err == nil {
		t.Error("a record past the bound was taken")
	}
	take(j, 16, 0, 15)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash in the middle of the last record: it was never acknowledged.
	path := filepath.Join(dir, "terminal-7.journal")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if j, err = OpenJournals(dir, false); err != nil {
		t.Fatal(err)
	}
	take(j, 15, 2, 16)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestJournalsOfSeveralNodes: another node has taken records 11 to 20 and 26 to
// 30; a node that is alone refuses such gaps.
func TestJournalsOfSeveralNodes(t *testing.T) {
	dir := t.TempDir()
	open := func() *Journals {
		t.Helper()
		j, err := OpenJournals(dir, true)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	for _, c := range []struct {
		first uint64
		n     int
		want  uint64
		again bool // the node starts again before
	}{
		{1, 10, 10, false}, {21, 5, 25, false}, {23, 3, 25, true}, {31, 2, 32, true}, {33, 1, 33, true}, {1, 4, 33, false},
	} {
		if c.again {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = open()
		}
		if got, err := j.Take(7, c.first, records(c.n)); err != nil || got != c.want {
			t.Errorf("Take(%d, %d records) = %d, %v, want %d", c.first, c.n, got, err, c.want)
		}
	}
	if got, err := j.Take(8, 12, records(1)); err != nil || got != 12 {
		t.Errorf("the first that this node hears of a terminal: %d, %v, want 12", got, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "terminal-7.*journal"))
	if err != nil || len(files) != 3 {
		t.Errorf("files %v, %v, want those from 1, 21 and 31", files, err)
	}
}
