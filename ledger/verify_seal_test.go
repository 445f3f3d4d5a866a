package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// signKey makes the same key each time.
func signKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func publicOf(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// sealedDays is a ledger of three sealed dates, of which two are signed.
func sealedDays(t *testing.T) (dir string, heads []core.SealedDay) {
	t.Helper()
	cfg := testConfig(t.TempDir())
	now := testDay.Time().Add(10 * time.Hour)
	cfg.Now = func() time.Time { return now }
	n := openNode(t, cfg)
	settle(t, n, 40)
	for day := range 3 {
		date := testDay + si.BusinessDate(day)
		now = date.Time().Add(10 * time.Hour)
		for i := range 10 {
			p := payDue(10*day + i)
			p.BankDate, p.OurDate = date, date
			must(t, n, p)
		}
		must(t, n, ledgerapi.Cutover{ID: id('w', 2+day), Bank: testBank, From: date, To: date + 1}, ledgerapi.SealDay{ID: id('s', day), Date: date})
		if day < 2 {
			must(t, n, signature(t, n, date, day, signKey(1)))
		}
	}
	must(t, n, payDueOn(30, testDay+3))
	heads = n.DayHeads(0)
	if len(heads) != 3 || heads[0].Head.Batches == 0 || heads[1].Head.First != heads[0].Head.Last+1 || len(heads[2].Head.Sums) != 2 ||
		heads[1].Head.PrevHash != heads[0].Hash {
		t.Fatalf("DayHeads = %+v", heads)
	}
	if d, ok := n.DayHead(testDay); !ok || d.Hash != heads[0].Hash {
		t.Errorf("DayHead = %+v, %v", d, ok)
	}
	if rows := n.JournalOn(testDay+1, 0, 100); len(rows) != 10 || rows[0].Kind != core.JournalPay || rows[0].Total != testAmount {
		t.Errorf("JournalOn gives %d rows, want 10 payments", len(rows))
	}
	if b := n.BalanceOn(testDay + 1); !b.Sealed || len(b.Lines) != 3 {
		t.Errorf("BalanceOn = %+v, want two clearing accounts and income", b)
	}
	if all, _ := n.Rights(1, si.YearPeriod(2026), si.YearPeriod(2026)); len(all) != 1 || all[0].Amount != testAmount || all[0].PaidOn != testDay {
		t.Errorf("Rights = %+v, want one year", all)
	}
	desk(t, n)
	closeNode(t, n)
	return cfg.Dir, heads
}

// desk asks for what no payment makes.
func desk(t *testing.T, n *Node) {
	t.Helper()
	if len(n.Breaks(true))+len(n.Suspenses(true))+len(n.Refunds(true))+len(n.Runs())+len(n.RunLines(1, 0, 9))+len(n.Users())+
		len(n.Files(testBank, testDay))+len(n.Waiting()) != 0 {
		t.Error("there are breaks, refunds, runs, files or users that nobody made")
	}
	_, b := n.Break(1)
	_, r := n.Refund(1)
	_, x := n.Run(1)
	if _, u := n.UserByLogin("li"); b || r || x || u {
		t.Error("a break, refund, run or user was found that nobody made")
	}
}

func payDueOn(i int, date si.BusinessDate) ledgerapi.Pay {
	p := payDue(i)
	p.BankDate, p.OurDate = date, date
	return p
}

func signature(t *testing.T, n *Node, date si.BusinessDate, i int, key ed25519.PrivateKey) ledgerapi.Command {
	t.Helper()
	d, ok := n.DayHead(date)
	if !ok {
		t.Fatalf("no head of %s", date)
	}
	return ledgerapi.Act{ID: id('g', i), Do: &ledgerapi.DaySignature{Date: date, Head: d.Hash, Alg: ledgerapi.SignEd25519,
		Key: core.KeyID(publicOf(key)), Signature: ed25519.Sign(key, d.Bytes)}}
}

// rebuild lets a node make the state file of a log that was written anew, so
// that chain, rows and books all agree: what an insider with time would do.
func rebuild(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, stateName)); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(dir)
	cfg.Now = func() time.Time { return (testDay + 3).Time().Add(11 * time.Hour) }
	closeNode(t, openNode(t, cfg))
}

// TestVerifySeals plants tampering in a log that is then made whole again in
// every other way. The seals find it.
func TestVerifySeals(t *testing.T) {
	whole, heads := sealedDays(t)
	frames := readRaw(t, whole)
	var pays, signs []int
	for i, f := range frames {
		switch {
		case isPay(f):
			pays = append(pays, i)
		case f.kind == 0 && len(f.data) > 0 && f.data[0] == byte(ledgerapi.TypeDaySignature):
			signs = append(signs, i)
		}
	}
	if len(pays) != 31 || len(signs) != 2 {
		t.Fatalf("the sample has %d payments and %d signatures in frames of their own, want 31 and 2", len(pays), len(signs))
	}
	clone := func() []rawFrame { return append([]rawFrame(nil), frames...) }
	key, other := signKey(1), signKey(2)
	known := Witness{Heads: map[si.BusinessDate][32]byte{heads[2].Head.Date: heads[2].Hash}}
	signed := Witness{Keys: []ed25519.PublicKey{publicOf(other), publicOf(key)}}
	for _, c := range []struct {
		name    string
		witness Witness
		change  func(t *testing.T, dir string)
		want    string // stands in a problem; empty if there is none
	}{
		{"nothing, nobody asked", Witness{}, nil, ""},
		{"nothing, signatures checked", signed, nil, ""},
		{"nothing, a head known", known, nil, ""},
		{"the same log written again", signed, func(t *testing.T, dir string) { writeRaw(t, dir, clone()); rebuild(t, dir) }, ""},
		{"one bit flipped", Witness{}, func(t *testing.T, dir string) {
			fs := clone()
			fs[pays[3]].data = bytes.Clone(fs[pays[3]].data)
			fs[pays[3]].data[len(fs[pays[3]].data)-4] ^= 1 // the host serial
			writeRaw(t, dir, fs)
			rebuild(t, dir)
		}, "another head than the log gives"},
		{"a record removed", Witness{}, func(t *testing.T, dir string) {
			fs := clone()
			writeRaw(t, dir, append(fs[:pays[3]:pays[3]], fs[pays[3]+1:]...))
			rebuild(t, dir)
		}, "another head than the log gives"},
		{"two records swapped", Witness{}, func(t *testing.T, dir string) {
			fs := clone()
			fs[pays[3]], fs[pays[4]] = fs[pays[4]], fs[pays[3]]
			writeRaw(t, dir, fs)
			rebuild(t, dir)
		}, "another head than the log gives"},
		{"the tail cut below a seal", known, func(t *testing.T, dir string) { writeRaw(t, dir, clone()[:pays[25]]); rebuild(t, dir) },
			"does not seal that date"},
		{"a day written anew behind the last signature", known, func(t *testing.T, dir string) {
			fs := clone()
			writeRaw(t, dir, append(fs[:pays[25]:pays[25]], fs[pays[25]+1:]...))
			rebuild(t, dir)
		}, "the witness knows"},
		{"a signature removed", signed, func(t *testing.T, dir string) {
			fs := clone()
			writeRaw(t, dir, append(fs[:signs[0]:signs[0]], fs[signs[0]+1:]...))
			rebuild(t, dir)
		}, "another head than the log gives"},
		{"the last signature removed", signed, func(t *testing.T, dir string) {
			fs := clone()
			writeRaw(t, dir, append(fs[:signs[1]:signs[1]], fs[signs[1]+1:]...))
			rebuild(t, dir)
		}, "bears no signature"},
		{"a seal forged with another key", Witness{Keys: []ed25519.PublicKey{publicOf(key)}}, func(t *testing.T, dir string) {
			c := ledgerapi.DaySignature{Date: heads[1].Head.Date, Head: heads[1].Hash, Alg: ledgerapi.SignEd25519,
				Key: core.KeyID(publicOf(key)), Signature: ed25519.Sign(other, heads[1].Bytes)}
			fs := clone()
			h, _, _, err := ledgerapi.SplitRecord(fs[signs[1]].data)
			if err != nil {
				t.Fatal(err)
			}
			fs[signs[1]].data = ledgerapi.AppendRecord(nil, h, ledgerapi.Act{ID: h.ID, Do: &c})
			writeRaw(t, dir, fs)
			rebuild(t, dir)
		}, "is not good"},
		{"a head altered in the state file", Witness{}, func(t *testing.T, dir string) { alterRow(t, dir, core.BucketDayHead) }, "state file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyDir(t, whole, dir)
			if c.change != nil {
				c.change(t, dir)
			}
			r, err := VerifyBy(dir, c.witness, nil)
			if err != nil {
				t.Fatalf("VerifyBy: %v", err)
			}
			text := strings.Join(r.Problems, "; ")
			switch {
			case c.want != "" && !strings.Contains(text, c.want):
				t.Errorf("VerifyBy found %q, want %q", text, c.want)
			case c.want == "" && (!r.OK() || r.Sealed != 3 || r.LastSealed != testDay+2 || (r.Signed == 2) != (len(c.witness.Keys) > 0)):
				t.Errorf("VerifyBy = %+v, want 3 sealed days", r)
			}
		})
	}
}

// TestSealCheck holds the check itself: a head that does not fit the log is said,
// whichever of its parts is wrong.
func TestSealCheck(t *testing.T) {
	if got := merkle(nil); got != sha256.Sum256(nil) {
		t.Errorf("merkle of nothing = %x", got)
	}
	m := core.New(core.Config{Region: 1, Area: 330110})
	apply := func(index uint64, c ledgerapi.Command) {
		t.Helper()
		b := ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: uint64(testDay.Time().UnixMilli())}, c)
		if res, err := m.ApplyBatch(index, b, nil); err != nil || res[0].Code != ledgerapi.OK {
			t.Fatalf("%T: %v, %v", c, res, err)
		}
	}
	apply(1, ledgerapi.Cutover{ID: id('w', 1), Bank: testBank, To: testDay})
	apply(2, ledgerapi.Cutover{ID: id('w', 2), Bank: testBank, From: testDay, To: testDay + 1})
	head := m.Head()
	apply(3, ledgerapi.SealDay{ID: id('s', 1), Date: testDay})
	d, _ := m.DayHead(testDay)
	for name, spoil := range map[string]func(s *sealCheck){
		"covers batches":  func(s *sealCheck) { s.last++ },
		"Merkle root":     func(s *sealCheck) { s.leaves[0][0] ^= 1 },
		"does not follow": func(s *sealCheck) { s.prev[0] ^= 1 },
	} {
		s := sealCheck{r: &Report{}, first: d.Head.First, last: d.Head.Last}
		s.leaves = append(s.leaves, [32]byte{}, [32]byte{})
		spoil(&s)
		s.seal(m, testDay, head)
		if text := strings.Join(s.r.Problems, "; "); !strings.Contains(text, name) {
			t.Errorf("a head that is wrong gave %q, want %q", text, name)
		}
	}
}
