package oracle

import (
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/shebao-pay/shebao/simulators/world"
)

//go:embed schema.sql derive.sql checks/*.sql
var statements embed.FS

// Finding is a row that a check gave: something that must not be.
type Finding struct {
	Check string // name of the file without its ending, such as i2_debits
	About string
	What  string
}

// Invariant is the invariant that the check belongs to, such as I2.
func (f Finding) Invariant() string { return strings.ToUpper(f.Check[:2]) }

// String writes a finding as one line.
func (f Finding) String() string { return f.Check + ": " + f.About + ": " + f.What }

// maxFindings is how many rows of one check are kept: the first tell.
const maxFindings = 20

// Checks lists the names of the checks, in order.
func Checks() []string {
	files, err := fs.Glob(statements, "checks/*.sql")
	if err != nil {
		return nil // the pattern is a good one
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".sql")
	}
	return files
}

// Check loads a day's tables into an empty database in memory and asks every
// check. An error says that it could not be asked: it is no finding.
func Check(tables []world.Table) ([]Finding, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, fmt.Errorf("oracle: open: %w", err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // another connection would be another database
	if err := run(db, "schema.sql"); err != nil {
		return nil, err
	}
	tx, err := db.Begin()
	if err != nil {
		return nil, fmt.Errorf("oracle: load: %w", err)
	}
	for _, t := range tables {
		if err := load(tx, t); err != nil {
			_ = tx.Rollback()
			return nil, fmt.Errorf("oracle: load %s: %w", t.Name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("oracle: load: %w", err)
	}
	if err := run(db, "derive.sql"); err != nil {
		return nil, err
	}
	var all []Finding
	for _, name := range Checks() {
		found, err := ask(db, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func run(db *sql.DB, file string) error {
	text, err := statements.ReadFile(file)
	if err == nil {
		_, err = db.Exec(string(text))
	}
	if err != nil {
		return fmt.Errorf("oracle: %s: %w", file, err)
	}
	return nil
}

// rowsAtOnce is how many rows one statement inserts: fewer round trips, and far
// below the engine's bound of parameters.
const rowsAtOnce = 64

func load(tx *sql.Tx, t world.Table) error {
	if len(t.Rows) == 0 {
		return nil
	}
	one := "(?" + strings.Repeat(", ?", len(t.Rows[0])-1) + ")"
	text := func(n int) string {
		return "INSERT INTO " + t.Name + " VALUES " + one + strings.Repeat(", "+one, n-1)
	}
	many, err := tx.Prepare(text(rowsAtOnce))
	if err != nil {
		return err
	}
	defer func() { _ = many.Close() }()
	var args []any
	for rows := t.Rows; len(rows) > 0; {
		n := min(len(rows), rowsAtOnce)
		args = args[:0]
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if n == rowsAtOnce {
			_, err = many.Exec(args...)
		} else {
			_, err = tx.Exec(text(n), args...)
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func ask(db *sql.DB, name string) ([]Finding, error) {
	fail := func(err error) ([]Finding, error) { return nil, fmt.Errorf("oracle: checks/%s.sql: %w", name, err) }
	text, err := statements.ReadFile("checks/" + name + ".sql")
	if err != nil {
		return fail(err)
	}
	rows, err := db.Query(string(text))
	if err != nil {
		return fail(err)
	}
	defer func() { _ = rows.Close() }()
	var found []Finding
	for rows.Next() && len(found) < maxFindings {
		f := Finding{Check: name}
		if err := rows.Scan(&f.About, &f.What); err != nil {
			return fail(err)
		}
		found = append(found, f)
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return found, nil
}
