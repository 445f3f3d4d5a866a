package bankfile

import (
	"bytes"
	"testing"
)

// FuzzParse feeds names and flag files. What is taken is written the same.
func FuzzParse(f *testing.F) {
	f.Add("ccb_330110_D_20261122_001_v1.txt", []byte("ccb_330110_D_20261122_001_v1.txt|0|"+
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855|\n"))
	f.Add("ccb_330110_D_20261122_001_v1.txt.ok", []byte("|||"))
	f.Add("../x", []byte{0xff})
	f.Add("0", []byte("|0|000000000000000000000000000000000000000000000000000000000000000000|"))
	f.Fuzz(func(t *testing.T, name string, flag []byte) {
		if n, err := ParseName(name); err == nil && n.String() != name {
			t.Errorf("ParseName(%q) writes %q", name, n)
		}
		if x, err := ParseFlag(flag); err == nil && string(bytes.TrimRight(x.Append(nil), "\n")) != string(bytes.TrimRight(flag, "\r\n")) {
			t.Errorf("ParseFlag(%q) writes %q", flag, x.Append(nil))
		}
	})
}

// resealed is b with the hash of its last line made right, so that a change
// meets the checks behind it, too.
func resealed(l *Layout, b []byte) []byte {
	end := bytes.TrimRight(b, "\r\n")
	at := bytes.LastIndexByte(end, '\n') + 1
	out := (&draft{l: l}).seal(bytes.Clone(b[:at]), bytes.Clone(end[at:]))
	return append(out, b[len(end):]...)
}

// FuzzRead feeds the reader of details in every layout, the hash made right.
// What it takes, Write makes again, and the rows are the same.
func FuzzRead(f *testing.F) {
	for i, tc := range layouts {
		b, _ := fileOf(f, layoutOf(f, tc.s), 10)
		f.Add(b, uint8(i))
		f.Add(b[:len(b)/2], uint8(i))
	}
	for _, c := range corpus(f) {
		f.Add(c.b, uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, layout uint8) {
		l := layoutOf(t, layouts[int(layout)%len(layouts)].s)
		b = resealed(l, b)
		rows, sum, err := readAll(b, l, Want{Name: nameOf(Details)})
		if err != nil {
			if codeOf(err) == 0 {
				t.Errorf("Read: %v, want a Quarantine", err)
			}
			return
		}
		var again bytes.Buffer
		if _, err := Write(&again, l, sum.Header, pointers(rows)); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		rows2, _, err := readAll(again.Bytes(), l, Want{Name: nameOf(Details)})
		if err != nil || len(rows2) != len(rows) {
			t.Fatalf("what was written again is refused: %v", err)
		}
		for i := range rows {
			if !sameDetail(&rows[i], &rows2[i]) {
				t.Errorf("row %d is %+v, was %+v", i, rows2[i], rows[i])
			}
		}
	})
}

// FuzzOthers feeds the readers of the other kinds.
func FuzzOthers(f *testing.F) {
	l := layoutOf(f, Settings{})
	seed := func(b []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(written(l, Totals, Total{1, 'P', "", "", "", 3, 600}))
	seed(written(l, Account, AccountLine{1, 'O', "A", theDay, theDay, 100, 'D', "", "", nil}, AccountLine{2, 'C', "A", theDay, theDay, 100, 'D', "", "", nil}))
	seed(written(l, Mandates, Mandate{1, "M1", 'S', "00AAFF", 100_000, "", ""}))
	seed(written(l, Debits, DebitOrder{1, "A1", 12_000}))
	seed(written(l, Debits, DebitResult{1, "00", "H1", theDay, 12_000}))
	seed(written(l, Debits, DebitReceipt{1, nameOf(Debits).String(), 3, 12_001, [32]byte{7, 8}, 'A'}))
	seed(written(l, Refunds, RefundLine{1, "F1", "H1", theDay - 9, "000000000001", 5, "", ""}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resealed(l, b)
		again[Total](t, l, Totals, b)
		again[AccountLine](t, l, Account, b)
		again[Mandate](t, l, Mandates, b)
		again[DebitOrder](t, l, Debits, b)
		again[DebitResult](t, l, Debits, b)
		again[DebitReceipt](t, l, Debits, b)
		again[RefundLine](t, l, Refunds, b)
	})
}

func written[T any, P pointer[T]](l *Layout, kind Kind, rows ...T) ([]byte, error) {
	var b bytes.Buffer
	_, err := Write[T, P](&b, l, headerOf(kind), pointers(rows))
	return b.Bytes(), err
}

// again reads a file and, if it is taken, writes it: the same bytes.
func again[T any, P pointer[T]](t *testing.T, l *Layout, kind Kind, b []byte) {
	var rows []T
	sum, err := Read[T, P](bytes.NewReader(b), int64(len(b)), l, Want{Name: nameOf(kind)}, func(x *T) error {
		rows = append(rows, *x)
		if n, ok := any(&rows[len(rows)-1]).(*AccountLine); ok {
			n.Note = bytes.Clone(n.Note)
		}
		return nil
	})
	if err != nil {
		return
	}
	var out bytes.Buffer
	if _, err := Write[T, P](&out, l, sum.Header, pointers(rows)); err != nil || !bytes.Equal(out.Bytes(), b) {
		t.Errorf("%T: what was read is written as %q (%v), was %q", rows, out.Bytes(), err, b)
	}
}

// FuzzStatement feeds the reader of account statements.
func FuzzStatement(f *testing.F) {
	f.Add([]byte(statementXML(9)))
	for _, c := range statementCorpus(f) {
		f.Add(c.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, s, err := readStatement(b, WantStatement{Date: theDay})
		if err != nil {
			if codeOf(err) == 0 {
				t.Errorf("ReadStatement: %v, want a Quarantine", err)
			}
			return
		}
		sum := s.Opening
		for _, e := range entries {
			if e.Amount < 1 || e.Booked != theDay {
				t.Errorf("entry %+v", e)
			}
			if e.Credit {
				sum += e.Amount
			} else {
				sum -= e.Amount
			}
		}
		if sum != s.Closing {
			t.Errorf("entries come to %d, the closing balance is %d", sum, s.Closing)
		}
	})
}
