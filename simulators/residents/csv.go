package residents

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// The files that Write makes, UTF-8 with a header line; docs/format/import.md
// has their columns. shebaoctl import reads them.
const (
	PersonsFile = "persons.csv"
	CardsFile   = "cards.csv"
	BasesFile   = "bases.csv"
)

// Columns of the three files.
var (
	PersonColumns = []string{"id_number", "name", "person_type", "household", "birth", "sex", "retired", "phone", "address"}
	CardColumns   = []string{"id_number", "card_id", "card_no", "pan", "bank", "since"}
	BaseColumns   = []string{"id_number", "person_type", "grade_fen", "base_fen"}
)

// progressEach is how many persons lie between two progress calls.
const progressEach = 1000

// Write streams n residents into dir. progress is called with the number done;
// a cancelled context ends the work and leaves no half file behind.
func (g Generator) Write(ctx context.Context, dir string, n int, progress func(done int)) error {
	if n < 1 || n > MaxPersons {
		return fmt.Errorf("residents: %d persons: between 1 and %d can be made", n, MaxPersons)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("residents: %w", err)
	}
	var files [3]*file
	for i, f := range []struct {
		name   string
		header []string
	}{{PersonsFile, PersonColumns}, {CardsFile, CardColumns}, {BasesFile, BaseColumns}} {
		var err error
		if files[i], err = create(filepath.Join(dir, f.name), f.header); err != nil {
			return err
		}
		defer files[i].discard()
	}
	for i := 0; i < n; i++ {
		if i%progressEach == 0 {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("residents: stopped at person %d: %w", i, err)
			}
			progress(i)
		}
		p, err := g.At(i)
		if err != nil {
			return err
		}
		files[0].row(p.IDNumber, p.Name, p.PType.String(), p.Household.String(), p.BirthText, strconv.Itoa(int(p.Sex)), flag(p.Retired), p.Phone, p.Address)
		files[1].row(p.IDNumber, p.CardID, p.CardNo, p.PAN, p.Bank.Code, p.CardIssued)
		files[2].row(p.IDNumber, p.PType.String(), strconv.FormatInt(int64(p.Grade), 10), strconv.FormatInt(int64(p.Base), 10))
	}
	progress(n)
	for _, f := range files {
		if err := f.keep(); err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// file is one CSV file that takes its name only when it is whole.
type file struct {
	path string
	f    *os.File
	buf  *bufio.Writer
	csv  *csv.Writer
}

func create(path string, header []string) (*file, error) {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("residents: %w", err)
	}
	buf := bufio.NewWriterSize(f, 1<<20)
	w := &file{path, f, buf, csv.NewWriter(buf)}
	w.row(header...)
	return w, nil
}

// row keeps the first error inside the writer; keep reports it.
func (w *file) row(cells ...string) { _ = w.csv.Write(cells) }

func (w *file) keep() error {
	w.csv.Flush()
	// In this order, and no further after an error: a file that is not whole on
	// disk must not take the name.
	for _, step := range []func() error{
		w.csv.Error, w.buf.Flush, w.f.Sync, w.f.Close, func() error { return os.Rename(w.path+".part", w.path) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("residents: %s: %w", filepath.Base(w.path), err)
		}
	}
	return nil
}

// discard removes a file that was not kept.
func (w *file) discard() {
	_ = w.f.Close()
	_ = os.Remove(w.path + ".part")
}
