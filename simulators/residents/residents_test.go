package residents

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

func TestEveryNumberIsValidAndUnique(t *testing.T) {
	g := New(1)
	ids, pans, cards := map[string]int{}, map[string]int{}, map[string]int{}
	for i := 0; i < 60_000; i++ { // more than two full turns of the birthdays
		p, err := g.At(i)
		if err != nil {
			t.Fatal(err)
		}
		id, err := si.ParseIDNumber(p.IDNumber)
		if err != nil {
			t.Fatalf("person %d: ID number: %v", i, err)
		}
		if !strings.HasPrefix(p.IDNumber, AreaBlock) {
			t.Fatalf("person %d: number outside the fictional block", i)
		}
		if id.Male() != (p.Sex == 1) || id.BirthDate() != p.BirthText {
			t.Fatalf("person %d: number says sex or birthday otherwise", i)
		}
		if _, err := si.ParsePAN(p.PAN); err != nil || len(p.PAN) != p.Bank.Digits {
			t.Fatalf("person %d: PAN of %d digits: %v", i, len(p.PAN), err)
		}
		if len(p.CardID) != 32 || len(p.CardNo) != 9 {
			t.Fatalf("person %d: card id %d, card number %d characters, want 32 and 9", i, len(p.CardID), len(p.CardNo))
		}
		for set, v := range map[*map[string]int]string{&ids: p.IDNumber, &pans: p.PAN, &cards: p.CardID} {
			if other, dup := (*set)[v]; dup {
				t.Fatalf("persons %d and %d share a number", other, i)
			}
			(*set)[v] = i
		}
	}
}

// Vectors from the card specification: D2143569 ends in X, X0000001 in 9.
func TestCardNoCheck(t *testing.T) {
	for in, want := range map[string]byte{"D2143569": 'X', "X0000001": '9'} {
		if got := cardNoCheck(in); got != want {
			t.Errorf("cardNoCheck(%s) = %c, want %c", in, got, want)
		}
	}
}

func TestLastPersonStillFits(t *testing.T) {
	p, err := New(1).At(MaxPersons - 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := si.ParseIDNumber(p.IDNumber); err != nil {
		t.Fatalf("last person: %v", err)
	}
	if _, err := New(1).At(MaxPersons); err == nil {
		t.Fatal("one person past the bound was made")
	}
}

func TestSamePeopleForTheSameSeed(t *testing.T) {
	var files [2][]byte
	for k := range files {
		dir := t.TempDir()
		if err := New(7).Write(context.Background(), dir, 500, func(int) {}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, PersonsFile))
		if err != nil {
			t.Fatal(err)
		}
		files[k] = b
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Fatal("two runs with one seed differ")
	}
	rows, err := csv.NewReader(bytes.NewReader(files[0])).ReadAll()
	if err != nil || len(rows) != 501 || len(rows[0]) != len(PersonColumns) {
		t.Fatalf("got %d rows, %v, want 501 of %d columns", len(rows), err, len(PersonColumns))
	}
}

func TestStoppedWriteLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	err := New(1).Write(ctx, dir, 5000, func(done int) {
		if done >= 2000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want cancelled", err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 0 {
		t.Fatalf("%d files left behind", len(left))
	}
}

// TestRegister counts the planted differences and finds each where the list says.
func TestRegister(t *testing.T) {
	const n, each = 500, 7
	dir := t.TempDir()
	if err := New(7).WriteRegister(t.Context(), dir, n, each, func(int) {}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) [][]string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	register, planted := read(RegisterFile), read(PlantedFile)
	if len(register) != 1+n || len(planted) != 1+7*each {
		t.Fatalf("%d lines and %d differences, want %d and %d", len(register), len(planted), 1+n, 1+7*each)
	}
	counts := map[string]int{}
	for _, p := range planted[1:] {
		counts[p[0]]++
		if p[0] == PlantedMissing {
			continue // it has no line
		}
		if line, err := strconv.Atoi(p[1]); err != nil || register[line-1][0][14:] != p[2] {
			t.Errorf("%v: the register's line is of ****%s, %v", p, register[line-1][0][14:], err)
		}
	}
	for _, kind := range append([]string{PlantedNew}, plantedInPlace...) {
		if counts[kind] != each {
			t.Errorf("%d of kind %s, want %d", counts[kind], kind, each)
		}
	}
	for _, bad := range [][2]int{{0, 0}, {10, 2}, {MaxPersons, 1}, {10, -1}} {
		if New(7).WriteRegister(t.Context(), dir, bad[0], bad[1], func(int) {}) == nil {
			t.Errorf("a register of %v was made", bad)
		}
	}
}
