// Package store is the ledger's materialised state in one bbolt file: the rows
// of a checkpoint, with the log position at which it stands, written in one
// transaction.
//
// The log is the truth; this file is what a start need not replay, and where
// history is read from that has left memory. A [Store] is the machine's
// core.Past. A checkpoint is written by [Store.Save] in sorted order, so that a
// transaction touches few pages, and it is either whole or absent.
//
// The buckets and keys are described in docs/format/state-bolt.md. The rows'
// own bytes belong to ledger/core. Left out: any repair; a file that does not fit
// is replaced by a replay.
package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
)

// Schema is the version of the bucket layout. A file of another one is refused;
// it is built anew from the log.
const Schema = 3

// The store's own bucket beside those of core.
var (
	nodeBucket  = []byte("node")
	keySchema   = []byte("schema")
	keyLedger   = []byte("ledger")
	keyPosition = []byte("position")
)

const (
	// mapSize is reserved address space, so that a growing file rarely makes a
	// reader wait for a new mapping.
	mapSize = 1 << 30
	// lockWait is how long another process may hold the file. The node's own
	// lock has been taken before, so nobody does.
	lockWait = time.Second
)

// Errors of the store.
var (
	// ErrSchema is returned for a file of an earlier version: it is built anew
	// from the log.
	ErrSchema = errors.New("store: the state file is of an earlier version")
	// ErrNewer is returned for a file of a later version.
	ErrNewer = errors.New("store: the state file is of a later version than this program; install that version")
	// ErrForeign is returned for a file of another region's ledger.
	ErrForeign = errors.New("store: this is another ledger's state file")
	// ErrDamaged is returned for a file whose own rows do not read.
	ErrDamaged = errors.New("store: the state file is damaged; move it away and the next start builds it from the log")
)

// Position is where in the log a checkpoint stands. The last two fields are
// replog's and opaque here.
type Position struct {
	Index       uint64
	Term        uint64
	Head        [32]byte // chain head at Index
	ConfigIndex uint64
	Config      []byte
}

// Options say which ledger the file belongs to.
type Options struct {
	Region   si.Region
	Area     si.AreaCode
	ReadOnly bool
	// Scratch files are never synced; they are thrown away.
	Scratch bool
}

// Store is an open state file.
type Store struct {
	db  *bolt.DB
	val []byte // what the last Get returned
}

// Open opens the file, and makes it unless it is opened read-only. A missing
// file opened read-only gives fs.ErrNotExist.
func Open(path string, opt Options) (*Store, error) {
	if _, err := os.Stat(path); opt.ReadOnly && err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockWait, ReadOnly: opt.ReadOnly, FreelistType: bolt.FreelistMapType,
		InitialMmapSize: mapSize, NoStatistics: true, NoSync: opt.Scratch,
	})
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	s := &Store{db: db}
	if !opt.ReadOnly {
		err = guard(func() error { return db.Update(func(tx *bolt.Tx) error { return initialise(tx, opt) }) })
	}
	if err == nil {
		err = guard(func() error { return db.View(func(tx *bolt.Tx) error { return belongs(tx, opt) }) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), db.Close())
	}
	return s, nil
}

func ledgerID(opt Options) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(opt.Region))
	return binary.LittleEndian.AppendUint32(b, uint32(opt.Area))
}

// initialise makes the buckets of a new file.
func initialise(tx *bolt.Tx, opt Options) error {
	if tx.Bucket(nodeBucket) != nil {
		return nil
	}
	n, err := tx.CreateBucket(nodeBucket)
	if err != nil {
		return err
	}
	if err := n.Put(keySchema, binary.LittleEndian.AppendUint32(nil, Schema)); err != nil {
		return err
	}
	if err := n.Put(keyLedger, ledgerID(opt)); err != nil {
		return err
	}
	for _, b := range core.Buckets() {
		if _, err := tx.CreateBucketIfNotExists([]byte(b.String())); err != nil {
			return err
		}
	}
	return nil
}

// belongs checks that the file is of this version and this ledger.
func belongs(tx *bolt.Tx, opt Options) error {
	n := tx.Bucket(nodeBucket)
	if n == nil {
		return ErrDamaged
	}
	v := n.Get(keyLedger)
	if len(v) != 6 {
		return fmt.Errorf("%w: it does not say whose ledger it is", ErrDamaged)
	}
	if !bytes.Equal(v, ledgerID(opt)) {
		return fmt.Errorf("%w: it is of region %d, area %s, this node of region %d, area %s", ErrForeign,
			binary.LittleEndian.Uint16(v), si.AreaCode(binary.LittleEndian.Uint32(v[2:])), opt.Region, opt.Area)
	}
	if v = n.Get(keySchema); len(v) != 4 {
		return fmt.Errorf("%w: it does not say its version", ErrDamaged)
	}
	switch has := binary.LittleEndian.Uint32(v); {
	case has < Schema:
		return fmt.Errorf("%w: schema %d, this program has %d", ErrSchema, has, Schema)
	case has > Schema:
		return fmt.Errorf("%w: schema %d, this program has %d", ErrNewer, has, Schema)
	}
	for _, b := range core.Buckets() {
		if tx.Bucket([]byte(b.String())) == nil {
			return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, b)
		}
	}
	return nil
}

// Owned is whose ledger a state file is, and where it stands.
type Owned struct {
	Options
	Position // of the last checkpoint
}

// Owner reads whose ledger a state file is, of whatever version.
func Owner(path string) (Owned, error) {
	var o Owned
	if _, err := os.Stat(path); err != nil {
		return o, fmt.Errorf("store: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return o, fmt.Errorf("store: open %s: %w", path, err)
	}
	err = guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			n := tx.Bucket(nodeBucket)
			if n == nil || len(n.Get(keyLedger)) != 6 {
				return fmt.Errorf("%w: it does not say whose ledger it is", ErrDamaged)
			}
			v := n.Get(keyLedger)
			o.Region = si.Region(binary.LittleEndian.Uint16(v))
			o.Area = si.AreaCode(binary.LittleEndian.Uint32(v[2:]))
			if v = n.Get(keyPosition); v == nil {
				return nil
			}
			var err error
			o.Position, err = parsePosition(v)
			return err
		})
	})
	return o, errors.Join(err, db.Close())
}

// guard makes an error of what bbolt does with a damaged file: it panics, or
// reads outside its mapping.
func guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return read()
}

// Close closes the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Position is where the last checkpoint stands; Index 0 means that there is none.
func (s *Store) Position() (Position, error) {
	var p Position
	err := guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			v := tx.Bucket(nodeBucket).Get(keyPosition)
			if v == nil {
				return nil
			}
			var err error
			p, err = parsePosition(v)
			return err
		})
	})
	return p, err
}

// positionFixed is the encoded size of a Position without its member list.
const positionFixed = 8 + 8 + 32 + 8

func appendPosition(dst []byte, p Position) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, p.Index)
	dst = binary.LittleEndian.AppendUint64(dst, p.Term)
	dst = append(dst, p.Head[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, p.ConfigIndex)
	return append(dst, p.Config...)
}

func parsePosition(b []byte) (Position, error) {
	if len(b) < positionFixed {
		return Position{}, fmt.Errorf("%w: the log position has %d bytes", ErrDamaged, len(b))
	}
	p := Position{
		Index: binary.LittleEndian.Uint64(b), Term: binary.LittleEndian.Uint64(b[8:]),
		ConfigIndex: binary.LittleEndian.Uint64(b[48:]), Config: bytes.Clone(b[positionFixed:]),
	}
	copy(p.Head[:], b[16:48])
	return p, nil
}

// historyFill packs pages that only ever grow at their right edge.
const historyFill = 0.95

// Save writes one checkpoint: each gives the rows in ascending order of bucket
// and key, and at is where they stand. It is durable when Save returns nil;
// after an error nothing of it is there, and the process must not go on.
func (s *Store) Save(at Position, each func(visit func(core.Change) error) error) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		var cur core.Bucket
		var b *bolt.Bucket
		err := each(func(c core.Change) error {
			if b == nil || c.Bucket != cur {
				cur, b = c.Bucket, tx.Bucket([]byte(c.Bucket.String()))
				if b == nil {
					return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, c.Bucket)
				}
				if cur.Grows() {
					b.FillPercent = historyFill
				}
			}
			if c.Value == nil {
				return b.Delete(c.Key)
			}
			return b.Put(c.Key, c.Value)
		})
		if err != nil {
			return err
		}
		return tx.Bucket(nodeBucket).Put(keyPosition, appendPosition(nil, at))
	})
	if err != nil {
		return fmt.Errorf("store: write a checkpoint: %w", err)
	}
	return nil
}

// Load feeds the live buckets to restore, which asks for each row behind the
// last, or from a key on. The rows are valid until restore returns.
func (s *Store) Load(restore func(next func(b core.Bucket, from []byte) (core.Change, bool, error)) error) error {
	return guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			f := loader{tx: tx}
			return restore(f.next)
		})
	})
}

// loader walks the live buckets.
type loader struct {
	tx     *bolt.Tx
	bucket core.Bucket
	cur    *bolt.Cursor
}

func (f *loader) next(bucket core.Bucket, from []byte) (core.Change, bool, error) {
	var k, v []byte
	switch {
	case bucket == f.bucket && from == nil:
		k, v = f.cur.Next()
	case bucket == f.bucket:
		k, v = f.cur.Seek(from)
	default:
		b := f.tx.Bucket([]byte(bucket.String()))
		if b == nil {
			return core.Change{}, false, fmt.Errorf("%w: bucket %s is missing", ErrDamaged, bucket)
		}
		f.bucket, f.cur = bucket, b.Cursor()
		if k, v = f.cur.First(); k != nil && from != nil {
			k, v = f.cur.Seek(from)
		}
	}
	return core.Change{Bucket: bucket, Key: k, Value: v}, k != nil, nil
}

// Get gives the value of a key, valid until the next call. It is core.Past: the
// machine's owner serialises the calls.
func (s *Store) Get(b core.Bucket, key []byte) (value []byte, ok bool) {
	s.view(func(tx *bolt.Tx) {
		v := tx.Bucket([]byte(b.String())).Get(key)
		s.val, ok = append(s.val[:0], v...), v != nil
	})
	return s.val, ok
}

// view reads. It fails only on a closed file, and an answer made up for that
// could pay a due twice.
func (s *Store) view(read func(tx *bolt.Tx)) {
	if err := s.db.View(func(tx *bolt.Tx) error { read(tx); return nil }); err != nil {
		panic(fmt.Sprintf("store: read history: %v", err))
	}
}

// Differ visits the rows in which two files differ, of all buckets, until visit
// returns false. A nil value says that the row is not there.
func Differ(a, b *Store, visit func(b core.Bucket, key, inA, inB []byte) bool) error {
	return guard(func() error {
		return a.db.View(func(ta *bolt.Tx) error {
			return b.db.View(func(tb *bolt.Tx) error {
				for _, k := range core.Buckets() {
					name := []byte(k.String())
					if !differ(ta.Bucket(name).Cursor(), tb.Bucket(name).Cursor(), func(key, inA, inB []byte) bool {
						return visit(k, key, inA, inB)
					}) {
						return nil
					}
				}
				return nil
			})
		})
	})
}

// differ walks two buckets side by side.
func differ(a, b *bolt.Cursor, visit func(key, inA, inB []byte) bool) bool {
	ka, va := a.First()
	kb, vb := b.First()
	for ka != nil || kb != nil {
		order := bytes.Compare(ka, kb)
		switch {
		case kb == nil || ka != nil && order < 0:
			if !visit(ka, va, nil) {
				return false
			}
			ka, va = a.Next()
		case ka == nil || order > 0:
			if !visit(kb, nil, vb) {
				return false
			}
			kb, vb = b.Next()
		default:
			if !bytes.Equal(va, vb) && !visit(ka, va, vb) {
				return false
			}
			ka, va = a.Next()
			kb, vb = b.Next()
		}
	}
	return true
}

// Size is the file's length in bytes.
func (s *Store) Size() (n int64) {
	_ = s.db.View(func(tx *bolt.Tx) error { n = tx.Size(); return nil })
	return n
}

// Missing tells whether err says that there is no state file.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
