package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/ledger/replog"
)

// A mark is an entry of the log that is no batch: the leader's sum of its state
// at an earlier entry (docs/format/ledger-log.md). Each node has taken its own
// sum there; one that differs has computed something else from the same log.
const (
	markByte    = 0xFE // no type of a record
	markVersion = 1
	markSize    = 2 + 8 + 32

	// sumEvery is how many entries lie between two sums: a fraction of a second
	// under load, and nothing that a batch would feel.
	sumEvery = 1024
	// sumsKept is how many of its own sums a node remembers: the leader's mark
	// follows within a few entries, or after as many batches as are under way.
	sumsKept = 16
)

// ErrDiverged ends a node whose state differs from the leader's.
var ErrDiverged = errors.New("ledger: this node's state differs from the leader's")

// mark is the leader's sum at an entry.
type mark struct {
	index uint64
	sum   [32]byte
}

func isMark(data []byte) bool { return len(data) > 0 && data[0] == markByte }

func appendMark(dst []byte, m mark) []byte {
	dst = append(dst, markByte, markVersion)
	dst = binary.LittleEndian.AppendUint64(dst, m.index)
	return append(dst, m.sum[:]...)
}

func parseMark(b []byte) (m mark, err error) {
	if len(b) != markSize || b[0] != markByte || b[1] != markVersion {
		return m, fmt.Errorf("%w: a mark of %d bytes that this program does not know", core.ErrLog, len(b))
	}
	m.index = binary.LittleEndian.Uint64(b[2:])
	copy(m.sum[:], b[10:])
	return m, nil
}

// sums are the sums that a node took of its own state.
type sums struct {
	kept [sumsKept]mark
	next int
}

// take takes the sum when a batch has crossed a multiple of sumEvery. Every node
// that applies the same log does so at the same entries.
func (s *sums) take(before, index uint64, m *core.Machine) (mark, bool) {
	if before/sumEvery == index/sumEvery {
		return mark{}, false
	}
	k := mark{index, m.Sum()}
	s.kept[s.next] = k
	s.next = (s.next + 1) % sumsKept
	return k, true
}

// judge holds a mark of the log against this node's own sum, if it has one.
func (s *sums) judge(data []byte) error {
	k, err := parseMark(data)
	if err != nil {
		return err
	}
	for _, own := range s.kept {
		if own.index == k.index && own.sum != k.sum {
			return fmt.Errorf("%w: at entry %d its sum is %x and the leader's %x; keep this folder for those who "+
				"look for the reason, and let the node join again with an empty one", ErrDiverged, k.index, own.sum, k.sum)
		}
	}
	return nil
}

// applyMark is Apply for an entry that is no batch.
func (n *Node) applyMark(e replog.Entry) {
	if n.cfg.NullState {
		return
	}
	if err := n.sums.judge(e.Data); err != nil {
		n.cfg.Fatal(err)
	}
}
