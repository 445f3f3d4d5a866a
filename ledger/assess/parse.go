package assess

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Format is the first key of every rate table.
const Format = "shebao-rates-1"

// fileTable mirrors the YAML file. Every figure is text there, so that no YAML
// number rule stands between the published figure and ours.
type fileTable struct {
	Format    string `yaml:"format"`
	Region    string `yaml:"region"`
	AllowSkip bool   `yaml:"allow_skip"`
	LateRules []struct {
		ID          uint8  `yaml:"id"`
		PerDay      string `yaml:"per_day"`
		FirstOffset uint16 `yaml:"first_offset"`
		Cap         string `yaml:"cap"`
	} `yaml:"late_rules"`
	Rates []struct {
		Fund       string `yaml:"fund"`
		PType      string `yaml:"ptype"`
		Payer      string `yaml:"payer"`
		From       string `yaml:"from"`
		Rate       string `yaml:"rate"`
		Individual string `yaml:"individual"`
		Float      string `yaml:"float"`
		Fixed      string `yaml:"fixed"`
		Round      string `yaml:"round"`
		Floor      string `yaml:"floor"`
		Cap        string `yaml:"cap"`
		LateRule   uint8  `yaml:"late_rule"`
		Freq       string `yaml:"freq"`
	} `yaml:"rates"`
	Grades []struct {
		Fund    string `yaml:"fund"`
		Year    int    `yaml:"year"`
		Grade   string `yaml:"grade"`
		Person  string `yaml:"person"`
		Subsidy string `yaml:"subsidy"`
		Freq    string `yaml:"freq"`
	} `yaml:"grades"`
}

var payers = map[string]Payer{"PERSON": ledgerapi.PayerPerson, "EMPLOYER": ledgerapi.PayerEmployer, "GOV": ledgerapi.PayerGov}

var freqs = map[string]Freq{"month": Monthly, "quarter": Quarterly, "year": Yearly}

// Parse reads and checks a rate table, the body of a ConfigRates. Its error
// names the place and the rule.
func Parse(body []byte) (*Table, error) {
	var f fileTable
	dec := yaml.NewDecoder(bytes.NewReader(body))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("assess: rate table: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, fmt.Errorf("assess: rate table: more than one YAML document")
	}
	t, err := f.table()
	if err != nil {
		return nil, fmt.Errorf("assess: rate table: %w", err)
	}
	return t, nil
}

func (f *fileTable) table() (*Table, error) {
	if f.Format != Format {
		return nil, fmt.Errorf("format: got %q, want %q", f.Format, Format)
	}
	area, err := strconv.ParseUint(f.Region, 10, 32)
	if err != nil || len(f.Region) != 6 {
		return nil, fmt.Errorf("region: %q is not a six-digit area code", f.Region)
	}
	t := &Table{Area: si.AreaCode(area), AllowSkip: f.AllowSkip}
	for i, l := range f.LateRules {
		var p figures
		rule := LateRule{ID: l.ID, PPMPerDay: p.ppm("per_day", l.PerDay, ""), FirstOffset: l.FirstOffset,
			CapPPM: p.ppm("cap", l.Cap, "0%")}
		if p.err != nil {
			return nil, fmt.Errorf("late_rules[%d]: %w", i, p.err)
		}
		t.LateRules = append(t.LateRules, rule)
	}
	for i, x := range f.Rates {
		var p figures
		r := Row{
			Fund: p.fund(x.Fund), PType: p.ptype(x.PType), Payer: pick(&p, "payer", payers, x.Payer),
			From: p.period(x.From), Freq: pick(&p, "freq", freqs, x.Freq),
			RatePPM: p.ppm("rate", x.Rate, "0%"), IndividualPPM: p.ppm("individual", x.Individual, "0%"),
			Fixed: p.fen("fixed", x.Fixed, "0.00"), RoundUnit: p.fen("round", x.Round, "0.01"),
			Floor: p.fen("floor", x.Floor, "0.00"), Cap: p.fen("cap", x.Cap, "0.00"), LateRule: x.LateRule,
		}
		float := p.ppm("float", x.Float, "100%")
		if p.err == nil && float%(Million/100) != 0 {
			p.err = fmt.Errorf("float: %q is not a whole percentage", x.Float)
		}
		r.FloatPct = uint16(min(float/(Million/100), 1<<16-1))
		if p.err != nil {
			return nil, fmt.Errorf("rates[%d]: %w", i, p.err)
		}
		t.Rows = append(t.Rows, r)
	}
	for i, x := range f.Grades {
		var p figures
		g := Grade{Fund: p.fund(x.Fund), Year: x.Year, Name: x.Grade, Person: p.fen("person", x.Person, ""),
			Subsidy: p.fen("subsidy", x.Subsidy, "0.00"), Freq: pick(&p, "freq", freqs, x.Freq)}
		if p.err == nil && (x.Year < 2000 || x.Year > 2178 || x.Grade == "") {
			p.err = fmt.Errorf("year or grade is missing")
		}
		if p.err != nil {
			return nil, fmt.Errorf("grades[%d]: %w", i, p.err)
		}
		t.Grades = append(t.Grades, g)
	}
	return t, t.check()
}

// figures reads the values of one row and keeps the first error.
type figures struct{ err error }

func (p *figures) fail(err error) {
	if p.err == nil && err != nil {
		p.err = err
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

func (p *figures) period(s string) si.Period {
	v, err := si.ParsePeriod(s)
	p.fail(err)
	return v
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
