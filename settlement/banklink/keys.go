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

// keyring holds two generations: the current one makes codes, both check those
// of stray replies. A reply to a request is checked with its request's. Links
// of a CUPS bank share one ring, because there the keys are the institution's.
type keyring struct {
	mu        sync.Mutex
	cur, prev keys
	users     int   // links that are up on these keys
	asking    *Link // that is asking for new ones
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

func (r *keyring) use(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users += n
}

// claim lets one link at a time ask for keys; done ends its turn.
func (r *keyring) claim(l *Link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking == nil {
		r.asking = l
	}
	return r.asking == l
}

func (r *keyring) done(l *Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking == l {
		r.asking = nil
	}
}

// shared tells whether another link is up on these keys.
func (r *keyring) shared() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.users > 0 && r.cur.pin != 0 && r.cur.mac != 0
}
