package engine

import "time"

// timer is one payment's or proof's wake-up. Each has at most one at a time.
type timer struct {
	at     time.Time
	order  uint64 // of arming: equal times fire in the order of arming
	index  int    // place in the heap plus one, 0 when not armed
	pay    *payment
	proof  *proof
	script *script
}

// timers is a binary heap by (at, order).
type timers struct {
	heap  []*timer
	order uint64
}

func (t *timers) arm(x *timer, at time.Time) {
	t.disarm(x)
	t.order++
	x.at, x.order = at, t.order
	t.heap = append(t.heap, x)
	x.index = len(t.heap)
	t.up(len(t.heap) - 1)
}

func (t *timers) disarm(x *timer) {
	if x.index == 0 {
		return
	}
	i, last := x.index-1, len(t.heap)-1
	t.swap(i, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	x.index = 0
	if i < last {
		t.down(i)
		t.up(i)
	}
}

// due takes the earliest timer that is not after now, nil if there is none.
func (t *timers) due(now time.Time) *timer {
	if len(t.heap) == 0 || t.heap[0].at.After(now) {
		return nil
	}
	x := t.heap[0]
	t.disarm(x)
	return x
}

func (t *timers) less(i, j int) bool {
	a, b := t.heap[i], t.heap[j]
	if a.at.Equal(b.at) {
		return a.order < b.order
	}
	return a.at.Before(b.at)
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].index, t.heap[j].index = i+1, j+1
}

func (t *timers) up(i int) {
	for i > 0 && t.less(i, (i-1)/2) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *timers) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(t.heap) && t.less(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
