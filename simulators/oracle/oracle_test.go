package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/simulators/world"
)

// testPayments is how many payments a day has in the tests.
const testPayments = 1000

// day plays a seed and gives its tables.
func day(t *testing.T, seed uint64, o world.Options) (tables []world.Table) {
	t.Helper()
	if o.Payments == 0 {
		o.Payments = testPayments
	}
	o.Export = func(_ uint64, all []world.Table) error { tables = all; return nil }
	if _, err := world.Play(seed, o); err != nil {
		t.Fatal(err)
	}
	return tables
}

// TestDays holds that the second oracle finds nothing where nothing is wrong,
// and that it was given something to look at.
func TestDays(t *testing.T) {
	rows := map[string]int{}
	for seed := uint64(1); seed <= 3; seed++ {
		tables := day(t, seed, world.Options{Payments: 400})
		found, err := Check(tables)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			t.Errorf("seed %d: %s", seed, f)
		}
		for _, x := range tables {
			rows[x.Name] += len(x.Rows)
		}
	}
	schema, err := statements.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range rows {
		if n == 0 {
			t.Errorf("table %s is empty in every day", name)
		}
	}
	if want := strings.Count(string(schema), "CREATE TABLE"); len(rows) != want {
		t.Errorf("%d tables, the schema has %d", len(rows), want)
	}
}

// find gives the first row of a table that is as wanted.
func find(t *testing.T, tables []world.Table, name string, want func(row []any) bool) (table *world.Table, at int) {
	t.Helper()
	for i := range tables {
		if tables[i].Name == name {
			if at := slices.IndexFunc(tables[i].Rows, want); at >= 0 {
				return &tables[i], at
			}
		}
	}
	t.Fatalf("no such row of %s", name)
	return nil, 0
}

// TestDamage damages one row of a sound day by hand; each damage must be found
// by the checks named, and every check must find one.
func TestDamage(t *testing.T) {
	sound := day(t, 1, world.Options{Payments: 120, Plan: world.Plan{world.BankForgets: 80_000, world.RequestLost: 20_000, world.ReplyLost: 30_000}})
	if found, err := Check(sound); err != nil || len(found) > 0 {
		t.Fatalf("the day is not sound: %v, %v", found, err)
	}
	is := func(column int, value any) func([]any) bool {
		return func(row []any) bool { return row[column] == value }
	}
	any1 := func([]any) bool { return true }
	covered := map[string]bool{}
	for _, c := range []struct {
		name, table string
		row         func([]any) bool
		damage      func(x *world.Table, at int)
		checks      string
	}{
		{"a debit vanishes from the bank's book", "booking", is(2, "debit"), drop, "i1_accounts i1_days i2_debits"},
		{"a debit stands twice in the bank's book", "booking", is(2, "debit"), twice, "i1_accounts i1_days i2_debits"},
		{"a reversal vanishes", "booking", is(2, "reversal"), drop, "i1_accounts i1_days i2_debits i2_breaks"},
		{"a debit is of another date", "booking", is(2, "debit"), set(3, int64(1)), "i1_days"},
		{"a counter's money vanishes", "booking", is(2, "cash"), drop, "i1_accounts i1_days i2_debits i3_bank"},
		{"our account holds a fen more", "bank", any1, add(1, 1), "i1_accounts"},
		{"a posting vanishes from the journal", "entry", is(4, int64(1)), drop, "i1_days i1_totals i2_open i2_breaks i3_dues"},
		{"a posting stands twice", "entry", is(4, int64(1)), twice, "i1_days i2_debits i2_open i3_dues"},
		{"a posting is of a fen more", "entry", is(4, int64(1)), add(5, 1), "i1_books i1_days i1_totals i2_breaks i2_open"},
		{"a posting is in red", "entry", is(4, int64(1)), set(4, int64(-1)), "i1_days i1_totals i2_debits i2_open"},
		{"a line does not balance", "line", any1, add(3, 7), "i1_books"},
		{"a due is given a fen less", "part", any1, add(2, -1), "i1_books i3_bank i3_dues"},
		{"the totals are wrong", "total", is(0, int64(1)), add(2, 5), "i1_totals"},
		{"a voided payment is called posted", "payment", is(4, "VOIDED"), set(4, "POSTED"), "i2_open"},
		{"a posted payment is called voided", "payment", is(4, "POSTED"), set(4, "VOIDED"), "i2_open i3_dues"},
		{"a payment never ends", "payment", is(4, "VOIDED"), set(4, "REVERSING"), "i2_open"},
		{"the ledger knows no such payment", "deal", is(0, int64(1)), drop, "i2_debits"},
		{"the match found nothing", "found", any1, drop, "i2_breaks"},
		{"the match found a break twice", "found", any1, twice, "i2_breaks"},
		{"nobody lied about a break", "lie", any1, drop, "i2_breaks i2_debits"},
		{"a teller gave back what is posted", "teller", is(3, int64(1)), set(3, int64(0)), "i2_people"},
		{"a terminal wrote down a refusal", "intent", is(2, "RECEIPTED"), set(2, "DECLINED"), "i2_people"},
		{"a terminal wrote down a receipt", "intent", is(2, "DECLINED"), set(2, "RECEIPTED"), "i2_people"},
		{"not charged is said of what is paid", "told", is(1, "paid"), set(1, "not charged"), "i2_people"},
		{"paid is said of what is not", "told", is(1, "not charged"), set(1, "paid"), "i2_people"},
		{"a paid due is called open", "due", is(2, "PAID"), set(2, "OPEN"), "i3_dues"},
		{"an open due is called paid", "due", is(2, "OPEN"), set(2, "PAID"), "i3_dues"},
		{"a due costs more than was paid", "due", is(2, "PAID"), add(1, 1_000_000), "i3_dues"},
		{"a posting's code was wrong", "proof", is(1, int64(1)), set(2, int64(0)), "i3_proof"},
		{"a posting has no proof", "proof", is(1, int64(1)), drop, "i3_proof"},
		{"one person posted by hand", "proof", is(1, int64(1)), set(1, int64(4)), "i3_proof"},
	} {
		t.Run(c.name, func(t *testing.T) {
			damaged := slices.Clone(sound)
			x, at := find(t, damaged, c.table, c.row)
			x.Rows = slices.Clone(x.Rows)
			x.Rows[at] = slices.Clone(x.Rows[at])
			c.damage(x, at)
			found, err := Check(damaged)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, f := range found {
				got[f.Check], covered[f.Check] = true, true
			}
			for name := range strings.FieldsSeq(c.checks) {
				if !got[name] {
					t.Errorf("%s does not find it; found: %v", name, found)
				}
			}
		})
	}
	for _, name := range Checks() {
		if !covered[name] {
			t.Errorf("%s finds no damage at all", name)
		}
	}
}

func drop(x *world.Table, at int)  { x.Rows = slices.Delete(x.Rows, at, at+1) }
func twice(x *world.Table, at int) { x.Rows = append(x.Rows, x.Rows[at]) }

func set(column int, to any) func(*world.Table, int) {
	return func(x *world.Table, at int) { x.Rows[at][column] = to }
}

func add(column int, n int64) func(*world.Table, int) {
	return func(x *world.Table, at int) { x.Rows[at][column] = x.Rows[at][column].(int64) + n }
}

// TestStatements holds that a statement that cannot be asked is an error, not a
// check that finds nothing.
func TestStatements(t *testing.T) {
	if _, err := Check([]world.Table{{Name: "nowhere", Rows: [][]any{{int64(1)}}}}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a table that the schema does not have: %v", err)
	}
	if len(Checks()) < 10 {
		t.Errorf("%d checks: %v", len(Checks()), Checks())
	}
	for _, name := range Checks() {
		if f := (Finding{Check: name}); !slices.Contains([]string{"I1", "I2", "I3"}, f.Invariant()) {
			t.Errorf("%s belongs to %s", name, f.Invariant())
		}
	}
}
