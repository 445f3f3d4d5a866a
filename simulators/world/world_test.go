package world

import (
	"context"
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// testPayments is how many payments a day has in the tests.
const testPayments = 1000

// TestDays plays days of several plans: nothing breaks, and the faults happen.
// The run of every `make test` is the command's, over 500 seeds.
func TestDays(t *testing.T) {
	s, err := PlayAll(context.Background(), 1, 32, Options{Payments: testPayments}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Violations {
		t.Errorf("seed %d: %+v", v.Seed, v)
	}
	if below := s.Cells.Below(1); len(below) > 0 {
		t.Errorf("these never happened: %q", below)
	}
	if s.Posted == 0 || s.Voided == 0 || s.Reversals == 0 || s.Breaks == 0 {
		t.Errorf("%d posted, %d voided, %d reversals, %d breaks: a part of the world is dead", s.Posted, s.Voided, s.Reversals, s.Breaks)
	}
	if n := s.Inquiries; n.Posted < 50 || n.Voided < 50 || n.Reversed < 50 {
		t.Errorf("of the payments that a bank was asked for %d were posted, %d voided, %d reversed, want 50 of each", n.Posted, n.Voided, n.Reversed)
	}
	if s.Scripts < 500 {
		t.Errorf("%d script notices were told, want 500", s.Scripts)
	}
	for _, inv := range []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I10", "I12", "R7"} {
		if s.Checks[inv] == 0 {
			t.Errorf("%s was never checked", inv)
		}
	}
}

// TestSameSeedSameHash plays days twice, on one processor and on two.
func TestSameSeedSameHash(t *testing.T) {
	run := func(procs int) string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		s, err := PlayAll(context.Background(), 1, 6, Options{Payments: testPayments}, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash
	}
	one, two, again := run(1), run(2), run(2)
	if one != two || two != again {
		t.Errorf("the same seeds give %s, %s and %s", one, two, again)
	}
	d, err := Play(7, Options{Payments: testPayments})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := Play(8, Options{Payments: testPayments}); err != nil || e.Hash == d.Hash {
		t.Errorf("two seeds have one hash: %s, %v", e.Hash, err)
	}
}

// TestCalm holds that a day without faults pays everything that was asked and
// sends no reversal.
func TestCalm(t *testing.T) {
	d, err := Play(1, Options{Payments: testPayments, Plan: Plan{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Violations) > 0 || d.Reversals > 0 || d.Breaks > 0 || d.Posted < d.Asked*9/10 {
		t.Errorf("of %d asked %d were posted, %d reversals, %d breaks, %+v", d.Asked, d.Posted, d.Reversals, d.Breaks, d.Violations)
	}
}

// TestPlanText reads back what it wrote, and refuses what is no plan.
func TestPlanText(t *testing.T) {
	p := PlanOf(1)
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(body, &back); err != nil || !reflect.DeepEqual(back, p) {
		t.Errorf("%s reads back as %v, %v, want %v", body, back, err, p)
	}
	for _, bad := range []string{`{"x": 1}`, `{"none": 1}`, `{"link-cut": -1}`, `{"link-cut": 1000001}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s is taken for a plan", bad)
		}
	}
}

// FuzzPlan feeds a plan's file. What is taken is written back as the same plan.
func FuzzPlan(f *testing.F) {
	f.Add([]byte(`{"link-cut": 1000, "hub-crash": 5}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"x": -1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p, back Plan
		if p.UnmarshalJSON(body) != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil || json.Unmarshal(again, &back) != nil || !reflect.DeepEqual(p.faults(), back.faults()) {
			t.Errorf("%q is taken for %v and written as %s, %v", body, p, again, err)
		}
	})
}

// TestShrink leaves only the faults that matter.
func TestShrink(t *testing.T) {
	plan := Plan{ReplyTwice: 10_000, BankForgets: 50_000, HSMAway: 10_000}
	lies := func(p Plan) (bool, error) { // what a bank forgets is the only thing that can make a break here
		d, err := Play(3, Options{Payments: testPayments, Plan: p})
		return d.Breaks > 0, err
	}
	if small, err := Shrink(plan, lies); err != nil || len(small) != 1 || small[BankForgets] != 50_000 {
		t.Errorf("Shrink gives %v, %v, want the forgetful bank alone", small, err)
	}
	if small, err := Shrink(plan, Breaks(3, testPayments, "none such")); err != nil || !reflect.DeepEqual(small, plan) {
		t.Errorf("Shrink of a sound day gives %v, %v, want the whole plan", small, err)
	}
	if len(plan) != 3 {
		t.Errorf("the plan that was given is now %v", plan)
	}
}

// TestTale holds that the story of a payment begins with its first line, ends
// with what everybody has, and is about no other.
func TestTale(t *testing.T) {
	var id si.PaymentID
	d, err := Play(2, Options{Payments: 200, Export: func(_ uint64, tables []Table) error {
		for _, x := range tables {
			if x.Name == "intent" {
				id, _ = si.ParsePaymentID(x.Rows[0][0].(string))
			}
		}
		return nil
	}})
	if err != nil || id.IsZero() {
		t.Fatalf("no payment: %v", err)
	}
	var lines []string
	again, err := Play(2, Options{Payments: 200, Explain: id, Tell: func(l string) { lines = append(lines, l) }})
	if err != nil || again.Hash != d.Hash {
		t.Errorf("the day that is told is another: %v", err)
	}
	if len(lines) < 4 || !strings.HasPrefix(lines[0], "Payment "+id.String()+" of seed 2") || !strings.Contains(lines[1], "confirms") ||
		!strings.HasPrefix(lines[len(lines)-1], "In the end the ledger says ") || len(lines) > 200 {
		t.Errorf("the tale: %q", lines)
	}
	lines = nil
	if _, err := Play(2, Options{Payments: 200, Explain: si.PaymentID{1}, Tell: func(l string) { lines = append(lines, l) }}); err != nil ||
		len(lines) != 1 || !strings.HasPrefix(lines[0], "Nothing happens to payment ") {
		t.Errorf("the tale of nobody: %q, %v", lines, err)
	}
}
