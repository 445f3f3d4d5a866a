package softhsm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// A person's blob: form 1, region u16, year u16, nonce 12, then AES-256-GCM under
// pii/<region>/<year> with everything before as additional data. Inside: ID number
// 18, name length u8, name, phone length u8, phone, address length u16, address.
const (
	blobForm   = 1
	blobHeader = 1 + 2 + 2 + nonceLen
	idLen      = 18

	// Bounds of a person's texts in bytes of UTF-8.
	maxPersonName = 150
	maxPhone      = 20
	maxAddress    = 600
	maxBlob       = blobHeader + idLen + 1 + maxPersonName + 1 + maxPhone + 2 + maxAddress + 16
)

// SealPersons hashes and seals persons, at most hsmapi.MaxPersons, under the
// newest person key. All or none.
func (s *Store) SealPersons(_ context.Context, persons []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error) {
	if len(persons) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, len(persons), hsmapi.MaxPersons)
	}
	hash, err := s.find(NameHashID, HashID)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	key, region := s.person, s.region
	s.mu.RUnlock()
	if key == nil {
		return nil, fmt.Errorf("%w: no person key; add %q", hsmapi.ErrNoKey, PersonKeyName(1, 2026))
	}
	size := 0
	for i := range persons {
		p := &persons[i]
		name := p.Name.Reveal(purpose)
		if p.IDNumber.IsZero() || len(name) > maxPersonName || len(p.Phone) > maxPhone || len(p.Address) > maxAddress ||
			!utf8.ValidString(name) || !utf8.ValidString(p.Phone) || !utf8.ValidString(p.Address) {
			return nil, fmt.Errorf("%w: person record %d is incomplete or too long", hsmapi.ErrForm, i)
		}
		size += blobHeader + idLen + 4 + len(name) + len(p.Phone) + len(p.Address) + 16
	}
	nonces := make([]byte, nonceLen*len(persons))
	if _, err := rand.Read(nonces); err != nil {
		return nil, fmt.Errorf("softhsm: random nonces: %w", err)
	}
	out := make([]hsmapi.SealedPerson, len(persons))
	all := make([]byte, 0, size)      // the blobs side by side
	plain := make([]byte, 0, maxBlob) // never grown: no clear copy is left behind
	defer func() { clear(plain[:cap(plain)]) }()
	for i := range persons {
		p := &persons[i]
		id, name := p.IDNumber.Reveal(purpose), p.Name.Reveal(purpose)
		plain = append(plain[:0], id...)
		plain = append(append(plain, byte(len(name))), name...)
		plain = append(append(plain, byte(len(p.Phone))), p.Phone...)
		plain = binary.BigEndian.AppendUint16(plain, uint16(len(p.Address)))
		plain = append(plain, p.Address...)

		begin := len(all)
		all = append(all, blobForm)
		all = binary.BigEndian.AppendUint16(all, uint16(region))
		all = binary.BigEndian.AppendUint16(all, uint16(key.year))
		nonce := nonces[nonceLen*i : nonceLen*(i+1)]
		all = append(all, nonce...)
		all = key.aead.Seal(all, nonce, plain, all[begin:]) // #nosec G407 -- the nonce is random, see above
		out[i] = hsmapi.SealedPerson{IDHash: hash.sum(plain[:idLen]), Blob: all[begin:len(all):len(all)]}
	}
	return out, nil
}

// OpenPerson opens a blob and answers what a screen may show of it.
func (s *Store) OpenPerson(_ context.Context, blob []byte) (hsmapi.PersonView, error) {
	refuse := fmt.Errorf("%w: sealed person", hsmapi.ErrForm)
	if len(blob) < blobHeader+idLen+4+16 || len(blob) > maxBlob || blob[0] != blobForm {
		return hsmapi.PersonView{}, refuse
	}
	region, year := binary.BigEndian.Uint16(blob[1:]), binary.BigEndian.Uint16(blob[3:])
	key, err := s.find(PersonKeyName(si.Region(region), int(year)), Person)
	if err != nil {
		return hsmapi.PersonView{}, err
	}
	plain, err := key.aead.Open(nil, blob[5:blobHeader], blob[blobHeader:], blob[:blobHeader])
	if err != nil {
		return hsmapi.PersonView{}, refuse
	}
	defer clear(plain)
	id, err := si.ParseIDNumber(string(plain[:idLen]))
	rest := plain[idLen:]
	if err != nil || len(rest) < 1+int(rest[0]) {
		return hsmapi.PersonView{}, refuse
	}
	return hsmapi.PersonView{MaskedName: si.NewName(string(rest[1 : 1+rest[0]])).Masked(), IDTail: id.Tail()}, nil
}

// MaxMemo bounds a memo to seal. The ledger takes 1,024 bytes sealed; the rest is
// room for a longer form.
const MaxMemo = 4096

// SealMemo seals a note on a payment under the key of its bank and business date,
// which is made, and on disk, before its first use.
func (s *Store) SealMemo(_ context.Context, r hsmapi.SealMemo) ([]byte, error) {
	if len(r.Data) > MaxMemo || r.Bank == 0 || r.Date == 0 || r.Payment.IsZero() {
		return nil, fmt.Errorf("%w: memo without bank, date or payment, or over %d bytes", hsmapi.ErrForm, MaxMemo)
	}
	key, err := s.memoKey(MemoKeyName(r.Bank, r.Date))
	if err != nil {
		return nil, err
	}
	out := make([]byte, nonceLen, nonceLen+len(r.Data)+16)
	if _, err := rand.Read(out); err != nil {
		return nil, fmt.Errorf("softhsm: random nonce: %w", err)
	}
	return key.aead.Seal(out, out[:nonceLen], r.Data, memoContext(r)), nil // #nosec G407 -- the nonce is random, see above
}

// OpenMemo opens what SealMemo sealed for the same bank, date and payment.
func (s *Store) OpenMemo(_ context.Context, r hsmapi.SealMemo) ([]byte, error) {
	if len(r.Data) < nonceLen+16 || len(r.Data) > nonceLen+MaxMemo+16 {
		return nil, fmt.Errorf("%w: sealed memo of %d bytes", hsmapi.ErrForm, len(r.Data))
	}
	key, err := s.find(MemoKeyName(r.Bank, r.Date), Memo)
	if err != nil {
		return nil, err
	}
	plain, err := key.aead.Open(nil, r.Data[:nonceLen], r.Data[nonceLen:], memoContext(r))
	if err != nil {
		return nil, fmt.Errorf("%w: sealed memo is not genuine", hsmapi.ErrForm)
	}
	return plain, nil
}

// memoContext binds a memo to its payment.
func memoContext(r hsmapi.SealMemo) []byte {
	b := append([]byte("shebao memo 1\x00"), byte(r.Bank))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Date))
	return append(b, r.Payment[:]...)
}

func (s *Store) memoKey(name string) (*entry, error) {
	s.mu.RLock()
	e := s.named[name]
	s.mu.RUnlock()
	if e != nil && e.usage == Memo {
		return e, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.named[name]; e != nil { // another goroutine was faster
		return e, nil
	}
	if _, err := s.generateLocked(name, Memo); err != nil {
		return nil, err
	}
	return s.named[name], nil
}
