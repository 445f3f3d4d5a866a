package oracle

import (
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/simulators/world"
)

// testPayments is how many payments a day has in the tests.
const testPayments = 1000

// day plays a seed and gives its tables.
func day(t *testing.T, seed uint64, o world.Options) (tables []world.Table) {
	t.Helper()
	o.Payments = testPayments
	o.Export = func(all []world.Table) error { tables = all; return nil }
	if _, err := world.Play(seed, o); err != nil {
		t.Fatal(err)
	}
	return tables
}

// TestDays holds that the second oracle finds nothing where nothing is wrong,
// and that it was given something to look at.
func TestDays(t *testing.T) {
	rows := map[string]int{}
	for seed := uint64(1); seed <= 8; seed++ {
		tables := day(t, seed, world.Options{})
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
