package vpcd

import (
	"encoding/json"
	"errors"

	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// Errors of a rig.
var (
	ErrMissing = errors.New("vpcd: needed software is missing")
	ErrRights  = errors.New("vpcd: no right to make a network namespace: run as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0)")
	ErrClosed  = errors.New("vpcd: rig is closed")
	ErrReader  = errors.New("vpcd: no such reader")
	ErrTaken   = errors.New("vpcd: a card is in this reader already")
	ErrEmpty   = errors.New("vpcd: no card is in this reader")
)

// MaxReaders bounds a rig: pcscd of Debian has 16 slots and each driver entry
// takes two of them.
const MaxReaders = 8

// request is one line to the child. Ops: insert, remove, fault, stats, stop,
// start.
type request struct {
	ID     uint64           `json:"id"`
	Op     string           `json:"op"`
	Reader int              `json:"reader,omitempty"`
	Card   json.RawMessage  `json:"card,omitempty"`
	State  chipcard.State   `json:"state,omitzero"`
	Faults []chipcard.Fault `json:"faults,omitempty"`
}

// message is one line from the child: the answer to a request, or an event.
type message struct {
	ID    uint64 `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
	Stats Stats  `json:"stats,omitzero"`
	Event *Event `json:"event,omitempty"`
}

// Stats is what a card did since it was inserted.
type Stats struct {
	Card     string         `json:"card"`
	Commands int            `json:"commands"`   // since it was inserted
	Powered  int            `json:"powered"`    // since it was powered last
	State    chipcard.State `json:"card_state"` // what it keeps
}

// EventKind is what happened in a rig.
type EventKind string

// The events.
const (
	Ready  EventKind = "ready"  // pcscd serves its readers
	Saved  EventKind = "saved"  // a card changed what it keeps
	Pulled EventKind = "pulled" // a card was pulled by a fault
	Down   EventKind = "down"   // pcscd ended
)

// Event is one event of a rig.
type Event struct {
	Kind   EventKind      `json:"kind"`
	Reader int            `json:"reader"`
	Card   string         `json:"card,omitempty"`
	State  chipcard.State `json:"state,omitzero"`
	Why    string         `json:"why,omitempty"`
}

// setup is what the child is told when it starts.
type setup struct {
	Dir     string `json:"dir"`
	Readers int    `json:"readers"`
	Driver  string `json:"driver"`
	PCSCD   string `json:"pcscd"`
}
