package softhsm

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// Bounds of the memory of envelope counters.
const (
	// maxSessions card sessions are remembered per terminal, the oldest forgotten: a
	// terminal serves a few hundred cards a day.
	maxSessions = 1024
	// maxTerminals is above any fleet of one region; one more is refused.
	maxTerminals = 16384
)

const purpose si.Purpose = "hash and seal inside the HSM process"

// counters remembers the highest counter of each card session.
type counters struct {
	mu        sync.Mutex
	terminals map[si.Terminal]*sessions
}

type sessions struct {
	highest map[[16]byte]uint64
	order   [][16]byte // oldest first
}

// accept takes a counter that is above all before it of its card session.
func (c *counters) accept(t si.Terminal, session [16]byte, counter uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.terminals == nil {
		c.terminals = make(map[si.Terminal]*sessions)
	}
	of := c.terminals[t]
	if of == nil {
		if len(c.terminals) >= maxTerminals {
			return fmt.Errorf("%w: more than %d terminals", hsmapi.ErrEnvelope, maxTerminals)
		}
		of = &sessions{highest: make(map[[16]byte]uint64)}
		c.terminals[t] = of
	}
	highest, known := of.highest[session]
	if known && counter <= highest {
		return hsmapi.ErrReplayed
	}
	if !known {
		if len(of.order) >= maxSessions {
			delete(of.highest, of.order[0])
			of.order = append(of.order[:0], of.order[1:]...)
		}
		of.order = append(of.order, session)
	}
	of.highest[session] = counter
	return nil
}

// OpenCard opens a card envelope. The counter must be above every earlier one of
// the terminal's card session; it counts only if the envelope is genuine. The ID
// number leaves as its hash.
func (s *Store) OpenCard(_ context.Context, r hsmapi.OpenCard) (hsmapi.CardOpened, error) {
	hashes, err := s.hashKeys()
	if err != nil {
		return hsmapi.CardOpened{}, err
	}
	var f envelope.Fields
	err = hsmapi.ErrNoKey
	for _, e := range s.envelopeKeys() { // two generations during a change
		s.withKey(e, func(key []byte) {
			f, err = envelope.Open(key, r.Terminal, r.CardSession, r.Counter, r.Sealed)
		})
		if err == nil {
			break
		}
		err = hsmapi.ErrEnvelope
	}
	if err != nil {
		return hsmapi.CardOpened{}, err
	}
	pan := f.PAN.Reveal(purpose)
	id := f.IDNumber.Reveal(purpose)
	if track, _, _ := strings.Cut(f.Track2.Reveal(purpose), "D"); track != pan {
		return hsmapi.CardOpened{}, fmt.Errorf("%w: track 2 is of another card number", hsmapi.ErrEnvelope)
	}
	if f.IssuerID != "" && f.IssuerID != id {
		return hsmapi.CardOpened{}, fmt.Errorf("%w: the two applications name different people", hsmapi.ErrEnvelope)
	}
	if err := s.cards.accept(r.Terminal, r.CardSession, r.Counter); err != nil {
		return hsmapi.CardOpened{}, err
	}
	return hsmapi.CardOpened{
		IDHash: hashes.id.sum([]byte(id)), CardHash: hashes.card.sum([]byte(strings.ToUpper(f.CardID))),
		NoHash: hashes.no.sum([]byte(strings.ToUpper(f.CardNo))), PANHash: hashes.pan.sum([]byte(pan)),
		PAN: f.PAN, PSN: f.PSN, Track2: f.Track2, Expiry: f.Expiry, Name: f.Name,
	}, nil
}

type hashKeys struct{ id, card, no, pan *entry }

func (s *Store) hashKeys() (k hashKeys, err error) {
	for _, want := range []struct {
		name  string
		usage Usage
		entry **entry
	}{{NameHashID, HashID, &k.id}, {NameHashCard, HashCard, &k.card}, {NameHashNo, HashNo, &k.no}, {NameHashPAN, HashPAN, &k.pan}} {
		if *want.entry, err = s.find(want.name, want.usage); err != nil {
			return hashKeys{}, err
		}
	}
	return k, nil
}

// Hash makes the keyed hash of one value: of an ID number typed at a counter, or
// of a PAN that staff search for.
func (s *Store) Hash(_ context.Context, kind hsmapi.HashKind, value string) (si.Hash, error) {
	keys := map[hsmapi.HashKind]struct {
		name  string
		usage Usage
	}{
		hsmapi.HashIDNumber: {NameHashID, HashID}, hsmapi.HashCardID: {NameHashCard, HashCard},
		hsmapi.HashCardNo: {NameHashNo, HashNo}, hsmapi.HashPAN: {NameHashPAN, HashPAN},
	}
	k, ok := keys[kind]
	if !ok || value == "" || len(value) > maxHashed {
		return si.Hash{}, fmt.Errorf("%w: kind or length of the value to hash", hsmapi.ErrForm)
	}
	e, err := s.find(k.name, k.usage)
	if err != nil {
		return si.Hash{}, err
	}
	return e.sum([]byte(strings.ToUpper(value))), nil
}

// maxHashed bounds a value to hash: the longest is 卡识别码 with 32 characters.
const maxHashed = 32

// HashIDs makes the hashes of ID numbers, at most hsmapi.MaxPersons, in their order.
func (s *Store) HashIDs(_ context.Context, ids []si.IDNumber) ([]si.Hash, error) {
	if len(ids) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d ID numbers, at most %d", hsmapi.ErrForm, len(ids), hsmapi.MaxPersons)
	}
	e, err := s.find(NameHashID, HashID)
	if err != nil {
		return nil, err
	}
	out := make([]si.Hash, len(ids))
	for i := range ids {
		if ids[i].IsZero() {
			return nil, fmt.Errorf("%w: ID number %d is empty", hsmapi.ErrForm, i)
		}
		out[i] = e.sum([]byte(ids[i].Reveal(purpose)))
	}
	return out, nil
}

// HashCards makes the hashes of issued cards, at most hsmapi.MaxPersons.
func (s *Store) HashCards(_ context.Context, cards []hsmapi.CardRecord) ([]hsmapi.CardHashes, error) {
	if len(cards) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d cards, at most %d", hsmapi.ErrForm, len(cards), hsmapi.MaxPersons)
	}
	k, err := s.hashKeys()
	if err != nil {
		return nil, err
	}
	out := make([]hsmapi.CardHashes, len(cards))
	for i := range cards {
		c := &cards[i]
		if c.IDNumber.IsZero() || c.PAN.IsZero() || c.CardID == "" || c.CardNo == "" || len(c.CardID) > maxHashed || len(c.CardNo) > maxHashed {
			return nil, fmt.Errorf("%w: card record %d is incomplete", hsmapi.ErrForm, i)
		}
		out[i] = hsmapi.CardHashes{
			IDHash: k.id.sum([]byte(c.IDNumber.Reveal(purpose))), CardHash: k.card.sum([]byte(strings.ToUpper(c.CardID))),
			NoHash: k.no.sum([]byte(strings.ToUpper(c.CardNo))), PANHash: k.pan.sum([]byte(c.PAN.Reveal(purpose))),
		}
	}
	return out, nil
}
