package assess

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func month(year int, m time.Month) si.Period { return si.MonthPeriod(year, m) }

// TestInterest: laid out by hand. 1,200.00 at 1 % a year is 1.00 a month.
func TestInterest(t *testing.T) {
	table := Table{Interest: []InterestRate{{month(2025, 1), 10_000}, {month(2026, 1), 20_000}}}
	for _, tc := range []struct {
		name   string
		period si.Period
		on     si.BusinessDate
		want   si.Fen
	}{
		{"one month between", month(2025, 3), si.Date(2025, 5, 1), 100},
		{"the day does not matter", month(2025, 3), si.Date(2025, 5, 31), 100},
		{"the month after", month(2025, 3), si.Date(2025, 4, 30), 0},
		{"the same month", month(2025, 3), si.Date(2025, 3, 31), 0},
		{"before it is owed", month(2025, 3), si.Date(2024, 1, 1), 0},
		{"a whole year", month(2025, 1), si.Date(2026, 1, 15), 1_100},
		{"over the change of rate", month(2025, 11), si.Date(2026, 3, 1), 100 + 200 + 200},
		{"before the first row there is none", month(2024, 6), si.Date(2025, 3, 1), 200},
		{"a year is owed at its end", si.YearPeriod(2025), si.Date(2026, 3, 1), 400},
	} {
		if got := table.InterestOn(120_000, tc.period, tc.on); got != tc.want {
			t.Errorf("%s: InterestOn(1200.00, %s, %s) = %s, want %s", tc.name, tc.period, tc.on, got, tc.want)
		}
	}
	if got := table.InterestOn(600, month(2025, 3), si.Date(2025, 5, 1)); got != 1 {
		t.Errorf("half a fen = %s, want 0.01: halves go up", got)
	}
	if got := table.InterestOn(599, month(2025, 3), si.Date(2025, 5, 1)); got != 0 {
		t.Errorf("less than half a fen = %s, want 0", got)
	}
	if got := new(Table).InterestOn(120_000, month(2025, 3), si.Date(2026, 5, 1)); got != 0 {
		t.Errorf("without a table = %s, want 0", got)
	}
}

// TestInterestExact holds interest to big integers, month by month, up to the
// bounds of amount, rate and time.
func TestInterestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		principal := rapid.Int64Range(0, int64(MaxBase)).Draw(t, "principal")
		var table Table
		from := 0
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			from += rapid.IntRange(1, 300).Draw(t, "from")
			table.Interest = append(table.Interest, InterestRate{si.Period(from), rapid.Uint32Range(0, Million).Draw(t, "ppm")})
		}
		period := si.Period(rapid.IntRange(0, 2_100).Draw(t, "period"))
		on := si.BusinessDate(rapid.IntRange(1, 65_535).Draw(t, "on"))
		sum := new(big.Int)
		for m := int(period) + 1; m < monthOf(on); m++ {
			ppm := uint32(0)
			for _, x := range table.Interest {
				if int(x.From) <= m {
					ppm = x.PPMPerYear
				}
			}
			sum.Add(sum, big.NewInt(int64(ppm)))
		}
		sum.Mul(sum, big.NewInt(principal))
		sum.Add(sum.Lsh(sum, 1), big.NewInt(12*Million)).Div(sum, big.NewInt(24*Million))
		want := si.MaxFen
		if sum.IsInt64() && sum.Int64() < int64(want) {
			want = si.Fen(sum.Int64())
		}
		if got := table.InterestOn(si.Fen(principal), period, on); got != want {
			t.Fatalf("InterestOn(%d, %s, %s) of %v = %d, want %d", principal, period, on, table.Interest, got, want)
		}
	})
}

func TestBackPay(t *testing.T) {
	table, err := Parse([]byte(head + `
late_rules: [{id: 1, per_day: "0.05%", first_offset: 1}]
interest: [{from: "2025-01", per_year: "1.2%"}]
rates:
  - {fund: PENSION_EMP, ptype: FLEX, payer: PERSON, from: "2025-01", freq: month, rate: "20%", individual: "8%", floor: "3803.00", cap: "20268.00"}
  - {fund: PENSION_EMP, ptype: FLEX, payer: PERSON, from: "2026-01", freq: month, rate: "20%", individual: "8%", floor: "3957.00", cap: "21096.00"}
  - {fund: PENSION_EMP, ptype: EMPLOYEE, payer: EMPLOYER, from: "2025-01", freq: month, rate: "16%", floor: "3803.00", cap: "20268.00", late_rule: 1}
grades: [{fund: PENSION_RES, year: 2025, grade: "1", person: "100.00", subsidy: "30.00", freq: year}]
`))
	if err != nil {
		t.Fatal(err)
	}
	due, on := si.Date(2025, 3, 25), si.Date(2026, 4, 24)
	for _, tc := range []struct {
		name   string
		fund   si.Fund
		ptype  si.PType
		payer  Payer
		period si.Period
		base   si.Fen
		want   BackPayment
		err    error
	}{
		// The floor of 2025 counts although it is paid in 2026: 760.60. Twelve
		// months from April 2025 to March 2026 at 0.1 %: 9.1272.
		{"by the figures of the period", si.PensionEmp, si.Flex, ledgerapi.PayerPerson, month(2025, 3), 0,
			BackPayment{Share: Share{76_060, 30_424}, Interest: 913}, nil},
		// 16 % of 3803.00 is 608.48; interest 7.30; 395 days at 0.05 %: 120.1748.
		{"an employer is late as well", si.PensionEmp, si.Employee, ledgerapi.PayerEmployer, month(2025, 3), 0,
			BackPayment{Share: Share{60_848, 0}, Interest: 730, LateFee: 12_017, LateRule: 1}, nil},
		// December 2025 is the last month of the year: January to March at 0.1 %.
		{"a grade", si.PensionRes, si.Resident, ledgerapi.PayerPerson, si.YearPeriod(2025), 10_000,
			BackPayment{Share: Share{10_000, 10_000}, Interest: 30}, nil},
		{"its subsidy", si.PensionRes, si.Resident, ledgerapi.PayerGov, si.YearPeriod(2025), 10_000,
			BackPayment{Share: Share{3_000, 3_000}, Interest: 9}, nil},
		{"no employer pays a grade", si.PensionRes, si.Resident, ledgerapi.PayerEmployer, si.YearPeriod(2025), 10_000, BackPayment{}, ErrNoRate},
		{"no such grade", si.PensionRes, si.Resident, ledgerapi.PayerPerson, si.YearPeriod(2025), 10_001, BackPayment{}, ErrBase},
		{"a month of a yearly grade", si.PensionRes, si.Resident, ledgerapi.PayerPerson, month(2025, 1), 10_000, BackPayment{}, ErrBase},
		{"before the first row", si.PensionEmp, si.Flex, ledgerapi.PayerPerson, month(2024, 12), 0, BackPayment{}, ErrNoRate},
		{"a year of a monthly row", si.PensionEmp, si.Flex, ledgerapi.PayerPerson, si.YearPeriod(2025), 0, BackPayment{}, ErrNoRate},
		{"base below 0", si.PensionEmp, si.Flex, ledgerapi.PayerPerson, month(2025, 3), -1, BackPayment{}, ErrBase},
		{"base one past the bound", si.PensionEmp, si.Flex, ledgerapi.PayerPerson, month(2025, 3), MaxBase + 1, BackPayment{}, ErrBase},
	} {
		got, err := table.BackPay(tc.fund, tc.ptype, tc.payer, tc.period, tc.base, due, on)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tc.name, got, err, tc.want, tc.err)
		}
	}
	b := BackPayment{Share: Share{60_848, 0}, Interest: 730, LateFee: 12_017}
	if b.Total() != 73_595 {
		t.Errorf("Total = %s, want 735.95", b.Total())
	}
	if _, err := table.BackPay(si.PensionEmp, si.Flex, ledgerapi.PayerPerson, month(2025, 3), MaxBase, due, on); err != nil {
		t.Errorf("base at the bound: %v", err)
	}
}

// TestSupplement: what was paid and the supplement are together what is owed,
// in all and in the individual part, unless the figure was lowered.
func TestSupplement(t *testing.T) {
	if got := Supplement(Share{100_000, 40_000}, Share{76_060, 30_424}); got != (Share{23_940, 9_576}) {
		t.Errorf("got %+v, want 239.40 and 95.76", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		share := func(name string) Share {
			total := rapid.Int64Range(0, int64(si.MaxFen)).Draw(t, name)
			return Share{si.Fen(total), si.Fen(rapid.Int64Range(0, total).Draw(t, name+" individual"))}
		}
		now, paid := share("now"), share("paid")
		s := Supplement(now, paid)
		if s.Total < 0 || s.Individual < 0 || s.Pool() < 0 || s.Total != max(0, now.Total-paid.Total) {
			t.Fatalf("Supplement(%+v, %+v) = %+v", now, paid, s)
		}
		if now.Individual >= paid.Individual && now.Pool() >= paid.Pool() && s.Individual+paid.Individual != now.Individual {
			t.Fatalf("Supplement(%+v, %+v) = %+v: the individual account lacks some", now, paid, s)
		}
	})
}

// TestFirstForm: a table of the first form keeps its rules, so that a log that
// took one takes it again.
func TestFirstForm(t *testing.T) {
	body := strings.Replace(head, "rates-2", "rates-1", 1) + `rates:
  - {fund: INJURY, ptype: FLEX, payer: EMPLOYER, from: "2026", freq: year}
  - {fund: INJURY, ptype: FLEX, payer: EMPLOYER, from: "2026-02", freq: month}
`
	if _, err := Parse([]byte(body)); err != nil {
		t.Errorf("first form: %v", err)
	}
	_, found := Check([]byte(strings.Replace(body, "rates-1", "rates-2", 1)))
	want := []string{"line 4: rates[0]: neither rate nor fixed", "line 5: rates[1]: neither rate nor fixed", "line 5: rates[1]: overlaps rates[0]"}
	if len(found) != len(want) {
		t.Fatalf("found %v, want %d", found, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(found[i].Error(), want[i]) {
			t.Errorf("problem %d: %v, want %q", i, found[i], want[i])
		}
	}
}

// TestBoundsOfATable takes each section at its bound and one past.
func TestBoundsOfATable(t *testing.T) {
	interest := func(n int) string {
		b := head + "interest:\n"
		for i := range n {
			b += "  - {from: \"" + si.Period(i).String() + "\", per_year: \"1%\"}\n"
		}
		return b
	}
	if _, err := Parse([]byte(interest(MaxInterest))); err != nil {
		t.Errorf("%d interest rates: %v", MaxInterest, err)
	}
	if _, err := Parse([]byte(interest(MaxInterest + 1))); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("one more: %v", err)
	}
	floats := func(n int) string {
		b := head + "injury: [{class: 1, from: \"2026-01\", rate: \"0.2%\", floats: ["
		for i := range n {
			b += "\"" + si.Fen(10_000 + 100*i).String()[:3] + "%\", "
		}
		return b + "]}]\n"
	}
	if _, err := Parse([]byte(floats(MaxFloats))); err != nil {
		t.Errorf("%d floats: %v", MaxFloats, err)
	}
	if _, err := Parse([]byte(floats(MaxFloats + 1))); err == nil || !strings.Contains(err.Error(), "floats must be") {
		t.Errorf("one more: %v", err)
	}
}
