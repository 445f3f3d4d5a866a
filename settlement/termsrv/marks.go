package termsrv

import (
	"net/http"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

const (
	// markAge is how long the body of a payment id is remembered at least: longer
	// than an id may be old when its payment comes, so that an id whose mark is
	// gone is refused for its age.
	markAge = MaxIDAge + time.Minute
	// marksKept bounds the marks of one markAge, at 32 bytes each: 2,900 payments
	// a second, over twice what a whole city needs.
	marksKept = 1 << 20
)

// bodyHash is what is remembered of a body.
type bodyHash [16]byte

// marks remember what each payment id of the last minutes asked for. They are
// kept in two generations, so that forgetting costs nothing.
type marks struct {
	mu          sync.Mutex
	since       time.Time
	now, before map[si.PaymentID]bodyHash
}

// mark remembers what an id asked for. A second call with the same body is a
// resend, with another body a mistake that must not pass.
func (m *marks) mark(id si.PaymentID, hash bodyHash, now time.Time) (again bool, _ *failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := now.Sub(m.since); m.now == nil || age >= markAge {
		m.before = m.now
		if age >= 2*markAge {
			m.before = nil
		}
		m.now, m.since = map[si.PaymentID]bodyHash{}, now
	}
	for _, g := range []map[si.PaymentID]bodyHash{m.now, m.before} {
		if was, ok := g[id]; ok {
			if was != hash {
				return false, reused()
			}
			return true, nil
		}
	}
	if len(m.now) >= marksKept {
		return false, problem(http.StatusServiceUnavailable, termapi.ErrTooMany, "too many payments in a few minutes on this node")
	}
	m.now[id] = hash
	return false, nil
}

// forget takes a mark back: nothing was asked of anyone, the id may be tried
// again.
func (m *marks) forget(id si.PaymentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.now, id)
	delete(m.before, id)
}

func reused() *failure {
	return problem(http.StatusConflict, termapi.ErrIDReused, "this payment id was used with another body")
}
