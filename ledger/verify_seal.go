package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"

	"github.com/shebao-pay/shebao/ledger/chain"
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Witness is what someone outside knows, and an insider who writes the whole log
// anew cannot make.
type Witness struct {
	// Keys made the signatures of the day heads: every sealed date but the last
	// must bear one by one of them. Empty checks no signature.
	Keys []ed25519.PublicKey
	// Heads are heads that banks have been sent: the hash of the day head of a
	// date. They show a log that was cut or written anew even without a key.
	Heads map[si.BusinessDate][32]byte
}

// sealCheck holds the heads of sealed dates against the log. It keeps all leaves
// of a day and computes their root by the definition, not by the machine's way.
type sealCheck struct {
	r       *Report
	witness Witness
	leaves  []chain.Head // since the last seal
	first   uint64       // index of the first of them
	last    uint64
	prev    [32]byte // hash of the last head
}

// batch looks at a batch that has just been replayed. head is the chain head
// before it.
func (s *sealCheck) batch(m *core.Machine, head chain.Head, index uint64, data []byte, results []ledgerapi.Result) {
	var coded []byte
	sealed := false
	for i, rest := 0, data; i < len(results); i++ {
		h, body, n, err := ledgerapi.SplitRecord(rest)
		if err != nil {
			return
		}
		rest = rest[n:]
		coded = ledgerapi.AppendResult(coded, &results[i])
		switch h.Type {
		case ledgerapi.TypeSealDay:
			var c ledgerapi.SealDay
			if results[i].Code == ledgerapi.OK && c.DecodeBody(h.ID, body) == nil {
				s.seal(m, c.Date, head)
				sealed = true
			}
		case ledgerapi.TypeDaySignature:
			do, err := ledgerapi.DecodeAct(h.Type, body)
			if c, ok := do.(*ledgerapi.DaySignature); err == nil && ok && results[i].Code != ledgerapi.OK && results[i].Code != ledgerapi.Exists {
				s.r.problem("entry %d: the signature of %s is of another head than the log gives (%s)", index, c.Date, results[i].Code)
			}
		}
	}
	if sealed {
		s.leaves, s.first = s.leaves[:0], 0
	}
	if s.first == 0 {
		s.first = index
	}
	s.last = index
	s.leaves = append(s.leaves, chain.Leaf(index, sha256.Sum256(data), sha256.Sum256(coded)))
}

// seal holds the head of a date that this batch seals. A batch may seal several:
// the later ones have no leaves of their own.
func (s *sealCheck) seal(m *core.Machine, date si.BusinessDate, head chain.Head) {
	d, ok := m.DayHead(date)
	if !ok {
		s.r.problem("the sealed %s has no head", date)
		return
	}
	h := &d.Head
	first := s.first
	if len(s.leaves) == 0 {
		first = 0
	}
	if h.First != first || h.Last != s.last || h.Batches != uint64(len(s.leaves)) || h.Head != head {
		s.r.problem("the head of %s covers batches %d to %d, the log says %d to %d", date, h.First, h.Last, first, s.last)
	}
	if h.Root != merkle(s.leaves) {
		s.r.problem("the Merkle root of %s is not that of its batches", date)
	}
	if h.PrevHash != s.prev {
		s.r.problem("the head of %s does not follow the head before it", date)
	}
	s.prev = d.Hash
	s.leaves, s.first = s.leaves[:0], 0
	s.r.Sealed++
	s.r.LastSealed = date
}

// merkle is the root of leaves as RFC 6962, section 2.1 defines it.
func merkle(leaves []chain.Head) chain.Head {
	if len(leaves) == 0 {
		return sha256.Sum256(nil)
	}
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return chain.Node(merkle(leaves[:k]), merkle(leaves[k:]))
}

// end checks the signatures as they stand when the log ends.
func (s *sealCheck) end(m *core.Machine) {
	days := m.DayHeads(0)
	for date, want := range s.witness.Heads {
		if d, ok := m.DayHead(date); !ok {
			s.r.problem("the witness knows a head of %s, the log does not seal that date", date)
		} else if d.Hash != want {
			s.r.problem("the head of %s is %x, the witness knows %x", date, d.Hash, want)
		}
	}
	if len(s.witness.Keys) == 0 {
		return
	}
	for i := range days {
		d := &days[i]
		switch {
		case len(d.Signature) == 0 && i < len(days)-1:
			s.r.problem("the sealed %s bears no signature", d.Head.Date)
		case len(d.Signature) == 0: // the last one may be on its way
		case d.Alg != ledgerapi.SignEd25519:
			s.r.problem("the signature of %s is by an algorithm that this program cannot check", d.Head.Date)
		case !s.good(d):
			s.r.problem("the signature of %s is not good: no given key made it", d.Head.Date)
		default:
			s.r.Signed++
		}
	}
}

func (s *sealCheck) good(d *core.SealedDay) bool {
	for _, k := range s.witness.Keys {
		if core.KeyID(k) == d.Key && ed25519.Verify(k, d.Bytes, d.Signature) {
			return true
		}
	}
	return false
}
