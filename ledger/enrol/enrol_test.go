package enrol

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func shipped(t testing.TB) *Table {
	t.Helper()
	body, err := os.ReadFile("../../data/cover/330110.yaml")
	if err != nil {
		t.Fatal(err)
	}
	table, err := Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestAge(t *testing.T) {
	for _, tc := range []struct {
		born si.BirthMonth
		on   si.BusinessDate
		want int
	}{
		{si.BirthMonthOf(1990, 5), si.Date(2026, 5, 1), 36},
		{si.BirthMonthOf(1990, 5), si.Date(2026, 4, 30), 35},
		{si.BirthMonthOf(1990, 5), si.Date(2026, 12, 31), 36},
		{si.BirthMonthOf(2026, 5), si.Date(2026, 5, 1), 0},
		{si.BirthMonthOf(2026, 6), si.Date(2026, 5, 31), -1},
		{1, si.Date(2026, 2, 1), 126},
	} {
		if got := Age(tc.born, tc.on); got != tc.want {
			t.Errorf("Age(%d-%02d, %s) = %d, want %d", tc.born.Year(), tc.born.Month(), tc.on, got, tc.want)
		}
	}
}

// TestEligible holds each reason alone, at its limit and one past it.
func TestEligible(t *testing.T) {
	table := shipped(t)
	on := si.Date(2026, 11, 20)
	born := func(age int) si.BirthMonth { return si.BirthMonthOf(2026-age, 11) }
	good := Person{Household: 330110, Birth: born(40)}
	with := func(change func(p *Person)) Person {
		p := good
		change(&p)
		return p
	}
	for _, tc := range []struct {
		name  string
		p     Person
		has   []Has
		fund  si.Fund
		ptype si.PType
		want  ledgerapi.Reasons
	}{
		{"a flexible worker", good, nil, si.PensionEmp, si.Flex, 0},
		{"16 today", with(func(p *Person) { p.Birth = born(16) }), nil, si.PensionEmp, si.Flex, 0},
		{"16 next month", with(func(p *Person) { p.Birth = born(16) + 1 }), nil, si.PensionEmp, si.Flex, ledgerapi.ReasonTooYoung},
		{"59, a man", with(func(p *Person) { p.Birth = born(60) + 1 }), nil, si.PensionEmp, si.Flex, 0},
		{"60, a man", with(func(p *Person) { p.Birth = born(60) }), nil, si.PensionEmp, si.Flex, ledgerapi.ReasonTooOld},
		{"54, a woman", with(func(p *Person) { p.Birth, p.Woman = born(55)+1, true }), nil, si.PensionEmp, si.Flex, 0},
		{"55, a woman", with(func(p *Person) { p.Birth, p.Woman = born(55), true }), nil, si.PensionEmp, si.Flex, ledgerapi.ReasonTooOld},
		{"a woman where one limit is for all", with(func(p *Person) { p.Birth, p.Woman = born(74), true }), nil, si.PensionRes, si.Resident, 0},
		{"no birth month", with(func(p *Person) { p.Birth = 0 }), nil, si.PensionEmp, si.Flex, ledgerapi.ReasonAgeUnknown},
		{"no birth month where no age is asked", with(func(p *Person) { p.Birth = 0 }), nil, si.MedRes, si.Resident, 0},
		{"registered elsewhere", with(func(p *Person) { p.Household = 330111 }), nil, si.MedRes, si.Resident, ledgerapi.ReasonHousehold},
		{"registered elsewhere, any", with(func(p *Person) { p.Household = 330111 }), nil, si.MedEmp, si.Flex, 0},
		{"land not requisitioned", good, nil, si.MedRes, si.LandReq, ledgerapi.ReasonLand},
		{"land requisitioned", with(func(p *Person) { p.LandRequisitioned = true }), nil, si.MedRes, si.LandReq, 0},
		{"retired", with(func(p *Person) { p.Retired = true }), nil, si.PensionEmp, si.Flex, ledgerapi.ReasonRetired},
		{"retired, allowed", with(func(p *Person) { p.Retired = true }), nil, si.MedRes, si.Resident, 0},
		{"dead", with(func(p *Person) { p.Deceased = true }), nil, si.MedRes, si.Resident, ledgerapi.ReasonDeceased},
		{"not offered", good, nil, si.PensionGov, si.Resident, ledgerapi.ReasonNotOffered},
		{"covered", good, []Has{{si.MedRes, true, false}}, si.MedRes, si.Resident, ledgerapi.ReasonCovered},
		{"covered, suspended", good, []Has{{si.MedRes, false, false}}, si.MedRes, si.Resident, ledgerapi.ReasonCovered},
		{"excluded", good, []Has{{si.MedEmp, true, false}}, si.MedRes, si.Resident, ledgerapi.ReasonExcluded},
		{"excluded, unverified", good, []Has{{si.MedEmp, true, true}}, si.MedRes, si.Resident, ledgerapi.ReasonExcluded | ledgerapi.ReasonReview},
		{"suspended excludes nothing", good, []Has{{si.MedEmp, false, true}}, si.MedRes, si.Resident, 0},
		{"another group", good, []Has{{si.PensionEmp, true, true}}, si.MedRes, si.Resident, 0},
		{"no group", good, []Has{{si.Injury, true, false}, {si.Unemp, true, false}}, si.MedRes, si.Resident, 0},
		{"all at once", Person{Retired: true, Deceased: true}, []Has{{si.PensionEmp, true, false}}, si.PensionRes, si.LandReq,
			ledgerapi.ReasonDeceased | ledgerapi.ReasonExcluded | ledgerapi.ReasonLand | ledgerapi.ReasonRetired | ledgerapi.ReasonHousehold | ledgerapi.ReasonAgeUnknown},
	} {
		if got := Eligible(tc.p, tc.has, table, tc.fund, tc.ptype, on); got != tc.want {
			t.Errorf("%s: Eligible = %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestTable(t *testing.T) {
	table := shipped(t)
	if table.Area != 330110 || len(table.Rows) != 15 {
		t.Errorf("shipped table: area %s, %d rows", table.Area, len(table.Rows))
	}
	for _, tc := range []struct {
		has, wants si.Fund
		want       bool
	}{
		{si.PensionEmp, si.PensionRes, true}, {si.PensionRes, si.PensionGov, true}, {si.MedRes, si.MedEmp, true},
		{si.MedRes, si.MedRes, false}, {si.MedRes, si.PensionRes, false}, {si.Injury, si.MedEmp, false},
	} {
		if got := table.Excludes(tc.has, tc.wants); got != tc.want {
			t.Errorf("Excludes(%s, %s) = %v, want %v", tc.has, tc.wants, got, tc.want)
		}
	}
	if got := table.BackPay(si.PensionRes, si.Resident); got != 180 {
		t.Errorf("BackPay of the resident pension = %d, want 180", got)
	}
	if got := table.BackPay(si.PensionRes, si.Flex); got != 0 {
		t.Errorf("BackPay of what is not offered = %d, want 0", got)
	}
}

const head = "format: shebao-cover-1\nregion: \"330110\"\n"

func TestParseRefuses(t *testing.T) {
	row := func(s string) string {
		return head + "cover:\n  - {fund: MED_RES, ptype: RESIDENT, household: any" + s + "}\n"
	}
	if _, err := Parse([]byte(row(", max_age: 120, min_age: 120, backpay: 180"))); err != nil {
		t.Fatalf("a row at its bounds: %v", err)
	}
	var areas strings.Builder
	for range MaxAreas + 1 {
		areas.WriteString("  - \"330110\"\n")
	}
	for _, tc := range []struct{ name, body, says string }{
		{"empty", "", "EOF"},
		{"other format", "format: shebao-cover-2\nregion: \"330110\"\n", "format"},
		{"region", "format: shebao-cover-1\nregion: \"33011\"\n", "region"},
		{"unknown field", head + "covers: []\n", "not found"},
		{"two documents", head + "---\n" + head, "more than one"},
		{"local", head + "local: [\"x\"]\n", "local[0]"},
		{"areas", head + "local:\n" + areas.String(), "areas"},
		{"unknown fund in a group", head + "exclusive: [[X, MED_RES]]\n", "exclusive[0]"},
		{"group of one", head + "exclusive: [[MED_RES, MED_RES]]\n", "at least two"},
		{"two groups", head + "exclusive: [[MED_RES, MED_EMP], [MED_RES, INJURY]]\n", "another group"},
		{"unknown fund", head + "cover: [{fund: X, ptype: FLEX, household: any}]\n", "insurance type"},
		{"unknown person type", head + "cover: [{fund: MED_RES, ptype: X, household: any}]\n", "person type"},
		{"household", head + "cover: [{fund: MED_RES, ptype: FLEX}]\n", "household"},
		{"twice", row("") + "  - {fund: MED_RES, ptype: RESIDENT, household: local}\n", "twice"},
		{"age", row(", min_age: 121"), "above 120"},
		{"ages", row(", min_age: 20, max_age: 19"), "min_age"},
		{"ages of women", row(", min_age: 20, max_age: 30, max_age_women: 19"), "min_age"},
		{"women alone", row(", max_age_women: 19"), "max_age_women"},
		{"negative age", row(", min_age: -1"), "cannot unmarshal"},
		{"back-pay", row(", backpay: 181"), "backpay"},
	} {
		_, err := Parse([]byte(tc.body))
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Parse = %v, want an error that says %q", tc.name, err, tc.says)
		}
	}
}

// FuzzParse feeds Parse what an operator's file could hold. It must refuse or
// give a table that answers for every person type and age.
func FuzzParse(f *testing.F) {
	body, err := os.ReadFile("../../data/cover/330110.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(head))
	f.Add([]byte(head + "exclusive: [[MED_RES, MED_EMP]]\n"))
	f.Add([]byte("format: *x"))
	f.Fuzz(func(t *testing.T, body []byte) {
		table, err := Parse(body)
		if err != nil {
			return
		}
		for fund := si.PensionEmp; fund.Valid(); fund++ {
			for p := si.Employee; p.Valid(); p++ {
				no := Eligible(Person{Birth: 1200}, []Has{{si.MedEmp, true, true}}, table, fund, p, si.Date(2026, time.May, 1))
				if n := table.BackPay(fund, p); n < 0 || n > MaxBackPay || strings.Contains(no.String(), "?") {
					t.Errorf("%s %s: back-pay %d, reasons %s", fund, p, n, no)
				}
			}
		}
	})
}
