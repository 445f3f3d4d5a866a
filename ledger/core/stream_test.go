package core

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// storeRows is a checkpoint store in memory: the live rows and the history.
type storeRows struct {
	past  *memPast
	first int // Config.sweepFirst of the machines
}

// save applies a finished checkpoint.
func (s *storeRows) save(t tester, c *Changes) {
	t.Helper()
	var last Change
	err := c.Each(func(x Change) error {
		if x.Bucket < last.Bucket || (x.Bucket == last.Bucket && bytes.Compare(x.Key, last.Key) <= 0) {
			t.Errorf("checkpoint row %s/%x is out of order", x.Bucket, x.Key)
		}
		last = Change{Bucket: x.Bucket, Key: bytes.Clone(x.Key)}
		if x.Value == nil {
			delete(s.past.rows[x.Bucket], string(x.Key))
			return nil
		}
		if old, ok := s.past.rows[x.Bucket][string(x.Key)]; ok && x.Bucket > LastLive && x.Bucket != BucketPaidBy && !bytes.Equal(old, x.Value) {
			t.Errorf("history row %s/%x is altered", x.Bucket, x.Key)
		}
		s.past.rows[x.Bucket][string(x.Key)] = bytes.Clone(x.Value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// load gives a machine restored from the live rows.
func (s *storeRows) load(t tester) *Machine {
	t.Helper()
	m := New(Config{Region: 1, Area: testArea, Past: s.past, sweepFirst: s.first})
	var rows []Change
	for b := BucketMeta; b <= LastLive; b++ {
		for _, k := range s.past.keys(b, "") {
			rows = append(rows, Change{b, []byte(k), s.past.rows[b][k]})
		}
	}
	err := m.Restore(rowsNext(rows))
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	return m
}

// finish brings a checkpoint to its end.
func (s *storeRows) finish(t tester, m *Machine, c *Changes) {
	t.Helper()
	c.Step(1 << 30)
	s.save(t, c)
	m.Release(c)
}

// clone is a copy of what the store holds now.
func (s *storeRows) clone() *storeRows {
	p := newMemPast()
	for b := range s.past.rows {
		for _, k := range s.past.keys(Bucket(b), "") {
			p.rows[b][k] = s.past.rows[b][k]
		}
	}
	return &storeRows{p, s.first}
}

// player draws random commands: mostly sensible ones, some not.
type player struct {
	*rig
	t       *rapid.T
	persons int
	ids     []si.PaymentID
	notices []si.NoticeNo
	sent    []ledgerapi.Command // to repeat
	acts    []si.PaymentID
	year    int
	deep    bool // mostly acts of the money side
}

// newPlayer has four residents, the last of them retired, with cards of their
// own, and a due each.
func newPlayer(t *rapid.T, cfg Config) *player {
	p := &player{rig: newRig(t, cfg), t: t, persons: 4}
	p.open(0)
	p.actor = func() si.Actor { return si.Actor(rapid.IntRange(0, 3).Draw(t, "actor")) }
	for i := range p.persons {
		c := ledgerapi.PutPerson{ID: p.rig.id(), IDHash: hashOf("id", i), PType: si.Resident, Household: testArea, Birth: si.BirthMonthOf(1980, 5), Sealed: []byte("sealed")}
		if i == 3 {
			c.Flags = ledgerapi.FlagRetired
		}
		p.must(c)
		p.card(si.PersonNo(i+1), i, i, ledgerapi.CardActive)
		p.medical(2025, si.PersonNo(i+1))
		p.mandate(si.PersonNo(i + 1))
	}
	return p
}

func (p *player) anyID() si.PaymentID {
	if len(p.ids) == 0 || rapid.IntRange(0, 30).Draw(p.t, "fresh") == 0 {
		return p.rig.id()
	}
	// The latest are the likeliest to be live.
	back := rapid.IntRange(0, min(len(p.ids)-1, 12)).Draw(p.t, "id")
	return p.ids[len(p.ids)-1-back]
}

func (p *player) person() si.PersonNo {
	return si.PersonNo(rapid.IntRange(1, p.persons).Draw(p.t, "person"))
}

func (p *player) command() ledgerapi.Command {
	actor := func(l string) si.Actor { return si.Actor(rapid.IntRange(0, 2).Draw(p.t, l)) }
	if p.deep && rapid.IntRange(0, 9).Draw(p.t, "kind") < 7 {
		return p.deepCommand()
	}
	if rapid.IntRange(0, 2).Draw(p.t, "money") == 0 {
		return p.personAct()
	}
	switch rapid.IntRange(0, 43).Draw(p.t, "command") {
	case 0, 1, 2, 3:
		c := p.reserve(p.person())
		c.Memo = make([]byte, rapid.SampledFrom([]int{0, 1, 31, 32, 33, 200, ledgerapi.MaxMemo}).Draw(p.t, "memo"))
		if len(c.Dues) > 1 && rapid.Bool().Draw(p.t, "fewer") {
			c.Dues = c.Dues[:1]
			c.Total = c.Dues[0].Amount + c.Dues[0].LateFee
		}
		c.Acq[7] = byte('0' + rapid.IntRange(0, 2).Draw(p.t, "acq"))
		p.ids = append(p.ids, c.ID)
		return c
	case 4, 5, 6:
		c := p.pay(p.person())
		if len(p.notices) > 0 && rapid.Bool().Draw(p.t, "notice") {
			c.Notice, c.Dues = p.notices[len(p.notices)-1], nil
			v, _ := p.m.NoticeByNo(c.Notice, c.OurDate)
			c.Total = v.Total
		}
		p.ids = append(p.ids, c.ID)
		return c
	case 7, 8, 9:
		c := approval(p.anyID(), p.openDate()-si.BusinessDate(rapid.IntRange(0, 2).Draw(p.t, "date")))
		c.Evidence.Source = ledgerapi.Source(rapid.IntRange(1, 4).Draw(p.t, "source"))
		c.Maker, c.Checker = actor("maker"), actor("checker")
		return c
	case 10, 11:
		c := voidBy(p.anyID(), ledgerapi.Proof(rapid.IntRange(1, 5).Draw(p.t, "proof")))
		c.Maker, c.Checker = actor("maker"), actor("checker")
		return c
	case 12:
		return reversing(p.anyID())
	case 13:
		return ledgerapi.Unpost{ID: p.anyID(), Reason: ledgerapi.UnpostReason(rapid.IntRange(1, 4).Draw(p.t, "reason"))}
	case 14, 15:
		return ledgerapi.Reverse{ID: p.anyID(), Bank: testBank, BankDate: p.openDate() - si.BusinessDate(rapid.IntRange(0, 1).Draw(p.t, "date"))}
	case 16:
		c := ledgerapi.Notice{ID: p.rig.id(), Person: p.person(), Date: p.openDate(), ValidUntil: p.openDate() + 3}
		for _, d := range p.m.DuesOf(c.Person, 0) {
			if d.Payer == ledgerapi.PayerPerson && d.State <= ledgerapi.DueOpen && rapid.IntRange(0, 3).Draw(p.t, "named") == 0 {
				c.Dues = append(c.Dues, d.Ref.ID)
			}
		}
		return c
	case 17, 18:
		grade := rapid.SampledFrom([]si.Fen{10_000, 30_000, 50_000, 100_000}).Draw(p.t, "grade")
		return ledgerapi.Assess{ID: p.rig.id(), Fund: si.PensionRes, PType: si.Resident, Period: si.YearPeriod(2025 + p.year%2),
			Kind: ledgerapi.DueYear, DueDay: firstDay, Version: 1, Later: rapid.Bool().Draw(p.t, "later"),
			Items: []ledgerapi.AssessItem{{Person: p.person(), Base: grade}}}
	case 19:
		p.year++
		c := ledgerapi.Assess{ID: p.rig.id(), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2025 + p.year),
			Kind: ledgerapi.DueYear, DueDay: firstDay, Version: 1, Later: rapid.Bool().Draw(p.t, "later")}
		for i := range p.persons {
			c.Items = append(c.Items, ledgerapi.AssessItem{Person: si.PersonNo(i + 1)})
		}
		return c
	case 20:
		open := p.openDate()
		p.at = max(p.at, (open + 1).Time().UnixMilli())
		return ledgerapi.Cutover{ID: p.rig.id(), Bank: testBank, From: open, To: open + 1}
	case 21:
		return ledgerapi.SealDay{ID: p.rig.id(), Date: p.openDate() - si.BusinessDate(rapid.IntRange(0, 2).Draw(p.t, "date"))}
	case 22:
		return ledgerapi.PutCard{ID: p.rig.id(), IDHash: hashOf("id", int(p.person())-1), CardHash: hashOf("card", rapid.IntRange(0, 5).Draw(p.t, "card")),
			PANHash: hashOf("pan", rapid.IntRange(0, 3).Draw(p.t, "pan")), Bank: testBank,
			State: ledgerapi.CardState(rapid.IntRange(1, 3).Draw(p.t, "state")), Source: ledgerapi.CardImport}
	case 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33:
		return p.act(p.money())
	case 34, 35, 36, 37, 38, 39:
		return p.approve()
	case 40, 41, 42:
		return p.runEnd(ledgerapi.RunNo(p.among(p.m.runs.used, "run")))
	default:
		if len(p.sent) == 0 {
			return p.reserve(p.person())
		}
		back := rapid.IntRange(0, min(len(p.sent)-1, 40)).Draw(p.t, "repeat")
		return p.sent[len(p.sent)-1-back]
	}
}

// TestStreams plays random commands in random batches with checkpoints at
// random places, and holds that
//   - every invariant is true after every batch,
//   - a replay of the log gives the same results, head and state,
//   - a machine restored from any checkpoint and fed the rest of the log does too.
func TestStreams(t *testing.T) { playStreams(t, false, 60) }

// TestMoneyStreams does the same with long streams in which money comes, goes
// back and is corrected, over several days.
func TestMoneyStreams(t *testing.T) { playStreams(t, true, 200) }

func playStreams(t *testing.T, deep bool, most int) {
	rapid.Check(t, func(t *rapid.T) {
		store := &storeRows{newMemPast(), rapid.SampledFrom([]int{1, sweepFirst}).Draw(t, "sweep")}
		p := newPlayer(t, Config{Past: store.past, sweepFirst: store.first})
		p.deep = deep
		type saved struct {
			rows    *storeRows
			applied uint64
		}
		var points []saved
		var results [][]ledgerapi.Result
		var checkpoint *Changes
		for range rapid.IntRange(1, most).Draw(t, "batches") {
			var batch []ledgerapi.Command
			for range rapid.IntRange(1, 4).Draw(t, "records") {
				c := p.command()
				p.sent = append(p.sent, c)
				batch = append(batch, c)
			}
			got := p.batch(batch...)
			results = append(results, got)
			for _, res := range got {
				if res.Notice != 0 {
					p.notices = append(p.notices, res.Notice)
				}
				if res.Code == 0 {
					t.Fatal("a command has no result code")
				}
			}
			p.check()
			switch {
			case checkpoint == nil && rapid.IntRange(0, 5).Draw(t, "freeze") == 0:
				checkpoint = p.m.Freeze()
			case checkpoint != nil && checkpoint.Step(rapid.IntRange(1, 20).Draw(t, "step")):
				if rapid.Bool().Draw(t, "commit") {
					store.save(t, checkpoint)
					points = append(points, saved{store.clone(), checkpoint.Applied()})
					p.m.Release(checkpoint)
					checkpoint = nil
				}
			}
		}
		balancesFromJournal(t, p.m, p.openDate())
		digest, head := p.m.Digest(), p.m.Head()
		again := New(Config{Region: 1, Area: testArea, Volatile: true, sweepFirst: store.first})
		replay(t, again, p.log, results, 0)
		sameRecords(t, again, p.m, p.persons)
		if again.Digest() != digest || again.Head() != head {
			t.Fatalf("replay: digest %x head %x, want %x %x", again.Digest(), again.Head(), digest, head)
		}
		// Rows must not depend on when checkpoints were made.
		if checkpoint != nil {
			store.finish(t, p.m, checkpoint)
		}
		store.finish(t, p.m, p.m.Freeze())
		once := &storeRows{newMemPast(), store.first}
		m := New(Config{Region: 1, Area: testArea, Past: once.past, sweepFirst: store.first})
		replay(t, m, p.log, results, 0)
		once.finish(t, m, m.Freeze())
		for b := range store.past.rows {
			for _, k := range store.past.keys(Bucket(b), "") {
				if !bytes.Equal(store.past.rows[b][k], once.past.rows[b][k]) {
					t.Fatalf("row %s/%x is %x after several checkpoints, %x after one", Bucket(b), k, store.past.rows[b][k], once.past.rows[b][k])
				}
			}
			if len(store.past.rows[b]) != len(once.past.rows[b]) {
				t.Fatalf("bucket %s has %d rows after several checkpoints, %d after one", Bucket(b), len(store.past.rows[b]), len(once.past.rows[b]))
			}
		}
		for _, at := range points {
			m := at.rows.load(t)
			if m.Applied() != at.applied {
				t.Fatalf("restored at %d, want %d", m.Applied(), at.applied)
			}
			if err := m.Check(); err != nil {
				t.Fatalf("restored at %d: %v", at.applied, err)
			}
			replay(t, m, p.log, results, at.applied)
			sameRecords(t, m, p.m, p.persons)
			if m.Digest() != digest || m.Head() != head {
				t.Fatalf("restored at %d: digest %x head %x, want %x %x", at.applied, m.Digest(), m.Head(), digest, head)
			}
			for i := range p.persons {
				no := si.PersonNo(i + 1)
				if got, want := m.PaymentsOf(no, 9), p.m.PaymentsOf(no, 9); !slices.EqualFunc(got, want, samePayment) {
					t.Fatalf("restored at %d: PaymentsOf(%d) = %v, want %v", at.applied, no, got, want)
				}
				if got, want := m.DuesOf(no, 0), p.m.DuesOf(no, 0); !slices.Equal(got, want) {
					t.Fatalf("restored at %d: DuesOf(%d) = %v, want %v", at.applied, no, got, want)
				}
			}
		}
	})
}

func samePayment(a, b ledgerapi.Payment) bool {
	return a.ID == b.ID && a.State == b.State && a.Receipt == b.Receipt && slices.Equal(a.Dues, b.Dues)
}

// replay applies the log after an index and compares the results of the batches
// that the player drew.
func replay(t *rapid.T, m *Machine, log [][]byte, results [][]ledgerapi.Result, after uint64) {
	first := len(log) - len(results)
	for i, b := range log {
		index := uint64(i + 1)
		if index <= after {
			continue
		}
		got, err := m.ApplyBatch(index, b, nil)
		if err != nil {
			t.Fatalf("replay of %d: %v", index, err)
		}
		if i >= first && !slices.Equal(got, results[i-first]) {
			t.Fatalf("replay of %d = %+v, want %+v", index, got, results[i-first])
		}
	}
}

// TestRestoreRefuses feeds rows that do not make a ledger.
func TestRestoreRefuses(t *testing.T) {
	r := newRig(t, Config{Past: newMemPast()}).open(2)
	r.medical(2026, 1, 2)
	r.must(r.reserve(1))
	c := r.m.Freeze()
	c.Step(1 << 30)
	var rows []Change
	_ = c.Each(func(x Change) error {
		if x.Bucket <= LastLive {
			rows = append(rows, Change{x.Bucket, bytes.Clone(x.Key), bytes.Clone(x.Value)})
		}
		return nil
	})
	feed := func(rows []Change, cfg Config) error {
		return New(cfg).Restore(rowsNext(rows))
	}
	good := Config{Region: 1, Area: testArea}
	if err := feed(rows, good); err != nil {
		t.Fatalf("Restore of good rows: %v", err)
	}
	if err := feed(rows, Config{Region: 1, Area: 330111}); !errors.Is(err, ErrRows) {
		t.Errorf("Restore of another region = %v, want ErrRows", err)
	}
	swapped := slices.Clone(rows)
	slices.Reverse(swapped)
	if err := feed(swapped, good); !errors.Is(err, ErrRows) {
		t.Errorf("Restore out of order = %v, want ErrRows", err)
	}
	for i := range rows {
		bad := slices.Clone(rows)
		bad[i].Value = rows[i].Value[:len(rows[i].Value)-1]
		if err := feed(bad, good); !errors.Is(err, ErrRows) {
			t.Errorf("Restore with %s/%x cut by a byte = %v, want ErrRows", rows[i].Bucket, rows[i].Key, err)
		}
		if rows[i].Bucket == BucketTerminal || rows[i].Bucket == BucketMeta || rows[i].Bucket == BucketConfig {
			continue
		}
		bad[i] = Change{rows[i].Bucket, append(bytes.Clone(rows[i].Key), 0), rows[i].Value}
		if err := feed(bad, good); !errors.Is(err, ErrRows) {
			t.Errorf("Restore with %s/%x longer by a byte = %v, want ErrRows", rows[i].Bucket, rows[i].Key, err)
		}
	}
}
