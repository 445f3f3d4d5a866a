package vpcd_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/pcsc"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// desk is a reader of a rig with a card session in it.
type desk struct {
	t      testing.TB
	rig    *vpcd.Rig
	reader *pcsc.Reader
	all    *cardauth.Sessions
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	rig, err := vpcd.Start(t.Context(), vpcd.Config{Dir: deskDir, Readers: 1})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(rig.Close)
	if err := os.Setenv("PCSCLITE_CSOCK_NAME", rig.Socket()); err != nil {
		t.Fatal(err)
	}
	reader, err := pcsc.Open(pcsc.Config{Name: vpcd.ReaderName(0), Deadline: time.Second, CryptogramDeadline: time.Second})
	if err != nil {
		t.Fatalf("pcsc.Open: %v", err)
	}
	t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	all, err := cardauth.New(cardauth.Config{
		IINs: map[string]string{"62990001": "rcb"}, Areas: []string{"3301"},
		Terminal: cardauth.NewTerminalData("SB000001"), Random: rand.Reader,
		Seal: func([16]byte, uint64, envelope.Fields) ([]byte, error) { return []byte("sealed"), nil },
	})
	if err != nil {
		t.Fatalf("cardauth.New: %v", err)
	}
	d := &desk{t: t, rig: rig, reader: reader, all: all}
	d.want(pcsc.Ready)
	return d
}

func (d *desk) want(kind pcsc.Kind) {
	d.t.Helper()
	select {
	case e := <-d.reader.Events():
		if e.Kind != kind {
			d.t.Fatalf("event = %+v, want kind %d", e, kind)
		}
	case <-time.After(15 * time.Second):
		d.t.Fatalf("no event, want kind %d", kind)
	}
}

// take inserts a card and opens its session.
func (d *desk) take(data chipcard.Data, kept chipcard.State) (*pcsc.Card, *cardauth.Session) {
	d.t.Helper()
	if err := d.rig.Insert(0, data, kept); err != nil {
		d.t.Fatalf("Insert: %v", err)
	}
	d.want(pcsc.In)
	card, err := d.reader.Connect()
	if err != nil {
		d.t.Fatalf("Connect: %v", err)
	}
	s, err := d.all.Open(card)
	if err != nil {
		d.t.Fatalf("Open: %v", err)
	}
	return card, s
}

// approve checks a proof's ARQC as the issuer does and gives its approval and
// the card's counter.
func (d *desk) approve(data chipcard.Data, p cardauth.Proof) (cardauth.HostAnswer, emv.ATC) {
	d.t.Helper()
	must := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	objects, err := tlv.Parse(p.DE55)
	must(err)
	get := func(tag tlv.Tag) []byte { v, _ := objects.Find(tag); return v }
	imk, err := hex.DecodeString(data.Bank.IMK)
	must(err)
	udk, err := emv.CardKey(emv.TDES, emv.Key(imk), data.Bank.PAN, "01")
	must(err)
	atc := emv.ATC(get(emv.TagATC)[0])<<8 | emv.ATC(get(emv.TagATC)[1])
	sk, err := emv.SessionKey(emv.TDES, udk, atc)
	must(err)
	input, err := emv.CryptogramData(get)
	must(err)
	ac, err := emv.Cryptogram(emv.TDES, sk, input)
	must(err)
	if !bytes.Equal(ac[:], get(emv.TagCryptogram)) {
		d.t.Fatal("ARQC does not fit its data")
	}
	arpc, err := emv.ARPC(emv.TDES, sk, ac, [2]byte{'0', '0'})
	must(err)
	return cardauth.HostAnswer{Approved: true, Answered: true, ARC: "00", Auth: append(arpc[:], "00"...)}, atc
}

// TestSession runs whole sessions through a real pcscd: a PIN proof and a payment
// in one power session, the counter kept between insertions, a pull in the
// middle of a payment, a mute card, and a good card after each.
func TestSession(t *testing.T) {
	d := newDesk(t)
	data := chipcard.Example(21)
	var kept chipcard.State
	for round := range 2 {
		card, s := d.take(data, kept)
		begin := time.Now()
		read := s.Read(begin)
		t.Logf("reading both applications took %v", time.Since(begin))
		if read.Problem != cardauth.OK {
			t.Fatalf("round %d: Read: problem %d (%v)", round, read.Problem, s.Why())
		}
		last := emv.ATC(kept.ATC)
		var cryptograms [][]byte
		for _, p := range []cardauth.Purpose{cardauth.ForPINProof, cardauth.ForPayment} {
			proof, problem := s.Authorise(p, 100_00, time.Now(), cardauth.PIN{})
			if problem != cardauth.OK {
				t.Fatalf("Authorise: problem %d (%v)", problem, s.Why())
			}
			answer, atc := d.approve(data, proof)
			if atc <= last {
				t.Errorf("ATC %d after %d: it must rise", atc, last)
			}
			last = atc
			ac, err := tlv.Find(proof.DE55, emv.TagCryptogram)
			if err != nil || slices.ContainsFunc(cryptograms, func(c []byte) bool { return bytes.Equal(c, ac) }) {
				t.Errorf("cryptogram %x, %v: it must be another one each time", ac, err)
			}
			cryptograms = append(cryptograms, ac)
			if word := s.Complete(answer); word.Outcome != cardauth.OutcomeTC {
				t.Errorf("Complete: outcome %d (%v), want TC", word.Outcome, s.Why())
			}
		}
		if err := card.Disconnect(); err != nil {
			t.Errorf("Disconnect: %v", err)
		}
		stats, err := d.rig.Remove(0)
		if err != nil || stats.State.ATC != uint16(last) {
			t.Errorf("Remove = %+v, %v; want ATC %d kept", stats, err, last)
		}
		kept = stats.State
		d.want(pcsc.Out)
	}

	// Pulled while the bank thinks: the first cryptogram left, the card is gone.
	_, s := d.take(data, kept)
	if read := s.Read(time.Now()); read.Problem != cardauth.OK {
		t.Fatalf("Read: problem %d", read.Problem)
	}
	proof, problem := s.Authorise(cardauth.ForPayment, 1, time.Now(), cardauth.PIN{})
	if problem != cardauth.OK {
		t.Fatalf("Authorise: problem %d", problem)
	}
	answer, _ := d.approve(data, proof)
	stats, err := d.rig.Remove(0)
	if err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if word := s.Complete(answer); word.Outcome != cardauth.OutcomeRemoved || len(word.DE55) == 0 {
		t.Errorf("Complete after the pull: outcome %d with %d bytes, want removed with the reversal's tags", word.Outcome, len(word.DE55))
	}
	d.want(pcsc.Out)

	// A card that goes mute in the middle of a reading.
	mute := data
	mute.Faults = []chipcard.Fault{{Kind: chipcard.Mute, At: 20}}
	_, s = d.take(mute, stats.State)
	if read := s.Read(time.Now()); read.Problem != cardauth.Unreadable {
		t.Errorf("Read of a mute card: problem %d, want unreadable", read.Problem)
	}
	d.want(pcsc.Fault) // the card is still in: it leaves when it is pulled
	if _, err := d.rig.Remove(0); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	d.want(pcsc.Out)
	d.want(pcsc.Ready)

	_, s = d.take(data, stats.State)
	if read := s.Read(time.Now()); read.Problem != cardauth.OK {
		t.Errorf("Read after the mute card: problem %d (%v)", read.Problem, s.Why())
	}
	if _, err := d.rig.Remove(0); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	d.want(pcsc.Out)
}
