package stage

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// keyBook is every key that the two sides of a real installation would have
// exchanged by hand. Test keys: made anew for each stage, kept in its folder.
type keyBook struct {
	Passphrase string            `json:"passphrase"`
	Named      map[string]string `json:"named"` // HSM key name → hexadecimal
	IMK        map[string]string `json:"imk"`   // bank code → issuer master key
}

// region is the pooling region of every stage.
const (
	regionNumber = 1
	regionArea   = 330110
)

// MaxTerminals bounds the terminals of a stage: kiosks at one time, each with a
// certificate and a key made at the start.
const MaxTerminals = 256

// openKeys reads the book of this stage, or makes it together with the sealed
// key store that the HSM process opens.
func openKeys(dir string, banks []*profile.Profile, terminals int) (*keyBook, error) {
	path := filepath.Join(dir, "keys.json")
	b, err := os.ReadFile(path)
	if err == nil {
		var k keyBook
		if err := json.Unmarshal(b, &k); err != nil {
			return nil, fmt.Errorf("stage: %s: %w; start with --fresh", path, err)
		}
		return &k, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("stage: %w", err)
	}
	k, err := makeKeys(banks, terminals)
	if err != nil {
		return nil, err
	}
	if err := k.seal(dir); err != nil {
		return nil, err
	}
	if b, err = json.MarshalIndent(k, "", "  "); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	// The book comes last: without it the next start makes everything anew.
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	return k, nil
}

func random(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic("stage: the system's random source failed: " + err.Error())
	}
	return hex.EncodeToString(b)
}

func makeKeys(banks []*profile.Profile, terminals int) (*keyBook, error) {
	k := &keyBook{Passphrase: random(16), Named: map[string]string{}, IMK: map[string]string{}}
	for _, p := range banks {
		k.IMK[p.Code] = random(16)
		if p.KBPK != "" {
			k.Named[p.KBPK] = random(32)
		}
		for _, t := range p.Terminals {
			k.Named[t.TMK] = random(16)
		}
	}
	envelope, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	year := time.Now().In(si.China).Year()
	k.Named[softhsm.EnvelopeKeyName(year)] = hex.EncodeToString(envelope.Bytes())
	k.Named[softhsm.PersonKeyName(regionNumber, year)] = random(32)
	for n := range terminals {
		k.Named[padKey(n+1)] = random(32)
	}
	for _, name := range []string{softhsm.NameHashID, softhsm.NameHashCard, softhsm.NameHashNo, softhsm.NameHashPAN} {
		k.Named[name] = random(32)
	}
	return k, nil
}

// padKey names the PIN key that a terminal's simulated pad and the hub share.
func padKey(terminal int) string { return "terminal/" + strconv.Itoa(terminal) + "/tpk" }

// seal writes the key store and the passphrase file of the HSM process.
func (k *keyBook) seal(dir string) error {
	store := filepath.Join(dir, "keystore")
	if err := os.Remove(store); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("stage: %w", err)
	}
	s, err := softhsm.Create(store, []byte(k.Passphrase))
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer func() { _ = s.Close() }() // only wipes
	for name, text := range k.Named {
		if err := s.AddKey(name, softhsm.UsageOf(name), unhex(text)); err != nil {
			return fmt.Errorf("stage: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "passphrase"), []byte(k.Passphrase+"\n"), 0o600); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return nil
}

// unhex decodes what this package has encoded.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("stage: key book holds no hexadecimal digits: " + err.Error())
	}
	return b
}

// bank gives what the simulated bank knows of the exchanged keys.
func (k *keyBook) bank(p *profile.Profile) bankhost.Keys {
	keys := bankhost.Keys{IMK: k.IMK[p.Code], TMK: map[string][]byte{}, CardCipher: emv.TDES}
	if p.Code == "boc" {
		keys.CardCipher = emv.SM4
	}
	if p.KBPK != "" {
		keys.KBPK = unhex(k.Named[p.KBPK])
	}
	for _, t := range p.Terminals {
		keys.TMK[t.DE41] = unhex(k.Named[t.TMK])
	}
	return keys
}
