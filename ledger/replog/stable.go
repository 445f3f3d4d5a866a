package replog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
	"sync"
)

// errKeyNotFound has the text that raft compares.
var errKeyNotFound = errors.New("not found")

// maxStable bounds raft's small file: three keys of a few bytes each.
const maxStable = 4 << 10

var stableMagic = [8]byte{'S', 'H', 'B', 'M', 'E', 'T', '0', '1'}

// stable keeps raft's term and vote in one small file, replaced whole.
type stable struct {
	mu    sync.Mutex
	files Files
	path  string
	fatal func(error)
	vals  map[string][]byte
}

func openStable(files Files, path string, fatal func(error)) (*stable, error) {
	b, err := readAll(files, path)
	if err != nil {
		return nil, fmt.Errorf("replog: read %s: %w", path, err)
	}
	s := &stable{files: files, path: path, fatal: fatal, vals: map[string][]byte{}}
	if b == nil {
		return s, nil
	}
	if s.vals, err = parseStable(b); err != nil {
		return nil, fmt.Errorf("replog: %s: %w; it holds this node's vote, so it must come from a backup", path, err)
	}
	return s, nil
}

// parseStable reads magic, count, (key, value) with u16 lengths, crc32c.
func parseStable(b []byte) (map[string][]byte, error) {
	bad := errors.New("term and vote are damaged")
	if len(b) < 16 || len(b) > maxStable || [8]byte(b[:8]) != stableMagic {
		return nil, bad
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, bad
	}
	vals := map[string][]byte{}
	rest := body[12:]
	take := func() []byte {
		if len(rest) < 2 || len(rest) < 2+int(binary.LittleEndian.Uint16(rest)) {
			return nil
		}
		n := int(binary.LittleEndian.Uint16(rest))
		v := rest[2 : 2+n : 2+n]
		rest = rest[2+n:]
		return v
	}
	for i := binary.LittleEndian.Uint32(body[8:]); i > 0; i-- {
		k := take()
		v := take()
		if k == nil || v == nil {
			return nil, bad
		}
		vals[string(k)] = append([]byte{}, v...)
	}
	if len(rest) != 0 {
		return nil, bad
	}
	return vals, nil
}

func appendStable(dst []byte, vals map[string][]byte) []byte {
	keys := make([]string, 0, len(vals))
	for k := range vals {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	dst = append(dst, stableMagic[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(keys)))
	for _, k := range keys {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(k)))
		dst = append(dst, k...)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(vals[k])))
		dst = append(dst, vals[k]...)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// Set keeps val under key, durably.
func (s *stable) Set(key, val []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vals[string(key)] = append([]byte{}, val...)
	b := appendStable(nil, s.vals)
	if len(b) > maxStable {
		return fmt.Errorf("replog: %d bytes of term and vote, at most %d", len(b), maxStable)
	}
	if err := writeDurable(s.files, s.path, b); err != nil {
		err = fmt.Errorf("replog: write %s: %w", s.path, err)
		s.fatal(err)
		return err
	}
	return nil
}

// Get returns the value kept under key.
func (s *stable) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.vals[string(key)]
	if !ok {
		return nil, errKeyNotFound
	}
	return append([]byte{}, v...), nil
}

// SetUint64 keeps val under key, durably.
func (s *stable) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.LittleEndian.AppendUint64(nil, val))
}

// GetUint64 returns the number kept under key.
func (s *stable) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("replog: %s holds %d bytes under %q where a number belongs", s.path, len(v), key)
	}
	return binary.LittleEndian.Uint64(v), nil
}

// reset forgets everything: a log that was never written promised nothing.
func (s *stable) reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vals = map[string][]byte{}
	return writeDurable(s.files, s.path, appendStable(nil, nil))
}
