package linktest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"sync/atomic"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// BadBlock as the first byte of a key block makes its import fail.
const BadBlock = '!'

// HSM stands for the HSM process.
type HSM struct {
	mu   sync.Mutex
	keys [][32]byte // by handle, from 1
	gone int        // handles up to this one are unknown
	away atomic.Bool
	hold atomic.Pointer[chan struct{}]

	// MACCalls and MACJobs count, to see how jobs travel together.
	MACCalls, MACJobs atomic.Int64
}

// SetAway makes every verb fail.
func (h *HSM) SetAway(away bool) { h.away.Store(away) }

// Restart makes every handle unknown, as a new process does.
func (h *HSM) Restart() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = len(h.keys)
}

func (h *HSM) knows(k hsmapi.KeyRef) bool { return int(k) > h.gone && int(k) <= len(h.keys) }

// Hold makes TranslatePIN wait until the channel is closed; nil ends that.
func (h *HSM) Hold(ch chan struct{}) {
	if ch == nil {
		h.hold.Store(nil)
		return
	}
	h.hold.Store(&ch)
}

func (h *HSM) add(block []byte) hsmapi.KeyRef {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, sha256.Sum256(block))
	return hsmapi.KeyRef(len(h.keys))
}

// code is the code of data under a key.
func code(key [32]byte, data []byte) (mac [8]byte) {
	s := sha256.Sum256(append(key[:], data...))
	copy(mac[:], s[:])
	return mac
}

// MAC makes and checks codes.
func (h *HSM) MAC(_ context.Context, jobs []hsmapi.MACJob) error {
	if h.away.Load() {
		return hsmapi.ErrAway
	}
	h.MACCalls.Add(1)
	h.MACJobs.Add(int64(len(jobs)))
	h.mu.Lock()
	defer h.mu.Unlock()
	var fault error
	for i := range jobs {
		j := &jobs[i]
		if !h.knows(j.Key) {
			j.OK, fault = false, hsmapi.ErrNoKey
			continue
		}
		want := code(h.keys[j.Key-1], j.Data)
		if !j.Verify {
			j.MAC, j.OK = want, true
			continue
		}
		j.OK = subtle.ConstantTimeCompare(want[:], j.MAC[:]) == 1
	}
	return fault
}

// ImportDE62 takes the two halves of the block for the two keys.
func (h *HSM) ImportDE62(_ context.Context, r hsmapi.ImportDE62) (hsmapi.WorkingKeys, error) {
	if h.away.Load() {
		return hsmapi.WorkingKeys{}, hsmapi.ErrAway
	}
	if len(r.Block) != 40 || r.Block[0] == BadBlock {
		return hsmapi.WorkingKeys{}, hsmapi.ErrKCV
	}
	return hsmapi.WorkingKeys{PIN: h.add(r.Block[:20]), MAC: h.add(r.Block[20:])}, nil
}

// ImportTR31 takes the block for the key.
func (h *HSM) ImportTR31(_ context.Context, r hsmapi.ImportTR31) (hsmapi.ImportedKey, error) {
	if h.away.Load() {
		return hsmapi.ImportedKey{}, hsmapi.ErrAway
	}
	if r.Block == "" || r.Block[0] == BadBlock {
		return hsmapi.ImportedKey{}, hsmapi.ErrKeyBlock
	}
	return hsmapi.ImportedKey{Key: h.add([]byte(r.Block))}, nil
}

// TranslatePIN gives a block of the wanted length that is not the old one.
func (h *HSM) TranslatePIN(_ context.Context, r hsmapi.TranslatePIN) (si.PINBlock, error) {
	if ch := h.hold.Load(); ch != nil {
		<-*ch
	}
	if h.away.Load() {
		return si.PINBlock{}, hsmapi.ErrAway
	}
	h.mu.Lock()
	known := h.knows(r.To)
	h.mu.Unlock()
	if !known {
		return si.PINBlock{}, hsmapi.ErrNoKey
	}
	n := 8
	if r.ToFormat != si.PINFormat0TDES {
		n = 16
	}
	s := sha256.Sum256(append(r.Block.Reveal("test"), byte(r.To)))
	return si.NewPINBlock(s[:n])
}

// SealMemo hides the memo under payment and date, so that it opens as nothing
// else's.
func (h *HSM) SealMemo(_ context.Context, r hsmapi.SealMemo) ([]byte, error) {
	if h.away.Load() {
		return nil, hsmapi.ErrAway
	}
	tag := sha256.Sum256(append(append([]byte{byte(r.Bank), byte(r.Date), byte(r.Date >> 8)}, r.Payment[:]...), r.Data...))
	return append(tag[:], mask(r)...), nil
}

// OpenMemo opens what SealMemo sealed.
func (h *HSM) OpenMemo(_ context.Context, r hsmapi.SealMemo) ([]byte, error) {
	if h.away.Load() {
		return nil, hsmapi.ErrAway
	}
	if len(r.Data) < 32 {
		return nil, hsmapi.ErrForm
	}
	sealed := r.Data
	r.Data = sealed[32:]
	r.Data = mask(r)
	again, err := h.SealMemo(context.Background(), r)
	if err != nil || string(again) != string(sealed) {
		return nil, hsmapi.ErrForm
	}
	return r.Data, nil
}

// mask hides or shows the data by a pad of the payment.
func mask(r hsmapi.SealMemo) []byte {
	out := make([]byte, len(r.Data))
	pad := sha256.Sum256(r.Payment[:])
	for i, b := range r.Data {
		out[i] = b ^ pad[i%len(pad)] ^ byte(r.Date)
	}
	return out
}
