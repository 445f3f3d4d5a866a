package settlement

import "sync"

// mailbox is a queue whose put never waits: the ledger's answers and the
// engine's own effects come through it, and each live payment has at most one
// of them under way, so the engine's bound on payments bounds it. What comes
// from outside that bound uses offer, which waits while the queue is long.
type mailbox[T any] struct {
	mu     sync.Mutex
	room   sync.Cond
	list   []T
	spare  []T
	most   int
	closed bool
	ready  chan struct{}
}

func newMailbox[T any](most int) *mailbox[T] {
	m := &mailbox[T]{most: most, ready: make(chan struct{}, 1)}
	m.room.L = &m.mu
	return m
}

// put appends. False: the box is closed and x is dropped.
func (m *mailbox[T]) put(x T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.append(x)
}

// offer appends when there is room.
func (m *mailbox[T]) offer(x T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.list) >= m.most && !m.closed {
		m.room.Wait()
	}
	return m.append(x)
}

func (m *mailbox[T]) append(x T) bool {
	if m.closed {
		return false
	}
	m.list = append(m.list, x)
	m.rouse()
	return true
}

func (m *mailbox[T]) rouse() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take takes everything. The slice is valid until the next take.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	clear(m.spare)
	m.list, m.spare = m.spare[:0], list
	m.room.Broadcast()
	return list
}

// one takes the first; several may take in turn. ready stays raised while there
// is more.
func (m *mailbox[T]) one() (x T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return x, false
	}
	var none T
	x, m.list[0] = m.list[0], none
	m.list = m.list[1:]
	if len(m.list) > 0 {
		m.rouse()
	} else {
		m.list = nil
	}
	m.room.Signal()
	return x, true
}

func (m *mailbox[T]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.list)
}

// close drops what waits and refuses what comes.
func (m *mailbox[T]) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.list = true, nil
	m.room.Broadcast()
}
