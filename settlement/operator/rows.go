package operator

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Columns of the import files; docs/format/import.md describes them.
var (
	PersonColumns    = []string{"id_number", "name", "person_type", "household", "birth", "sex", "retired", "phone", "address"}
	CardColumns      = []string{"id_number", "card_id", "card_no", "pan", "bank", "since"}
	BaseColumns      = []string{"id_number", "person_type", "grade_fen", "base_fen"}
	EnrolmentColumns = []string{"id_number", "fund", "person_type", "grade_fen", "base_fen", "first_period", "consent"}
	RegisterColumns  = []string{"id_number", "name", "sex", "birth", "household", "status", "status_date"}
)

// Bounds of a person's texts, in bytes: what the HSM process seals.
const (
	maxNameRunes = 50
	maxNameBytes = 150
	maxPhone     = 20
	maxAddress   = 600
)

// cells takes the values of one line and keeps the first that does not fit.
type cells struct {
	columns []string
	of      []string
	column  string // of the first value that does not fit
	why     string
}

func (c *cells) bad(i int, why string) {
	if c.why == "" {
		c.column, c.why = c.columns[i], why
	}
}

func (c *cells) id(i int) si.IDNumber {
	v, err := si.ParseIDNumber(c.of[i])
	if err != nil {
		c.bad(i, err.Error())
	}
	return v
}

func (c *cells) name(i int) si.Name {
	if n := utf8.RuneCountInString(c.of[i]); n == 0 || n > maxNameRunes || len(c.of[i]) > maxNameBytes {
		c.bad(i, "empty or longer than 50 characters")
	}
	return si.NewName(c.of[i])
}

func (c *cells) text(i, most int) string {
	if len(c.of[i]) > most {
		c.bad(i, "longer than "+strconv.Itoa(most)+" bytes")
	}
	return c.of[i]
}

func (c *cells) ptype(i int) si.PType {
	v, err := si.ParsePType(c.of[i])
	if err != nil {
		c.bad(i, "unknown person type")
	}
	return v
}

func (c *cells) fund(i int) si.Fund {
	v, err := si.ParseFund(c.of[i])
	if err != nil {
		c.bad(i, "unknown insurance type")
	}
	return v
}

func (c *cells) area(i int) si.AreaCode {
	v, err := strconv.ParseUint(c.of[i], 10, 32)
	if err != nil || len(c.of[i]) != 6 {
		c.bad(i, "not a six-digit area code")
	}
	return si.AreaCode(v)
}

// date is a YYYYMMDD of the given year or later.
func (c *cells) date(i, first int) time.Time {
	v, err := time.Parse("20060102", c.of[i])
	if err != nil || v.Year() < first || v.Year() > 2178 {
		c.bad(i, "not a YYYYMMDD of "+strconv.Itoa(first)+" or later")
	}
	return v
}

func (c *cells) sex(i int) uint8 {
	switch c.of[i] {
	case "1", "2", "9":
		return c.of[i][0] - '0'
	}
	c.bad(i, "none of 1, 2, 9")
	return 0
}

func (c *cells) fen(i int) si.Fen {
	v, err := strconv.ParseInt(c.of[i], 10, 64)
	if err != nil || v < 0 || v > int64(si.MaxFen) || c.of[i] != strconv.FormatInt(v, 10) {
		c.bad(i, "not an amount in fen")
	}
	return si.Fen(v)
}

func (c *cells) person() (rec hsmapi.PersonRecord, p ledgerapi.PutPerson) {
	rec = hsmapi.PersonRecord{IDNumber: c.id(0), Name: c.name(1), Phone: c.text(7, maxPhone), Address: c.text(8, maxAddress)}
	p.PType, p.Household, p.Sex = c.ptype(2), c.area(3), c.sex(5)
	birth := c.date(4, 1900)
	if c.of[4] != rec.IDNumber.BirthDate() {
		c.bad(4, "not the YYYYMMDD of the id_number")
	}
	if c.why == "" {
		p.Birth = si.BirthMonthOf(birth.Year(), birth.Month())
	}
	switch c.of[6] {
	case "0":
	case "1":
		p.Flags |= ledgerapi.FlagRetired
	default:
		c.bad(6, "neither 0 nor 1")
	}
	return rec, p
}

func (c *cells) card(banks func(string) (si.Bank, bool)) (rec hsmapi.CardRecord, p ledgerapi.PutCard) {
	rec = hsmapi.CardRecord{IDNumber: c.id(0), CardID: c.of[1], CardNo: c.of[2]}
	if len(rec.CardID) != 32 {
		c.bad(1, "not 32 characters")
	}
	if len(rec.CardNo) != 9 {
		c.bad(2, "not 9 characters")
	}
	var err error
	if rec.PAN, err = si.ParsePAN(c.of[3]); err != nil {
		c.bad(3, err.Error())
	}
	bank, ok := banks(c.of[4])
	if !ok {
		c.bad(4, "no profile has this code")
	}
	since := c.date(5, 2000)
	p.Bank, p.State, p.Source = bank, ledgerapi.CardActive, ledgerapi.CardImport
	if c.why == "" {
		p.Since = si.Date(since.Year(), since.Month(), since.Day())
	}
	return rec, p
}

// EnrolmentRow is one line of an enrolments file without its person: cover in
// one insurance type from a period on, by a grade's amount or a declared base.
type EnrolmentRow struct {
	Fund    si.Fund
	PType   si.PType
	Base    si.Fen // the grade's own amount, or the declared base
	First   si.Period
	Consent [16]byte // id of the consent record, zero if the file has none
}

func (c *cells) enrolment() (id si.IDNumber, row EnrolmentRow) {
	id = c.id(0)
	row.Fund, row.PType = c.fund(1), c.ptype(2)
	grade, base := c.fen(3), c.fen(4)
	if (grade == 0) == (base == 0) {
		c.bad(3, "either a grade or a base must stand there, and 0 for the other")
	}
	row.Base = max(grade, base)
	var err error
	if row.First, err = si.ParsePeriod(c.of[5]); err != nil {
		c.bad(5, "neither a year such as 2026 nor a month such as 2026-01")
	}
	if c.of[6] != "" {
		v, err := hex.DecodeString(c.of[6])
		if err != nil || len(v) != len(row.Consent) {
			c.bad(6, "not 32 hexadecimal digits")
		} else {
			copy(row.Consent[:], v)
		}
	}
	return id, row
}

// command is the ledger's command for the row of a person.
func (row *EnrolmentRow) command(id si.PaymentID, person si.PersonNo, rates uint32) ledgerapi.Command {
	return ledgerapi.Act{ID: id, Do: &ledgerapi.Enrol{Person: person, Fund: row.Fund, PType: row.PType, Base: row.Base,
		From: row.First, Rates: rates, Consent: row.Consent}}
}

// registerRow is what another register says of a person. Zero values are what
// it does not say.
type registerRow struct {
	id        si.IDNumber
	name      si.Name
	sex       uint8
	birth     si.BirthMonth
	household si.AreaCode
	status    string // ALIVE, DECEASED
}

// register reads a line of another register; today bounds a day of death.
func (c *cells) register(today time.Time) (row registerRow) {
	row.id = c.id(0)
	if c.of[1] != "" {
		row.name = c.name(1)
	}
	if c.of[2] != "" {
		row.sex = c.sex(2)
	}
	if c.of[3] != "" {
		if birth := c.date(3, 1900); c.why == "" {
			row.birth = si.BirthMonthOf(birth.Year(), birth.Month())
		}
	}
	if c.of[4] != "" {
		row.household = c.area(4)
	}
	row.status = c.of[5]
	switch row.status {
	case "", "ALIVE":
		if c.of[6] != "" {
			c.date(6, 1900)
		}
	case "DECEASED":
		if c.date(6, 1900).After(today) || c.of[6] < row.id.BirthDate() {
			c.bad(6, "a day of death that has not come, or before the birth")
		}
	default:
		c.bad(5, "neither ALIVE nor DECEASED nor empty")
	}
	return row
}
