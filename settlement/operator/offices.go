package operator

import (
	"bytes"
	"fmt"
	"net/http"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// MaxOffices bounds the table of a region: the model district has 334 villages
// and 26 towns, and a region has several districts.
const MaxOffices = 5000

// Bounds of an office's texts in characters.
const (
	maxOfficeName    = 60
	maxOfficeAddress = 100
	maxOfficePhone   = 30
)

// Office is an office (经办网点) and the areas whose residents belong to it. A
// person belongs to the office that names the person's household area: the
// longest code wins, so a town may have an office of its own in a county that has
// one.
type Office struct {
	Code    string        `yaml:"code" json:"code"`
	Name    string        `yaml:"name" json:"name"`
	Address string        `yaml:"address" json:"address,omitempty"`
	Phone   string        `yaml:"phone" json:"phone,omitempty"`
	Areas   []si.AreaCode `yaml:"areas" json:"areas"`
}

// ParseOffices reads and checks a region's table (docs/format/offices.md).
func ParseOffices(body []byte) ([]Office, error) {
	var file struct {
		Offices []Office `yaml:"offices"`
	}
	d := yaml.NewDecoder(bytes.NewReader(body))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("offices: %w", err)
	}
	if n := len(file.Offices); n == 0 || n > MaxOffices {
		return nil, fmt.Errorf("offices: %d of them, 1 to %d fit", n, MaxOffices)
	}
	codes, areas := map[string]bool{}, map[si.AreaCode]string{}
	for i, o := range file.Offices {
		switch {
		case o.Code == "" || len(o.Code) > ledgerapi.MaxOffice || !plain(o.Code) || codes[o.Code]:
			return nil, fmt.Errorf("offices: the code %q of number %d is empty, longer than %d letters and digits, or used twice", o.Code, i+1, ledgerapi.MaxOffice)
		case o.Name == "" || !words(o.Name, maxOfficeName) || !words(o.Address, maxOfficeAddress) || !words(o.Phone, maxOfficePhone):
			return nil, fmt.Errorf("offices: %s: name, address or phone is missing or too long (%d, %d, %d characters)", o.Code, maxOfficeName, maxOfficeAddress, maxOfficePhone)
		}
		codes[o.Code] = true
		for _, a := range o.Areas {
			if a < 100_000 || a > 999_999 && a < 100_000_000 || a > 999_999_999 {
				return nil, fmt.Errorf("offices: %s: area %d has neither six nor nine digits", o.Code, a)
			}
			if other, taken := areas[a]; taken {
				return nil, fmt.Errorf("offices: area %s is claimed by %s and %s", a, other, o.Code)
			}
			areas[a] = o.Code
		}
	}
	return file.Offices, nil
}

func plain(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

func words(s string, most int) bool {
	n := 0
	for _, c := range s {
		if n++; !unicode.IsPrint(c) {
			return false
		}
	}
	return n <= most
}

// areaTable tells to which office an area belongs.
func areaTable(list []Office) func(si.AreaCode) string {
	owner := map[si.AreaCode]string{}
	for _, o := range list {
		for _, a := range o.Areas {
			owner[a] = o.Code
		}
	}
	return func(a si.AreaCode) string {
		if code, ok := owner[a]; ok {
			return code
		}
		return owner[a.County()]
	}
}

// offices are the region's offices of today, none if there is no table.
func (s *Server) offices() ([]Office, error) {
	c, ok := s.cfg.Register.Config(ledgerapi.ConfigOffices, s.cfg.Agency().Area, si.DateOf(s.cfg.Now()))
	if !ok {
		return nil, nil
	}
	return ParseOffices(c.Body)
}

// Agency is who issues notices and what else stands on them.
type Agency struct {
	Name    string   `json:"name"`
	Hotline string   `json:"hotline,omitempty"`
	Area    string   `json:"area"`  // six digits
	Banks   []string `json:"banks"` // names of the banks that take notices
	Demo    bool     `json:"demo,omitempty"`
	Offices []Office `json:"offices,omitempty"`
}

func (s *Server) agency(w http.ResponseWriter, _ *http.Request) {
	a := s.cfg.Agency()
	var err error
	if a.Offices, err = s.offices(); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	reply(w, a)
}
