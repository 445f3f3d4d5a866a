package assess

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The forms of a rate table: the first key of the file. A table of the first
// form is still read, by its own rules: one that is in a log was taken by them.
const (
	Format      = "shebao-rates-2"
	firstFormat = "shebao-rates-1"
)

// fileTable mirrors the YAML file. Every figure is text there, so that no YAML
// number rule stands between the published figure and ours.
type fileTable struct {
	Format    string         `yaml:"format"`
	Region    string         `yaml:"region"`
	AllowSkip bool           `yaml:"allow_skip"`
	LateRules []fileLate     `yaml:"late_rules"`
	Interest  []fileInterest `yaml:"interest"`
	Rates     []fileRate     `yaml:"rates"`
	Injury    []fileInjury   `yaml:"injury"`
	Grades    []fileGrade    `yaml:"grades"`
}

type fileLate struct {
	ID          uint8  `yaml:"id"`
	PerDay      string `yaml:"per_day"`
	FirstOffset uint16 `yaml:"first_offset"`
	Cap         string `yaml:"cap"`
}

type fileInterest struct {
	From    string `yaml:"from"`
	PerYear string `yaml:"per_year"`
}

type fileRate struct {
	Fund       string `yaml:"fund"`
	PType      string `yaml:"ptype"`
	Payer      string `yaml:"payer"`
	From       string `yaml:"from"`
	Until      string `yaml:"until"`
	Rate       string `yaml:"rate"`
	Individual string `yaml:"individual"`
	Float      string `yaml:"float"`
	Fixed      string `yaml:"fixed"`
	Round      string `yaml:"round"`
	Floor      string `yaml:"floor"`
	Cap        string `yaml:"cap"`
	LateRule   uint8  `yaml:"late_rule"`
	Freq       string `yaml:"freq"`
}

type fileInjury struct {
	Class    uint8    `yaml:"class"`
	From     string   `yaml:"from"`
	Rate     string   `yaml:"rate"`
	Floats   []string `yaml:"floats"`
	Floor    string   `yaml:"floor"`
	Cap      string   `yaml:"cap"`
	LateRule uint8    `yaml:"late_rule"`
}

type fileGrade struct {
	Fund    string `yaml:"fund"`
	Year    int    `yaml:"year"`
	Grade   string `yaml:"grade"`
	Person  string `yaml:"person"`
	Subsidy string `yaml:"subsidy"`
	Freq    string `yaml:"freq"`
}

var payers = map[string]Payer{"PERSON": ledgerapi.PayerPerson, "EMPLOYER": ledgerapi.PayerEmployer, "GOV": ledgerapi.PayerGov}

var freqs = map[string]Freq{"month": Monthly, "quarter": Quarterly, "year": Yearly}

// Problem is one rule that a rate table breaks.
type Problem struct {
	Section string // key of the file: rates, grades …
	Row     int    // counted from 0; below 0 for the section or file as a whole
	Line    int    // of the file, 0 if it is not known
	Why     string
}

func (p Problem) Error() string {
	at := p.Section
	if p.Row >= 0 {
		at = fmt.Sprintf("%s[%d]", p.Section, p.Row)
	}
	if p.Line > 0 {
		at = fmt.Sprintf("line %d: %s", p.Line, at)
	}
	return at + ": " + p.Why
}

// report gathers what is wrong with a table.
type report struct {
	lines map[string][]int // of the rows of each section
	found []Problem
}

func (r *report) add(section string, row int, format string, args ...any) {
	p := Problem{Section: section, Row: row, Why: fmt.Sprintf(format, args...)}
	if lines := r.lines[section]; row >= 0 && row < len(lines) {
		p.Line = lines[row]
	}
	r.found = append(r.found, p)
}

// Parse reads and checks a rate table, the body of a ConfigRates. Its error
// names the first place and rule.
func Parse(body []byte) (*Table, error) {
	t, found := Check(body)
	if len(found) > 0 {
		return nil, fmt.Errorf("assess: rate table: %w", found[0])
	}
	return t, nil
}

// Check reads a rate table and finds every rule that it breaks. The table is of
// use only if it breaks none.
func Check(body []byte) (*Table, []Problem) {
	var f fileTable
	dec := yaml.NewDecoder(bytes.NewReader(body))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, badYAML(err)
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, badYAML(errors.New("more than one YAML document"))
	}
	r := &report{lines: linesOf(body)}
	t := f.table(r)
	if len(r.found) > 0 {
		slices.SortStableFunc(r.found, func(a, b Problem) int { return a.Line - b.Line })
		return nil, r.found
	}
	return t, nil
}

// badYAML takes the decoder's list of what does not fit apart.
func badYAML(err error) []Problem {
	var list *yaml.TypeError
	if !errors.As(err, &list) {
		return []Problem{{Section: "file", Row: -1, Why: err.Error()}}
	}
	var out []Problem
	for _, text := range list.Errors {
		p := Problem{Section: "file", Row: -1, Why: text}
		if n, err := fmt.Sscanf(text, "line %d:", &p.Line); n == 1 && err == nil {
			_, p.Why, _ = strings.Cut(text, ": ")
		}
		p.Why, _, _ = strings.Cut(p.Why, " in type ") // a name of ours
		out = append(out, p)
	}
	return out
}

// linesOf finds the lines at which the rows of each section begin.
func linesOf(body []byte) map[string][]int {
	lines := map[string][]int{}
	var doc yaml.Node
	if yaml.Unmarshal(body, &doc) != nil || len(doc.Content) == 0 {
		return lines
	}
	top := doc.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		for _, row := range top[i+1].Content {
			lines[top[i].Value] = append(lines[top[i].Value], row.Line)
		}
	}
	return lines
}

// table reads the figures of all rows, then holds them to the rules among rows.
func (f *fileTable) table(r *report) *Table {
	if f.Format != Format && f.Format != firstFormat {
		r.add("format", -1, "got %q, want %q", f.Format, Format)
		return nil
	}
	strict := f.Format == Format
	if !strict && (len(f.Interest) > 0 || len(f.Injury) > 0) {
		r.add("format", -1, "%s knows no interest and no injury; write %s", firstFormat, Format)
	}
	area, err := strconv.ParseUint(f.Region, 10, 32)
	if err != nil || len(f.Region) != 6 {
		r.add("region", -1, "%q is not a six-digit area code", f.Region)
	}
	t := &Table{Area: si.AreaCode(area), AllowSkip: f.AllowSkip}
	for i := range f.LateRules {
		t.LateRules = append(t.LateRules, f.LateRules[i].read(r, i))
	}
	for i := range f.Interest {
		t.Interest = append(t.Interest, f.Interest[i].read(r, i))
	}
	for i := range f.Rates {
		if !strict && f.Rates[i].Until != "" {
			r.add("rates", i, "%s knows no until; write %s", firstFormat, Format)
		}
		t.Rows = append(t.Rows, f.Rates[i].read(r, i))
	}
	for i := range f.Injury {
		t.Injury = append(t.Injury, f.Injury[i].read(r, i))
	}
	for i := range f.Grades {
		t.Grades = append(t.Grades, f.Grades[i].read(r, i))
	}
	r.readable(t).check(r, strict)
	return t
}

// readable is t without the sections in which a figure could not be read: they
// stand in no relation.
func (r *report) readable(t *Table) *Table {
	left := *t
	for _, p := range r.found {
		switch p.Section {
		case "rates":
			left.Rows = nil
		case "injury":
			left.Injury = nil
		case "grades":
			left.Grades = nil
		case "interest":
			left.Interest = nil
		case "late_rules": // the others name them
			return &Table{}
		}
	}
	return &left
}

func (l *fileLate) read(r *report, i int) LateRule {
	p := figures{r: r, section: "late_rules", row: i}
	return LateRule{ID: l.ID, PPMPerDay: p.ppm("per_day", l.PerDay, ""), FirstOffset: l.FirstOffset, CapPPM: p.ppm("cap", l.Cap, "0%")}
}

func (x *fileInterest) read(r *report, i int) InterestRate {
	p := figures{r: r, section: "interest", row: i}
	return InterestRate{From: p.period("from", x.From), PPMPerYear: p.ppm("per_year", x.PerYear, "")}
}

func (x *fileRate) read(r *report, i int) Row {
	p := figures{r: r, section: "rates", row: i}
	row := Row{
		Fund: p.fund(x.Fund), PType: p.ptype(x.PType), Payer: pick(&p, "payer", payers, x.Payer),
		From: p.period("from", x.From), Freq: pick(&p, "freq", freqs, x.Freq),
		RatePPM: p.ppm("rate", x.Rate, "0%"), IndividualPPM: p.ppm("individual", x.Individual, "0%"),
		Fixed: p.fen("fixed", x.Fixed, "0.00"), RoundUnit: p.fen("round", x.Round, "0.01"),
		Floor: p.fen("floor", x.Floor, "0.00"), Cap: p.fen("cap", x.Cap, "0.00"), LateRule: x.LateRule,
		FloatPct: p.float(x.Float),
	}
	if x.Until != "" {
		row.Until, row.Ends = p.period("until", x.Until), true
	}
	return row
}

func (x *fileInjury) read(r *report, i int) InjuryClass {
	p := figures{r: r, section: "injury", row: i}
	c := InjuryClass{Class: x.Class, From: p.period("from", x.From), RatePPM: p.ppm("rate", x.Rate, ""),
		Floor: p.fen("floor", x.Floor, "0.00"), Cap: p.fen("cap", x.Cap, "0.00"), LateRule: x.LateRule}
	for _, f := range x.Floats {
		c.Floats = append(c.Floats, p.float(f))
	}
	return c
}

func (x *fileGrade) read(r *report, i int) Grade {
	p := figures{r: r, section: "grades", row: i}
	g := Grade{Fund: p.fund(x.Fund), Year: x.Year, Name: x.Grade, Person: p.fen("person", x.Person, ""),
		Subsidy: p.fen("subsidy", x.Subsidy, "0.00"), Freq: pick(&p, "freq", freqs, x.Freq)}
	if x.Year < 2000 || x.Year > 2178 || x.Grade == "" {
		p.fail(fmt.Errorf("year or grade is missing"))
	}
	return g
}

// figures reads the values of one row and reports the first that does not fit.
type figures struct {
	r       *report
	section string
	row     int
	failed  bool
}

func (p *figures) fail(err error) {
	if !p.failed && err != nil {
		p.failed = true
		p.r.add(p.section, p.row, "%s", err.Error())
	}
}

func (p *figures) fund(s string) si.Fund {
	v, err := si.ParseFund(s)
	p.fail(err)
	return v
}

func (p *figures) ptype(s string) si.PType {
	v, err := si.ParsePType(s)
	p.fail(err)
	return v
}

func (p *figures) period(field, s string) si.Period {
	v, err := si.ParsePeriod(s)
	if err != nil {
		p.fail(fmt.Errorf("%s: %w", field, err))
	}
	return v
}

// float reads a whole percentage; a missing one is 100 %.
func (p *figures) float(s string) uint16 {
	v := p.ppm("float", s, "100%")
	if v%(Million/100) != 0 {
		p.fail(fmt.Errorf("float: %q is not a whole percentage", s))
	}
	return uint16(min(v/(Million/100), 1<<16-1))
}

func (p *figures) fen(field, s, missing string) si.Fen {
	if s == "" {
		s = missing
	}
	v, err := si.ParseFen(s)
	if err != nil {
		p.fail(fmt.Errorf("%s: %q: %w", field, s, err))
	}
	return v
}

// ppm reads a percentage such as 0.05% as parts per million; it must be a whole
// number of them.
func (p *figures) ppm(field, s, missing string) uint32 {
	if s == "" {
		s = missing
	}
	digits, ok := strings.CutSuffix(s, "%")
	if ok {
		ok = digits != "" && len(digits) <= 12 && strings.Trim(digits, "0123456789.") == ""
	}
	d, err := decimal.NewFromString(digits)
	if !ok || err != nil {
		p.fail(fmt.Errorf("%s: %q is not a percentage such as 0.05%%", field, s))
		return 0
	}
	v := d.Mul(decimal.NewFromInt(Million / 100))
	if !v.IsInteger() || v.Cmp(decimal.NewFromInt(10*Million)) > 0 {
		p.fail(fmt.Errorf("%s: %q is not a whole number of millionths up to 1000%%", field, s))
		return 0
	}
	return uint32(v.IntPart())
}

func pick[V any](p *figures, field string, table map[string]V, s string) V {
	v, ok := table[s]
	if !ok {
		p.fail(fmt.Errorf("%s: unknown %q", field, s))
	}
	return v
}
