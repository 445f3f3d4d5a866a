package enrol

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Format is the first key of every table of cover.
const Format = "shebao-cover-1"

// fileTable mirrors the YAML file.
type fileTable struct {
	Format    string     `yaml:"format"`
	Region    string     `yaml:"region"`
	Local     []string   `yaml:"local"`
	Exclusive [][]string `yaml:"exclusive"`
	Cover     []struct {
		Fund        string `yaml:"fund"`
		PType       string `yaml:"ptype"`
		MinAge      uint8  `yaml:"min_age"`
		MaxAge      uint8  `yaml:"max_age"`
		MaxAgeWomen uint8  `yaml:"max_age_women"`
		Household   string `yaml:"household"`
		Retired     bool   `yaml:"retired"`
		BackPay     uint16 `yaml:"backpay"`
	} `yaml:"cover"`
}

// Parse reads and checks a table of cover, the body of a ConfigCover. Its error
// names the place and the rule.
func Parse(body []byte) (*Table, error) {
	var f fileTable
	dec := yaml.NewDecoder(bytes.NewReader(body))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("enrol: table of cover: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, fmt.Errorf("enrol: table of cover: more than one YAML document")
	}
	t, err := f.table()
	if err != nil {
		return nil, fmt.Errorf("enrol: table of cover: %w", err)
	}
	return t, nil
}

func (f *fileTable) table() (*Table, error) {
	if f.Format != Format {
		return nil, fmt.Errorf("format: got %q, want %q", f.Format, Format)
	}
	t := &Table{}
	var err error
	if t.Area, err = area(f.Region); err != nil {
		return nil, fmt.Errorf("region: %w", err)
	}
	for i, s := range f.Local {
		a, err := area(s)
		if err != nil {
			return nil, fmt.Errorf("local[%d]: %w", i, err)
		}
		t.Local = append(t.Local, a)
	}
	for i, names := range f.Exclusive {
		var g ledgerapi.FundSet
		for _, s := range names {
			fund, err := si.ParseFund(s)
			if err != nil {
				return nil, fmt.Errorf("exclusive[%d]: %w", i, err)
			}
			g |= ledgerapi.FundsOf(fund)
		}
		t.Groups = append(t.Groups, g)
	}
	for i, x := range f.Cover {
		r := Row{MinAge: x.MinAge, MaxAge: x.MaxAge, MaxAgeWomen: x.MaxAgeWomen, Retired: x.Retired, BackPay: x.BackPay,
			Local: x.Household == "local"}
		if r.Fund, err = si.ParseFund(x.Fund); err == nil {
			r.PType, err = si.ParsePType(x.PType)
		}
		if err == nil && x.Household != "local" && x.Household != "any" {
			err = fmt.Errorf("household: got %q, want local or any", x.Household)
		}
		if err != nil {
			return nil, fmt.Errorf("cover[%d]: %w", i, err)
		}
		t.Rows = append(t.Rows, r)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func area(s string) (si.AreaCode, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) != 6 {
		return 0, fmt.Errorf("%q is not a six-digit area code", s)
	}
	return si.AreaCode(n), nil
}
