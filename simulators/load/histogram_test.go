package load

import (
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<22; us += 1 + us/97 {
		b := bucketOf(us)
		if b < last || b >= nBuckets {
			t.Fatalf("bucketOf(%d) = %d after %d", us, b, last)
		}
		low, next := lowest(b), lowest(b+1)
		if us < low || us >= next || (next-low)*64 > max(low, 64) {
			t.Fatalf("bucketOf(%d) = %d, which holds %d to %d", us, b, low, next-1)
		}
		last = b
	}
	if bucketOf(1<<40) != nBuckets-1 {
		t.Error("a value beyond the last bucket is not in it")
	}
}

func TestQuantiles(t *testing.T) {
	var h, o histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * 100 * time.Microsecond)
	}
	h.merge(&o)
	for perMille, want := range map[uint64]float64{500: 50, 990: 99, 999: 99.9} {
		if got := h.quantile(perMille); got < want || got > want*1.04 {
			t.Errorf("quantile(%d) = %v ms, want %v", perMille, got, want)
		}
	}
	if o.quantile(500) != 0 {
		t.Error("an empty histogram has a quantile")
	}
}
