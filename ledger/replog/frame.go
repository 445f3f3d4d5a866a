package replog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// Sizes of the log on disk, in bytes.
const (
	frameHeader   = 40 // len, crc32c, prev_crc, type, flags, index, term, appended_at
	segmentHeader = 64

	// MaxFrame bounds one log entry. A batch is at most MaxBatchBytes and one
	// record more; raft's own entries are a few hundred bytes.
	MaxFrame = 1 << 20
)

// flagWrite marks the first frame of one write. A write begins only after the
// one before it was synced, so a sound frame with this flag proves that
// everything in front of it had been durable.
const flagWrite = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The ways in which bytes are no frame.
var (
	errNoFrame = errors.New("nothing written here")
	errFrame   = errors.New("no sound frame")
)

// frame is one decoded log entry. data points into the bytes it was read from.
type frame struct {
	crc   uint32
	prev  uint32
	kind  raft.LogType
	flags uint8
	index uint64
	term  uint64
	at    int64 // Unix nanoseconds, 0 for none
	data  []byte
}

// frameSize is the place a frame with n bytes of data takes, padding included.
func frameSize(n int) int { return (frameHeader + n + 7) &^ 7 }

// appendFrame appends the frame of l behind the one whose checksum is prev, and
// returns the new frame's checksum.
func appendFrame(dst []byte, l *raft.Log, prev uint32, flags uint8) ([]byte, uint32) {
	start := len(dst)
	var h [frameHeader]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(frameHeader+len(l.Data)))
	binary.LittleEndian.PutUint32(h[8:], prev)
	h[12], h[13] = byte(l.Type), flags
	binary.LittleEndian.PutUint64(h[16:], l.Index)
	binary.LittleEndian.PutUint64(h[24:], l.Term)
	if !l.AppendedAt.IsZero() {
		binary.LittleEndian.PutUint64(h[32:], uint64(l.AppendedAt.UnixNano()))
	}
	dst = append(dst, h[:]...)
	dst = append(dst, l.Data...)
	crc := frameCRC(dst[start:])
	binary.LittleEndian.PutUint32(dst[start+4:], crc)
	for len(dst)-start < frameSize(len(l.Data)) {
		dst = append(dst, 0)
	}
	return dst, crc
}

// frameCRC covers the length field and everything behind the checksum field.
func frameCRC(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[:4], castagnoli), castagnoli, f[8:])
}

// parseFrame reads the frame at the start of b and how many bytes it takes. It
// proves the frame sound in itself; whether it continues the log is linked's
// question. errNoFrame means that the length field is zero.
func parseFrame(b []byte) (frame, int, error) {
	var f frame
	if len(b) < frameHeader {
		if len(trimZeros(b)) == 0 {
			return f, 0, errNoFrame
		}
		return f, 0, errFrame
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n == 0 {
		return f, 0, errNoFrame
	}
	if n < frameHeader || n > MaxFrame || n > len(b) || b[13]&^flagWrite != 0 || b[14] != 0 || b[15] != 0 {
		return f, 0, errFrame
	}
	size := frameSize(n - frameHeader)
	if len(trimZeros(b[n:min(size, len(b))])) != 0 { // a file's end reads as zeros
		return f, 0, errFrame
	}
	f.crc = binary.LittleEndian.Uint32(b[4:])
	if frameCRC(b[:n]) != f.crc {
		return f, 0, errFrame
	}
	f.prev = binary.LittleEndian.Uint32(b[8:])
	f.kind, f.flags = raft.LogType(b[12]), b[13]
	f.index = binary.LittleEndian.Uint64(b[16:])
	f.term = binary.LittleEndian.Uint64(b[24:])
	f.at = int64(binary.LittleEndian.Uint64(b[32:]))
	f.data = b[frameHeader:n]
	return f, size, nil
}

// fill copies f into a raft entry that keeps nothing of f's bytes.
func (f *frame) fill(l *raft.Log) {
	*l = raft.Log{Index: f.index, Term: f.term, Type: f.kind, Data: append([]byte(nil), f.data...)}
	if f.at != 0 {
		l.AppendedAt = time.Unix(0, f.at)
	}
}

// trimZeros cuts the zero bytes at the end of b.
func trimZeros(b []byte) []byte {
	for len(b) >= 8 && binary.LittleEndian.Uint64(b[len(b)-8:]) == 0 {
		b = b[:len(b)-8]
	}
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// header is the first 64 bytes of a segment.
type header struct {
	first uint64 // index of the first entry
	prev  uint32 // checksum of the frame before it, 0 for the first of all
}

var segmentMagic = [8]byte{'S', 'H', 'B', 'S', 'E', 'G', '0', '1'}

func appendHeader(dst []byte, h header) []byte {
	var b [segmentHeader]byte
	copy(b[:], segmentMagic[:])
	binary.LittleEndian.PutUint64(b[8:], h.first)
	binary.LittleEndian.PutUint32(b[16:], h.prev)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return append(dst, b[:]...)
}

func parseHeader(b []byte) (header, error) {
	if len(b) < segmentHeader || len(trimZeros(b[:segmentHeader])) == 0 {
		return header{}, errNoFrame
	}
	if [8]byte(b[:8]) != segmentMagic || crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return header{}, fmt.Errorf("%w: segment header", errFrame)
	}
	return header{first: binary.LittleEndian.Uint64(b[8:]), prev: binary.LittleEndian.Uint32(b[16:])}, nil
}
