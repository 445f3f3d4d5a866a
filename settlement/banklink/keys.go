package banklink

import (
	"sync"

	"github.com/shebao-pay/shebao/si/hsmapi"
)

// keys is one generation of working keys.
type keys struct {
	pin, mac hsmapi.KeyRef
	gen      uint32
}

// keyring holds two generations of a link's keys: the current one makes codes,
// both check those of stray replies. A reply to a request is checked with its
// request's.
type keyring struct {
	mu        sync.Mutex
	cur, prev keys
}

func (r *keyring) get() (cur, prev keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cur, r.prev
}

// install makes a new generation. A zero handle keeps the key of the last one.
func (r *keyring) install(pin, mac hsmapi.KeyRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := keys{pin, mac, r.cur.gen + 1}
	if pin == 0 {
		next.pin = r.cur.pin
	}
	if mac == 0 {
		next.mac = r.cur.mac
	}
	r.prev, r.cur = r.cur, next
}
