package termsrv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/shebao-pay/shebao/si"
)

// MaxRecord bounds one record of a terminal's journal, in bytes.
const MaxRecord = 64 << 10

// ErrGap is returned for records that do not follow those held.
var ErrGap = errors.New("termsrv: journal records do not follow those held here")

// Journals keeps what terminals upload of their journals: one file a terminal,
// each record as its length (4 bytes, big-endian) and its body, in order from
// record 1. A record is acknowledged when it is on the disk.
//
// Of several nodes each keeps what came while it led. Where records do not follow
// those it holds, because another node has taken some, it begins a further file,
// named by its first record; all nodes' files together are the whole.
type Journals struct {
	dir   string
	gaps  bool
	mu    sync.Mutex
	files map[si.Terminal]*journalFile
}

type journalFile struct {
	f    *os.File
	head uint64
	size int64
	bad  error // after a failed write the file is not written again
}

// OpenJournals uses the folder, which is made if it is missing. gaps says that
// other nodes take records too.
func OpenJournals(dir string, gaps bool) (*Journals, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("termsrv: journals: %w", err)
	}
	return &Journals{dir: dir, gaps: gaps, files: map[si.Terminal]*journalFile{}}, nil
}

// Close closes the files.
func (j *Journals) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, f := range j.files {
		errs = append(errs, f.f.Close())
	}
	clear(j.files)
	return errors.Join(errs...)
}

// Take appends the records from number first on and gives the number of the
// last one held. Records that are held already are passed over.
func (j *Journals) Take(t si.Terminal, first uint64, records [][]byte) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f, err := j.file(t)
	if err != nil {
		return 0, err
	}
	if f.bad != nil {
		return 0, f.bad
	}
	if first > f.head+1 && j.gaps {
		if f, err = j.begin(t, first); err != nil {
			return 0, err
		}
	}
	if first == 0 || first > f.head+1 {
		return 0, fmt.Errorf("%w: they begin at %d, held are %d", ErrGap, first, f.head)
	}
	if held := f.head + 1 - first; held < uint64(len(records)) {
		records = records[held:]
	} else {
		return f.head, nil
	}
	var buf []byte
	for _, r := range records {
		if len(r) == 0 || len(r) > MaxRecord {
			return 0, fmt.Errorf("termsrv: a journal record of %d bytes", len(r))
		}
		buf = append(binary.BigEndian.AppendUint32(buf, uint32(len(r))), r...)
	}
	_, err = f.f.WriteAt(buf, f.size)
	if err == nil {
		err = f.f.Sync()
	}
	if err != nil {
		f.bad = fmt.Errorf("termsrv: journal of terminal %d: %w; restart the node after checking the disk", t, err)
		return 0, f.bad
	}
	f.size += int64(len(buf))
	f.head += uint64(len(records))
	return f.head, nil
}

// file opens a terminal's newest file and counts what it holds; a record cut
// short at the end, which was never acknowledged, is written over.
func (j *Journals) file(t si.Terminal) (*journalFile, error) {
	if f, ok := j.files[t]; ok {
		return f, nil
	}
	name, first := TerminalName(t)+".journal", uint64(1)
	further, err := filepath.Glob(filepath.Join(j.dir, TerminalName(t)+".from-*.journal"))
	if err != nil {
		return nil, fmt.Errorf("termsrv: journals: %w", err)
	}
	if n := len(further); n > 0 { // their names are as long as another and sorted
		name = filepath.Base(further[n-1])
		if _, err := fmt.Sscanf(name, TerminalName(t)+".from-%d.journal", &first); err != nil || first == 0 {
			return nil, fmt.Errorf("termsrv: journals: %s is no name of ours", further[n-1])
		}
	}
	return j.open(t, name, first)
}

// begin starts a further file at a record.
func (j *Journals) begin(t si.Terminal, first uint64) (*journalFile, error) {
	if old := j.files[t]; old != nil {
		if err := old.f.Close(); err != nil {
			return nil, fmt.Errorf("termsrv: journals: %w", err)
		}
		delete(j.files, t)
	}
	return j.open(t, fmt.Sprintf("%s.from-%020d.journal", TerminalName(t), first), first)
}

func (j *Journals) open(t si.Terminal, name string, first uint64) (*journalFile, error) {
	f, err := os.OpenFile(filepath.Join(j.dir, name), os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- numbers make the name
	if err != nil {
		return nil, fmt.Errorf("termsrv: journals: %w", err)
	}
	jf := &journalFile{f: f, head: first - 1}
	r := bufio.NewReader(f)
	for {
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			break
		}
		n := int(binary.BigEndian.Uint32(length[:]))
		if n == 0 || n > MaxRecord {
			break
		}
		if got, err := r.Discard(n); err != nil || got != n {
			break
		}
		jf.head++
		jf.size += int64(4 + n)
	}
	j.files[t] = jf
	return jf, nil
}
