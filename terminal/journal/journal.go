package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// Bounds of the journal.
const (
	// LeastFree is the free space below which no payment is begun: room for
	// many thousand records of the payments already begun.
	LeastFree = 64 << 20
	// MaxOpen bounds the payments that are not final: those the flow machine
	// lets stand, and the one in front of a citizen.
	MaxOpen = flow.MaxUnsettled + 1
	// MaxWaiting bounds the lines kept back for the next write; at the bound
	// they are written at once.
	MaxWaiting = 256
	// MaxBatch is how many records one upload holds (termapi.JournalBatch).
	MaxBatch = 500
	// Keep is how long records and final payments are kept here, uploaded or
	// not: half a year of audit records.
	Keep = 180 * 24 * time.Hour
	// maxPrune bounds the records removed in one transaction.
	maxPrune = 5000

	version = 1
)

// Errors a caller branches on.
var (
	// ErrBroken is returned after a failed write: what the disk holds is not
	// known, and the file is not written again by this process.
	ErrBroken = errors.New("journal: an earlier write failed; restart the terminal after checking the disk")
	// ErrFull is returned by Put of a new payment; nothing was written.
	ErrFull = errors.New("journal: too little free space, or too many payments without an end, for a new payment")
	// ErrStep is a step that the table of payment states does not have.
	ErrStep = errors.New("journal: no such step of a payment")
	// ErrDamaged is a file whose chain or content does not hold.
	ErrDamaged = errors.New("journal: damaged")
)

var (
	bucketMeta     = []byte("meta")
	bucketRecords  = []byte("records")
	bucketPayments = []byte("payments")
	bucketOpen     = []byte("open")

	keyVersion  = []byte("version")
	keyTerminal = []byte("terminal")
	keyHead     = []byte("head")  // seq, hash
	keyFirst    = []byte("first") // seq of the first record kept
	keyAcked    = []byte("acked") // seq up to which the hub has the records
)

// Options of a journal.
type Options struct {
	Terminal string                 // name in the chain's beginning; another terminal's file is refused
	Free     func() (uint64, error) // free bytes; nil asks the file system
}

// Journal is an open journal. It is safe for use by several goroutines.
type Journal struct {
	db   *bolt.DB
	free func() (uint64, error)

	mu      sync.Mutex
	broken  bool
	waiting []Record
	head    uint64
	hash    Hash
	acked   uint64

	// commitFault lets a test fail a write the way a disk does.
	commitFault func() error
}

// Open opens or makes the journal. It reads an old one whole, as Check does, and
// refuses with ErrDamaged what is not as it was written: a terminal asks the hub
// for payments by what stands here.
func Open(path string, o Options) (*Journal, error) {
	if o.Terminal == "" || !word(o.Terminal) {
		return nil, fmt.Errorf("journal: terminal name %q: want 1 to %d printable characters", o.Terminal, maxWord)
	}
	var db *bolt.DB
	err := guard(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
		return err
	})
	if err != nil {
		if errors.Is(err, berrors.ErrTimeout) {
			return nil, fmt.Errorf("journal: %s is in use by another process", path)
		}
		return nil, fmt.Errorf("journal: open %s: %w", path, err)
	}
	j := &Journal{db: db, free: o.Free}
	if j.free == nil {
		dir := filepath.Dir(path)
		j.free = func() (uint64, error) { return freeBytes(dir) }
	}
	if err = guard(func() error { return j.load(o.Terminal) }); err == nil {
		err = errors.Join(syncNames(path), j.assumeSent())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return j, nil
}

// guard turns what bbolt does about a damaged file into an error: it panics, or
// reads behind the end of a file that was cut.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return do()
}

// Of each of bbolt's two heads, behind the header of its page.
const (
	headAt  = 16
	headLen = 56 // then its FNV-1a sum of 64 bits
)

// assumeSent looks whether one of bbolt's two heads is damaged. Then the last
// write is missing: a power failure tore it, or it was acknowledged and has
// suffered since. A payment that stands at T_CREATED may have been sent, so it is
// taken for sent, and the hub is asked.
func (j *Journal) assumeSent() error {
	f, err := os.Open(j.db.Path())
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	sound := true
	for page := range int64(2) {
		var b [headLen + 8]byte
		if _, err := f.ReadAt(b[:], page*int64(j.db.Info().PageSize)+headAt); err != nil {
			return errors.Join(fmt.Errorf("journal: read a head: %w", err), f.Close())
		}
		sum := fnv.New64a()
		_, _ = sum.Write(b[:headLen]) // it fails never
		sound = sound && sum.Sum64() == binary.LittleEndian.Uint64(b[headLen:])
	}
	if err := f.Close(); err != nil || sound {
		return err
	}
	open, err := j.Unresolved()
	for _, i := range open {
		if i.State == flow.Created && err == nil {
			i.State = flow.Sent
			err = j.Put(i.At, i)
		}
	}
	return err
}

// syncNames makes the names of the file and of its folder durable. bbolt syncs
// what is in a file, not that there is one: without this a power failure takes a
// new journal away with everything in it.
func syncNames(path string) error {
	dir := filepath.Dir(path)
	for _, p := range []string{dir, filepath.Dir(dir)} {
		d, err := os.Open(p) // #nosec G304 -- the terminal's own folder
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil {
			return fmt.Errorf("journal: make the name of %s durable: %w", path, err)
		}
	}
	return nil
}

func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("journal: free space of %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// load makes the buckets of a new file, or checks an old one.
func (j *Journal) load(terminal string) error {
	fresh := false
	err := j.db.View(func(tx *bolt.Tx) error {
		fresh = tx.Bucket(bucketMeta) == nil
		if st, err := os.Stat(j.db.Path()); err != nil || st.Size() < tx.Size() {
			return errors.Join(fmt.Errorf("%w: the file is cut short", ErrDamaged), err)
		}
		if err := pages(tx); err != nil || fresh {
			return err
		}
		return j.read(tx, terminal)
	})
	if err != nil || !fresh {
		return err
	}
	return j.db.Update(func(tx *bolt.Tx) error { return j.create(tx, terminal) })
}

// pages looks at the header of every page: bbolt believes them, and one that
// claims to be larger than the file makes it free pages without end.
func pages(tx *bolt.Tx) error {
	last := int(tx.Size()) / tx.DB().Info().PageSize
	for id := 0; id < last; id++ {
		p, err := tx.Page(id)
		if err != nil {
			return err
		}
		switch p.Type {
		case "free":
			continue
		case "meta", "branch", "leaf", "freelist":
		default:
			return fmt.Errorf("%w: page %d is of no kind", ErrDamaged, id)
		}
		if id += p.OverflowCount; id >= last {
			return fmt.Errorf("%w: page %d goes beyond the file", ErrDamaged, p.ID)
		}
	}
	return nil
}

// read takes the head of an old file and checks all of it.
func (j *Journal) read(tx *bolt.Tx, terminal string) error {
	meta := tx.Bucket(bucketMeta)
	if v := meta.Get(keyVersion); len(v) != 8 || binary.BigEndian.Uint64(v) != version {
		return fmt.Errorf("%w: version %x, this program writes %d", ErrDamaged, v, version)
	}
	if t := meta.Get(keyTerminal); string(t) != terminal {
		return fmt.Errorf("journal: the file is of terminal %q, not %q", t, terminal)
	}
	h := meta.Get(keyHead)
	if len(h) != 8+len(j.hash) || len(meta.Get(keyAcked)) != 8 || len(meta.Get(keyFirst)) != 8 {
		return fmt.Errorf("%w: meta", ErrDamaged)
	}
	for _, b := range [][]byte{bucketRecords, bucketPayments, bucketOpen} {
		if tx.Bucket(b) == nil {
			return fmt.Errorf("%w: no bucket %s", ErrDamaged, b)
		}
	}
	j.head = binary.BigEndian.Uint64(h)
	copy(j.hash[:], h[8:])
	j.acked = binary.BigEndian.Uint64(meta.Get(keyAcked))
	if first := binary.BigEndian.Uint64(meta.Get(keyFirst)); first == 0 || first > j.head+1 || j.acked > j.head {
		return fmt.Errorf("%w: records %d to %d, %d of them acknowledged", ErrDamaged, first, j.head, j.acked)
	}
	return checkAll(tx)
}

func (j *Journal) create(tx *bolt.Tx, terminal string) error {
	for _, b := range [][]byte{bucketMeta, bucketRecords, bucketPayments, bucketOpen} {
		if _, err := tx.CreateBucket(b); err != nil {
			return fmt.Errorf("journal: new file: %w", err)
		}
	}
	j.hash = genesis(terminal)
	meta := tx.Bucket(bucketMeta)
	return errors.Join(
		meta.Put(keyVersion, u64(version)), meta.Put(keyTerminal, []byte(terminal)),
		meta.Put(keyHead, append(u64(0), j.hash[:]...)), meta.Put(keyFirst, u64(1)), meta.Put(keyAcked, u64(0)))
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// split takes a stored record apart and checks its link.
func split(k, v []byte) (seq uint64, prev, hash Hash, body []byte, err error) {
	if len(k) != 8 || len(v) < 2*len(prev) {
		return 0, prev, hash, nil, fmt.Errorf("%w: record cut short", ErrDamaged)
	}
	seq = binary.BigEndian.Uint64(k)
	copy(prev[:], v)
	copy(hash[:], v[len(prev):])
	body = v[2*len(prev):]
	if link(prev, seq, body) != hash {
		return 0, prev, hash, nil, fmt.Errorf("%w: record %d does not fit its hash", ErrDamaged, seq)
	}
	return seq, prev, hash, body, nil
}

// Close writes what was kept back and closes the file.
func (j *Journal) Close() error {
	err := j.Flush()
	if errors.Is(err, ErrBroken) {
		err = nil
	}
	return errors.Join(err, j.db.Close())
}

// Head is the number of the newest record on disk.
func (j *Journal) Head() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// Space tells whether a payment may be begun. It returns ErrFull or ErrBroken.
func (j *Journal) Space() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.space()
}

func (j *Journal) space() error {
	if j.broken {
		return ErrBroken
	}
	free, err := j.free()
	if err != nil {
		return err
	}
	if free < LeastFree {
		return fmt.Errorf("%w: %d bytes free, %d wanted", ErrFull, free, LeastFree)
	}
	return nil
}

// Note keeps a line back for the next write. A line that cannot be written is
// an error of the program that made it, and is dropped.
func (j *Journal) Note(at time.Time, e flow.Entry) error {
	r := Record{Seq: 1, At: at, Entry: e}
	if _, err := encode(&r); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return ErrBroken
	}
	j.waiting = append(j.waiting, r)
	if len(j.waiting) < MaxWaiting {
		return nil
	}
	return j.write(nil)
}

// Flush writes the lines kept back.
func (j *Journal) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return ErrBroken
	}
	if len(j.waiting) == 0 {
		return nil
	}
	return j.write(nil)
}

// Put writes a payment's new state. When it returns nil the state is on disk.
// ErrFull and ErrStep leave the journal as it was; any other error breaks it.
func (j *Journal) Put(at time.Time, i flow.Intent) error {
	r := Record{Seq: 1, At: at, Entry: flow.Entry{Session: i.Session, Kind: KindPayment, Ref: i.ID.String(),
		Word: i.State.String()}, Payment: &i}
	if _, err := encode(&r); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return ErrBroken
	}
	if i.State == flow.Created {
		if err := j.space(); err != nil {
			return err
		}
	}
	if err := j.mayStep(i); err != nil {
		return err
	}
	j.waiting = append(j.waiting, r)
	return j.write(&i)
}

// mayStep holds a payment to the table of states and to its own past.
func (j *Journal) mayStep(i flow.Intent) error {
	return j.db.View(func(tx *bolt.Tx) error {
		var from flow.PayState
		if v := tx.Bucket(bucketPayments).Get(i.ID[:]); v != nil {
			old, err := parseIntent(v)
			if err != nil {
				return fmt.Errorf("%w: payment %s: %w", ErrDamaged, i.ID, err)
			}
			if old.Total != i.Total || len(old.Lines) != len(i.Lines) {
				return fmt.Errorf("%w: payment %s has another amount", ErrStep, i.ID)
			}
			from = old.State
		} else if tx.Bucket(bucketOpen).Stats().KeyN >= MaxOpen {
			return fmt.Errorf("%w: %d payments without an end", ErrFull, MaxOpen)
		}
		if !flow.MayFollow(from, i.State) {
			return fmt.Errorf("%w: payment %s from %v to %v", ErrStep, i.ID, from, i.State)
		}
		return nil
	})
}

// write puts the lines kept back, and a payment, into one transaction.
func (j *Journal) write(i *flow.Intent) error {
	head, hash := j.head, j.hash
	err := j.db.Update(func(tx *bolt.Tx) error {
		records := tx.Bucket(bucketRecords)
		records.FillPercent = 1 // keys only grow
		for n := range j.waiting {
			r := &j.waiting[n]
			r.Seq = head + 1
			body, err := encode(r)
			if err != nil {
				return err
			}
			next := link(hash, r.Seq, body)
			v := append(append(append(make([]byte, 0, 64+len(body)), hash[:]...), next[:]...), body...)
			if err := records.Put(u64(r.Seq), v); err != nil {
				return err
			}
			head, hash = r.Seq, next
		}
		if i != nil {
			if err := putPayment(tx, i); err != nil {
				return err
			}
		}
		if j.commitFault != nil {
			if err := j.commitFault(); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyHead, append(u64(head), hash[:]...))
	})
	if err != nil {
		j.broken = true
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	j.head, j.hash = head, hash
	j.waiting = j.waiting[:0]
	return nil
}

// putPayment stores a payment and its place in the list of open ones.
func putPayment(tx *bolt.Tx, i *flow.Intent) error {
	body, err := json.Marshal(fromIntent(i))
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketPayments).Put(i.ID[:], body); err != nil {
		return err
	}
	if i.Open() {
		return tx.Bucket(bucketOpen).Put(i.ID[:], []byte{1})
	}
	return tx.Bucket(bucketOpen).Delete(i.ID[:])
}

// Unresolved gives every payment that is not final, oldest first.
func (j *Journal) Unresolved() ([]flow.Intent, error) {
	var out []flow.Intent
	err := j.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketOpen).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			i, err := parseIntent(tx.Bucket(bucketPayments).Get(k))
			if err != nil || !bytes.Equal(i.ID[:], k) {
				return fmt.Errorf("%w: open payment %x: %w", ErrDamaged, k, errors.Join(ErrRecord, err))
			}
			out = append(out, i)
		}
		return nil
	})
	return out, err
}

// Payment gives one payment.
func (j *Journal) Payment(id si.PaymentID) (i flow.Intent, found bool, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketPayments).Get(id[:])
		if v == nil {
			return nil
		}
		found = true
		i, err = parseIntent(v)
		return err
	})
	return i, found, err
}
