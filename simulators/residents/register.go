package residents

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/shebao-pay/shebao/si"
)

// The files that WriteRegister makes: a register as another office would send
// it (docs/format/import.md), and what was planted in it.
const (
	RegisterFile = "register.csv"
	PlantedFile  = "planted.csv"
)

// Columns of the two files.
var (
	RegisterColumns = []string{"id_number", "name", "sex", "birth", "household", "status", "status_date"}
	PlantedColumns  = []string{"kind", "line", "id_tail"}
)

// The kinds of differences that are planted: a person that only the register
// has, one that it lacks, and one field that it says otherwise.
const (
	PlantedNew       = "new"
	PlantedMissing   = "missing"
	PlantedName      = "name"
	PlantedSex       = "sex"
	PlantedBirth     = "birth"
	PlantedHousehold = "household"
	PlantedStatus    = "status"
)

// plantedInPlace are the kinds that take a person of the population each.
var plantedInPlace = []string{PlantedMissing, PlantedName, PlantedSex, PlantedBirth, PlantedHousehold, PlantedStatus}

// WriteRegister streams a register of the first n residents into dir, with each
// differences of each kind planted, spread over all of it.
func (g Generator) WriteRegister(ctx context.Context, dir string, n, each int, progress func(done int)) error {
	if n < 1 || each < 0 || n+each > MaxPersons || each*len(plantedInPlace) > n {
		return fmt.Errorf("residents: a register of %d persons with %d differences of each kind: up to %d persons, and %d times as many as differences",
			n, each, MaxPersons, len(plantedInPlace))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("residents: %w", err)
	}
	register, err := create(filepath.Join(dir, RegisterFile), RegisterColumns)
	if err != nil {
		return err
	}
	defer register.discard()
	planted, err := create(filepath.Join(dir, PlantedFile), PlantedColumns)
	if err != nil {
		return err
	}
	defer planted.discard()
	line := 1
	for i := range n + each {
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
		kind := plantedAt(i, n, each)
		at := ""
		if kind != PlantedMissing {
			line++
			at = strconv.Itoa(line)
			register.row(p.registerRow(kind)...)
		}
		if kind != "" {
			planted.row(kind, at, p.IDNumber[14:])
		}
	}
	progress(n + each)
	for _, f := range []*file{register, planted} {
		if err := f.keep(); err != nil {
			return err
		}
	}
	return nil
}

// plantedAt is what is planted at the i-th person, nothing for most.
func plantedAt(i, n, each int) string {
	if i >= n {
		return PlantedNew
	}
	if each == 0 {
		return ""
	}
	step := n / (each * len(plantedInPlace))
	if i%step != 0 || i/step >= each*len(plantedInPlace) {
		return ""
	}
	return plantedInPlace[i/step%len(plantedInPlace)]
}

// registerRow is a register's line of p with a difference planted.
func (p *Resident) registerRow(kind string) []string {
	row := []string{p.IDNumber, p.Name, strconv.Itoa(int(p.Sex)), p.BirthText, p.Household.String(), "ALIVE", ""}
	switch kind {
	case PlantedName:
		row[1] = p.Name + "安"
	case PlantedSex:
		row[2] = strconv.Itoa(3 - int(p.Sex))
	case PlantedBirth:
		row[3] = strconv.Itoa(p.BirthYear-1) + p.BirthText[4:6] + "01"
	case PlantedHousehold:
		row[4] = si.AreaCode(330199).String()
	case PlantedStatus:
		row[5], row[6] = "DECEASED", "20250630"
	}
	return row
}
