package bankfile

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// roundTrip writes rows and reads them back, in a plain layout and in one that
// differs in all it can.
func roundTrip[T any, P pointer[T]](t *testing.T, kind Kind, same func(a, b *T) bool, rows ...T) {
	t.Helper()
	for _, s := range []Settings{{}, {Charset: UTF8, CRLF: true, Decimals: true, Separator: "|!", Digest: MD5}} {
		l := layoutOf(t, s)
		var b bytes.Buffer
		wrote, err := Write[T, P](&b, l, headerOf(kind), pointers(rows))
		if err != nil {
			t.Fatalf("Write of %T: %v", rows, err)
		}
		i := 0
		flag := FlagOf(wrote)
		read, err := Read[T, P](bytes.NewReader(b.Bytes()), int64(b.Len()), l, Want{nameOf(kind), &flag}, func(x *T) error {
			if i == len(rows) || !same(x, &rows[i]) {
				t.Errorf("row %d is %+v", i+1, *x)
			}
			i++
			return nil
		})
		if err != nil || i != len(rows) || read.Sum != wrote.Sum || read.P != wrote.P || read.R != wrote.R || read.F != wrote.F {
			t.Errorf("Read of %T: %d rows, %+v, %v; want %+v", rows, i, read, err, wrote)
		}
		for cut := range b.Bytes() {
			if _, err := Read[T, P](bytes.NewReader(b.Bytes()[:cut]), int64(cut), l, Want{Name: nameOf(kind)}, func(*T) error { return nil }); codeOf(err) == 0 {
				t.Errorf("%T cut at byte %d: %v", rows, cut, err)
			}
		}
	}
}

func pointers[T any](rows []T) func(func(*T) bool) {
	return func(yield func(*T) bool) {
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}
}

func equal[T comparable](a, b *T) bool { return *a == *b }

func TestKinds(t *testing.T) {
	roundTrip(t, Totals, equal,
		Total{1, 'P', "", "", "", 3, 600}, Total{2, 'P', "PENSION_RES", "", "", 2, 200}, Total{3, 'P', "MEDICAL_RES", "", "", 1, 400},
		Total{4, 'P', "", "70110003", "000001", 1, 100}, Total{5, 'P', "", "70110003", "000002", 2, 500},
		Total{6, 'R', "", "", "", 1, 50}, Total{7, 'F', "", "", "", 0, 0}, Total{8, 'B', "", "", "", 1, 7}, Total{9, 'I', "", "", "", 40, 0})
	note := []byte("caf")
	roundTrip(t, Account, func(a, b *AccountLine) bool {
		x, y := *a, *b
		x.Note, y.Note = nil, nil
		return bytes.Equal(a.Note, b.Note) && x.Line == y.Line && x.Item == y.Item && x.Account == y.Account && x.Booked == y.Booked && x.Value == y.Value &&
			x.Amount == y.Amount && x.Sign == y.Sign && x.Serial == y.Serial && x.Reference == y.Reference
	},
		AccountLine{1, 'O', "SI-INCOME", theDay, theDay, 100, 'D', "", "", nil},
		AccountLine{2, 'E', "SI-INCOME", theDay, theDay - 1, 300, 'C', "S1", "D20261122", note},
		AccountLine{3, 'E', "SI-INCOME", theDay, theDay, 50, 'D', "S2", "", nil},
		AccountLine{4, 'C', "SI-INCOME", theDay, theDay, 150, 'C', "", "", nil},
		AccountLine{5, 'O', "SI-SECOND", theDay, theDay, 0, 'C', "", "", nil},
		AccountLine{6, 'C', "SI-SECOND", theDay, theDay, 0, 'C', "", "", nil})
	roundTrip(t, Mandates, equal, Mandate{1, "M1", 'S', "00AAFF", 100_000, "", ""}, Mandate{2, "M2", 'C', "", 0, "A2", "00"}, Mandate{3, "M2", 'S', "", 0, "A2", "N1"})
	roundTrip(t, Debits, equal, DebitOrder{1, "A1", 12_000}, DebitOrder{2, "A1", 1}, DebitOrder{3, "A2", si.MaxFen})
	roundTrip(t, Debits, equal, DebitResult{1, "00", "H1", theDay, 12_000}, DebitResult{3, "51", "", 0, 0}, DebitResult{2, "00", "H2", theDay + 1, 5})
	roundTrip(t, Debits, equal, DebitReceipt{1, nameOf(Debits).String(), 3, 12_001, [32]byte{7, 8}, 'A'})
	roundTrip(t, Refunds, equal, RefundLine{1, "F1", "H1", theDay - 9, "000000000001", 5, "", ""}, RefundLine{2, "F2", "H1", theDay - 9, "000000000001", 6, "00FF", "00"})
	roundTrip[Detail](t, Details, sameDetail)
}

// TestRowsRefused: what columns alone cannot say is refused, when written and,
// by the same code, when read.
func TestRowsRefused(t *testing.T) {
	l := layoutOf(t, Settings{})
	refuse := func(err error, why string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Write says %v, want %q", err, why)
		}
	}
	totals := func(rows ...Total) error {
		_, err := Write(io.Discard, l, headerOf(Totals), pointers(rows))
		return err
	}
	refuse(totals(Total{1, 'P', "", "", "", 1, 5}, Total{2, 'P', "PENSION_RES", "", "", 1, 4}), "parts of an item")
	refuse(totals(Total{1, 'P', "PENSION_RES", "", "", 1, 4}), "parts of an item")
	refuse(totals(Total{1, 'P', "", "", "", 1, 5}, Total{2, 'P', "", "", "", 1, 5}), "comes twice")
	refuse(totals(Total{1, 'I', "", "", "", 1, 5}), "sum of nothing")
	refuse(totals(Total{1, 'P', "", "", "", 0, 5}), "sum of nothing")
	refuse(totals(Total{1, 'P', "", "", "", 1, 5}, Total{2, 'P', "", "", "000001", 1, 5}), "batch has its terminal")
	refuse(totals(Total{2, 'P', "", "", "", 1, 5}), "numbered 1 to 1")
	account := func(rows ...AccountLine) error {
		for i := range rows {
			rows[i].Line, rows[i].Booked, rows[i].Value = uint32(i+1), theDay, theDay
		}
		_, err := Write(io.Discard, l, headerOf(Account), pointers(rows))
		return err
	}
	open, entry := AccountLine{Item: 'O', Account: "A", Amount: 5, Sign: 'C'}, AccountLine{Item: 'E', Account: "A", Amount: 5, Sign: 'D', Serial: "S"}
	refuse(account(open), "no closing line")
	refuse(account(entry), "do not stand together")
	refuse(account(open, open), "comes twice")
	refuse(account(open, AccountLine{Item: 'O', Account: "B", Sign: 'C'}), "do not stand together")
	refuse(account(open, AccountLine{Item: 'E', Account: "B", Sign: 'C', Serial: "S", Amount: 1}), "do not stand together")
	refuse(account(open, AccountLine{Item: 'C', Account: "A", Sign: 'D', Amount: 5}), "do not come to the closing balance")
	refuse(account(AccountLine{Item: 'O', Account: "A", Sign: 'C', Serial: "S"}, AccountLine{Item: 'C', Account: "A", Sign: 'C'}), "must stand with an entry")
	debits := func(x DebitResult) error {
		_, err := Write(io.Discard, l, headerOf(Debits), pointers([]DebitResult{x}))
		return err
	}
	refuse(debits(DebitResult{1, "00", "H1", theDay, 0}), "result 00")
	refuse(debits(DebitResult{1, "51", "", 0, 5}), "result 00")
	refuse(debits(DebitResult{1, "00", "", theDay, 5}), "number and date")
	receipt := func(x DebitReceipt) error {
		_, err := Write(io.Discard, l, headerOf(Debits), pointers([]DebitReceipt{x}))
		return err
	}
	refuse(receipt(DebitReceipt{Line: 1, Order: "../etc", State: 'A'}), "no name of a batch debit file")
	refuse(receipt(DebitReceipt{Line: 1, Order: nameOf(Details).String(), State: 'A'}), "no name of a batch debit file")
	var d Detail
	one := func(change func(*Detail)) error {
		detailOf(&d, 1, nil)
		change(&d)
		_, err := Write(io.Discard, l, headerOf(Details), pointers([]Detail{d}))
		return err
	}
	refuse(one(func(d *Detail) { d.Account = []byte("6299000012341234") }), "no masked account")
	refuse(one(func(d *Detail) { d.Settle++ }), "is of 2026-11-23")
	refuse(one(func(d *Detail) { d.Note = []byte("a|b") }), "too many fields")
	refuse(one(func(d *Detail) { d.Note = []byte("a\nb") }), "control character")
	refuse(one(func(d *Detail) { d.Amount = si.MaxFen + 1 }), "9999999999.99")
	if err := one(func(d *Detail) { d.Amount = si.MaxFen }); err != nil {
		t.Errorf("the greatest amount: %v", err)
	}
	fixed := layoutOf(t, Settings{Fixed: Reference()})
	detailOf(&d, 1, []byte(strings.Repeat("n", 28)))
	_, err := Write(io.Discard, fixed, headerOf(Details), pointers([]Detail{d}))
	refuse(err, "field note has 28 bytes, and its column 27")
	detailOf(&d, 1, []byte(strings.Repeat("n", 27)))
	if _, err := Write(io.Discard, fixed, headerOf(Details), pointers([]Detail{d})); err != nil {
		t.Errorf("a note that fills its column: %v", err)
	}
	if _, err := Write(io.Discard, fixed, headerOf(Totals), pointers([]Total{})); !errors.Is(err, ErrLayout) {
		t.Errorf("totals in fixed width: %v", err)
	}
	if _, err := Write(io.Discard, l, headerOf(Details), pointers([]Total{})); !errors.Is(err, ErrName) {
		t.Errorf("totals in a file of details: %v", err)
	}
	walks := 0
	_, err = Write(io.Discard, l, headerOf(Debits), func(yield func(*DebitOrder) bool) {
		walks++
		yield(&DebitOrder{1, "A", si.Fen(walks)})
	})
	refuse(err, "others when they were walked again")
}

// TestCharacters: what each character set has is taken, what it lacks is not.
func TestCharacters(t *testing.T) {
	read := func(c Charset, note string) error {
		d := draftOf(t, Settings{Charset: c})
		for n := 1; n <= corpusDetails; n++ {
			d.set(n, 19, "")
		}
		d.set(1, 19, note)
		b := d.bytes()
		rows, _, err := readAll(b, d.l, Want{Name: nameOf(Details)})
		if err == nil && string(rows[0].Note) != note {
			t.Errorf("the note %x came back as %x", note, rows[0].Note)
		}
		return err
	}
	twin := string([]byte{0x87, '|'})
	for _, tc := range []struct {
		name, gb18030, gbk, utf8 string // the note in each; empty: the set has it not
	}{
		{"GB 2312", "\xc9\xe7\xb1\xa3", "\xc9\xe7\xb1\xa3", "社保"},
		{"GBK only: a second byte below A1", "\xe9F", "\xe9F", "镕"},
		{"second byte of the separator", twin, twin, string(separatorTwin(t))},
		{"second byte of a line's letter", "\x81D", "\x81D", "丏"},
		{"four bytes, rare name", "\x95\x34\xb2\x35", "", "𠮷"},
		{"four bytes, in the first plane", "\x81\x39\xee\x39", "", "㐀"},
		{"middle dot", "\xa1\xa4", "\xa1\xa4", "·"},
	} {
		for _, x := range []struct {
			set  string
			c    Charset
			note string
		}{{"GB18030", GB18030, tc.gb18030}, {"GBK", GBK, tc.gbk}, {"UTF-8", UTF8, tc.utf8}} {
			if x.note == "" {
				x.note = tc.gb18030
				if err := read(x.c, x.note); codeOf(err) != BadForm {
					t.Errorf("%s in %s: %v, want Q06", tc.name, x.set, err)
				}
				continue
			}
			if err := read(x.c, x.note); err != nil {
				t.Errorf("%s in %s: %v", tc.name, x.set, err)
			}
			l := layoutOf(t, Settings{Charset: x.c})
			if text, err := l.Text([]byte(x.note)); err != nil || text != tc.utf8 {
				t.Errorf("%s: Text of %s = %q, %v, want %q", tc.name, x.set, text, err, tc.utf8)
			}
			if b, err := l.Bytes(tc.utf8); err != nil || string(b) != x.note {
				t.Errorf("%s: Bytes in %s = %x, %v, want %x", tc.name, x.set, b, err, x.note)
			}
		}
	}
	if _, err := layoutOf(t, Settings{Charset: GBK}).Bytes("𠮷"); err == nil {
		t.Error("Bytes wrote a character that GBK lacks")
	}
}

func TestLayoutMistakes(t *testing.T) {
	fixed := func(change func(*Fixed)) Settings {
		f := Reference()
		change(f)
		return Settings{Fixed: f}
	}
	for _, tc := range []struct {
		s    Settings
		want string
	}{
		{Settings{Charset: UTF8 + 1}, "character set"},
		{Settings{Digest: MD5 + 1}, "digest"},
		{Settings{Separator: ";"}, "separator"},
		{Settings{Title: "A B"}, "title"},
		{Settings{Title: strings.Repeat("A", titleLen+1)}, "title"},
		{Settings{Fixed: Reference(), Decimals: true}, "whole fen"},
		{fixed(func(f *Fixed) { f.Record = MaxLine + 1 }), "a record has 1025 bytes"},
		{fixed(func(f *Fixed) { f.Record++ }), "end at byte 220, want 221"},
		{fixed(func(f *Fixed) { f.Detail[3].Start++ }), "RRN starts at byte 31"},
		{fixed(func(f *Fixed) { f.Detail[3].Type = 0 }), "RRN has no type"},
		{fixed(func(f *Fixed) { f.Detail[3].Pad = 'x' }), "RRN is padded with 'x'"},
		{fixed(func(f *Fixed) { f.Detail[3].Pad = '0' }), "RRN is padded with '0'"},
		{fixed(func(f *Fixed) { f.Detail[3].Pad, f.Detail[3].Right = '0', true }), "RRN is padded with zeros and is no number"},
		{fixed(func(f *Fixed) { f.Detail[3].Name = "RNN" }), "RNN is no field"},
		{fixed(func(f *Fixed) { f.Detail[2].Name = "RRN" }), "comes twice"},
		{fixed(func(f *Fixed) { f.Detail[8].Length--; f.Detail[9].Start--; f.Detail[9].Length++ }), "txn date is a date of 7 bytes"},
		{fixed(func(f *Fixed) { f.Detail[18].Name = "filler" }), "18 of the 19 fields"},
		{fixed(func(f *Fixed) { f.Head[0].Name = "filler" }), "begins with filler"},
		{fixed(func(f *Fixed) { f.Detail[4].Length--; f.Detail[5].Start--; f.Detail[5].Length++ }), "STAN has 5 bytes"},
	} {
		if _, err := NewLayout(tc.s); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewLayout: %v, want %q", err, tc.want)
		}
	}
}

// TestDiff: planted differences of two versions are found, each with its fields,
// and no other.
func TestDiff(t *testing.T) {
	l := layoutOf(t, Settings{})
	var before, after []Detail
	for d := range details(t, l, 300) {
		before = append(before, d.own())
	}
	for i := range before {
		if i != 10 && i != 250 {
			after = append(after, before[i].own())
		}
	}
	after[0].Amount++
	after[20].Note, after[20].Reference = nil, []byte("N1")
	var d Detail
	detailOf(&d, 400, nil)
	after = append(after, d.own())
	slices.Reverse(after)
	for i := range after {
		after[i].Line = uint32(i + 1)
	}
	source := func(l *Layout, version uint8, rows []Detail) Source {
		h := headerOf(Details)
		h.Version = version
		var b bytes.Buffer
		if _, err := Write(&b, l, h, pointers(rows)); err != nil {
			t.Fatal(err)
		}
		return Source{bytes.NewReader(b.Bytes()), int64(b.Len()), Want{Name: h.Name}, l}
	}
	a, b := source(l, 1, before), source(layoutOf(t, Settings{Decimals: true, CRLF: true}), 2, after)
	changes, err := Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		side, at := a, c.Old
		if c.Old < 0 {
			side, at = b, c.New
		}
		row, err := Reread[Detail](side.File, side.Layout, at)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join(append([]string{[]string{Gone: "gone", Added: "added", Changed: "changed"}[c.Kind], string(row.HostSerial)}, c.Fields...), " "))
	}
	want := []string{"gone H000000000011", "gone H000000000251", "added H000000000400", "changed H000000000001 amount", "changed H000000000022 reference note"}
	if !slices.Equal(got, want) {
		t.Errorf("Diff = %q, want %q", got, want)
	}
	if same, err := Diff(a, a); err != nil || len(same) != 0 {
		t.Errorf("Diff of a file with itself = %v, %v", same, err)
	}
	b.Want.Name.Version = 3
	if _, err := Diff(a, b); codeOf(err) != Misplaced {
		t.Errorf("Diff with a file that is refused: %v", err)
	}
}

func TestStand(t *testing.T) {
	known := []Known{{2, 1, [32]byte{2}}, {1, 1, [32]byte{1}}, {1, 3, [32]byte{3}}}
	for _, tc := range []struct {
		now  Known
		want Standing
	}{
		{Known{1, 1, [32]byte{1}}, Again}, {Known{1, 9, [32]byte{1}}, Again}, {Known{1, 4, [32]byte{4}}, Superseder},
		{Known{1, 3, [32]byte{4}}, 0}, {Known{1, 2, [32]byte{4}}, 0}, {Known{3, 1, [32]byte{4}}, First}, {Known{4, 1, [32]byte{4}}, 0},
	} {
		got, err := Stand(known, tc.now)
		if got != tc.want || (tc.want == 0) != (codeOf(err) == Misplaced) {
			t.Errorf("Stand(%d v%d) = %d, %v, want %d", tc.now.Seq, tc.now.Version, got, err, tc.want)
		}
	}
	if got, err := Stand(nil, Known{Seq: 1, Version: 1}); got != First || err != nil {
		t.Errorf("Stand of the first = %d, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	n := Name{"rcb", 330110, Debits, theDay, 12, 3}
	if got := n.String(); got != "rcb_330110_B_20261122_012_v3.txt" || n.FlagName() != got+".ok" {
		t.Errorf("name is %q, flag %q", got, n.FlagName())
	}
	if got, err := ParseName(n.String()); got != n || err != nil {
		t.Errorf("ParseName = %+v, %v", got, err)
	}
	for _, s := range []string{"", ".txt", "rcb_330110_B_20261122_012_v3.txt.ok", "rcb_330110_B_20261122_12_v3.txt", "rcb_330110_B_20261122_012_v03.txt",
		"rcb_330110_B_20261122_000_v3.txt", "rcb_330110_B_20261122_1000_v3.txt", "rcb_330110_B_20261122_012_v0.txt", "rcb_330110_B_20261122_012_v100.txt",
		"rcb_330110_X_20261122_012_v3.txt", "rcb_330110_B_20261131_012_v3.txt", "rcb_33011_B_20261122_012_v3.txt", "../rcb_330110_B_20261122_012_v3.txt",
		"RCB_330110_B_20261122_012_v3.txt", "ninechars_330110_B_20261122_012_v3.txt", "a/b_330110_B_20261122_012_v3.txt", "rcb_330110_B_20261122_+12_v3.txt"} {
		if got, err := ParseName(s); err != ErrName {
			t.Errorf("ParseName(%q) = %+v, %v, want ErrName", s, got, err)
		}
	}
	f := Flag{n.String(), 12, [32]byte{1, 0xab}}
	for _, end := range []string{"\n", "\r\n", ""} {
		b := append(bytes.TrimSuffix(f.Append(nil), []byte("\n")), end...)
		if got, err := ParseFlag(b); got != f || err != nil {
			t.Errorf("ParseFlag(%q) = %+v, %v", b, got, err)
		}
	}
}

// TestDates holds the count of days to si's own, for every day a file may have.
func TestDates(t *testing.T) {
	last := si.Date(lastYear, 12, 31)
	for d := si.BusinessDate(0); d <= last; d++ {
		if got, ok := dateOf([]byte(d.Compact())); got != d || !ok {
			t.Fatalf("dateOf(%s) = %s, %v", d.Compact(), got, ok)
		}
	}
}

func TestKeySet(t *testing.T) {
	var s keySet
	s.grow(0)
	for n := range 10_000 {
		if s.add(&DebitOrder{Line: uint32(n)}) {
			t.Fatalf("key %d came before", n)
		}
	}
	for n := range 10_000 {
		if !s.add(&DebitOrder{Line: uint32(n)}) {
			t.Fatalf("key %d is forgotten", n)
		}
	}
}
