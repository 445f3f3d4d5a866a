package load

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// receipts remembers every receipt number of a run, to find one that was given
// to two payments: a bit each.
type receipts struct {
	mu   sync.Mutex
	days map[day]*marks
}

// day is one numbering: receipts count from 1 in each.
type day struct {
	area si.AreaCode
	date si.BusinessDate
}

const (
	pageWords = 1 << 10             // 65,536 receipts a page
	pages     = 100_000_000>>16 + 1 // eight digits
)

type marks struct {
	pages [pages]atomic.Pointer[[pageWords]atomic.Uint64]
}

// of finds the numbers of a day; callers keep what they got.
func (r *receipts) of(d day) *marks {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.days == nil {
		r.days = map[day]*marks{}
	}
	b := r.days[d]
	if b == nil {
		b = new(marks)
		r.days[d] = b
	}
	return b
}

// first marks a number and tells whether it was not marked before. A number of
// more than eight digits is never first.
func (b *marks) first(seq uint32) bool {
	at := seq >> 16
	if int(at) >= len(b.pages) {
		return false
	}
	p := b.pages[at].Load()
	if p == nil {
		b.pages[at].CompareAndSwap(nil, new([pageWords]atomic.Uint64))
		p = b.pages[at].Load()
	}
	bit := uint64(1) << (seq & 63)
	return p[seq>>6&(pageWords-1)].Or(bit)&bit == 0
}

// parseReceipt reads the twenty digits of a receipt number.
func parseReceipt(b []byte) (si.ReceiptNo, bool) {
	var none si.ReceiptNo
	if len(b) != 20 {
		return none, false
	}
	number := func(part []byte) (v int) {
		for _, c := range part {
			if c < '0' || c > '9' {
				return -1
			}
			v = v*10 + int(c-'0')
		}
		return v
	}
	area, y, m, d, seq := number(b[:6]), number(b[6:8]), number(b[8:10]), number(b[10:12]), number(b[12:])
	if area <= 0 || y < 0 || m < 1 || m > 12 || d < 1 || d > 31 || seq <= 0 {
		return none, false
	}
	return si.ReceiptNo{Area: si.AreaCode(area), Date: si.Date(2000+y, time.Month(m), d), Seq: uint32(seq)}, true
}
