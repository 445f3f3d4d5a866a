package replog

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets is a histogram in powers of two: Buckets[i] counts values v with
// 2^(i-1) ≤ v < 2^i; the last one counts everything above.
type Buckets [24]uint64

// Stats are the log's counters since it was opened.
type Stats struct {
	Appends      uint64 // writes, each with one sync
	Bytes        uint64 // written, frames and headers
	SyncNanos    uint64 // time in write and sync, summed
	SyncMicros   Buckets
	Segments     uint64 // begun
	TornTails    uint64 // cut when the log was opened
	Batches      uint64 // given to raft
	Records      uint64 // in those batches
	BatchRecords Buckets
	Unknown      uint64 // records whose outcome was lost
	Queued       int    // records waiting for a batch now
	FirstIndex   uint64
	LastIndex    uint64
}

// histogram counts without a lock.
type histogram [24]atomic.Uint64

func (h *histogram) add(v uint64) { h[min(bits.Len64(v), len(h)-1)].Add(1) }

func (h *histogram) read() (b Buckets) {
	for i := range h {
		b[i] = h[i].Load()
	}
	return b
}

type storeStats struct {
	appends, bytes, nanos, segments, torn atomic.Uint64
	micros                                histogram
}

func (s *storeStats) append(n int, took time.Duration) {
	s.appends.Add(1)
	s.bytes.Add(uint64(n))
	s.nanos.Add(uint64(took))
	s.micros.add(uint64(took.Microseconds()))
}

// Stats reads the store's counters.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{
		Appends: s.stats.appends.Load(), Bytes: s.stats.bytes.Load(), SyncNanos: s.stats.nanos.Load(),
		SyncMicros: s.stats.micros.read(), Segments: s.stats.segments.Load(), TornTails: s.stats.torn.Load(),
		FirstIndex: s.first, LastIndex: s.last,
	}
}
