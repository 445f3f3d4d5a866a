package emv

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/si"
)

// Account is what the records say of the account and its holder.
type Account struct {
	PAN        si.PAN
	PSN        string // two digits, 00 if the card states none
	Track2     si.Track2
	Expiry     string // YYMM
	HolderName []byte // 5F20, or 9F0B where the name is longer; bytes as they are on the card
	HolderID   string // 9F61, empty if the card has none
	Digest     [32]byte
}

// Wipe forgets the account.
func (a *Account) Wipe() {
	a.PAN.Wipe()
	a.Track2.Wipe()
	clear(a.HolderName)
	*a = Account{}
}

// takeAccount checks and keeps account number, track and dates: the account
// number and expiry date must be the same in both places, and its Luhn digit
// must fit.
func (x *Transaction) takeAccount() error {
	for _, t := range []tlv.Tag{TagPAN, TagTrack2, TagExpiry, TagCDOL1, TagCDOL2} {
		if len(x.card[t]) == 0 {
			return fmt.Errorf("%w: no %v", ErrRecords, t)
		}
	}
	digits := strings.TrimRight(hexDigits(x.card[TagPAN]), "F")
	pan, err := si.ParsePAN(digits)
	if err != nil {
		return fmt.Errorf("%w: account number: %w", ErrRecords, err)
	}
	track := strings.TrimRight(hexDigits(x.card[TagTrack2]), "F")
	track2, err := si.ParseTrack2(track)
	if err != nil {
		return fmt.Errorf("%w: track 2: %w", ErrRecords, err)
	}
	expiry := hexDigits(x.card[TagExpiry])
	if !isDate(expiry) {
		return fmt.Errorf("%w: expiry date", ErrRecords)
	}
	number, rest, _ := strings.Cut(track, "D")
	if number != digits || !strings.HasPrefix(rest, expiry[:4]) {
		return fmt.Errorf("%w: account number or expiry date differs from track 2", ErrRecords)
	}
	psn := "00"
	if v := x.card[TagPSN]; v != nil {
		if psn = hexDigits(v); len(psn) != 2 || strings.ContainsAny(psn, "ABCDEF") {
			return fmt.Errorf("%w: sequence number", ErrRecords)
		}
	}
	name := x.card[TagHolderNameMore]
	if len(name) == 0 {
		name = x.card[TagHolderName]
	}
	a := &x.account
	a.PAN, a.PSN, a.Track2, a.Expiry, a.HolderName = pan, psn, track2, expiry[:4], name
	a.HolderID = strings.TrimRight(string(x.card[TagHolderID]), "\x00 ")
	return nil
}

// checkDates refuses a card outside its dates. Both dates are whole days.
func (x *Transaction) checkDates() error {
	today := hexDigits(x.terminal[TagDate])
	if hexDigits(x.card[TagExpiry]) < today {
		return ErrExpired
	}
	if v := x.card[TagEffective]; v != nil {
		from := hexDigits(v)
		if !isDate(from) {
			return fmt.Errorf("%w: effective date", ErrRecords)
		}
		if from > today {
			return ErrNotEffective
		}
	}
	return nil
}

// chooseCVM looks for the first rule of the card's list that asks for an online
// PIN and whose condition holds, and writes the result (9F34). No other method
// is offered, whatever its place in the list.
func (x *Transaction) chooseCVM() error {
	if x.card[TagAIP][0]&aipCVM == 0 {
		return ErrNoOnlinePIN
	}
	list := x.card[TagCVMList]
	if len(list) < 10 || len(list)%2 != 0 {
		return ErrNoOnlinePIN
	}
	const onlinePIN = 0x02 // enciphered PIN verified online
	for rules := list[8:]; len(rules) > 0; rules = rules[2:] {
		if rules[0]&0x3F != onlinePIN || !x.conditionHolds(rules[1], list) {
			continue
		}
		x.terminal[TagCVMResults] = []byte{rules[0], rules[1], 0x00} // 00: the issuer will say
		x.terminal[TagTVR][2] |= tvrOnlinePIN
		return nil
	}
	return ErrNoOnlinePIN
}

// conditionHolds judges the condition of a CVM rule (EMV 4.3 Book 3, Annex C3)
// for what this terminal does: no cash, no cashback, online PIN supported.
func (x *Transaction) conditionHolds(condition byte, list []byte) bool {
	switch condition {
	case 0x00, 0x02, 0x03: // always; not cash; if the terminal supports it
		return true
	case 0x06, 0x07, 0x08, 0x09: // amount in the application's currency against X or Y
		if string(x.card[TagAppCurrency]) != string(x.terminal[TagCurrency]) {
			return false
		}
		limit := list[0:4]
		if condition >= 0x08 {
			limit = list[4:8]
		}
		under := string(x.terminal[TagAmountBinary]) < string(limit)
		over := string(x.terminal[TagAmountBinary]) > string(limit)
		if condition%2 == 0 {
			return under
		}
		return over
	}
	return false
}

// hexDigits writes bytes as upper-case hexadecimal digits.
func hexDigits(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// isDate tells whether s is YYMMDD in digits with a month and a day.
func isDate(s string) bool {
	if len(s) != 6 || strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	return s[2:4] >= "01" && s[2:4] <= "12" && s[4:6] >= "01" && s[4:6] <= "31"
}
