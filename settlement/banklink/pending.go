package banklink

import (
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// slot is one request under way.
type slot struct {
	key  bankmsg.MatchKey
	kind profile.Kind
	id   si.PaymentID
	seq  uint32
	sent bankmsg.Sent
	mac  hsmapi.KeyRef // the reply is checked with the key of its request
	gen  uint32

	deadline time.Time
	heap     int // place in the heap plus one, 0 for a free slot
	next     int // next free slot
}

// pending is the requests of one link that wait for a reply: a fixed table, an
// index by the full match key, and a heap of deadlines.
type pending struct {
	slots []slot
	free  int
	used  int
	index map[bankmsg.MatchKey]int
	heap  []int
}

func newPending(n int) *pending {
	p := &pending{slots: make([]slot, n), index: make(map[bankmsg.MatchKey]int, n), heap: make([]int, 0, n)}
	for i := range p.slots {
		p.slots[i].next = i + 1
	}
	return p
}

// add takes a request in. It gives nil when the table is full or a request
// with the same key waits: two replies could not be told apart.
func (p *pending) add(key bankmsg.MatchKey, deadline time.Time) *slot {
	if _, ok := p.index[key]; ok || p.free == len(p.slots) {
		return nil
	}
	i := p.free
	s := &p.slots[i]
	p.free = s.next
	p.used++
	s.key, s.deadline = key, deadline
	p.index[key] = i
	p.heap = append(p.heap, i)
	s.heap = len(p.heap)
	p.up(len(p.heap) - 1)
	return s
}

// find gives the request with the key, nil if there is none.
func (p *pending) find(key bankmsg.MatchKey) *slot {
	if i, ok := p.index[key]; ok {
		return &p.slots[i]
	}
	return nil
}

// remove frees a slot.
func (p *pending) remove(s *slot) {
	i := p.index[s.key]
	delete(p.index, s.key)
	at, last := s.heap-1, len(p.heap)-1
	p.swap(at, last)
	p.heap = p.heap[:last]
	if at < last {
		p.down(at)
		p.up(at)
	}
	s.sent.Wipe()
	*s = slot{next: p.free}
	p.free = i
	p.used--
}

// due gives a request whose deadline has passed, nil if there is none.
func (p *pending) due(now time.Time) *slot {
	if len(p.heap) == 0 || p.slots[p.heap[0]].deadline.After(now) {
		return nil
	}
	return &p.slots[p.heap[0]]
}

func (p *pending) less(i, j int) bool {
	return p.slots[p.heap[i]].deadline.Before(p.slots[p.heap[j]].deadline)
}

func (p *pending) swap(i, j int) {
	p.heap[i], p.heap[j] = p.heap[j], p.heap[i]
	p.slots[p.heap[i]].heap, p.slots[p.heap[j]].heap = i+1, j+1
}

func (p *pending) up(i int) {
	for i > 0 && p.less(i, (i-1)/2) {
		p.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (p *pending) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(p.heap) && p.less(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		p.swap(i, least)
		i = least
	}
}
