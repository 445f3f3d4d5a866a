package hsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/cardauth/tr31"
	"github.com/shebao-pay/shebao/internal/vectors"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// TestMain runs the HSM process itself when a test starts this binary again.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HSM_TEST_PROCESS"); dir != "" {
		err := RunProcess(context.Background(), ProcessConfig{
			Socket: filepath.Join(dir, "s"), KeyStore: filepath.Join(dir, "keys"), PassphraseFile: filepath.Join(dir, "pass"),
		}, func(line string) { fmt.Println(line) })
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

var (
	key32 = vectors.Hex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
	day   = si.Date(2026, time.November, 22)
)

func addKeys(t testing.TB, s *softhsm.Store) {
	t.Helper()
	for _, k := range []struct {
		name  string
		usage softhsm.Usage
		key   []byte
	}{
		{softhsm.NameHashID, softhsm.HashID, key32}, {softhsm.NameHashCard, softhsm.HashCard, key32},
		{softhsm.NameHashNo, softhsm.HashNo, key32}, {softhsm.NameHashPAN, softhsm.HashPAN, key32},
		{softhsm.PersonKeyName(1, 2026), softhsm.Person, key32}, {"terminal/1/tpk", softhsm.PINAES, key32},
		{"icbc/tmk/90110001", softhsm.Master, vectors.Hex(vectors.DE62.TMK)}, {"ccb/kbpk", softhsm.Protect, key32},
	} {
		if err := s.AddKey(k.name, k.usage, k.key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.GenerateKey(softhsm.EnvelopeKeyName(2026), softhsm.Envelope); err != nil {
		t.Fatal(err)
	}
}

func newStore(t testing.TB) *softhsm.Store {
	t.Helper()
	s, err := softhsm.NewVolatile()
	if err != nil {
		t.Fatal(err)
	}
	addKeys(t, s)
	return s
}

// start serves v in this process and dials it.
func start(t testing.TB, v Verbs) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	serveAt(t, path, v)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serveAt answers a function that stops the server.
func serveAt(t testing.TB, path string, v Verbs) (stop func()) {
	t.Helper()
	l, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, v, ServeOptions{}) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func testCard(t testing.TB) envelope.Fields {
	t.Helper()
	id := func(first string) si.IDNumber {
		check, err := si.IDCheckDigit(first)
		if err != nil {
			t.Fatal(err)
		}
		id, err := si.ParseIDNumber(first + string(check))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}("33019919480229002")
	luhn, err := si.LuhnDigit("629900010000001")
	if err != nil {
		t.Fatal(err)
	}
	digits := "629900010000001" + string(luhn)
	pan, err := si.ParsePAN(digits)
	if err != nil {
		t.Fatal(err)
	}
	track, err := si.ParseTrack2(digits + "D30122201234500")
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Fields{IDNumber: id, Name: si.NewName("李小明"), CardID: "330100D1560000050000000112345678",
		CardNo: "D2143569X", PAN: pan, PSN: "01", Track2: track, Expiry: "3012"}
}

// TestVerbs takes every verb over the socket and compares with the verb itself.
func TestVerbs(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	c := start(t, s)

	w, err := c.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block), MACAlg: hsmapi.MACCUPECB, PINFormat: si.PINFormat0TDES})
	if err != nil || w.PIN == 0 || w.MAC == 0 || !bytes.Equal(w.PINKCV[:], vectors.Hex(vectors.DE62.PIKCheck)) || !bytes.Equal(w.MACKCV[:], vectors.Hex(vectors.DE62.MAKCheck)) {
		t.Fatalf("ImportDE62 = %+v, %v", w, err)
	}
	block, err := tr31.Wrap(key32, tr31.Header{Version: 'D', Usage: "M6", Algorithm: 'A', Mode: 'C', KeyVersion: "00", Exportability: 'N'}, key32)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.ImportTR31(ctx, hsmapi.ImportTR31{KBPK: "ccb/kbpk", Block: block, MACAlg: hsmapi.MACAESCMAC})
	if err != nil || k.Key == 0 || k.KCV == [4]byte{} {
		t.Fatalf("ImportTR31 = %+v, %v", k, err)
	}

	jobs := []hsmapi.MACJob{
		{Key: w.MAC, Alg: hsmapi.MACCUPECB, Data: vectors.Hex(vectors.POSFrame.Message)},
		{Key: k.Key, Alg: hsmapi.MACAESCMAC, Data: []byte("0210")},
		{Key: k.Key, Alg: hsmapi.MACAESCMAC, Data: []byte("0210"), Verify: true, MAC: [8]byte{1}},
	}
	if err := c.MAC(ctx, jobs); err != nil || !jobs[0].OK || !jobs[1].OK || jobs[2].OK {
		t.Errorf("MAC: %v, %+v", err, jobs)
	}
	direct := []hsmapi.MACJob{{Key: w.MAC, Alg: hsmapi.MACCUPECB, Data: jobs[0].Data}, {Key: k.Key, Alg: hsmapi.MACAESCMAC, Data: jobs[1].Data}}
	if err := s.MAC(ctx, direct); err != nil || direct[0].MAC != jobs[0].MAC || direct[1].MAC != jobs[1].MAC {
		t.Error("codes over the socket differ from codes made at home")
	}

	f := testCard(t)
	var pin pinblock.PIN
	for _, d := range []byte("123456") {
		pin.Push(d)
	}
	tpk, err := pinblock.NewCipher(si.PINFormat4AES, key32)
	if err != nil {
		t.Fatal(err)
	}
	entered, err := tpk.Encipher(&pin, &f.PAN)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := c.TranslatePIN(ctx, hsmapi.TranslatePIN{From: "terminal/1/tpk", FromFormat: si.PINFormat4AES, To: w.PIN, ToFormat: si.PINFormat0TDES, PAN: f.PAN, Block: entered})
	if err != nil {
		t.Fatal(err)
	}
	pik, err := pinblock.NewCipher(si.PINFormat0TDES, vectors.Hex(vectors.DE62.PIK))
	if err != nil {
		t.Fatal(err)
	}
	var got pinblock.PIN
	if err := pik.Decipher(&moved, &f.PAN, &got); err != nil || got != pin {
		t.Errorf("TranslatePIN: the bank opens another PIN (%v)", err)
	}

	public, err := c.EnvelopeKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := envelope.Seal(public, 1, [16]byte{9}, 1, f)
	if err != nil {
		t.Fatal(err)
	}
	open := hsmapi.OpenCard{Terminal: 1, CardSession: [16]byte{9}, Counter: 1, Sealed: sealed}
	card, err := c.OpenCard(ctx, open)
	if err != nil || card.PAN != f.PAN || card.Track2 != f.Track2 || card.PSN != f.PSN || card.Expiry != f.Expiry || card.Name != f.Name {
		t.Errorf("OpenCard: %v", err)
	}
	if _, err := c.OpenCard(ctx, open); !errors.Is(err, hsmapi.ErrReplayed) {
		t.Errorf("OpenCard again: %v, want ErrReplayed", err)
	}
	if h, err := c.Hash(ctx, hsmapi.HashPAN, f.PAN.Reveal("test")); err != nil || h != card.PANHash {
		t.Errorf("Hash = %s, %v, want %s", h, err, card.PANHash)
	}
	if h, err := c.HashIDs(ctx, []si.IDNumber{f.IDNumber, f.IDNumber}); err != nil || !reflect.DeepEqual(h, []si.Hash{card.IDHash, card.IDHash}) {
		t.Errorf("HashIDs = %v, %v, want twice %s", h, err, card.IDHash)
	}
	records := []hsmapi.CardRecord{{IDNumber: f.IDNumber, CardID: f.CardID, CardNo: f.CardNo, PAN: f.PAN}}
	if h, err := c.HashCards(ctx, records); err != nil || !reflect.DeepEqual(h, []hsmapi.CardHashes{{IDHash: card.IDHash, CardHash: card.CardHash, NoHash: card.NoHash, PANHash: card.PANHash}}) {
		t.Errorf("HashCards = %v, %v", h, err)
	}
	persons := []hsmapi.PersonRecord{{IDNumber: f.IDNumber, Name: f.Name, Phone: "13800000000", Address: "示例区"}, {IDNumber: f.IDNumber}}
	people, err := c.SealPersons(ctx, persons)
	if err != nil || len(people) != 2 || people[0].IDHash != card.IDHash {
		t.Fatalf("SealPersons: %v", err)
	}
	if v, err := c.OpenPerson(ctx, people[0].Blob); err != nil || v.MaskedName != "李*明" || v.IDTail != f.IDNumber.Tail() {
		t.Errorf("OpenPerson = %+v, %v", v, err)
	}
	want := []hsmapi.PersonView{{MaskedName: "李*明", IDTail: f.IDNumber.Tail()}, {IDTail: f.IDNumber.Tail()}}
	if got, err := c.OpenPersons(ctx, [][]byte{people[0].Blob, people[1].Blob}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("OpenPersons = %+v, %v, want %+v", got, err, want)
	}
	revised, err := c.RevisePersons(ctx, []hsmapi.PersonRevision{
		{IDNumber: f.IDNumber, Name: f.Name, Blob: people[0].Blob}, {IDNumber: f.IDNumber, Name: si.NewName("王小红"), Blob: people[0].Blob}})
	if err != nil || len(revised) != 2 || revised[0].NameDiffers || revised[0].Blob != nil || !revised[1].NameDiffers || revised[1].View != want[0] {
		t.Fatalf("RevisePersons = %+v, %v", revised, err)
	}
	if v, err := c.OpenPerson(ctx, revised[1].Blob); err != nil || v.MaskedName != "王*红" || v.IDTail != f.IDNumber.Tail() {
		t.Errorf("OpenPerson of a revised record = %+v, %v", v, err)
	}
	note := hsmapi.SealMemo{Bank: 2, Date: day, Payment: si.PaymentID{1}, Data: []byte("batch 000123")}
	if note.Data, err = c.SealMemo(ctx, note); err != nil {
		t.Fatal(err)
	}
	if got, err := c.OpenMemo(ctx, note); err != nil || string(got) != "batch 000123" {
		t.Errorf("OpenMemo = %q, %v", got, err)
	}
}

// TestErrors brings each error across, to branch on and to read.
func TestErrors(t *testing.T) {
	ctx := t.Context()
	c := start(t, newStore(t))
	_, err := c.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "nobody"})
	if !errors.Is(err, hsmapi.ErrNoKey) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("unknown key: %v", err)
	}
	jobs := []hsmapi.MACJob{{Key: 1, Alg: hsmapi.MACAESCMAC, OK: true}}
	if err := c.MAC(ctx, jobs); !errors.Is(err, hsmapi.ErrNoKey) || jobs[0].OK {
		t.Errorf("MAC without a key: %v, OK %v", err, jobs[0].OK)
	}
	if err := c.MAC(ctx, nil); err != nil {
		t.Errorf("MAC of nothing: %v", err)
	}
	for i, known := range statuses[1:] {
		wrapped := fmt.Errorf("%w: more", known)
		if got := errorOf(statusOf(wrapped), []byte(wrapped.Error())); !errors.Is(got, known) || got.Error() != wrapped.Error() {
			t.Errorf("status %d: %v does not come back as %v", i+1, got, known)
		}
	}
	if got := errorOf(statusOf(errors.New("disk full")), []byte("disk full")); !errors.Is(got, ErrFault) || got.Error() != "disk full" {
		t.Errorf("another error comes back as %v", got)
	}
	for _, status := range []uint8{uint8(len(statuses)), 200, statusFault} {
		if !errors.Is(errorOf(status, nil), ErrFault) {
			t.Errorf("status %d is not a fault", status)
		}
	}
}

// TestBounds goes to each bound and one beyond.
func TestBounds(t *testing.T) {
	ctx := t.Context()
	c := start(t, newStore(t))
	w, err := c.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block), MACAlg: hsmapi.MACCUPECB, PINFormat: si.PINFormat0TDES})
	if err != nil {
		t.Fatal(err)
	}
	full := make([]hsmapi.MACJob, hsmapi.MaxMACJobs+1)
	for i := range full {
		full[i] = hsmapi.MACJob{Key: w.MAC, Alg: hsmapi.MACCUPECB, Data: make([]byte, MaxMACData)}
	}
	if err := c.MAC(ctx, full[:hsmapi.MaxMACJobs]); err != nil || !full[hsmapi.MaxMACJobs-1].OK {
		t.Errorf("a full batch of full data: %v", err)
	}
	if err := c.MAC(ctx, full); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one job over: %v, want ErrForm", err)
	}
	full[0].Data = make([]byte, MaxMACData+1)
	if err := c.MAC(ctx, full[:1]); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one byte over: %v, want ErrForm", err)
	}
	if _, err := c.SealPersons(ctx, make([]hsmapi.PersonRecord, hsmapi.MaxPersons+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one person over: %v, want ErrForm", err)
	}
	if _, err := c.HashIDs(ctx, make([]si.IDNumber, hsmapi.MaxPersons+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one ID number over: %v, want ErrForm", err)
	}
	if _, err := c.HashIDs(ctx, make([]si.IDNumber, 1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("an empty ID number: %v, want ErrForm", err)
	}
	if _, err := c.HashCards(ctx, make([]hsmapi.CardRecord, hsmapi.MaxPersons+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("one card over: %v, want ErrForm", err)
	}
	f := testCard(t)
	ids := make([]si.IDNumber, hsmapi.MaxPersons)
	for i := range ids {
		ids[i] = f.IDNumber
	}
	if got, err := c.HashIDs(ctx, ids); err != nil || len(got) != len(ids) {
		t.Errorf("a full batch of ID numbers: %d hashes, %v", len(got), err)
	}
	persons := make([]hsmapi.PersonRecord, hsmapi.MaxPersons)
	for i := range persons {
		persons[i] = hsmapi.PersonRecord{IDNumber: f.IDNumber, Name: f.Name, Address: strings.Repeat("a", 600)}
	}
	if got, err := c.SealPersons(ctx, persons); err != nil || len(got) != len(persons) {
		t.Errorf("a full batch of persons: %v", err)
	}
	persons[7].Address = strings.Repeat("a", 70_000) // more than a length field counts
	if _, err := c.SealPersons(ctx, persons); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("an address of 70,000 bytes: %v, want ErrForm", err)
	}
	persons[7].Address = strings.Repeat("a", 600)
	boundsOfOpening(t, c, persons)
	if _, err := c.OpenPerson(ctx, make([]byte, maxText+1)); !errors.Is(err, hsmapi.ErrForm) {
		t.Errorf("a blob of 65,536 bytes: %v, want ErrForm", err)
	}
}

// boundsOfOpening takes full batches of the longest records there are, and one
// more of each.
func boundsOfOpening(t *testing.T, c *Client, persons []hsmapi.PersonRecord) {
	t.Helper()
	for i := range persons {
		persons[i].Name, persons[i].Phone = si.NewName(strings.Repeat("a", 150)), strings.Repeat("1", 20)
	}
	sealed, err := c.SealPersons(t.Context(), persons)
	if err != nil {
		t.Fatal(err)
	}
	blobs := make([][]byte, len(sealed), len(sealed)+1)
	revisions := make([]hsmapi.PersonRevision, len(sealed), len(sealed)+1)
	for i := range sealed {
		blobs[i] = sealed[i].Blob
		revisions[i] = hsmapi.PersonRevision{IDNumber: persons[i].IDNumber, Name: si.NewName(strings.Repeat("b", 150)), Blob: sealed[i].Blob}
	}
	if got, err := c.OpenPersons(t.Context(), blobs); err != nil || len(got) != hsmapi.MaxPersons {
		t.Errorf("a full batch to open: %d, %v", len(got), err)
	}
	if got, err := c.RevisePersons(t.Context(), revisions); err != nil || len(got) != hsmapi.MaxPersons || !got[999].NameDiffers {
		t.Errorf("a full batch to revise: %d, %v", len(got), err)
	}
	long := append([]byte(nil), make([]byte, maxPersonBlob+1)...)
	for name, err := range map[string]error{
		"one more to open":   second(c.OpenPersons(t.Context(), append(blobs, blobs[0]))),
		"one more to revise": second(c.RevisePersons(t.Context(), append(revisions, revisions[0]))),
		"a long blob":        second(c.OpenPersons(t.Context(), [][]byte{long})),
		"a long blob, too":   second(c.RevisePersons(t.Context(), []hsmapi.PersonRevision{{IDNumber: persons[0].IDNumber, Blob: long}})),
		"no blob":            second(c.OpenPersons(t.Context(), [][]byte{nil})),
		"a long name":        second(c.RevisePersons(t.Context(), []hsmapi.PersonRevision{{IDNumber: persons[0].IDNumber, Name: si.NewName(strings.Repeat("b", 151)), Blob: blobs[0]}})),
	} {
		if !errors.Is(err, hsmapi.ErrForm) {
			t.Errorf("%s: %v, want ErrForm", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestManyCallers holds each answer to its question.
func TestManyCallers(t *testing.T) {
	ctx := t.Context()
	c := start(t, newStore(t))
	w, err := c.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block), MACAlg: hsmapi.MACCUPECB, PINFormat: si.PINFormat0TDES})
	if err != nil {
		t.Fatal(err)
	}
	key, err := mac.NewKey(hsmapi.MACCUPECB, vectors.Hex(vectors.DE62.MAK))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				jobs := make([]hsmapi.MACJob, 1+(g+i)%5)
				for j := range jobs {
					data := binary.BigEndian.AppendUint64(nil, uint64(g*1000000+i*100+j))
					jobs[j] = hsmapi.MACJob{Key: w.MAC, Alg: hsmapi.MACCUPECB, Data: data, Verify: j%2 == 1, MAC: key.Sum(data)}
				}
				if err := c.MAC(ctx, jobs); err != nil {
					t.Error(err)
					return
				}
				for j := range jobs {
					if !jobs[j].OK || jobs[j].MAC != key.Sum(jobs[j].Data) {
						t.Errorf("caller %d, call %d, job %d: another job's answer", g, i, j)
						return
					}
				}
				note := hsmapi.SealMemo{Bank: 1, Date: day, Payment: si.PaymentID{byte(g + 1)}, Data: fmt.Appendf(nil, "%d %d", g, i)}
				open := note
				sealed, err := c.SealMemo(ctx, note)
				if err != nil {
					t.Error(err)
					return
				}
				open.Data = sealed
				if got, err := c.OpenMemo(ctx, open); err != nil || !bytes.Equal(got, note.Data) {
					t.Errorf("caller %d: OpenMemo = %q, %v, want %q", g, got, err, note.Data)
					return
				}
			}
		})
	}
	wg.Wait()
}

// stuck is an HSM one of whose verbs waits until it is let go.
type stuck struct {
	Verbs
	entered, release chan struct{}
}

func (s stuck) OpenPerson(context.Context, []byte) (hsmapi.PersonView, error) {
	s.entered <- struct{}{}
	<-s.release
	return hsmapi.PersonView{MaskedName: "late"}, nil
}

// TestDeadline gives up a call and does not mistake its late answer for the next.
func TestDeadline(t *testing.T) {
	s := stuck{newStore(t), make(chan struct{}, 1), make(chan struct{})}
	c := start(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.OpenPerson(ctx, []byte("x"))
		done <- err
	}()
	<-s.entered
	cancel()
	if err := <-done; !errors.Is(err, hsmapi.ErrAway) || !errors.Is(err, context.Canceled) {
		t.Errorf("call given up: %v, want ErrAway", err)
	}
	close(s.release)
	if _, err := c.EnvelopeKey(t.Context()); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// TestAway loses the process in the middle of calls and finds a new one.
func TestAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := stuck{newStore(t), make(chan struct{}, 1), make(chan struct{})}
	stop := serveAt(t, path, s)
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		_, err := c.OpenPerson(t.Context(), []byte("x"))
		done <- err
	}()
	<-s.entered
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	if err := <-done; !errors.Is(err, hsmapi.ErrAway) {
		t.Errorf("call in flight: %v, want ErrAway", err)
	}
	close(s.release)
	<-stopped
	jobs := []hsmapi.MACJob{{Key: 1, Alg: hsmapi.MACAESCMAC}}
	if err := c.MAC(t.Context(), jobs); !errors.Is(err, hsmapi.ErrAway) || jobs[0].OK {
		t.Errorf("call while away: %v, want ErrAway", err)
	}
	serveAt(t, path, newStore(t))
	waitUp(t, c)
	if _, err := c.EnvelopeKey(t.Context()); err != nil {
		t.Errorf("call to the new process: %v", err)
	}
}

// waitUp waits until the client has noticed that the old process is gone and found
// the new one.
func waitUp(t *testing.T, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		if err := c.WaitUp(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := c.EnvelopeKey(ctx); !errors.Is(err, hsmapi.ErrAway) {
			return
		}
	}
}

func TestDialNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := Dial(ctx, filepath.Join(t.TempDir(), "s")); !errors.Is(err, hsmapi.ErrAway) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Dial = %v, %v, want ErrAway with the reason", c, err)
	}
}

// TestPeers turns away other users on both sides, and what is no client.
func TestPeers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, %v, want 0600", info.Mode(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, newStore(t), ServeOptions{UIDs: []uint32{65533}}) }()
	short, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	if c, err := Dial(short, path); err == nil {
		c.Close()
		t.Error("a user who is not on the list was let in")
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}

	path += "2"
	serveAt(t, path, newStore(t))
	if _, err := Listen(path, false); err == nil {
		t.Error("a second process took a live socket")
	}
	short, done = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	if c, err := Dial(short, path, 65533); err == nil {
		c.Close()
		t.Error("the client took a process of another user")
	}
}

// TestHostileFrames sends frames that no client sends; the server drops the
// connection or answers an error, and goes on serving others.
func TestHostileFrames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serveAt(t, path, newStore(t))
	for name, raw := range map[string][]byte{
		"length zero":   {0, 0, 0, 0, 0, 0, 0, 1, 1},
		"length huge":   {0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 1},
		"unknown verb":  {0, 0, 0, 5, 0, 0, 0, 1, 99},
		"verb 0":        {0, 0, 0, 5, 0, 0, 0, 1, 0},
		"short body":    {0, 0, 0, 6, 0, 0, 0, 1, byte(verbOpenCard), 1},
		"jobs promised": {0, 0, 0, 7, 0, 0, 0, 1, byte(verbMAC), 0xFF, 0xFF},
		"jobs missing":  {0, 0, 0, 7, 0, 0, 0, 1, byte(verbMAC), 0, 9},
		"cut":           {0, 0, 0, 9, 0, 0, 0, 1, byte(verbMAC)},
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var buf []byte
		if _, _, _, err := readFrame(conn, &buf); err != nil {
			t.Errorf("%s: no greeting: %v", name, err)
		}
		for {
			_, status, _, err := readFrame(conn, &buf)
			if err != nil {
				break
			}
			if status == 0 {
				t.Errorf("%s: answered with success", name)
			}
		}
		_ = conn.Close()
	}
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.EnvelopeKey(t.Context()); err != nil {
		t.Errorf("after the hostile ones: %v", err)
	}
}

// TestProcess runs the process for real: key store, passphrase file, socket; it is
// killed without notice and started again.
func TestProcess(t *testing.T) {
	dir := t.TempDir()
	pass := []byte("correct horse battery")
	s, err := softhsm.Create(filepath.Join(dir, "keys"), pass)
	if err != nil {
		t.Fatal(err)
	}
	addKeys(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pass"), append(pass, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "HSM_TEST_PROCESS="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	kill := func(cmd *exec.Cmd) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}
	first := run()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := Dial(ctx, filepath.Join(dir, "s"))
	if err != nil {
		kill(first)
		t.Fatal(err)
	}
	defer c.Close()
	imp := hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block), MACAlg: hsmapi.MACCUPECB, PINFormat: si.PINFormat0TDES}
	w, err := c.ImportDE62(ctx, imp)
	if err != nil {
		t.Error(err)
	}
	note := hsmapi.SealMemo{Bank: 1, Date: day, Payment: si.PaymentID{1}, Data: []byte("note")}
	if note.Data, err = c.SealMemo(ctx, note); err != nil {
		t.Error(err)
	}
	// Core files are off and the process may not be traced.
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", first.Process.Pid))
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") && !strings.Contains(line, " 0 ") {
			t.Errorf("core files are on: %s", line)
		}
	}
	kill(first)

	second := run()
	defer kill(second)
	waitUp(t, c)
	jobs := []hsmapi.MACJob{{Key: w.MAC, Alg: hsmapi.MACCUPECB}}
	if err := c.MAC(ctx, jobs); !errors.Is(err, hsmapi.ErrNoKey) || jobs[0].OK {
		t.Errorf("handle of the process before: %v, want ErrNoKey", err)
	}
	if _, err := c.ImportDE62(ctx, imp); err != nil {
		t.Errorf("sign-on after the restart: %v", err)
	}
	if got, err := c.OpenMemo(ctx, note); err != nil || string(got) != "note" {
		t.Errorf("memo of the process before: %q, %v", got, err)
	}
}

func TestProcessRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, path := range map[string]string{
		"missing": filepath.Join(dir, "none"), "open to others": write("a", "passphrase\n", 0o644),
		"empty": write("b", "\n", 0o600), "too long": write("c", strings.Repeat("p", maxPassphrase+1), 0o600),
	} {
		if _, err := readPassphrase(path); err == nil {
			t.Errorf("passphrase file that is %s was taken", name)
		}
	}
	for content, want := range map[string]string{"pass phrase\nmore": "pass phrase", "no newline": "no newline", "dos\r\n": "dos"} {
		got, err := readPassphrase(write("d", content, 0o600))
		if err != nil || string(got) != want {
			t.Errorf("readPassphrase(%q) = %q, %v, want %q", content, got, err, want)
		}
	}
}

// FuzzBodies feeds every verb with arbitrary bodies: never a panic, an answer
// always, and never a code where the form is broken.
func FuzzBodies(f *testing.F) {
	card := testCard(f)
	f.Add(uint8(verbMAC), appendMACJobs(nil, []hsmapi.MACJob{{Key: 1, Alg: 4, Data: []byte("data")}}))
	f.Add(uint8(verbImportDE62), appendImportDE62(nil, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block)}))
	f.Add(uint8(verbImportTR31), appendImportTR31(nil, hsmapi.ImportTR31{KBPK: "ccb/kbpk", Block: vectors.TR31s[0].Block, ForPIN: true, PINFormat: 1}))
	f.Add(uint8(verbTranslatePIN), appendTranslatePIN(nil, &hsmapi.TranslatePIN{From: "terminal/1/tpk", PAN: card.PAN}))
	f.Add(uint8(verbOpenCard), appendOpenCard(nil, hsmapi.OpenCard{Sealed: make([]byte, envelope.Size)}))
	f.Add(uint8(verbHash), appendHash(nil, hsmapi.HashPAN, "1"))
	f.Add(uint8(verbHashCards), appendCards(nil, []hsmapi.CardRecord{{IDNumber: card.IDNumber, PAN: card.PAN, CardID: "1", CardNo: "2"}}))
	f.Add(uint8(verbHashIDs), appendIDs(nil, []si.IDNumber{card.IDNumber}))
	f.Add(uint8(verbSealPersons), appendPersons(nil, []hsmapi.PersonRecord{{IDNumber: card.IDNumber}}))
	f.Add(uint8(verbOpenPerson), []byte{1, 0, 1})
	f.Add(uint8(verbOpenPersons), appendBlobs(nil, [][]byte{{1, 0, 1}}))
	f.Add(uint8(verbRevisePersons), appendRevisions(nil, []hsmapi.PersonRevision{{IDNumber: card.IDNumber, Name: card.Name, Blob: []byte{1, 0, 1}}}))
	f.Add(uint8(verbOpenMemo), appendMemo(nil, hsmapi.SealMemo{Bank: 1, Date: 2, Data: []byte("x")}))
	s := &server{verbs: newStore(f)}
	f.Fuzz(func(t *testing.T, v uint8, body []byte) {
		if verb(v) == verbMAC {
			jobs, err := readMACJobs(body, nil)
			if err == nil && !bytes.Equal(appendMACJobs(nil, jobs), body) {
				t.Error("jobs are not written back as they were read")
			}
			return
		}
		if verb(v) == verbSealMemo {
			return // makes keys for every bank and date
		}
		out := endFrame(s.answer(t.Context(), nil, 7, verb(v), body), 0)
		var buf []byte
		if id, _, _, err := readFrame(bytes.NewReader(out), &buf); err != nil || id != 7 {
			t.Errorf("answer is no frame: %v", err)
		}
	})
}

// FuzzAnswers feeds the client's side.
func FuzzAnswers(f *testing.F) {
	card := hsmapi.CardOpened{PAN: testCard(f).PAN, Track2: testCard(f).Track2}
	f.Add(appendCardOpened(nil, &card))
	f.Add(appendSealedPersons(nil, []hsmapi.SealedPerson{{Blob: []byte("blob")}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = readCardOpened(body)
		_, _ = readSealedPersons(body, 3)
		_, _ = readCardHashes(body, 2)
		_, _ = readPersonView(body)
		_, _ = readPersonViews(body, 2)
		_, _ = readRevised(body, 2)
		_, _ = readWorkingKeys(body)
		_, _ = readImportedKey(body)
		jobs := make([]hsmapi.MACJob, 2)
		if readMACResults(body, jobs) != nil && (jobs[0].OK || jobs[1].OK) {
			t.Error("a broken answer left a code as good")
		}
	})
}

// BenchmarkMAC is the path of every money message: codes of 272 bytes made and
// checked over the socket, by as many callers as keep it busy.
func BenchmarkMAC(b *testing.B) {
	for _, alg := range []struct {
		name string
		alg  hsmapi.MACAlg
		key  string
	}{{"AES-CMAC", hsmapi.MACAESCMAC, "M6"}, {"CUP-ECB", hsmapi.MACCUPECB, ""}, {"X9.19", hsmapi.MACX919Pad1, "M3"}} {
		for _, batch := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/batch=%d", alg.name, batch), func(b *testing.B) { benchMAC(b, alg.alg, alg.key, batch) })
		}
	}
}

func benchMAC(b *testing.B, alg hsmapi.MACAlg, usage string, batch int) {
	ctx := b.Context()
	c := start(b, newStore(b))
	var ref hsmapi.KeyRef
	if usage == "" {
		w, err := c.ImportDE62(ctx, hsmapi.ImportDE62{TMK: "icbc/tmk/90110001", Block: vectors.Hex(vectors.DE62.Block), MACAlg: alg, PINFormat: si.PINFormat0TDES})
		if err != nil {
			b.Fatal(err)
		}
		ref = w.MAC
	} else {
		algorithm, key := byte('A'), key32
		if usage == "M3" {
			algorithm, key = 'T', vectors.Hex(vectors.DE62.PIK)
		}
		block, err := tr31.Wrap(key32, tr31.Header{Version: 'D', Usage: usage, Algorithm: algorithm, Mode: 'C', KeyVersion: "00", Exportability: 'N'}, key)
		if err != nil {
			b.Fatal(err)
		}
		k, err := c.ImportTR31(ctx, hsmapi.ImportTR31{KBPK: "ccb/kbpk", Block: block, MACAlg: alg})
		if err != nil {
			b.Fatal(err)
		}
		ref = k.Key
	}
	b.ReportAllocs()
	b.SetParallelism(max(1, 64/batch)) // callers per core
	b.RunParallel(func(pb *testing.PB) {
		jobs := make([]hsmapi.MACJob, batch)
		for i := range jobs {
			jobs[i] = hsmapi.MACJob{Key: ref, Alg: alg, Data: make([]byte, 272), Verify: i%2 == 1}
		}
		for pb.Next() {
			if err := c.MAC(ctx, jobs); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "codes/s")
}

// BenchmarkSealPersons is the import of a register: hash and seal, 1,000 at once.
// BenchmarkPersons takes the verbs of imports and comparisons through the socket
// of a process of its own, in full batches by two callers, beside the same work
// asked for one by one.
func BenchmarkPersons(b *testing.B) {
	c := startProcess(b)
	f := testCard(b)
	const n = hsmapi.MaxPersons
	ids, blobs := make([]si.IDNumber, n), make([][]byte, n)
	persons, revisions := make([]hsmapi.PersonRecord, n), make([]hsmapi.PersonRevision, n)
	for i := range persons {
		ids[i] = f.IDNumber
		persons[i] = hsmapi.PersonRecord{IDNumber: f.IDNumber, Name: f.Name, Phone: "13800000000", Address: "示例区示例街道示例村100号"}
	}
	sealed, err := c.SealPersons(b.Context(), persons)
	if err != nil {
		b.Fatal(err)
	}
	for i := range sealed {
		blobs[i] = sealed[i].Blob
		revisions[i] = hsmapi.PersonRevision{IDNumber: f.IDNumber, Name: f.Name, Blob: sealed[i].Blob}
	}
	for _, v := range []struct {
		name  string
		batch int
		do    func(ctx context.Context) error
	}{
		{"Hash/batch=1", 1, func(ctx context.Context) error { return second(c.HashIDs(ctx, ids[:1])) }},
		{"Hash/batch=1000", n, func(ctx context.Context) error { return second(c.HashIDs(ctx, ids)) }},
		{"Seal/batch=1", 1, func(ctx context.Context) error { return second(c.SealPersons(ctx, persons[:1])) }},
		{"Seal/batch=1000", n, func(ctx context.Context) error { return second(c.SealPersons(ctx, persons)) }},
		{"Open/batch=1", 1, func(ctx context.Context) error { return second(c.OpenPerson(ctx, blobs[0])) }},
		{"Open/batch=1000", n, func(ctx context.Context) error { return second(c.OpenPersons(ctx, blobs)) }},
		{"Revise/batch=1000", n, func(ctx context.Context) error { return second(c.RevisePersons(ctx, revisions)) }},
	} {
		b.Run(v.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := v.do(b.Context()); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N*v.batch)/b.Elapsed().Seconds(), "persons/s")
		})
	}
}

// startProcess runs an HSM process and dials it.
func startProcess(t testing.TB) *Client {
	t.Helper()
	dir := t.TempDir()
	pass := []byte("correct horse battery")
	s, err := softhsm.Create(filepath.Join(dir, "keys"), pass)
	if err != nil {
		t.Fatal(err)
	}
	addKeys(t, s)
	if err := errors.Join(s.Close(), os.WriteFile(filepath.Join(dir, "pass"), append(pass, '\n'), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HSM_TEST_PROCESS="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := Dial(ctx, filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
