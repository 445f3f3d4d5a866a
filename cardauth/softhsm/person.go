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
	to, err := s.sealingKey()
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range persons {
		p := &persons[i]
		name := p.Name.Reveal(purpose)
		if p.IDNumber.IsZero() || !fits(name, maxPersonName) || !fits(p.Phone, maxPhone) || !fits(p.Address, maxAddress) {
			return nil, fmt.Errorf("%w: person record %d is incomplete or too long", hsmapi.ErrForm, i)
		}
		size += blobHeader + idLen + 4 + len(name) + len(p.Phone) + len(p.Address) + 16
	}
	nonces, err := randomNonces(len(persons))
	if err != nil {
		return nil, err
	}
	out := make([]hsmapi.SealedPerson, len(persons))
	all := make([]byte, 0, size)      // the blobs side by side
	plain := make([]byte, 0, maxBlob) // never grown: no clear copy is left behind
	defer func() { clear(plain[:cap(plain)]) }()
	for i := range persons {
		p := &persons[i]
		plain = appendPlain(plain[:0], p.IDNumber.Reveal(purpose), p.Name.Reveal(purpose), p.Phone, p.Address)
		begin := len(all)
		all = to.seal(all, nonces[nonceLen*i:nonceLen*(i+1)], plain) // #nosec G407 -- the nonces are random, see above
		out[i] = hsmapi.SealedPerson{IDHash: hash.sum(plain[:idLen]), Blob: all[begin:len(all):len(all)]}
	}
	return out, nil
}

func fits(text string, most int) bool { return len(text) <= most && utf8.ValidString(text) }

func randomNonces(n int) ([]byte, error) {
	b := make([]byte, nonceLen*n)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("softhsm: random nonces: %w", err)
	}
	return b, nil
}

// appendPlain writes the inside of a blob.
func appendPlain(dst []byte, id, name, phone, address string) []byte {
	dst = append(dst, id...)
	dst = append(append(dst, byte(len(name))), name...)
	dst = append(append(dst, byte(len(phone))), phone...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(address)))
	return append(dst, address...)
}

// sealing is the newest person key with what a blob's head says of it.
type sealing struct {
	key    *entry
	region si.Region
}

func (s *Store) sealingKey() (sealing, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.person == nil {
		return sealing{}, fmt.Errorf("%w: no person key; add %q", hsmapi.ErrNoKey, PersonKeyName(1, 2026))
	}
	return sealing{s.person, s.region}, nil
}

// seal appends the blob of a plain inside.
func (k sealing) seal(dst, nonce, plain []byte) []byte {
	begin := len(dst)
	dst = append(dst, blobForm)
	dst = binary.BigEndian.AppendUint16(dst, uint16(k.region))
	dst = binary.BigEndian.AppendUint16(dst, uint16(k.key.year))
	dst = append(dst, nonce...)
	return k.key.aead.Seal(dst, nonce, plain, dst[begin:])
}

// opener opens blobs one after the other in one buffer and keeps the key that
// opened the last: those of a batch mostly share it.
type opener struct {
	s     *Store
	plain []byte
	head  uint32 // region and year that key is for
	key   *entry
}

func (s *Store) newOpener() *opener { return &opener{s: s, plain: make([]byte, 0, maxBlob)} }

// wipe leaves no clear copy behind.
func (o *opener) wipe() { clear(o.plain[:cap(o.plain)]) }

// inside is a blob opened; it is valid until the opener's next one.
type inside struct {
	id                   si.IDNumber
	name, phone, address []byte
}

func (p *inside) view() hsmapi.PersonView {
	return hsmapi.PersonView{MaskedName: si.NewName(string(p.name)).Masked(), IDTail: p.id.Tail()}
}

var errBlob = fmt.Errorf("%w: sealed person", hsmapi.ErrForm)

func (o *opener) open(blob []byte) (inside, error) {
	var p inside
	if len(blob) < blobHeader+idLen+4+16 || len(blob) > maxBlob || blob[0] != blobForm {
		return p, errBlob
	}
	if head := binary.BigEndian.Uint32(blob[1:]); o.key == nil || head != o.head {
		key, err := o.s.find(PersonKeyName(si.Region(head>>16), int(head&0xFFFF)), Person)
		if err != nil {
			return p, err
		}
		o.key, o.head = key, head
	}
	var err error
	if o.plain, err = o.key.aead.Open(o.plain[:0], blob[5:blobHeader], blob[blobHeader:], blob[:blobHeader]); err != nil {
		return p, errBlob
	}
	if p.id, err = si.ParseIDNumber(string(o.plain[:idLen])); err != nil {
		return p, errBlob
	}
	rest := o.plain[idLen:]
	take := func(n int) (v []byte) {
		if n < 0 || n > len(rest) {
			err = errBlob
			return nil
		}
		v, rest = rest[:n], rest[n:]
		return v
	}
	length := func(bytes int) (n int) {
		for _, b := range take(bytes) {
			n = n<<8 | int(b)
		}
		return n
	}
	p.name = take(length(1))
	p.phone = take(length(1))
	p.address = take(length(2))
	if err != nil || len(rest) != 0 {
		return inside{}, errBlob
	}
	return p, nil
}

// OpenPerson opens a blob and answers what a screen may show of it.
func (s *Store) OpenPerson(_ context.Context, blob []byte) (hsmapi.PersonView, error) {
	o := s.newOpener()
	defer o.wipe()
	p, err := o.open(blob)
	if err != nil {
		return hsmapi.PersonView{}, err
	}
	return p.view(), nil
}

// OpenPersons opens at most hsmapi.MaxPersons blobs, all or none, and answers
// what a screen may show of them.
func (s *Store) OpenPersons(_ context.Context, blobs [][]byte) ([]hsmapi.PersonView, error) {
	if len(blobs) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, len(blobs), hsmapi.MaxPersons)
	}
	o := s.newOpener()
	defer o.wipe()
	out := make([]hsmapi.PersonView, len(blobs))
	for i, b := range blobs {
		p, err := o.open(b)
		if err != nil {
			return nil, fmt.Errorf("person %d: %w", i, err)
		}
		out[i] = p.view()
	}
	return out, nil
}

// RevisePersons compares what another register says of at most
// hsmapi.MaxPersons persons with what is sealed of them, all or none. Where the
// name differs it seals the record anew with that name, under the newest person
// key; telephone and address stay. A blob of another person is ErrForm.
func (s *Store) RevisePersons(_ context.Context, in []hsmapi.PersonRevision) ([]hsmapi.PersonRevised, error) {
	if len(in) > hsmapi.MaxPersons {
		return nil, fmt.Errorf("%w: %d persons, at most %d", hsmapi.ErrForm, len(in), hsmapi.MaxPersons)
	}
	to, err := s.sealingKey()
	if err != nil {
		return nil, err
	}
	o := s.newOpener()
	defer o.wipe()
	plain := make([]byte, 0, maxBlob)
	defer func() { clear(plain[:cap(plain)]) }()
	out := make([]hsmapi.PersonRevised, len(in))
	for i := range in {
		p, err := o.open(in[i].Blob)
		if err == nil && p.id != in[i].IDNumber {
			err = fmt.Errorf("%w: the sealed record is another person's", hsmapi.ErrForm)
		}
		name := in[i].Name.Reveal(purpose)
		if err == nil && !fits(name, maxPersonName) {
			err = fmt.Errorf("%w: name is too long", hsmapi.ErrForm)
		}
		if err != nil {
			return nil, fmt.Errorf("person %d: %w", i, err)
		}
		out[i].View = p.view()
		if name == "" || name == string(p.name) {
			continue
		}
		nonce, err := randomNonces(1)
		if err != nil {
			return nil, err
		}
		plain = appendPlain(plain[:0], p.id.Reveal(purpose), name, string(p.phone), string(p.address))
		out[i].NameDiffers, out[i].Blob = true, to.seal(nil, nonce, plain)
	}
	return out, nil
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
