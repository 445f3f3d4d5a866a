package rivals

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// boltEngine keeps everything in one bbolt file.
type boltEngine struct {
	db  *bolt.DB
	seq uint64
}

var (
	boltDues     = []byte("due")
	boltPays     = []byte("pay")
	boltLines    = []byte("line")
	boltAccounts = []byte("acct")
)

// Bolt makes a file with so many dues, numbered from 1, each of the amount.
func Bolt(path string, dues int, amount int64) (*Taker, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: 4 << 30})
	if err != nil {
		return nil, wrong("open bbolt", err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{boltPays, boltLines, boltAccounts} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		b, err := tx.CreateBucket(boltDues)
		if err != nil {
			return err
		}
		b.FillPercent = 1
		row := binary.BigEndian.AppendUint64(nil, uint64(amount))
		row = append(row, make([]byte, 48)...) // person, fund, period and what else a due says
		row[8] = stateOpen
		row[9] = 1 // version
		for i := range dues {
			if err := b.Put(binary.BigEndian.AppendUint64(nil, uint64(i+1)), row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		_ = db.Close()
		return nil, wrong("fill bbolt", err)
	}
	return newTaker(&boltEngine{db: db}), nil
}

// States of a due in the rivals' rows.
const (
	stateOpen = 1
	statePaid = 2
)

func (e *boltEngine) pid() int { return 0 }

func (e *boltEngine) close() error { return e.db.Close() }

func (e *boltEngine) commit(batch []payment) error {
	return e.db.Update(func(tx *bolt.Tx) error {
		dues, pays, lines, accts := tx.Bucket(boltDues), tx.Bucket(boltPays), tx.Bucket(boltLines), tx.Bucket(boltAccounts)
		var sum uint64
		for i := range batch {
			p := &batch[i]
			ok, err := e.pay(p, dues, pays, lines)
			if err != nil {
				return err
			}
			if ok {
				sum += uint64(p.Total)
			}
		}
		for _, code := range []uint64{lineClearing, linePool} {
			key := binary.BigEndian.AppendUint64(nil, code)
			was := uint64(0)
			if v := accts.Get(key); v != nil {
				was = binary.BigEndian.Uint64(v)
			}
			if err := accts.Put(key, binary.BigEndian.AppendUint64(nil, was+sum)); err != nil {
				return err
			}
		}
		return nil
	})
}

// pay does one payment and tells whether it was one.
func (e *boltEngine) pay(p *payment, dues, pays, lines *bolt.Bucket) (bool, error) {
	if pays.Get(p.ID[:]) != nil {
		p.code = ledgerapi.Exists
		return false, nil
	}
	key := binary.BigEndian.AppendUint64(nil, uint64(p.Dues[0].ID))
	row := append([]byte(nil), dues.Get(key)...)
	if len(row) == 0 || row[8] != stateOpen || row[9] != byte(p.Dues[0].Version) || binary.BigEndian.Uint64(row) != uint64(p.Total) {
		p.code = ledgerapi.DuePaid
		return false, nil
	}
	row[8] = statePaid
	copy(row[16:], p.ID[:])
	if err := dues.Put(key, row); err != nil {
		return false, err
	}
	e.seq++
	v := append(make([]byte, 0, 128), p.HostSerial...)
	v = binary.BigEndian.AppendUint64(v, uint64(p.Dues[0].ID))
	v = binary.BigEndian.AppendUint64(v, uint64(p.Total))
	v = binary.BigEndian.AppendUint64(v, e.seq)
	v = append(v, make([]byte, 80)...) // dates, states, numbers
	if err := pays.Put(p.ID[:], v); err != nil {
		return false, err
	}
	for i, code := range []uint64{lineClearing, linePool, lineIndiv, lineLate} {
		line := append(make([]byte, 0, 32), p.ID[:]...)
		line = binary.BigEndian.AppendUint64(line, code)
		line = binary.BigEndian.AppendUint64(line, uint64(p.Total))
		if err := lines.Put(binary.BigEndian.AppendUint64(nil, 4*e.seq+uint64(i)), line); err != nil {
			return false, err
		}
	}
	p.code, p.receipt = ledgerapi.OK, uint32(e.seq)
	return true, nil
}
