package core

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/si"
)

// factsHeader is the first line of every body of bank facts.
const factsHeader = "shebao-bank-facts 1"

// MaxFactLines bounds the lines of a body of bank facts: one for each fund and
// each kind of account, the header, and as many comments.
const MaxFactLines = 64

// ErrFacts is returned for a body of bank facts that breaks a rule; the error
// that wraps it says which.
var ErrFacts = errors.New("core: bank facts")

// BankFacts say where a bank books the region's money. Their text form:
//
//	shebao-bank-facts 1
//	bank 3
//	account INCOME 330110-3-INCOME
//	fund PENSION_RES INCOME
//	fund MED_RES INCOME
//
// One directive a line, single spaces, each line ending in LF; lines that begin
// with # are comments. An account line names a kind of account and the
// beneficiary account or alias; a fund line says which kind a fund is paid to.
type BankFacts struct {
	Bank     si.Bank
	accounts [funds]string
}

// Account is the beneficiary account of a fund, empty if the bank has none.
func (f *BankFacts) Account(fund si.Fund) string {
	if f == nil || !fund.Valid() {
		return ""
	}
	return f.accounts[fund]
}

// ParseBankFacts reads and checks a body of bank facts.
func ParseBankFacts(body []byte) (*BankFacts, error) {
	text, ok := strings.CutSuffix(string(body), "\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) > MaxFactLines || lines[0] != factsHeader {
		return nil, fmt.Errorf("%w: want %q first and at most %d lines, each ending in LF", ErrFacts, factsHeader, MaxFactLines)
	}
	f := &BankFacts{}
	kinds := map[string]string{}
	for i, line := range lines[1:] {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if err := f.directive(strings.Split(line, " "), kinds); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrFacts, i+2, err)
		}
	}
	if f.Bank == 0 {
		return nil, fmt.Errorf("%w: no bank line", ErrFacts)
	}
	return f, nil
}

func (f *BankFacts) directive(w []string, kinds map[string]string) error {
	switch {
	case len(w) == 2 && w[0] == "bank":
		n, err := strconv.ParseUint(w[1], 10, 8)
		if err != nil || n == 0 || f.Bank != 0 || strconv.FormatUint(n, 10) != w[1] {
			return fmt.Errorf("bank must be a number from 1 to 255, once")
		}
		f.Bank = si.Bank(n)
	case len(w) == 3 && w[0] == "account":
		if w[1] == "" || w[2] == "" || len(w[2]) > 32 || kinds[w[1]] != "" {
			return fmt.Errorf("account must be a new kind and 1 to 32 characters")
		}
		kinds[w[1]] = w[2]
	case len(w) == 3 && w[0] == "fund":
		fund, err := si.ParseFund(w[1])
		if err != nil {
			return err
		}
		if kinds[w[2]] == "" || f.accounts[fund] != "" {
			return fmt.Errorf("fund must be new and its kind of account stand above")
		}
		f.accounts[fund] = kinds[w[2]]
	default:
		return fmt.Errorf("want bank N, account KIND NUMBER or fund NAME KIND")
	}
	return nil
}
