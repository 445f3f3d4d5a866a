package bankhost

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// maxFile bounds the files of a test bench: some thousands of accounts.
const maxFile = 1 << 20

// keysFile mirrors the JSON file of the keys that bank and hub have exchanged.
// Keys are hexadecimal digits.
type keysFile struct {
	TMK  map[string]string `json:"tmk"`  // POS: by DE 41
	KBPK string            `json:"kbpk"` // CUPS
	IMK  string            `json:"imk"`  // issuer master key of the cards
	Card string            `json:"card"` // cipher of the cards: 3des or sm4
}

// ReadKeys reads a file of test keys and holds it to what the profile needs.
func ReadKeys(path string, p *profile.Profile) (Keys, error) {
	b, err := readFile(path)
	if err != nil {
		return Keys{}, err
	}
	return parseKeys(path, b, p)
}

// parseKeys reads the text of a file; path is for the errors.
func parseKeys(path string, b []byte, p *profile.Profile) (k Keys, err error) {
	k.TMK = map[string][]byte{}
	var f keysFile
	if err := json.Unmarshal(b, &f); err != nil {
		return k, fmt.Errorf("bankhost: %s is not JSON of tmk, kbpk, imk, card", path)
	}
	key := func(name, text string, sizes ...int) []byte {
		v, herr := hex.DecodeString(text)
		if herr != nil || !slices.Contains(sizes, len(v)) {
			err = errors.Join(err, fmt.Errorf("bankhost: %s: %s must be %v bytes in hexadecimal digits", path, name, sizes))
		}
		return v
	}
	key("imk", f.IMK, 16)
	k.IMK = f.IMK
	if p.Dialect == profile.CUPS {
		k.KBPK = key("kbpk", f.KBPK, 16, 32)
	}
	for _, t := range p.Terminals {
		k.TMK[t.DE41] = key("tmk."+t.DE41, f.TMK[t.DE41], 16)
	}
	switch f.Card {
	case "", "3des":
		k.CardCipher = emv.TDES
	case "sm4":
		k.CardCipher = emv.SM4
	default:
		err = errors.Join(err, fmt.Errorf("bankhost: %s: card must be 3des or sm4", path))
	}
	return k, err
}

// accountColumns is the header line of a file of accounts.
var accountColumns = []string{"pan", "pin", "balance_fen"}

// ReadAccounts reads accounts from a CSV file with the columns pan, pin and
// balance_fen. An error names the line and the column, never the value.
func ReadAccounts(path string) ([]Account, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseAccounts(path, b)
}

// parseAccounts reads the text of a file; path is for the errors.
func parseAccounts(path string, b []byte) ([]Account, error) {
	r := csv.NewReader(bytes.NewReader(b))
	head, err := r.Read()
	if err != nil || !slices.Equal(head, accountColumns) {
		return nil, fmt.Errorf("bankhost: %s must begin with the line pan,pin,balance_fen", path)
	}
	var list []Account
	for line := 2; ; line++ {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("bankhost: %s:%d: not three columns", path, line)
		}
		if _, err := si.ParsePAN(rec[0]); err != nil {
			return nil, fmt.Errorf("bankhost: %s:%d: pan: %w", path, line, err)
		}
		fen, err := strconv.ParseInt(rec[2], 10, 64)
		if err != nil || fen < 0 || si.Fen(fen) > si.MaxFen {
			return nil, fmt.Errorf("bankhost: %s:%d: balance_fen is no amount", path, line)
		}
		list = append(list, Account{PAN: rec[0], PIN: rec[1], Balance: si.Fen(fen)})
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) // #nosec G304 -- the engineer names the file
	if err != nil {
		return nil, fmt.Errorf("bankhost: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("bankhost: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("bankhost: %s is larger than %d bytes", path, maxFile)
	}
	return b, nil
}
