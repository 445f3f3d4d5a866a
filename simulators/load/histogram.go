package load

import (
	"math/bits"
	"time"
)

// A histogram counts latencies in microseconds: one bucket each up to 127, then
// 64 buckets a doubling, so that a value is known to 1.6 %, up to two minutes;
// longer ones count as the last bucket.
const (
	subBits  = 6
	linear   = 2 << subBits
	doubles  = 20
	nBuckets = linear + doubles<<subBits
)

type histogram struct {
	n       uint64
	buckets [nBuckets]uint64
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.buckets[bucketOf(uint64(max(d, 0)/time.Microsecond))]++
}

func bucketOf(us uint64) int {
	if us < linear {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	at := linear + (shift-1)<<subBits + int(us>>shift) - 1<<subBits
	return min(at, nBuckets-1)
}

// lowest is the smallest value of a bucket in microseconds.
func lowest(bucket int) uint64 {
	if bucket < linear {
		return uint64(bucket)
	}
	shift := (bucket-linear)>>subBits + 1
	return (uint64(bucket-linear)&(1<<subBits-1) + 1<<subBits) << shift
}

func (h *histogram) merge(o *histogram) {
	h.n += o.n
	for i, v := range o.buckets {
		h.buckets[i] += v
	}
}

// quantile is the latency within which a share of all payments was answered,
// in milliseconds.
func (h *histogram) quantile(perMille uint64) float64 {
	if h.n == 0 {
		return 0
	}
	want, seen := (h.n*perMille+999)/1000, uint64(0)
	for i, v := range h.buckets {
		if seen += v; seen >= want {
			return float64(lowest(min(i+1, nBuckets-1))) / 1000
		}
	}
	return float64(lowest(nBuckets-1)) / 1000
}
