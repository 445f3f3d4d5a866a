package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/shebao-pay/shebao/terminal/flow"
)

// Batch gives the first records that the hub has not acknowledged, at most
// MaxBatch and at most maxBytes of them: hash and body of each, as the hub
// keeps them.
func (j *Journal) Batch(maxBytes int) (first uint64, records [][]byte, err error) {
	j.mu.Lock()
	first = j.acked + 1
	j.mu.Unlock()
	err = j.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketRecords).Cursor()
		size := 0
		for k, v := c.Seek(u64(first)); k != nil && len(records) < MaxBatch; k, v = c.Next() {
			if len(v) < 64 {
				return fmt.Errorf("%w: record cut short", ErrDamaged)
			}
			if size += len(v) - 32; size > maxBytes && len(records) > 0 {
				return nil
			}
			records = append(records, append([]byte(nil), v[32:]...))
		}
		return nil
	})
	return first, records, err
}

// Acknowledge notes that the hub has all records up to head.
func (j *Journal) Acknowledge(head uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return ErrBroken
	}
	if head <= j.acked {
		return nil
	}
	if head > j.head {
		return fmt.Errorf("journal: the hub acknowledges record %d, the newest is %d", head, j.head)
	}
	if err := j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyAcked, u64(head)) }); err != nil {
		j.broken = true
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	j.acked = head
	return nil
}

// Prune removes records that are acknowledged and older than Keep, and the
// final payments of that time. What the hub has not acknowledged stays.
func (j *Journal) Prune(now time.Time) (removed int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return 0, ErrBroken
	}
	before := now.Add(-Keep)
	var archived []string
	err = j.db.Update(func(tx *bolt.Tx) error {
		n, err := pruneRecords(tx, j.acked, before)
		if err != nil {
			return err
		}
		removed = n
		archived, err = prunePayments(tx, before)
		return err
	})
	if err != nil {
		j.broken = true
		return 0, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	for _, id := range archived {
		j.waiting = append(j.waiting, Record{Seq: 1, At: now, Entry: flow.Entry{Kind: KindArchived, Ref: id, Word: flow.Archived.String()}})
	}
	return removed, nil
}

// KindArchived is the kind of the record that a payment's removal leaves.
const KindArchived = "archived"

func pruneRecords(tx *bolt.Tx, acked uint64, before time.Time) (int, error) {
	b := tx.Bucket(bucketRecords)
	c := b.Cursor()
	var gone [][]byte
	for k, v := c.First(); k != nil && len(gone) < maxPrune; k, v = c.Next() {
		seq, _, _, body, err := split(k, v)
		if err != nil {
			return 0, err
		}
		r, err := Parse(body)
		if err != nil {
			return 0, err
		}
		if seq > acked || !r.At.Before(before) {
			break
		}
		gone = append(gone, append([]byte(nil), k...))
	}
	if len(gone) == 0 {
		return 0, nil
	}
	for _, k := range gone {
		if err := b.Delete(k); err != nil {
			return 0, err
		}
	}
	last := binary.BigEndian.Uint64(gone[len(gone)-1])
	return len(gone), tx.Bucket(bucketMeta).Put(keyFirst, u64(last+1))
}

// prunePayments archives final payments. Ids begin with their time, so the
// cursor stops at the first young one.
func prunePayments(tx *bolt.Tx, before time.Time) ([]string, error) {
	b := tx.Bucket(bucketPayments)
	c := b.Cursor()
	var gone []string
	var keys [][]byte
	for k, v := c.First(); k != nil && len(keys) < MaxWaiting; k, v = c.Next() {
		i, err := parseIntent(v)
		if err != nil {
			return nil, err
		}
		if i.ID.Millis() >= before.UnixMilli() {
			break
		}
		if !i.Open() && flow.MayFollow(i.State, flow.Archived) {
			keys, gone = append(keys, append([]byte(nil), k...)), append(gone, i.ID.String())
		}
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// Check walks the whole journal: every link of the chain, every record, and
// that each payment stands as its last record says.
func (j *Journal) Check() error {
	return guard(func() error { return j.db.View(checkAll) })
}

func checkAll(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	first := binary.BigEndian.Uint64(meta.Get(keyFirst))
	want, prev := first, genesis(string(meta.Get(keyTerminal)))
	last := map[string][]byte{}
	err := each(tx, bucketRecords, func(k, v []byte) error {
		seq, before, hash, body, err := split(k, v)
		if err != nil {
			return err
		}
		if seq != want || (before != prev && (seq != first || first == 1)) {
			return fmt.Errorf("%w: record %d does not follow record %d", ErrDamaged, seq, want-1)
		}
		r, err := Parse(body)
		if err != nil || r.Seq != seq {
			return fmt.Errorf("%w: record %d: %w", ErrDamaged, seq, err)
		}
		if r.Payment != nil {
			b, err := json.Marshal(fromIntent(r.Payment))
			if err != nil {
				return err
			}
			last[r.Payment.ID.String()] = b
		}
		want, prev = seq+1, hash
		return nil
	})
	if err != nil {
		return err
	}
	if h := meta.Get(keyHead); !bytes.Equal(h[:8], u64(want-1)) || want > first && !bytes.Equal(h[8:], prev[:]) {
		return fmt.Errorf("%w: the chain ends at record %d, the head says %d", ErrDamaged, want-1, binary.BigEndian.Uint64(h))
	}
	return checkPayments(tx, last, first)
}

// each visits a bucket in order and wants every key to be found where it stands:
// in a damaged tree a walk can meet what a search does not.
func each(tx *bolt.Tx, bucket []byte, visit func(k, v []byte) error) error {
	b := tx.Bucket(bucket)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if !bytes.Equal(b.Get(k), v) {
			return fmt.Errorf("%w: %s %x is not where it belongs", ErrDamaged, bucket, k)
		}
		if err := visit(k, v); err != nil {
			return err
		}
	}
	return nil
}

// checkPayments compares the payments with their last records, and the list of
// open ones with them. A payment whose records were pruned has none left.
func checkPayments(tx *bolt.Tx, last map[string][]byte, first uint64) error {
	listed := 0
	if err := each(tx, bucketOpen, func(_, _ []byte) error { listed++; return nil }); err != nil {
		return err
	}
	err := each(tx, bucketPayments, func(k, v []byte) error {
		i, err := parseIntent(v)
		if err != nil || !bytes.Equal(k, i.ID[:]) {
			return fmt.Errorf("%w: payment %x", ErrDamaged, k)
		}
		b, ok := last[i.ID.String()]
		if (!ok && first == 1) || (ok && !bytes.Equal(b, v)) {
			return fmt.Errorf("%w: payment %s does not stand as its last record says", ErrDamaged, i.ID)
		}
		open := tx.Bucket(bucketOpen).Get(k) != nil
		if open != i.Open() {
			return fmt.Errorf("%w: payment %s in the list of open ones: %v, want %v", ErrDamaged, i.ID, open, i.Open())
		}
		if open {
			listed--
		}
		delete(last, i.ID.String())
		return nil
	})
	if err != nil {
		return err
	}
	if listed != 0 {
		return fmt.Errorf("%w: the list of open payments has %d without one", ErrDamaged, listed)
	}
	for id := range last {
		if first == 1 {
			return fmt.Errorf("%w: payment %s is missing", ErrDamaged, id)
		}
	}
	return nil
}
