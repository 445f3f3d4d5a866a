package assess

import (
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The vectors were laid out by hand from the rules of the law and a published
// floor and cap (3,803 and 20,268 yuan).
func TestVectors(t *testing.T) {
	row := func(r Row) Row {
		r.FloatPct, r.RoundUnit = max(r.FloatPct, 100), 1
		r.Floor, r.Cap = 380_300, 2_026_800
		return r
	}
	for _, tc := range []struct {
		name              string
		row               Row
		base              si.Fen
		total, individual si.Fen
	}{
		{"20 % of 3803.00, 8 % individual", row(Row{RatePPM: 200_000, IndividualPPM: 80_000}), 380_300, 76_060, 30_424},
		{"0.2 % with float 150 %", row(Row{RatePPM: 2_000, FloatPct: 150}), 380_300, 1_141, 0},
		{"0.5 %, half up", row(Row{RatePPM: 5_000}), 380_300, 1_902, 0},
		{"cap, 16 %", row(Row{RatePPM: 160_000}), 2_500_000, 324_288, 0},
		{"cap, 8 %", row(Row{RatePPM: 80_000, IndividualPPM: 80_000}), 2_500_000, 162_144, 162_144},
		{"floor", row(Row{RatePPM: Million}), 300_000, 380_300, 0},
		{"fixed alone", Row{FloatPct: 100, RoundUnit: 1, Fixed: 500}, 0, 500, 0},
		{"individual never above total", Row{FloatPct: 100, RoundUnit: 1, RatePPM: 10, IndividualPPM: 20}, 1_000_000, 10, 10},
	} {
		got := tc.row.Assess(tc.base)
		if got.Total != tc.total || got.Individual != tc.individual {
			t.Errorf("%s: Assess(%s) = %s, individual %s, want %s, %s", tc.name, tc.base,
				got.Total, got.Individual, tc.total, tc.individual)
		}
	}
	if got := row(Row{RatePPM: 200_000, IndividualPPM: 80_000}); got.Assess(380_300).Pool() != 45_636 {
		t.Errorf("pool = %s, want 456.36", got.Assess(380_300).Pool())
	}
	if got := Undeclared(76_060); got != 83_666 {
		t.Errorf("Undeclared(760.60) = %s, want 836.66", got)
	}
}

func TestRoundUnit(t *testing.T) {
	for _, tc := range []struct{ unit, base, want si.Fen }{
		{1, 104, 104}, {10, 104, 100}, {10, 105, 110}, {100, 149, 100}, {100, 150, 200},
	} {
		r := Row{RatePPM: Million, FloatPct: 100, RoundUnit: tc.unit}
		if got := r.Assess(tc.base).Total; got != tc.want {
			t.Errorf("Assess(%d) to unit %d = %d, want %d", tc.base, tc.unit, got, tc.want)
		}
	}
}

func TestLateFee(t *testing.T) {
	employer := LateRule{ID: 1, PPMPerDay: 500, FirstOffset: 1}
	for _, tc := range []struct {
		name   string
		rule   LateRule
		amount si.Fen
		due    si.BusinessDate
		on     si.BusinessDate
		want   si.Fen
	}{
		{"30 days", employer, 76_060, 100, 130, 1_141},
		{"on the due day", employer, 76_060, 100, 100, 0},
		{"before it", employer, 76_060, 100, 3, 0},
		{"first day", employer, 76_060, 100, 101, 38},
		{"no rule", LateRule{}, 76_060, 100, 60_000, 0},
		{"offset 0 counts the due day", LateRule{PPMPerDay: 500}, 100_000, 100, 100, 50},
		{"cap", LateRule{PPMPerDay: 500, FirstOffset: 1, CapPPM: 1_000}, 100_000, 100, 200, 100},
		{"no overflow", LateRule{PPMPerDay: Million, FirstOffset: 1}, si.MaxFen, 1, 65_535, si.MaxFen},
	} {
		if got := tc.rule.Fee(tc.amount, tc.due, tc.on); got != tc.want {
			t.Errorf("%s: Fee(%s, %d, %d) = %s, want %s", tc.name, tc.amount, tc.due, tc.on, got, tc.want)
		}
	}
}

// TestExact holds the integer arithmetic to big integers within its bounds.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, int64(MaxBase)).Draw(t, "base")
		ppm := rapid.Int64Range(0, Million).Draw(t, "ppm")
		n := new(big.Int).Mul(big.NewInt(base), big.NewInt(ppm))
		want := n.Add(n.Lsh(n, 1), big.NewInt(Million)).Div(n, big.NewInt(2*Million)).Int64()
		if got := int64(share(si.Fen(base), ppm)); got != want {
			t.Fatalf("share(%d, %d) = %d, want %d", base, ppm, got, want)
		}
		r := Row{RatePPM: uint32(ppm), IndividualPPM: uint32(rapid.Int64Range(0, Million).Draw(t, "individual")),
			FloatPct: 100, RoundUnit: rapid.SampledFrom([]si.Fen{1, 10, 100}).Draw(t, "unit"),
			Floor: si.Fen(rapid.Int64Range(0, 1_000_000).Draw(t, "floor")), Cap: 2_000_000,
			Fixed: si.Fen(rapid.Int64Range(0, 10_000).Draw(t, "fixed"))}
		if c := Clamp(si.Fen(base), r.Floor, r.Cap); c < r.Floor || c > r.Cap || (si.Fen(base) >= r.Floor && si.Fen(base) <= r.Cap && c != si.Fen(base)) {
			t.Fatalf("Clamp(%d, %d, %d) = %d", base, r.Floor, r.Cap, c)
		}
		s := r.Assess(si.Fen(base))
		if s.Individual+s.Pool() != s.Total || s.Individual < 0 || s.Pool() < 0 {
			t.Fatalf("%+v.Assess(%d) = %+v: parts do not add up", r, base, s)
		}
		late := LateRule{PPMPerDay: uint32(rapid.Int64Range(0, Million).Draw(t, "late")), FirstOffset: 1}
		days := rapid.Int64Range(1, 60_000).Draw(t, "days")
		m := new(big.Int).Mul(big.NewInt(base), big.NewInt(days*int64(late.PPMPerDay)))
		m.Add(m.Lsh(m, 1), big.NewInt(Million)).Div(m, big.NewInt(2*Million))
		fee := si.MaxFen
		if m.IsInt64() && m.Int64() < int64(fee) {
			fee = si.Fen(m.Int64())
		}
		if got := late.Fee(si.Fen(base), 100, 100+si.BusinessDate(days)); got != fee {
			t.Fatalf("%+v.Fee(%d, %d days) = %d, want %d", late, base, days, got, fee)
		}
	})
}

func TestShippedTable(t *testing.T) {
	body, err := os.ReadFile("../../data/rates/330110.yaml")
	if err != nil {
		t.Fatal(err)
	}
	table, err := Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > ledgerapi.MaxConfig {
		t.Errorf("table has %d bytes, more than a configuration may have (%d)", len(body), ledgerapi.MaxConfig)
	}
	row, ok := table.Row(si.PensionEmp, si.Flex, ledgerapi.PayerPerson, si.MonthPeriod(2025, 12))
	if !ok || row.Assess(0).Total != 76_060 {
		t.Errorf("flexible pension 2025-12 = %+v, want 760.60 at the floor", row)
	}
	if row, _ = table.Row(si.PensionEmp, si.Flex, ledgerapi.PayerPerson, si.MonthPeriod(2026, 1)); row.Assess(0).Total != 79_140 {
		t.Errorf("flexible pension 2026-01 = %s, want 791.40: the later row is in force", row.Assess(0).Total)
	}
	if _, ok = table.Row(si.PensionEmp, si.Flex, ledgerapi.PayerPerson, si.MonthPeriod(2024, 12)); ok {
		t.Error("a period before the first row has a row")
	}
	if row, _ = table.Row(si.MedRes, si.Resident, ledgerapi.PayerPerson, si.YearPeriod(2026)); row.Assess(0).Total != 51_000 {
		t.Errorf("resident medical 2026 = %s, want 510.00", row.Assess(0).Total)
	}
	if g, ok := table.Grade(si.PensionRes, 2026, 300_000); !ok || g.Subsidy != 28_000 {
		t.Errorf("grade of 3000.00 = %+v, %v, want a subsidy of 280.00", g, ok)
	}
	if _, ok := table.Grade(si.PensionRes, 2026, 300_001); ok || table.HasGrades(si.PensionRes, 2023) {
		t.Error("a grade that is not in the table was found")
	}
	for fund := si.PensionEmp; fund.Valid(); fund++ {
		used := table.HasGrades(fund, 2026)
		for _, r := range table.Rows {
			used = used || r.Fund == fund
		}
		if !used {
			t.Errorf("the example has nothing for %s", fund)
		}
	}
	for ptype := si.Employee; ptype.Valid(); ptype++ {
		if !slices.ContainsFunc(table.Rows, func(r Row) bool { return r.PType == ptype }) {
			t.Errorf("the example has nothing for %s", ptype)
		}
	}
	if row, ok := table.InjuryRow(8, 120, si.MonthPeriod(2026, 3)); !ok || row.Assess(380_300).Total != 8_671 {
		t.Errorf("class 8 with float 120%% = %+v, want 1.9 %% × 120 %% of 3803.00 = 86.71", row)
	}
	if _, ok := table.InjuryRow(1, 50, si.MonthPeriod(2026, 3)); ok {
		t.Error("class 1 has no float of 50 %")
	}
	if row, ok = table.Row(si.Unemp, si.Employee, ledgerapi.PayerEmployer, si.MonthPeriod(2025, 12)); !ok || row.RatePPM != 4_000 {
		t.Errorf("unemployment in the last month of the lower rate = %+v", row)
	}
	if got := table.LateRule(1); got.PPMPerDay != 500 || table.LateRule(9) != (LateRule{}) {
		t.Errorf("LateRule(1) = %+v, want 500 ppm a day", got)
	}
}

// head is a table that only lacks its rows.
const head = "format: shebao-rates-2\nregion: \"330110\"\n"

func TestParseRefuses(t *testing.T) {
	rate := func(s string) string {
		return head + "rates:\n  - {fund: INJURY, ptype: EMPLOYEE, payer: EMPLOYER, from: \"2026-01\", freq: month, " + s + "}\n"
	}
	next := func(from, payer, freq string) string {
		return "  - {fund: INJURY, ptype: EMPLOYEE, payer: " + payer + ", from: \"" + from + "\", freq: " + freq + ", rate: \"1%\"}\n"
	}
	class := func(s string) string { return head + "injury:\n  - {from: \"2026-01\", " + s + "}\n" }
	grade := func(s string) string { return head + "grades:\n  - {fund: PENSION_RES, " + s + "}\n" }
	if _, err := Parse([]byte(rate(`rate: "0.2%"`))); err != nil {
		t.Fatalf("the row that the cases below break: %v", err)
	}
	for _, tc := range []struct{ name, body, says string }{
		{"empty", "", "EOF"},
		{"other format", "format: shebao-rates-3\nregion: \"330110\"\n", "format"},
		{"region", "format: shebao-rates-1\nregion: \"3301\"\n", "region"},
		{"unknown field", head + "rate: []\n", "not found"},
		{"two documents", head + "---\n" + head, "more than one"},
		{"unknown fund", head + "rates: [{fund: X}]\n", "insurance type"},
		{"unknown payer", head + "rates: [{fund: INJURY, ptype: FLEX, payer: X}]\n", "payer"},
		{"no percent sign", rate(`rate: "0.2"`), "percentage"},
		{"exponent", rate(`rate: "2e1%"`), "percentage"},
		{"negative", rate(`rate: "-2%"`), "percentage"},
		{"finer than a millionth", rate(`rate: "0.00001%"`), "millionths"},
		{"above 100 %", rate(`rate: "100.0001%"`), "100%"},
		{"float does not divide", rate(`rate: "0.0001%", float: "150%"`), "whole number of millionths"},
		{"float not whole", rate(`rate: "0.2%", float: "99.5%"`), "whole percentage"},
		{"rounding unit", rate(`round: "0.05"`), "round"},
		{"floor above cap", rate(`floor: "2.00", cap: "1.00"`), "floor"},
		{"amount", rate(`fixed: "5"`), "fixed"},
		{"employer with individual part", rate(`individual: "1%"`), "individual"},
		{"late rule", rate(`late_rule: 7`), "late_rule"},
		{"month for a yearly row", head + "rates: [{fund: INJURY, ptype: FLEX, payer: PERSON, from: \"2026-01\", freq: year}]\n", "from"},
		{"twice", rate(`rate: "1%"`) + "  - {fund: INJURY, ptype: EMPLOYEE, payer: EMPLOYER, from: \"2026-01\", freq: month}\n", "twice"},
		{"grade without amount", grade(`year: 2026, grade: "1", freq: year`), "person"},
		{"grade of no year", grade(`grade: "1", person: "1.00", freq: year`), "year"},
		{"grade twice", grade(`year: 2026, grade: "1", person: "1.00", freq: year`) +
			"  - {fund: PENSION_RES, year: 2026, grade: \"2\", person: \"1.00\", freq: year}\n", "twice"},
		{"until before from", rate(`rate: "1%", until: "2025-12"`), "until is before from"},
		{"until a year", rate(`rate: "1%", until: "2026"`), "until must be"},
		{"overlap", rate(`rate: "1%", until: "2026-03"`) + next("2026-03", "EMPLOYER", "month"), "overlaps rates[0], which is in force until 2026-03"},
		{"January twice", strings.Replace(rate(`rate: "1%"`), `from: "2026-01", freq: month`, `from: "2026", freq: year`, 1) + next("2026-01", "EMPLOYER", "month"), "begin together"},
		{"half a year", strings.Replace(rate(`rate: "1%"`), `from: "2026-01", freq: month`, `from: "2026", freq: year`, 1) + next("2026-07", "EMPLOYER", "month"), "whole years"},
		{"quarter in February", head + "rates: [{fund: INJURY, ptype: EMPLOYEE, payer: EMPLOYER, from: \"2026-02\", freq: quarter, rate: \"1%\"}]\n", "quarterly"},
		{"nothing owed", rate(`floor: "1.00"`), "neither rate nor fixed"},
		{"floor of nothing", rate(`fixed: "1.00", floor: "1.00"`), "mean nothing without a rate"},
		{"individual above rate", head + "rates: [{fund: PENSION_EMP, ptype: FLEX, payer: PERSON, from: \"2026-01\", freq: month, rate: \"8%\", individual: \"20%\"}]\n", "individual part is above"},
		{"no employer", head + "rates: [{fund: PENSION_EMP, ptype: FLEX, payer: EMPLOYER, from: \"2026-01\", freq: month, rate: \"8%\"}]\n", "FLEX has no employer"},
		{"year left out", grade(`year: 2024, grade: "1", person: "1.00", freq: year`) + "  - {fund: PENSION_RES, year: 2026, grade: \"1\", person: \"1.00\", freq: year}\n", "none in 2025"},
		{"grade and rate", grade(`year: 2026, grade: "1", person: "1.00", freq: year`) + "rates: [{fund: PENSION_RES, ptype: RESIDENT, payer: PERSON, from: \"2025\", freq: year, fixed: \"1.00\"}]\n", "which one counts"},
		{"grades of two kinds", grade(`year: 2026, grade: "1", person: "1.00", freq: year`) + "  - {fund: PENSION_RES, year: 2026, grade: \"2\", person: \"2.00\", freq: month}\n", "differ in freq"},
		{"interest of a year", head + "interest: [{from: \"2026\", per_year: \"1%\"}]\n", "from must be a month"},
		{"interest backwards", head + "interest: [{from: \"2026-02\", per_year: \"1%\"}, {from: \"2026-02\", per_year: \"2%\"}]\n", "interest[1]: overlaps interest[0]"},
		{"interest above 100 %", head + "interest: [{from: \"2026-02\", per_year: \"100.0001%\"}]\n", "100% a year"},
		{"class 9", class(`class: 9, rate: "0.2%", floats: ["100%"]`), "class must be 1 to 8"},
		{"class does not divide", class(`class: 1, rate: "0.0001%", floats: ["100%", "150%"]`), "with float 150%: rate × float is not a whole"},
		{"class without 100 %", class(`class: 1, rate: "0.2%", floats: ["50%"]`), "with 100% among them"},
		{"class twice", class(`class: 1, rate: "0.2%", floats: ["100%"]`) + "  - {class: 1, from: \"2026-01\", rate: \"0.3%\", floats: [\"100%\"]}\n", "overlaps an earlier row of class 1"},
		{"class with unknown late rule", class(`class: 1, rate: "0.2%", floats: ["100%"], late_rule: 7`), "late_rule 7"},
		{"first form with interest", strings.Replace(head, "rates-2", "rates-1", 1) + "interest: [{from: \"2026-02\", per_year: \"1%\"}]\n", "knows no interest"},
		{"first form with until", strings.Replace(rate(`rate: "1%", until: "2026-03"`), "rates-2", "rates-1", 1), "knows no until"},
		{"late rule 0", head + "late_rules: [{id: 0, per_day: \"1%\"}]\n", "id 0"},
	} {
		_, err := Parse([]byte(tc.body))
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Parse = %v, want an error that says %q", tc.name, err, tc.says)
		}
	}
}

// FuzzParse feeds Parse what an operator's file could hold. It must refuse or
// give a table whose every row can be applied at the bounds of a base.
func FuzzParse(f *testing.F) {
	shipped, err := os.ReadFile("../../data/rates/330110.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped)
	f.Add([]byte(head))
	f.Add([]byte("format: *x"))
	f.Fuzz(func(t *testing.T, body []byte) {
		table, err := Parse(body)
		if err != nil {
			return
		}
		for i := range table.Rows {
			for _, base := range []si.Fen{0, 1, MaxBase} {
				if s := table.Rows[i].Assess(base); s.Total < 0 || s.Individual < 0 || s.Pool() < 0 {
					t.Errorf("%+v.Assess(%d) = %+v", table.Rows[i], base, s)
				}
			}
		}
	})
}
