package softhsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/cardauth/tr31"
	"github.com/shebao-pay/shebao/internal/vectors"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

var (
	ctx     = context.Background()
	key32   = vectors.Hex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
	key16   = vectors.Hex("0123456789ABCDEFFEDCBA9876543210")
	payment = si.PaymentID{1, 2, 3}
	day     = si.Date(2026, time.November, 22)
)

func newTestStore(t testing.TB) *Store {
	t.Helper()
	s, err := NewVolatile()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		name  string
		usage Usage
		key   []byte
	}{
		{NameHashID, HashID, key32}, {NameHashCard, HashCard, key32}, {NameHashNo, HashNo, key32}, {NameHashPAN, HashPAN, key32},
		{PersonKeyName(1, 2026), Person, key32}, {"terminal/1/tpk", PINAES, key32}, {"terminal/2/tpk", PINTDES, key16},
		{"icbc/tmk/90110001", Master, vectors.Hex(vectors.DE62.TMK)}, {"ccb/kbpk", Protect, key32},
	} {
		if err := s.AddKey(k.name, k.usage, k.key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.GenerateKey(EnvelopeKeyName(2026), Envelope); err != nil {
		t.Fatal(err)
	}
	return s
}

func testID(t testing.TB, n int) si.IDNumber {
	t.Helper()
	first := fmt.Sprintf("33019919480229%03d", n%1000)
	check, err := si.IDCheckDigit(first)
	if err != nil {
		t.Fatal(err)
	}
	id, err := si.ParseIDNumber(first + string(check))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testPAN(t testing.TB, n int) si.PAN {
	t.Helper()
	body := fmt.Sprintf("62990001%07d", n)
	luhn, err := si.LuhnDigit(body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := si.ParsePAN(body + string(luhn))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKeyStoreFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	pass := []byte("correct horse battery")
	s := cheap(t, path, pass)
	if err := s.AddKey("ccb/kbpk", Protect, key32); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GenerateKey(NameHashPAN, HashPAN); err != nil {
		t.Fatal(err)
	}
	sealed, err := s.SealMemo(ctx, hsmapi.SealMemo{Bank: 1, Date: day, Payment: payment, Data: []byte("note")})
	if err != nil {
		t.Fatal(err)
	}
	want := s.Keys()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key store: %v, %v, want 0600", info.Mode(), err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{key32, key32[:8], []byte("ccb/kbpk"), pass} {
		if bytes.Contains(file, secret) {
			t.Errorf("the key store shows %q", secret)
		}
	}

	s, err = Open(path, pass)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Keys(); fmt.Sprint(got) != fmt.Sprint(want) || len(got) != 3 {
		t.Errorf("Keys after Open = %v, want %v", got, want)
	}
	if note, err := s.OpenMemo(ctx, hsmapi.SealMemo{Bank: 1, Date: day, Payment: payment, Data: sealed}); err != nil || string(note) != "note" {
		t.Errorf("OpenMemo after Open = %q, %v", note, err)
	}
	if err := s.Destroy(MemoKeyName(1, day)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(path, pass); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenMemo(ctx, hsmapi.SealMemo{Bank: 1, Date: day, Payment: payment, Data: sealed}); !errors.Is(err, hsmapi.ErrNoKey) {
		t.Errorf("OpenMemo under a destroyed key: %v, want ErrNoKey", err)
	}
	_ = s.Close()

	if _, err := Open(path, []byte("correct horse batterz")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("Open with a wrong passphrase: %v, want ErrPassphrase", err)
	}
	if _, err := Create(path, pass); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create over a key store: %v, want ErrExist", err)
	}
	if _, err := Create(path+"2", pass[:MinPassphrase-1]); err == nil {
		t.Error("Create took a short passphrase")
	}
	if left, _ := filepath.Glob(path + ".new*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// cheap makes a store file whose passphrase costs little, for tests that open it
// often.
func cheap(t *testing.T, path string, pass []byte) *Store {
	t.Helper()
	var head [headerLen - nonceLen]byte
	b := append(head[:0], magic...)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 64)
	b = append(b, 1)
	copy(head[len(b):], "sixteen byte sal")
	sealer, err := newSealer(path, head, pass)
	if err != nil {
		t.Fatal(err)
	}
	if err := sealer.save(nil, true); err != nil {
		t.Fatal(err)
	}
	s, err := newStore(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.sealer = sealer
	return s
}

// TestCreate takes the real cost once.
func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	pass := []byte("correct horse battery")
	s, err := Create(path, pass)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddKey("ccb/kbpk", Protect, key32); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cost := file[len(magic):]
	if binary.BigEndian.Uint32(cost) != argonTime || binary.BigEndian.Uint32(cost[4:]) != argonMemory || cost[8] != argonLanes {
		t.Errorf("cost in the file: %x", cost[:9])
	}
	if s, err = Open(path, pass); err != nil || len(s.Keys()) != 1 {
		t.Errorf("Open: %v", err)
	}
}

// TestKeyStoreChanged flips bits all over the file, the clear header included.
func TestKeyStoreChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	pass := []byte("correct horse battery")
	s := cheap(t, path, pass)
	if err := s.AddKey("ccb/kbpk", Protect, key32); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Offsets: magic, salt, nonce, sealed count, last tag byte. Bits of the cost
	// fields are changed where the bound refuses them before any work is done.
	for _, at := range []int{0, 4, 5, 9, len(magic) + 10, headerLen - 1, headerLen, len(file) - 1} {
		b := bytes.Clone(file)
		b[at] ^= 0x80
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, pass); !errors.Is(err, ErrPassphrase) && !errors.Is(err, ErrKeyStore) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	for _, b := range [][]byte{nil, file[:headerLen+15], make([]byte, maxFile+1)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, pass); !errors.Is(err, ErrKeyStore) {
			t.Errorf("file of %d bytes: %v, want ErrKeyStore", len(b), err)
		}
	}
}

func TestKeyForm(t *testing.T) {
	s := newTestStore(t)
	for _, c := range []struct {
		name  string
		usage Usage
		n     int
		ok    bool
	}{
		{"terminal/3/tpk", PINAES, 16, true}, {"terminal/4/tpk", PINAES, 8, false}, {"terminal/5/tpk", PINTDES, 24, false},
		{"x", Master, 8, false}, {"x", 0, 16, false}, {"x", usageEnd, 16, false}, {"", Protect, 16, false},
		{strings.Repeat("n", maxName), Protect, 16, true}, {strings.Repeat("m", maxName+1), Protect, 16, false},
		{"a b", Protect, 16, false}, {"hash/other", HashID, 32, false}, {"pii/1/2027", Person, 32, true},
		{"pii/2/2027", Person, 32, false}, {"pii/01/2027", Person, 32, false}, {"pii/1", Person, 32, false},
		{"memo/1/2026-11-22", Memo, 32, true}, {"memo/1/20261122", Memo, 32, false}, {"memo/256/2026-11-22", Memo, 32, false},
		{"envelope/2027", Envelope, 32, true}, {"envelope/27", Envelope, 32, false}, {"other/2027", Envelope, 32, false},
	} {
		key := bytes.Repeat([]byte{7, 1, 9, 4, 2, 5, 8, 3, 6}, 8)[:c.n]
		if err := s.AddKey(c.name, c.usage, key); (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrKeyForm)) {
			t.Errorf("AddKey(%q, %s, %d bytes): %v, want accepted %v", c.name, c.usage, c.n, err, c.ok)
		}
	}
	if err := s.AddKey("double", Master, make([]byte, 16)); !errors.Is(err, ErrKeyForm) {
		t.Errorf("AddKey of a 3DES key with equal halves: %v", err)
	}
	if err := s.AddKey("ccb/kbpk", Protect, key32); !errors.Is(err, ErrExists) {
		t.Errorf("AddKey twice: %v, want ErrExists", err)
	}
	if err := s.Destroy("nobody"); !errors.Is(err, hsmapi.ErrNoKey) {
		t.Errorf("Destroy of no key: %v, want ErrNoKey", err)
	}
}

func TestImportDE62(t *testing.T) {
	s := newTestStore(t)
	v := vectors.DE62
	good := hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(v.Block), MACAlg: hsmapi.MACCUPECB, PINFormat: si.PINFormat0TDES}
	w, err := s.ImportDE62(ctx, good)
	if err != nil {
		t.Fatal(err)
	}
	if hexOf(w.PINKCV[:]) != v.PIKCheck || hexOf(w.MACKCV[:]) != v.MAKCheck || w.PIN == 0 || w.MAC == 0 || w.PIN == w.MAC {
		t.Errorf("ImportDE62 = %+v, want check values %s %s", w, v.PIKCheck, v.MAKCheck)
	}
	want, err := mac.NewKey(hsmapi.MACCUPECB, vectors.Hex(v.MAK))
	if err != nil {
		t.Fatal(err)
	}
	jobs := []hsmapi.MACJob{{Key: w.MAC, Alg: hsmapi.MACCUPECB, Data: []byte("0210")}}
	if err := s.MAC(ctx, jobs); err != nil || !jobs[0].OK || jobs[0].MAC != want.Sum([]byte("0210")) {
		t.Errorf("MAC under the imported key: %v, %+v", err, jobs[0])
	}
	jobs[0].Verify = true
	if err := s.MAC(ctx, jobs); err != nil || !jobs[0].OK {
		t.Errorf("MAC check: %v, %+v", err, jobs[0])
	}
	jobs[0].MAC[0] ^= 1
	if err := s.MAC(ctx, jobs); err != nil || jobs[0].OK {
		t.Errorf("MAC check of a changed code: %v, OK %v", err, jobs[0].OK)
	}

	for name, c := range map[string]struct {
		change func(*hsmapi.ImportDE62)
		want   error
	}{
		"PIN key":         {func(r *hsmapi.ImportDE62) { r.Block[0] ^= 1 }, hsmapi.ErrKCV},
		"PIN check value": {func(r *hsmapi.ImportDE62) { r.Block[17] ^= 1 }, hsmapi.ErrKCV},
		"MAC key":         {func(r *hsmapi.ImportDE62) { r.Block[20] ^= 1 }, hsmapi.ErrKCV},
		"MAC check value": {func(r *hsmapi.ImportDE62) { r.Block[39] ^= 1 }, hsmapi.ErrKCV},
		"unused half":     {func(r *hsmapi.ImportDE62) { r.Block[30] ^= 1 }, hsmapi.ErrKeyBlock},
		"short":           {func(r *hsmapi.ImportDE62) { r.Block = r.Block[:39] }, hsmapi.ErrForm},
		"PIN format":      {func(r *hsmapi.ImportDE62) { r.PINFormat = si.PINFormat4AES }, hsmapi.ErrForm},
		"MAC algorithm":   {func(r *hsmapi.ImportDE62) { r.MACAlg = hsmapi.MACAESCMAC }, hsmapi.ErrForm},
		"X9.19, one half": {func(r *hsmapi.ImportDE62) { r.MACAlg = hsmapi.MACX919Pad1 }, hsmapi.ErrKeyBlock},
		"double expected": {func(r *hsmapi.ImportDE62) { r.MAKDouble = true }, hsmapi.ErrKCV},
		"no such key":     {func(r *hsmapi.ImportDE62) { r.TMK = "icbc/tmk/0" }, hsmapi.ErrNoKey},
		"wrong usage":     {func(r *hsmapi.ImportDE62) { r.TMK = "ccb/kbpk" }, hsmapi.ErrKeyUsage},
	} {
		r := good
		r.Block = bytes.Clone(good.Block)
		c.change(&r)
		if w, err := s.ImportDE62(ctx, r); !errors.Is(err, c.want) || w.MAC != 0 {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestImportDE62Double takes a full MAC key in the slot, as X9.19 needs.
func TestImportDE62Double(t *testing.T) {
	s := newTestStore(t)
	tmk, err := mac.DES(vectors.Hex(vectors.DE62.TMK))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 0, 40)
	for _, key := range [][]byte{vectors.Hex(vectors.DE62.PIK), key16} {
		var sealed [16]byte
		tmk.Encrypt(sealed[:], key)
		tmk.Encrypt(sealed[8:], key[8:])
		b, err := mac.DES(key)
		if err != nil {
			t.Fatal(err)
		}
		kcv := mac.KCV4(b)
		block = append(append(block, sealed[:]...), kcv[:]...)
	}
	w, err := s.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: block, MAKDouble: true, MACAlg: hsmapi.MACX919Pad1, PINFormat: si.PINFormat0TDES})
	if err != nil {
		t.Fatal(err)
	}
	jobs := []hsmapi.MACJob{{Key: w.MAC, Alg: hsmapi.MACX919Pad1, Data: []byte("Now is the time for all ")}}
	if err := s.MAC(ctx, jobs); err != nil || hexOf(jobs[0].MAC[:]) != "A1C72E74EA3FA9B6" {
		t.Errorf("X9.19 under the imported key = %X, %v", jobs[0].MAC, err)
	}
}

func hexOf(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func wrap(t testing.TB, version byte, usage string, algorithm, mode byte, key []byte) string {
	t.Helper()
	block, err := tr31.Wrap(key32, tr31.Header{Version: version, Usage: usage, Algorithm: algorithm, Mode: mode, KeyVersion: "00", Exportability: 'N'}, key)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

func TestImportTR31(t *testing.T) {
	s := newTestStore(t)
	pin := func(f si.PINFormat) hsmapi.ImportTR31 {
		return hsmapi.ImportTR31{KBPK: "ccb/kbpk", ForPIN: true, PINFormat: f}
	}
	code := func(a hsmapi.MACAlg) hsmapi.ImportTR31 { return hsmapi.ImportTR31{KBPK: "ccb/kbpk", MACAlg: a} }
	for _, c := range []struct {
		name  string
		req   hsmapi.ImportTR31
		block string
		want  error
	}{
		{"PIN key, AES", pin(si.PINFormat4AES), wrap(t, 'D', "P0", 'A', 'E', key32), nil},
		{"PIN key, 3DES", pin(si.PINFormat0TDES), wrap(t, 'D', "P0", 'T', 'B', key16), nil},
		{"PIN key, SM4", pin(si.PINFormat0SM4), wrap(t, 'D', "P0", '4', 'E', key16), nil},
		{"MAC key, AES", code(hsmapi.MACAESCMAC), wrap(t, 'D', "M6", 'A', 'C', key16), nil},
		{"MAC key, SM4", code(hsmapi.MACSM4CMAC), wrap(t, 'D', "M6", '4', 'C', key16), nil},
		{"MAC key, X9.19", code(hsmapi.MACX919Pad2), wrap(t, 'D', "M3", 'T', 'C', key16), nil},
		{"MAC key, ECB", code(hsmapi.MACCUPECB), wrap(t, 'D', "M0", 'T', 'C', key16), nil},
		{"MAC key as PIN key", pin(si.PINFormat4AES), wrap(t, 'D', "M6", 'A', 'C', key16), hsmapi.ErrKeyBlock},
		{"PIN key as MAC key", code(hsmapi.MACAESCMAC), wrap(t, 'D', "P0", 'A', 'E', key16), hsmapi.ErrKeyBlock},
		{"data key", code(hsmapi.MACAESCMAC), wrap(t, 'D', "D0", 'A', 'B', key16), hsmapi.ErrKeyBlock},
		{"CMAC key for X9.19", code(hsmapi.MACX919Pad1), wrap(t, 'D', "M6", 'T', 'C', key16), hsmapi.ErrKeyBlock},
		{"verify-only key", code(hsmapi.MACAESCMAC), wrap(t, 'D', "M6", 'A', 'V', key16), hsmapi.ErrKeyBlock},
		{"AES key for SM4", code(hsmapi.MACSM4CMAC), wrap(t, 'D', "M6", 'A', 'C', key16), hsmapi.ErrKeyBlock},
		{"3DES key for AES", pin(si.PINFormat4AES), wrap(t, 'D', "P0", 'T', 'E', key16), hsmapi.ErrKeyBlock},
		{"no format", pin(0), wrap(t, 'D', "P0", 'A', 'E', key16), hsmapi.ErrForm},
		{"no algorithm", code(0), wrap(t, 'D', "M6", 'A', 'C', key16), hsmapi.ErrForm},
		{"another bank's key", hsmapi.ImportTR31{KBPK: "boc/kbpk", MACAlg: hsmapi.MACAESCMAC}, wrap(t, 'D', "M6", 'A', 'C', key16), hsmapi.ErrNoKey},
		{"not a protection key", hsmapi.ImportTR31{KBPK: NameHashPAN, MACAlg: hsmapi.MACAESCMAC}, wrap(t, 'D', "M6", 'A', 'C', key16), hsmapi.ErrKeyUsage},
	} {
		c.req.Block = c.block
		got, err := s.ImportTR31(ctx, c.req)
		if !errors.Is(err, c.want) || (c.want == nil) != (got.Key != 0) {
			t.Errorf("%s: %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
	r := code(hsmapi.MACSM4CMAC)
	r.SM4Code, r.Block = 'S', wrap(t, 'D', "M6", 'S', 'C', key16)
	if got, err := s.ImportTR31(ctx, r); err != nil || hexOf(got.KCV[:3]) != "2677F4" {
		t.Errorf("SM4 key with a bank's own letter: %+v, %v", got, err)
	}
}

func TestWrongUse(t *testing.T) {
	s := newTestStore(t)
	w, err := s.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block), MACAlg: hsmapi.MACCUPECB, PINFormat: si.PINFormat0TDES})
	if err != nil {
		t.Fatal(err)
	}
	jobs := []hsmapi.MACJob{
		{Key: w.PIN, Alg: hsmapi.MACCUPECB, Data: []byte("a PIN key makes no code")},
		{Key: w.MAC, Alg: hsmapi.MACX919Pad1, Data: []byte("another algorithm")},
		{Key: w.MAC, Alg: hsmapi.MACCUPECB, Data: []byte("right")},
		{Key: 0, Alg: hsmapi.MACCUPECB, Data: []byte("no key"), OK: true},
	}
	if err := s.MAC(ctx, jobs); !errors.Is(err, hsmapi.ErrKeyUsage) {
		t.Errorf("MAC: %v, want ErrKeyUsage", err)
	}
	for i, want := range []bool{false, false, true, false} {
		if jobs[i].OK != want {
			t.Errorf("job %d: OK %v, want %v", i, jobs[i].OK, want)
		}
	}
	if err := s.MAC(ctx, make([]hsmapi.MACJob, hsmapi.MaxMACJobs+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one job over the bound: %v, want ErrForm", err)
	}

	pan := testPAN(t, 1)
	c, err := pinblock.NewCipher(si.PINFormat4AES, key32)
	if err != nil {
		t.Fatal(err)
	}
	var pin pinblock.PIN
	for _, d := range []byte("123456") {
		pin.Push(d)
	}
	block, err := c.Encipher(&pin, &pan)
	if err != nil {
		t.Fatal(err)
	}
	good := hsmapi.TranslatePIN{From: "terminal/1/tpk", FromFormat: si.PINFormat4AES, To: w.PIN, ToFormat: si.PINFormat0TDES, PAN: pan, Block: block}
	moved, err := s.TranslatePIN(ctx, good)
	if err != nil {
		t.Fatal(err)
	}
	bank, err := pinblock.NewCipher(si.PINFormat0TDES, vectors.Hex(vectors.DE62.PIK))
	if err != nil {
		t.Fatal(err)
	}
	var got pinblock.PIN
	if err := bank.Decipher(&moved, &pan, &got); err != nil || got != pin {
		t.Errorf("the bank opens another PIN (%v)", err)
	}
	for name, c := range map[string]struct {
		change func(*hsmapi.TranslatePIN)
		want   error
	}{
		"to a MAC key":          {func(r *hsmapi.TranslatePIN) { r.To = w.MAC }, hsmapi.ErrKeyUsage},
		"to no key":             {func(r *hsmapi.TranslatePIN) { r.To = 0 }, hsmapi.ErrNoKey},
		"to another format":     {func(r *hsmapi.TranslatePIN) { r.ToFormat = si.PINFormat4AES }, hsmapi.ErrKeyUsage},
		"from another format":   {func(r *hsmapi.TranslatePIN) { r.FromFormat = si.PINFormat0TDES }, hsmapi.ErrKeyUsage},
		"from another terminal": {func(r *hsmapi.TranslatePIN) { r.From = "terminal/2/tpk"; r.FromFormat = si.PINFormat0TDES }, hsmapi.ErrPINBlock},
		"from a master key":     {func(r *hsmapi.TranslatePIN) { r.From = "icbc/tmk/90110001" }, hsmapi.ErrKeyUsage},
		"from nobody":           {func(r *hsmapi.TranslatePIN) { r.From = "terminal/9/tpk" }, hsmapi.ErrNoKey},
		"block of another card": {func(r *hsmapi.TranslatePIN) { r.PAN = testPAN(t, 77) }, hsmapi.ErrPINBlock},
		"no block":              {func(r *hsmapi.TranslatePIN) { r.Block.Wipe() }, hsmapi.ErrPINBlock},
		"no card number":        {func(r *hsmapi.TranslatePIN) { r.PAN.Wipe() }, hsmapi.ErrPINBlock},
	} {
		r := good
		c.change(&r)
		if b, err := s.TranslatePIN(ctx, r); !errors.Is(err, c.want) || !b.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}

	s.SetLimits(Limits{PINPerSecond: 1000, PINPerTerminalSecond: 3})
	limited := 0
	for range 20 {
		if _, err := s.TranslatePIN(ctx, good); errors.Is(err, hsmapi.ErrRateLimit) {
			limited++
		}
	}
	if limited < 10 {
		t.Errorf("20 translations at once with a limit of 3: %d refused", limited)
	}
}

// TestGenerations keeps MaxGenerations keys of one source and takes none from
// another.
func TestGenerations(t *testing.T) {
	s := newTestStore(t)
	if err := s.AddKey("boc/kbpk", Protect, key32); err != nil {
		t.Fatal(err)
	}
	block := wrap(t, 'D', "M6", 'A', 'C', key16)
	other, err := s.ImportTR31(ctx, hsmapi.ImportTR31{KBPK: "boc/kbpk", Block: block, MACAlg: hsmapi.MACAESCMAC})
	if err != nil {
		t.Fatal(err)
	}
	var refs []hsmapi.KeyRef
	for range MaxGenerations + 1 {
		k, err := s.ImportTR31(ctx, hsmapi.ImportTR31{KBPK: "ccb/kbpk", Block: block, MACAlg: hsmapi.MACAESCMAC})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, k.Key)
	}
	works := func(ref hsmapi.KeyRef) bool {
		return s.MAC(ctx, []hsmapi.MACJob{{Key: ref, Alg: hsmapi.MACAESCMAC}}) == nil
	}
	if works(refs[0]) {
		t.Error("the generation over the bound is still there")
	}
	if !works(refs[1]) || !works(refs[MaxGenerations]) || !works(other.Key) {
		t.Error("a generation within the bound is gone")
	}
}

func testCard(t testing.TB) envelope.Fields {
	t.Helper()
	pan := testPAN(t, 5)
	track, err := si.ParseTrack2(pan.Reveal("test") + "D30122201234500")
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Fields{
		IDNumber: testID(t, 2), Name: si.NewName("李小明"), CardID: "330100d1560000050000000112345678", CardNo: "D2143569X",
		PAN: pan, PSN: "01", Track2: track, Expiry: "3012",
	}
}

func TestOpenCard(t *testing.T) {
	s := newTestStore(t)
	public, err := s.EnvelopeKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f := testCard(t)
	seal := func(f envelope.Fields, session byte, counter uint64) hsmapi.OpenCard {
		r := hsmapi.OpenCard{Terminal: 1, CardSession: [16]byte{session}, Counter: counter}
		if r.Sealed, err = envelope.Seal(public, 1, r.CardSession, counter, f); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := seal(f, 1, 1)
	got, err := s.OpenCard(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	cards, err := s.HashCards(ctx, []hsmapi.CardRecord{{IDNumber: f.IDNumber, CardID: strings.ToUpper(f.CardID), CardNo: f.CardNo, PAN: f.PAN}})
	if err != nil {
		t.Fatal(err)
	}
	want := cards[0]
	if got.IDHash != want.IDHash || got.CardHash != want.CardHash || got.NoHash != want.NoHash || got.PANHash != want.PANHash {
		t.Error("hashes of the envelope differ from those of the issued card")
	}
	if got.PAN != f.PAN || got.Track2 != f.Track2 || got.PSN != "01" || got.Expiry != "3012" || got.Name != f.Name {
		t.Error("OpenCard lost a field")
	}
	for kind, want := range map[hsmapi.HashKind]struct {
		value string
		hash  si.Hash
	}{
		hsmapi.HashIDNumber: {f.IDNumber.Reveal("test"), got.IDHash}, hsmapi.HashCardID: {f.CardID, got.CardHash},
		hsmapi.HashCardNo: {f.CardNo, got.NoHash}, hsmapi.HashPAN: {f.PAN.Reveal("test"), got.PANHash},
	} {
		if h, err := s.Hash(ctx, kind, want.value); err != nil || h != want.hash {
			t.Errorf("Hash(%d) = %s, %v, want %s", kind, h, err, want.hash)
		}
	}

	if h, err := s.HashIDs(ctx, []si.IDNumber{f.IDNumber}); err != nil || len(h) != 1 || h[0] != got.IDHash {
		t.Errorf("HashIDs = %v, %v, want %s", h, err, got.IDHash)
	}
	if _, err := s.OpenCard(ctx, first); !errors.Is(err, hsmapi.ErrReplayed) {
		t.Errorf("the same envelope again: %v, want ErrReplayed", err)
	}
	later, between := seal(f, 1, 9), seal(f, 1, 5)
	if _, err := s.OpenCard(ctx, later); err != nil {
		t.Errorf("a later counter: %v", err)
	}
	if _, err := s.OpenCard(ctx, between); !errors.Is(err, hsmapi.ErrReplayed) {
		t.Errorf("a counter below the highest: %v, want ErrReplayed", err)
	}
	if _, err := s.OpenCard(ctx, seal(f, 2, 1)); err != nil {
		t.Errorf("another card session: %v", err)
	}

	forged := seal(f, 3, 7)
	forged.Sealed[100] ^= 1
	if _, err := s.OpenCard(ctx, forged); !errors.Is(err, hsmapi.ErrEnvelope) {
		t.Errorf("a changed envelope: %v, want ErrEnvelope", err)
	}
	if _, err := s.OpenCard(ctx, seal(f, 3, 7)); err != nil {
		t.Errorf("a forged envelope used up the counter: %v", err)
	}
	moved := seal(f, 4, 1)
	moved.Terminal = 2
	if _, err := s.OpenCard(ctx, moved); !errors.Is(err, hsmapi.ErrEnvelope) {
		t.Errorf("another terminal: %v, want ErrEnvelope", err)
	}
	wrongTrack := testCard(t)
	wrongTrack.PAN = testPAN(t, 6)
	if _, err := s.OpenCard(ctx, seal(wrongTrack, 5, 1)); !errors.Is(err, hsmapi.ErrEnvelope) {
		t.Errorf("track of another card: %v, want ErrEnvelope", err)
	}
	twoPeople := testCard(t)
	twoPeople.IssuerID = testID(t, 3).Reveal("test")
	if _, err := s.OpenCard(ctx, seal(twoPeople, 6, 1)); !errors.Is(err, hsmapi.ErrEnvelope) {
		t.Errorf("two people: %v, want ErrEnvelope", err)
	}

	// A new envelope key: both generations open until the old one is destroyed.
	old := seal(f, 7, 1)
	if _, err := s.GenerateKey(EnvelopeKeyName(2027), Envelope); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenCard(ctx, old); err != nil {
		t.Errorf("envelope of the older key: %v", err)
	}
	if public, err = s.EnvelopeKey(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenCard(ctx, seal(f, 8, 1)); err != nil {
		t.Errorf("envelope of the newer key: %v", err)
	}
}

func TestCounterBound(t *testing.T) {
	var c counters
	session := func(i int) (s [16]byte) { s[0], s[1] = byte(i), byte(i>>8); return s }
	for i := range maxSessions {
		if err := c.accept(1, session(i), 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.accept(1, session(0), 5); !errors.Is(err, hsmapi.ErrReplayed) {
		t.Errorf("at the bound: %v, want ErrReplayed", err)
	}
	if err := c.accept(1, session(maxSessions), 5); err != nil {
		t.Fatal(err)
	}
	if n := len(c.terminals[1].highest); n != maxSessions {
		t.Errorf("one past the bound: %d sessions remembered, want %d", n, maxSessions)
	}
	for i := 2; i <= maxTerminals; i++ {
		if err := c.accept(si.Terminal(i), session(0), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.accept(maxTerminals+1, session(0), 1); !errors.Is(err, hsmapi.ErrEnvelope) {
		t.Errorf("one terminal over the bound: %v, want ErrEnvelope", err)
	}
}

// TestRevisePersons: a changed name is sealed under the newest key, with what
// else is sealed of the person; a record of another person is refused.
func TestRevisePersons(t *testing.T) {
	s := newTestStore(t)
	id := testID(t, 1)
	sealed, err := s.SealPersons(ctx, []hsmapi.PersonRecord{{IDNumber: id, Name: si.NewName("李小明"), Phone: "10000000001", Address: "示例区示例路1号"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.GenerateKey(PersonKeyName(1, 2027), Person); err != nil {
		t.Fatal(err)
	}
	blob := sealed[0].Blob
	got, err := s.RevisePersons(ctx, []hsmapi.PersonRevision{
		{IDNumber: id, Name: si.NewName("李小明"), Blob: blob}, {IDNumber: id, Blob: blob}, {IDNumber: id, Name: si.NewName("王小红"), Blob: blob}})
	if err != nil {
		t.Fatal(err)
	}
	view := hsmapi.PersonView{MaskedName: "李*明", IDTail: id.Tail()}
	for i, differs := range []bool{false, false, true} {
		if got[i].View != view || got[i].NameDiffers != differs || (got[i].Blob != nil) != differs {
			t.Errorf("record %d = %+v, want differs %v", i, got[i], differs)
		}
	}
	o := s.newOpener()
	p, err := o.open(got[2].Blob)
	if err != nil || p.id != id || string(p.name) != "王小红" || string(p.phone) != "10000000001" || string(p.address) != "示例区示例路1号" || o.head != 1<<16|2027 {
		t.Errorf("revised record: %v, head %x", err, o.head)
	}
	for name, in := range map[string]hsmapi.PersonRevision{
		"another person": {IDNumber: testID(t, 2), Name: si.NewName("李小明"), Blob: blob},
		"long name":      {IDNumber: id, Name: si.NewName(strings.Repeat("a", maxPersonName+1)), Blob: blob},
		"not UTF-8":      {IDNumber: id, Name: si.NewName("\xff"), Blob: blob},
		"changed":        {IDNumber: id, Blob: append(bytes.Clone(blob[:len(blob)-1]), blob[len(blob)-1]^1)},
	} {
		if _, err := s.RevisePersons(ctx, []hsmapi.PersonRevision{in}); !errors.Is(err, hsmapi.ErrForm) {
			t.Errorf("%s: %v, want ErrForm", name, err)
		}
	}
	o.wipe()
	if bytes.Contains(o.plain[:cap(o.plain)], []byte("王")) {
		t.Error("the opener keeps a clear copy")
	}
}

func TestPersons(t *testing.T) {
	s := newTestStore(t)
	records := []hsmapi.PersonRecord{
		{IDNumber: testID(t, 1), Name: si.NewName("李小明"), Phone: "13800000000", Address: "示例区示例路1号"},
		{IDNumber: testID(t, 2), Name: si.NewName("张三")},
		{IDNumber: testID(t, 1), Name: si.NewName("李小明"), Phone: "13800000000", Address: "示例区示例路1号"},
	}
	sealed, err := s.SealPersons(ctx, records)
	if err != nil {
		t.Fatal(err)
	}
	if sealed[0].IDHash == sealed[1].IDHash || sealed[0].IDHash != sealed[2].IDHash || bytes.Equal(sealed[0].Blob, sealed[2].Blob) {
		t.Error("hashes must follow the ID number, blobs must never repeat")
	}
	for i, want := range []hsmapi.PersonView{{MaskedName: "李*明", IDTail: records[0].IDNumber.Tail()}, {MaskedName: "张*", IDTail: records[1].IDNumber.Tail()}} {
		if got, err := s.OpenPerson(ctx, sealed[i].Blob); err != nil || got != want {
			t.Errorf("OpenPerson(%d) = %+v, %v, want %+v", i, got, err, want)
		}
		for _, clear := range []string{records[i].IDNumber.Reveal("test"), records[i].Name.Reveal("test")} {
			if bytes.Contains(sealed[i].Blob, []byte(clear)) {
				t.Error("the blob shows a field")
			}
		}
	}
	for at := range sealed[0].Blob {
		b := bytes.Clone(sealed[0].Blob)
		b[at] ^= 1
		if _, err := s.OpenPerson(ctx, b); err == nil {
			t.Errorf("byte %d changed and the blob opens", at)
		}
	}
	if _, err := s.OpenPerson(ctx, nil); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("OpenPerson(nil): %v, want ErrForm", err)
	}
	// A new year's key seals, the old one still opens.
	if _, err := s.GenerateKey(PersonKeyName(1, 2027), Person); err != nil {
		t.Fatal(err)
	}
	next, err := s.SealPersons(ctx, records[:1])
	if err != nil || bytes.Equal(next[0].Blob[:5], sealed[0].Blob[:5]) {
		t.Errorf("after the new year's key: %v, header %x", err, next[0].Blob[:5])
	}
	if _, err := s.OpenPerson(ctx, sealed[0].Blob); err != nil {
		t.Errorf("last year's blob: %v", err)
	}
	if err := s.Destroy(PersonKeyName(1, 2026)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenPerson(ctx, sealed[0].Blob); !errors.Is(err, hsmapi.ErrNoKey) {
		t.Errorf("blob of a destroyed key: %v, want ErrNoKey", err)
	}

	for name, bad := range map[string]hsmapi.PersonRecord{
		"no ID number": {Name: si.NewName("张三")}, "name": {IDNumber: testID(t, 1), Name: si.NewName(strings.Repeat("a", maxPersonName+1))},
		"phone": {IDNumber: testID(t, 1), Phone: strings.Repeat("1", maxPhone+1)}, "address": {IDNumber: testID(t, 1), Address: strings.Repeat("a", maxAddress+1)},
		"not UTF-8": {IDNumber: testID(t, 1), Address: "\xff"},
	} {
		if _, err := s.SealPersons(ctx, []hsmapi.PersonRecord{records[0], bad}); !errors.Is(err, hsmapi.ErrForm) {
			t.Errorf("%s: %v, want ErrForm", name, err)
		}
	}
	if _, err := s.SealPersons(ctx, make([]hsmapi.PersonRecord, hsmapi.MaxPersons+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one person over the bound: %v, want ErrForm", err)
	}
	if _, err := s.HashIDs(ctx, make([]si.IDNumber, hsmapi.MaxPersons+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one ID number over the bound: %v, want ErrForm", err)
	}
	if _, err := s.HashIDs(ctx, make([]si.IDNumber, 1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("an empty ID number: %v, want ErrForm", err)
	}
	if _, err := s.HashCards(ctx, make([]hsmapi.CardRecord, hsmapi.MaxPersons+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one card over the bound: %v, want ErrForm", err)
	}
	if _, err := s.HashCards(ctx, make([]hsmapi.CardRecord, 1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("an empty card: %v, want ErrForm", err)
	}
}

func TestMemo(t *testing.T) {
	s := newTestStore(t)
	note := hsmapi.SealMemo{Bank: 2, Date: day, Payment: payment, Data: []byte("batch 000123")}
	var wg sync.WaitGroup // the date's key is made once, whoever comes first
	for range 8 {
		wg.Go(func() {
			sealed, err := s.SealMemo(ctx, note)
			if err != nil {
				t.Error(err)
				return
			}
			open := note
			open.Data = sealed
			if got, err := s.OpenMemo(ctx, open); err != nil || !bytes.Equal(got, note.Data) {
				t.Errorf("OpenMemo = %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	sealed, err := s.SealMemo(ctx, note)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*hsmapi.SealMemo)
		want   error
	}{
		"payment": {func(r *hsmapi.SealMemo) { r.Payment[15]++ }, hsmapi.ErrForm},
		"bank":    {func(r *hsmapi.SealMemo) { r.Bank++ }, hsmapi.ErrNoKey},
		"date":    {func(r *hsmapi.SealMemo) { r.Date++ }, hsmapi.ErrNoKey},
		"byte":    {func(r *hsmapi.SealMemo) { r.Data[20] ^= 1 }, hsmapi.ErrForm},
		"cut":     {func(r *hsmapi.SealMemo) { r.Data = r.Data[:27] }, hsmapi.ErrForm},
	} {
		r := note
		r.Data = bytes.Clone(sealed)
		c.change(&r)
		if _, err := s.OpenMemo(ctx, r); !errors.Is(err, c.want) {
			t.Errorf("another %s: %v, want %v", name, err, c.want)
		}
	}
	note.Data = make([]byte, MaxMemo)
	if _, err := s.SealMemo(ctx, note); err != nil {
		t.Errorf("memo at its bound: %v", err)
	}
	note.Data = make([]byte, MaxMemo+1)
	if _, err := s.SealMemo(ctx, note); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("memo over its bound: %v, want ErrForm", err)
	}
}

func TestClosed(t *testing.T) {
	s := newTestStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.AddKey("x", Protect, key32); !errors.Is(err, ErrClosed) {
		t.Errorf("AddKey: %v, want ErrClosed", err)
	}
	if _, err := s.SealPersons(ctx, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("SealPersons: %v, want ErrClosed", err)
	}
	if _, err := s.EnvelopeKey(ctx); !errors.Is(err, hsmapi.ErrNoKey) {
		t.Errorf("EnvelopeKey: %v, want ErrNoKey", err)
	}
}

// FuzzDecodeKeys: never a panic, and what is read is written back the same.
func FuzzDecodeKeys(f *testing.F) {
	f.Add(encodeKeys(map[string]namedKey{"ccb/kbpk": {Protect, key32}, NameHashID: {HashID, key32}}))
	f.Add(encodeKeys(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := decodeKeys(b)
		if err != nil {
			return
		}
		again, err := decodeKeys(encodeKeys(keys))
		if err != nil || len(again) != len(keys) {
			t.Errorf("keys did not survive: %v", err)
		}
	})
}

func BenchmarkSealPersons1000(b *testing.B) {
	s := newTestStore(b)
	records := make([]hsmapi.PersonRecord, 1000)
	for i := range records {
		records[i] = hsmapi.PersonRecord{IDNumber: testID(b, i), Name: si.NewName("李小明"), Phone: "13800000000", Address: "示例区示例街道示例村100号"}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.SealPersons(ctx, records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "persons/s")
}
