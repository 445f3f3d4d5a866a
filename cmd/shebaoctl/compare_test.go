package main

import (
	"context"
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shebao-pay/shebao/simulators/residents"
)

// writeRegister writes the register of the people of writePeople: register DIR N K.
func writeRegister(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: register DIR N K")
	}
	n, each := number(ts, args[1]), number(ts, args[2])
	ts.Check(residents.New(1).WriteRegister(context.Background(), ts.MkAbs(args[0]), n, each, func(int) {}))
}

// foundPlanted holds a report to the list of what was planted: each of it, at
// its line, and nothing else: planted REPORT LIST.
func foundPlanted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: planted REPORT LIST")
	}
	var got, want []string
	for _, r := range rows(ts, args[0]) {
		kind := r[0]
		if kind == "differs" {
			kind = r[5]
		}
		got = append(got, strings.Join([]string{kind, r[1], r[3]}, " "))
	}
	for _, r := range rows(ts, args[1]) {
		want = append(want, strings.Join(r, " "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		ts.Fatalf("the report has %d rows, %d were planted:\n%q\n%q", len(got), len(want), got, want)
	}
}

func rows(ts *testscript.TestScript, name string) [][]string {
	f, err := os.Open(ts.MkAbs(name))
	ts.Check(err)
	defer func() { _ = f.Close() }()
	all, err := csv.NewReader(f).ReadAll()
	ts.Check(err)
	return all[1:]
}

// TestReportLine: what a spreadsheet would take for a formula is text.
func TestReportLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "王*": "王*", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠1": "'＠1", "a=1": "a=1",
	} {
		if got := harmless(in); got != want {
			t.Errorf("harmless(%q) = %q, want %q", in, got, want)
		}
	}
}
