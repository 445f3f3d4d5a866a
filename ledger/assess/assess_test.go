package assess

import (
	"math/big"
	"os"
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
	if _, ok := table.Grade(si.PensionRes, 2026, 300_001); ok || table.HasGrades(si.PensionRes, 2024) {
		t.Error("a grade that is not in the table was found")
	}
	if got := table.LateRule(1); got.PPMPerDay != 500 || table.LateRule(9) != (LateRule{}) {
		t.Errorf("LateRule(1) = %+v, want 500 ppm a day", got)
	}
}

// head is a table that only lacks its rows.
const head = "format: shebao-rates-1\nregion: \"330110\"\n"

func TestParseRefuses(t *testing.T) {
	rate := func(s string) string {
		return head + "rates:\n  - {fund: INJURY, ptype: EMPLOYEE, payer: EMPLOYER, from: \"2026-01\", freq: month, " + s + "}\n"
	}
	grade := func(s string) string { return head + "grades:\n  - {fund: PENSION_RES, " + s + "}\n" }
	if _, err := Parse([]byte(rate(`rate: "0.2%"`))); err != nil {
		t.Fatalf("the row that the cases below break: %v", err)
	}
	for _, tc := range []struct{ name, body, says string }{
		{"empty", "", "EOF"},
		{"other format", "format: shebao-rates-2\nregion: \"330110\"\n", "format"},
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
