package replog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The end mark says how far the log had been synced. After a fall of the
// machine, the bytes behind the last sound frame may be a write that was never
// acknowledged, or an acknowledged one that was damaged since: the mark tells
// them apart, because it is only ever written behind the sync it speaks of. It
// is not synced itself, so a kill loses none of it and a power failure at most
// what the kernel had not written back.
const (
	markSlot  = 512 // one sector each, so that a torn write spares the other
	markBytes = 24  // magic, crc32c, sequence, index
	markMagic = 0x4B52414D
)

type mark struct {
	f     File
	seq   uint64
	index uint64
	buf   [markBytes]byte
}

func openMark(files Files, path string) (*mark, error) {
	f, err := files.Open(path, true)
	if err != nil {
		return nil, err
	}
	b, err := readFile(f, nil)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m := &mark{f: f}
	m.seq, m.index = parseMark(b)
	return m, nil
}

// parseMark gives the newest sound slot, or zeros.
func parseMark(b []byte) (seq, index uint64) {
	for _, at := range [2]int{0, markSlot} {
		if len(b) < at+markBytes {
			continue
		}
		s := b[at : at+markBytes]
		if binary.LittleEndian.Uint32(s) != markMagic ||
			binary.LittleEndian.Uint32(s[4:]) != crc32.Checksum(s[8:], castagnoli) {
			continue
		}
		if n := binary.LittleEndian.Uint64(s[8:]); n >= seq {
			seq, index = n, binary.LittleEndian.Uint64(s[16:])
		}
	}
	return seq, index
}

// set writes the next slot.
func (m *mark) set(index uint64) error {
	m.seq++
	m.index = index
	binary.LittleEndian.PutUint32(m.buf[0:], markMagic)
	binary.LittleEndian.PutUint64(m.buf[8:], m.seq)
	binary.LittleEndian.PutUint64(m.buf[16:], index)
	binary.LittleEndian.PutUint32(m.buf[4:], crc32.Checksum(m.buf[8:], castagnoli))
	_, err := m.f.WriteAt(m.buf[:], int64(m.seq%2)*markSlot)
	return err
}
