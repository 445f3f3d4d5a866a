package softhsm

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm4"

	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/cardauth/tr31"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// MaxGenerations is how many working keys of one use are kept under one wrapping
// key; the oldest goes when one more is imported. A connection needs two, and all
// connections of a bank, those of its counters to our server included, may share
// a wrapping key: 512 leave room for 256 connections. Whoever loses a key by this
// gets ErrNoKey and signs on again.
const MaxGenerations = 512

// handle is a working key of a bank link: a MAC key or a PIN key, never both.
type handle struct {
	mac *mac.Key
	pin *pinblock.Cipher
}

// addHandles files new working keys and forgets generations that are too old.
func (s *Store) addHandles(source string, handles ...*handle) ([]hsmapi.KeyRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	old := *s.handles.Load()
	table := make(map[hsmapi.KeyRef]*handle, len(old)+len(handles))
	for ref, h := range old {
		table[ref] = h
	}
	var refs []hsmapi.KeyRef
	for _, h := range handles {
		for s.nextRef++; s.nextRef == 0 || table[s.nextRef] != nil; s.nextRef++ {
		}
		table[s.nextRef] = h
		refs = append(refs, s.nextRef)
		use := source + " mac"
		if h.pin != nil {
			use = source + " pin"
		}
		kept := append(s.generations[use], s.nextRef)
		for len(kept) > MaxGenerations {
			delete(table, kept[0])
			kept = kept[1:]
		}
		s.generations[use] = kept
	}
	s.handles.Store(&table)
	return refs, nil
}

// MAC makes and checks codes. A job whose key is unknown or bound to another
// algorithm or use is not done (OK stays false), the others are; the first such
// fault is the error.
func (s *Store) MAC(_ context.Context, jobs []hsmapi.MACJob) error {
	if len(jobs) > hsmapi.MaxMACJobs {
		return fmt.Errorf("%w: %d jobs, at most %d", hsmapi.ErrForm, len(jobs), hsmapi.MaxMACJobs)
	}
	table := *s.handles.Load()
	var fault error
	for i := range jobs {
		j := &jobs[i]
		j.OK = false
		h := table[j.Key]
		switch {
		case h == nil:
			fault = first(fault, hsmapi.ErrNoKey)
		case h.mac == nil || h.mac.Alg() != j.Alg:
			fault = first(fault, hsmapi.ErrKeyUsage)
		case j.Verify:
			j.OK = h.mac.Verify(j.Data, j.MAC)
		default:
			j.MAC, j.OK = h.mac.Sum(j.Data), true
		}
	}
	return fault
}

func first(fault, err error) error {
	if fault != nil {
		return fault
	}
	return err
}

// ImportDE62 opens the 40 bytes of DE 62 of a sign-on answer: PIN key 16, check
// value 4, MAC key 8 (or 16) in a slot of 16, check value 4, each under the
// terminal master key. Both check values must fit, or neither key is taken.
func (s *Store) ImportDE62(_ context.Context, r hsmapi.ImportDE62) (hsmapi.WorkingKeys, error) {
	tmk, err := s.find(r.TMK, Master)
	if err != nil {
		return hsmapi.WorkingKeys{}, err
	}
	if len(r.Block) != 40 || r.PINFormat != si.PINFormat0TDES {
		return hsmapi.WorkingKeys{}, fmt.Errorf("%w: DE 62 holds 40 bytes with 3DES keys", hsmapi.ErrForm)
	}
	var clearKeys [32]byte
	defer clear(clearKeys[:])
	pik, mak := clearKeys[:16], clearKeys[16:24]
	decryptECB(tmk.des, pik, r.Block[:16])
	if r.MAKDouble {
		mak = clearKeys[16:]
	} else if subtle.ConstantTimeCompare(r.Block[28:36], make([]byte, 8)) != 1 {
		return hsmapi.WorkingKeys{}, fmt.Errorf("%w: MAC key slot holds more than a single-length key", hsmapi.ErrKeyBlock)
	}
	decryptECB(tmk.des, mak, r.Block[20:20+len(mak)])

	w := hsmapi.WorkingKeys{}
	if w.PINKCV, err = desKCV(pik); err == nil {
		w.MACKCV, err = desKCV(mak)
	}
	if err != nil {
		return hsmapi.WorkingKeys{}, err
	}
	if subtle.ConstantTimeCompare(w.PINKCV[:], r.Block[16:20]) != 1 || subtle.ConstantTimeCompare(w.MACKCV[:], r.Block[36:40]) != 1 {
		return hsmapi.WorkingKeys{}, hsmapi.ErrKCV
	}
	pin, err := pinblock.NewCipher(r.PINFormat, pik)
	if err != nil {
		return hsmapi.WorkingKeys{}, fmt.Errorf("%w: PIN key", hsmapi.ErrKeyBlock)
	}
	if r.MACAlg != hsmapi.MACCUPECB && r.MACAlg != hsmapi.MACX919Pad1 && r.MACAlg != hsmapi.MACX919Pad2 {
		return hsmapi.WorkingKeys{}, fmt.Errorf("%w: MAC algorithm %d has no DES key", hsmapi.ErrForm, r.MACAlg)
	}
	code, err := mac.NewKey(r.MACAlg, mak)
	if err != nil {
		return hsmapi.WorkingKeys{}, fmt.Errorf("%w: MAC key is too short for its algorithm", hsmapi.ErrKeyBlock)
	}
	refs, err := s.addHandles(r.TMK, &handle{pin: pin}, &handle{mac: code})
	if err != nil {
		return hsmapi.WorkingKeys{}, err
	}
	w.PIN, w.MAC = refs[0], refs[1]
	return w, nil
}

func decryptECB(b cipher.Block, dst, src []byte) {
	for i := 0; i < len(src); i += b.BlockSize() {
		b.Decrypt(dst[i:], src[i:])
	}
}

func desKCV(key []byte) ([4]byte, error) {
	b, err := mac.DES(key)
	if err != nil {
		return [4]byte{}, hsmapi.ErrKeyBlock
	}
	return mac.KCV4(b), nil
}

// ImportTR31 opens one key block of version B or D. The header must say the use
// that is asked for: P0 with mode B, E or N for a PIN key; for a MAC key M3 with
// X9.19, M6 with CMAC, any M otherwise, with mode C or N.
func (s *Store) ImportTR31(_ context.Context, r hsmapi.ImportTR31) (hsmapi.ImportedKey, error) {
	kbpk, err := s.find(r.KBPK, Protect)
	if err != nil {
		return hsmapi.ImportedKey{}, err
	}
	accept, err := wanted(r)
	if err != nil {
		return hsmapi.ImportedKey{}, err
	}
	var h tr31.Header
	var key []byte
	s.withKey(kbpk, func(protect []byte) { h, key, err = tr31.Unwrap(protect, r.Block, accept) })
	if errors.Is(err, tr31.ErrRefused) {
		return hsmapi.ImportedKey{}, fmt.Errorf("%w: %w", hsmapi.ErrKeyBlock, err)
	} else if err != nil {
		return hsmapi.ImportedKey{}, err
	}
	defer clear(key)

	var made handle
	if r.ForPIN {
		made.pin, err = pinblock.NewCipher(r.PINFormat, key)
	} else {
		made.mac, err = mac.NewKey(r.MACAlg, key)
	}
	if err != nil {
		return hsmapi.ImportedKey{}, fmt.Errorf("%w: %w", hsmapi.ErrKeyBlock, err)
	}
	out := hsmapi.ImportedKey{}
	if out.KCV, err = workingKCV(h.Algorithm, key); err != nil {
		return hsmapi.ImportedKey{}, err
	}
	refs, err := s.addHandles(r.KBPK, &made)
	if err != nil {
		return hsmapi.ImportedKey{}, err
	}
	out.Key = refs[0]
	return out, nil
}

// wanted is what a key block's header must say.
func wanted(r hsmapi.ImportTR31) (tr31.Accept, error) {
	sm4Code := r.SM4Code
	if sm4Code == 0 {
		sm4Code = hsmapi.SM4Algorithm
	}
	a := tr31.Accept{Versions: "BD"}
	if r.ForPIN {
		a.Usages, a.Modes = []string{tr31.UsagePIN}, "BEN"
		switch r.PINFormat {
		case si.PINFormat4AES:
			a.Algorithms = "A"
		case si.PINFormat0TDES:
			a.Algorithms = "T"
		case si.PINFormat0SM4:
			a.Algorithms = string(rune(sm4Code))
		default:
			return a, fmt.Errorf("%w: PIN format %d", hsmapi.ErrForm, r.PINFormat)
		}
		return a, nil
	}
	a.Usages, a.Modes = []string{"M0", "M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8"}, "CN"
	switch r.MACAlg {
	case hsmapi.MACCUPECB:
		a.Algorithms = "DT"
	case hsmapi.MACX919Pad1, hsmapi.MACX919Pad2:
		a.Usages, a.Algorithms = []string{tr31.UsageMAC919}, "T"
	case hsmapi.MACAESCMAC:
		a.Usages, a.Algorithms = []string{tr31.UsageCMAC}, "A"
	case hsmapi.MACSM4CMAC:
		a.Usages, a.Algorithms = []string{tr31.UsageCMAC}, string(rune(sm4Code))
	case hsmapi.MACSM4POS:
		a.Algorithms = string(rune(sm4Code))
	default:
		return a, fmt.Errorf("%w: MAC algorithm %d", hsmapi.ErrForm, r.MACAlg)
	}
	return a, nil
}

func workingKCV(algorithm byte, key []byte) ([4]byte, error) {
	var b cipher.Block
	var err error
	switch algorithm {
	case tr31.AlgorithmAES:
		if b, err = aes.NewCipher(key); err == nil {
			return mac.CMACKCV4(b), nil
		}
	case tr31.AlgorithmDES, tr31.AlgorithmTDES:
		b, err = mac.DES(key)
	default:
		b, err = sm4.NewCipher(key)
	}
	if err != nil {
		return [4]byte{}, hsmapi.ErrKeyBlock
	}
	return mac.KCV4(b), nil
}

// TranslatePIN re-enciphers a PIN block from a terminal's key to a link's key. The
// formats are those the two keys are bound to; a request that says otherwise is
// refused. It is limited per terminal key and in all.
func (s *Store) TranslatePIN(_ context.Context, r hsmapi.TranslatePIN) (si.PINBlock, error) {
	from, err := s.find(r.From, PINAES, PINTDES)
	if err != nil {
		return si.PINBlock{}, err
	}
	to := (*s.handles.Load())[r.To]
	switch {
	case to == nil:
		return si.PINBlock{}, hsmapi.ErrNoKey
	case to.pin == nil || to.pin.Format() != r.ToFormat || from.pin.Format() != r.FromFormat:
		return si.PINBlock{}, hsmapi.ErrKeyUsage
	}
	s.mu.RLock()
	allowed := from.pins.Allow() && s.pins.Allow()
	s.mu.RUnlock()
	if !allowed {
		return si.PINBlock{}, hsmapi.ErrRateLimit
	}
	block, err := pinblock.Translate(from.pin, to.pin, &r.Block, &r.PAN)
	if err != nil {
		return si.PINBlock{}, hsmapi.ErrPINBlock
	}
	return block, nil
}
