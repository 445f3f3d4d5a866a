package cardauth_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, si.China)

// sealed is what the sealing function of the tests was given last.
type sealed struct {
	session [16]byte
	counter uint64
	fields  envelope.Fields
}

func (s *sealed) seal(session [16]byte, counter uint64, f envelope.Fields) ([]byte, error) {
	*s = sealed{session, counter, f}
	return []byte{0x5E, byte(counter)}, nil
}

func config(s *sealed) cardauth.Config {
	return cardauth.Config{
		IINs:     map[string]string{"62990001": "rcb", "62990002": "icbc", "629900021": "other"},
		Areas:    []string{"3301"},
		Terminal: cardauth.NewTerminalData("SB000001"),
		Random:   rand.Reader,
		Seal:     s.seal,
	}
}

func open(t *testing.T, data chipcard.Data) (*chipcard.Card, *cardauth.Session, *sealed) {
	t.Helper()
	card, err := chipcard.New(data, chipcard.State{}, chipcard.Hooks{})
	if err != nil {
		t.Fatalf("chipcard.New: %v", err)
	}
	s := new(sealed)
	all, err := cardauth.New(config(s))
	if err != nil {
		t.Fatalf("cardauth.New: %v", err)
	}
	session, err := all.Open(card)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return card, session, s
}

// host answers a proof as an issuer does: it checks the ARQC and makes the ARPC.
func host(t *testing.T, data chipcard.Data, p cardauth.Proof, approve bool) cardauth.HostAnswer {
	t.Helper()
	objects, err := tlv.Parse(p.DE55)
	if err != nil {
		t.Fatalf("DE 55: %v", err)
	}
	get := func(tag tlv.Tag) []byte { v, _ := objects.Find(tag); return v }
	input, err := emv.CryptogramData(get)
	if err != nil {
		t.Fatalf("CryptogramData: %v", err)
	}
	c := emv.TDES
	if data.Bank.Cipher == "SM4" {
		c = emv.SM4
	}
	imk, err := hex.DecodeString(data.Bank.IMK)
	if err != nil {
		t.Fatal(err)
	}
	udk, err := emv.CardKey(c, emv.Key(imk), data.Bank.PAN, "01")
	if err != nil {
		t.Fatal(err)
	}
	atc := get(emv.TagATC)
	sk, err := emv.SessionKey(c, udk, emv.ATC(atc[0])<<8|emv.ATC(atc[1]))
	if err != nil {
		t.Fatal(err)
	}
	ac, err := emv.Cryptogram(c, sk, input)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ac[:], get(emv.TagCryptogram)) {
		t.Fatalf("ARQC %x does not fit its data, want %x", get(emv.TagCryptogram), ac)
	}
	arc := "00"
	if !approve {
		arc = "51"
	}
	arpc, err := emv.ARPC(c, sk, ac, [2]byte([]byte(arc)))
	if err != nil {
		t.Fatal(err)
	}
	return cardauth.HostAnswer{Approved: approve, Answered: true, ARC: arc, Auth: append(arpc[:], arc...)}
}

func pin(t *testing.T) cardauth.PIN {
	t.Helper()
	b, err := si.NewPINBlock(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	return cardauth.PIN{Block: b, Key: "terminal/1/tpk", Format: si.PINFormat4AES}
}

// TestSession runs a PIN proof and a payment in one power session, with both
// ciphers and both lengths of account numbers.
func TestSession(t *testing.T) {
	sm4 := chipcard.Example(7)
	sm4.Bank.Cipher = "SM4"
	long := chipcard.Example(8)
	long.Bank.PAN = chipcard.Account("62990002", 19, 8)
	plain := chipcard.Example(9)
	plain.Bank.NoDirectory, plain.Bank.PDOL = true, "-"
	old := chipcard.Example(10)
	old.Social.Version, old.Social.Cipher = "1.00", 1
	for name, data := range map[string]chipcard.Data{
		"3DES": chipcard.Example(6), "SM4": sm4, "19 digits": long, "no directory, no PDOL": plain, "version 1.0": old,
	} {
		t.Run(name, func(t *testing.T) {
			_, s, sealed := open(t, data)
			card := s.Read(noon)
			if card.Problem != cardauth.OK {
				t.Fatalf("Read: problem %d (%v), want none", card.Problem, s.Why())
			}
			want := cardauth.Card{
				Session: s.ID(), Bank: "rcb", MaskedName: "李**" + data.Social.Name[len(data.Social.Name)-3:],
				IDTail: data.Social.IDNumber[14:], PANTail: data.Bank.PAN[len(data.Bank.PAN)-4:],
				MaskedPAN: data.Bank.PAN[:6] + strings.Repeat("*", len(data.Bank.PAN)-10) + data.Bank.PAN[len(data.Bank.PAN)-4:],
				Version:   data.Social.Version, Area: "330100",
			}
			if name == "19 digits" {
				want.Bank = "icbc"
			}
			if card != want {
				t.Errorf("Read = %+v, want %+v", card, want)
			}
			if got := s.PAN().Reveal("test"); got != data.Bank.PAN {
				t.Error("PAN is not the card's")
			}
			counter, env, err := s.Envelope()
			if err != nil || counter != 1 || env[1] != 1 {
				t.Errorf("Envelope = %d, %x, %v; want the first", counter, env, err)
			}
			f := sealed.fields
			if f.IDNumber.Reveal("test") != data.Social.IDNumber || f.Name.Reveal("test") != data.Social.Name ||
				f.CardID != data.Social.CardID || f.CardNo != data.Social.CardNo || f.PAN != s.PAN() || f.PSN != "01" ||
				f.Expiry != "4912" || f.IssuerID != data.Social.IDNumber || len(f.ATR) == 0 ||
				!strings.HasPrefix(f.Track2.Reveal("test"), data.Bank.PAN+"D4912") {
				t.Error("envelope does not hold what the card says")
			}

			proof, problem := s.Authorise(cardauth.ForPINProof, 0, noon, pin(t))
			if problem != cardauth.OK {
				t.Fatalf("Authorise for PIN proof: problem %d (%v)", problem, s.Why())
			}
			if word := s.Complete(host(t, data, proof, true)); word.Outcome != cardauth.OutcomeTC {
				t.Errorf("Complete of PIN proof: outcome %d, want TC", word.Outcome)
			}
			pay, problem := s.Authorise(cardauth.ForPayment, 123456, noon, pin(t))
			if problem != cardauth.OK {
				t.Fatalf("Authorise for payment: problem %d (%v)", problem, s.Why())
			}
			if pay.Counter != 3 || pay.CardSession != s.ID() || pay.PINKey != "terminal/1/tpk" {
				t.Errorf("Proof = %d %x %q, want counter 3 of the session and the pad's key", pay.Counter, pay.CardSession, pay.PINKey)
			}
			objects, err := tlv.Parse(pay.DE55)
			if err != nil {
				t.Fatal(err)
			}
			for tag, want := range map[tlv.Tag]string{
				emv.TagAmount: "000000123456", emv.TagType: "00", emv.TagDate: "261122", emv.TagCurrency: "0156",
				emv.TagCountry: "0156", emv.TagTVR: "8000040800", emv.TagCVMResults: "420300", emv.TagATC: "0003",
				emv.TagCapabilities: "204000", emv.TagTerminalType: "14", emv.TagSerial: "5342303030303031",
				emv.TagDFName: "a000000333010101", emv.TagAIP: "7c00", emv.TagCID: "80",
			} {
				if v, _ := objects.Find(tag); hex.EncodeToString(v) != want {
					t.Errorf("DE 55 %v = %x, want %s", tag, v, want)
				}
			}
			if objects[0].Tag != emv.TagCryptogram || objects[1].Tag != emv.TagCID {
				t.Errorf("DE 55 begins with %v %v, want the order of the list", objects[0].Tag, objects[1].Tag)
			}
			word := s.Complete(host(t, data, pay, true))
			if word.Outcome != cardauth.OutcomeTC {
				t.Errorf("Complete of payment: outcome %d, want TC", word.Outcome)
			}
			last, err := tlv.Parse(word.DE55)
			if err != nil || len(last) != 4 || last[0].Tag != emv.TagTVR || last[3].Tag != emv.TagATC {
				t.Errorf("last word = %v, %v; want 95 9F1E 9F10 9F36", last, err)
			}
			if again := s.Complete(host(t, data, pay, true)); again.Outcome != cardauth.OutcomeRemoved {
				t.Errorf("second Complete: outcome %d, want removed", again.Outcome)
			}
		})
	}
}

// TestProblems has one card for each reason that a card cannot be used.
func TestProblems(t *testing.T) {
	for name, v := range map[string]struct {
		change func(*chipcard.Data)
		want   cardauth.Problem
	}{
		"no fault":                  {func(*chipcard.Data) {}, cardauth.OK},
		"mute":                      {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.Mute, At: 3}} }, cardauth.Unreadable},
		"not a social card":         {func(d *chipcard.Data) { d.Social = nil }, cardauth.NotSocialCard},
		"no bank application":       {func(d *chipcard.Data) { d.Bank = nil }, cardauth.NotActivated},
		"unknown version":           {func(d *chipcard.Data) { d.Social.Version = "4.00" }, cardauth.VersionUnknown},
		"version 3.0":               {func(d *chipcard.Data) { d.Social.Version = "3.00" }, cardauth.NeedsKeyService},
		"SSF33":                     {func(d *chipcard.Data) { d.Social.Cipher = 2 }, cardauth.CipherUnknown},
		"no cipher, Hangzhou":       {func(d *chipcard.Data) { d.Social.Cipher = 0 }, cardauth.OK},
		"no cipher, Beijing":        {func(d *chipcard.Data) { d.Social.Cipher = 0; d.Social.CardID = "11" + d.Social.CardID[2:] }, cardauth.CipherUnknown},
		"blocked social":            {func(d *chipcard.Data) { d.Social.Blocked = true }, cardauth.AppBlocked},
		"blocked bank":              {func(d *chipcard.Data) { d.Bank.Blocked = true }, cardauth.AppBlocked},
		"blocked card":              {func(d *chipcard.Data) { d.Blocked = true }, cardauth.AppBlocked},
		"social past its date":      {func(d *chipcard.Data) { d.Social.ValidUntil = "20261121" }, cardauth.Expired},
		"social on its last day":    {func(d *chipcard.Data) { d.Social.ValidUntil = "20261122" }, cardauth.OK},
		"social without a date":     {func(d *chipcard.Data) { d.Social.ValidUntil = "FFFFFFFF" }, cardauth.OK},
		"bank past its date":        {func(d *chipcard.Data) { d.Bank.Expiry = "261121" }, cardauth.Expired},
		"bank on its last day":      {func(d *chipcard.Data) { d.Bank.Expiry = "261122" }, cardauth.OK},
		"bank not valid yet":        {func(d *chipcard.Data) { d.Bank.Effective = "261123" }, cardauth.NotActivated},
		"area of another city":      {func(d *chipcard.Data) { d.Social.CardID = "330200" + d.Social.CardID[6:] }, cardauth.AreaNotServed},
		"bank not in the table":     {func(d *chipcard.Data) { d.Bank.PAN = chipcard.Account("62990009", 16, 1) }, cardauth.BankNotConnected},
		"other person by ID":        {func(d *chipcard.Data) { d.Bank.HolderID = chipcard.Example(1).Social.IDNumber }, cardauth.TwoPeople},
		"other person by name":      {func(d *chipcard.Data) { d.Bank.HolderID = "-"; d.Bank.HolderName = "王示例" }, cardauth.TwoPeople},
		"same name":                 {func(d *chipcard.Data) { d.Bank.HolderID = "-"; d.Bank.HolderName = d.Social.Name }, cardauth.OK},
		"nobody named":              {func(d *chipcard.Data) { d.Bank.HolderID = "-" }, cardauth.OK},
		"card number":               {func(d *chipcard.Data) { d.Social.CardNo = d.Social.CardNo[:8] + "?" }, cardauth.CardFault},
		"birth date":                {func(d *chipcard.Data) { d.Social.BirthDate = "19000101" }, cardauth.CardFault},
		"sex":                       {func(d *chipcard.Data) { d.Social.Sex = "2"; d.Social.IDNumber = chipcard.Example(1).Social.IDNumber }, cardauth.OK},
		"sex differs":               {func(d *chipcard.Data) { d.Social.Sex = "1"; d.Social.IDNumber = chipcard.Example(1).Social.IDNumber }, cardauth.CardFault},
		"sex unstated":              {func(d *chipcard.Data) { d.Social.Sex = "9" }, cardauth.OK},
		"name is not text":          {func(d *chipcard.Data) { d.Social.NameBytes = "C9FFBBE1" }, cardauth.CardFault},
		"track of another account":  {func(d *chipcard.Data) { d.Bank.TrackPAN = chipcard.Account("62990001", 16, 99) }, cardauth.CardFault},
		"no online PIN rule":        {func(d *chipcard.Data) { d.Bank.CVMList = "00000000000000001F00" }, cardauth.NotActivated},
		"no cardholder check":       {func(d *chipcard.Data) { d.Bank.AIP = "6C00" }, cardauth.NotActivated},
		"first answer wrong":        {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.WrongSW, At: 1}} }, cardauth.CardFault},
		"wrong tag":                 {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.WrongTag, At: 4}} }, cardauth.CardFault},
		"cut answer":                {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.Truncated}} }, cardauth.CardFault},
		"answer too long":           {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.Oversize, At: 2}} }, cardauth.CardFault},
		"61 for ever":               {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.Loop61, At: 2}} }, cardauth.CardFault},
		"6C for ever":               {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.Loop6C, At: 2}} }, cardauth.CardFault},
		"pulled at the first":       {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.PullBefore, At: 1}} }, cardauth.Removed},
		"reset in the middle":       {func(d *chipcard.Data) { d.Faults = []chipcard.Fault{{Kind: chipcard.ResetSelf, At: 9}} }, cardauth.Removed},
		"quasi-credit application":  {func(d *chipcard.Data) { d.Bank.AID = "A000000333010103" }, cardauth.OK},
		"electronic cash only":      {func(d *chipcard.Data) { d.Bank.AID = "A000000333010106" }, cardauth.NotActivated},
		"long PDOL":                 {func(d *chipcard.Data) { d.Bank.PDOL = "9F4E7F" }, cardauth.OK},
		"every CVM but online PIN":  {func(d *chipcard.Data) { d.Bank.CVMList = "000000000000000041031E001F00" }, cardauth.NotActivated},
		"online PIN under a limit":  {func(d *chipcard.Data) { d.Bank.CVMList = "000003E8000000000206" }, cardauth.OK},
		"online PIN over the limit": {func(d *chipcard.Data) { d.Bank.CVMList = "000003E8000000000207" }, cardauth.NotActivated},
	} {
		t.Run(name, func(t *testing.T) {
			data := chipcard.Example(2)
			v.change(&data)
			_, s, _ := open(t, data)
			card := s.Read(noon)
			if card.Problem != v.want {
				t.Fatalf("Read: problem %d (%v), want %d", card.Problem, s.Why(), v.want)
			}
			if v.want == cardauth.OK {
				return
			}
			if !s.PAN().IsZero() {
				t.Error("PAN of a card with a problem is given to the pad")
			}
			if _, _, err := s.Envelope(); err == nil {
				t.Error("Envelope of a card with a problem is sealed")
			}
			if _, problem := s.Authorise(cardauth.ForPayment, 1, noon, pin(t)); problem != cardauth.Removed {
				t.Errorf("Authorise with a problem: %d, want removed", problem)
			}
		})
	}
}

// TestAuthoriseFaults has one card for each way to misbehave in a transaction.
func TestAuthoriseFaults(t *testing.T) {
	for _, v := range []struct {
		kind chipcard.Kind
		want cardauth.Problem
	}{
		{chipcard.YesCard, cardauth.CardFault},
		{chipcard.DeclinesFirst, cardauth.AppBlocked},
		{chipcard.OtherRecords, cardauth.CardFault},
	} {
		_, s, _ := open(t, withFault(chipcard.Example(3), v.kind))
		if card := s.Read(noon); card.Problem != cardauth.OK {
			t.Fatalf("%s: Read: problem %d (%v)", v.kind, card.Problem, s.Why())
		}
		if _, problem := s.Authorise(cardauth.ForPayment, 1, noon, pin(t)); problem != v.want {
			t.Errorf("%s: Authorise: problem %d (%v), want %d", v.kind, problem, s.Why(), v.want)
		}
	}
	for _, kind := range []chipcard.Kind{chipcard.CounterBack, chipcard.Replays} {
		card, s, _ := open(t, chipcard.Example(4))
		if got := s.Read(noon); got.Problem != cardauth.OK {
			t.Fatalf("%s: Read: problem %d", kind, got.Problem)
		}
		if kind == chipcard.Replays {
			card.SetFaults(chipcard.Fault{Kind: kind})
		}
		if _, problem := s.Authorise(cardauth.ForPINProof, 0, noon, pin(t)); problem != cardauth.OK {
			t.Fatalf("%s: first Authorise: problem %d (%v)", kind, problem, s.Why())
		}
		card.SetFaults(chipcard.Fault{Kind: kind})
		if _, problem := s.Authorise(cardauth.ForPayment, 1, noon, pin(t)); problem != cardauth.CardFault {
			t.Errorf("%s: second Authorise: problem %d, want card fault", kind, problem)
		}
	}
}

func withFault(d chipcard.Data, kind chipcard.Kind) chipcard.Data {
	d.Faults = append(d.Faults, chipcard.Fault{Kind: kind})
	return d
}

// TestOutcomes walks the last words.
func TestOutcomes(t *testing.T) {
	damage := func(a cardauth.HostAnswer) cardauth.HostAnswer { a.Auth[0] ^= 1; return a }
	for _, v := range []struct {
		name    string
		kind    chipcard.Kind
		approve bool
		answer  func(cardauth.HostAnswer) cardauth.HostAnswer
		want    cardauth.Outcome
		tvr     string
	}{
		{name: "approved", approve: true, want: cardauth.OutcomeTC, tvr: "8000040800"},
		{name: "declined", want: cardauth.OutcomeAAC, tvr: "8000040800"},
		{name: "no answer", want: cardauth.OutcomeAAC, tvr: "8000040800",
			answer: func(cardauth.HostAnswer) cardauth.HostAnswer { return cardauth.HostAnswer{} }},
		{name: "card refuses", kind: chipcard.DeclinesSecond, approve: true, want: cardauth.OutcomeAAC, tvr: "8000040800"},
		{name: "second cryptogram refused", kind: chipcard.NoSecond, approve: true, want: cardauth.OutcomeAAC, tvr: "8000040800"},
		{name: "wrong proof", approve: true, answer: damage, want: cardauth.OutcomeARPCBad, tvr: "8000040840"},
		{name: "wrong proof believed", kind: chipcard.BelievesAll, approve: true, answer: damage, want: cardauth.OutcomeTC, tvr: "8000040800"},
		{name: "right proof not believed", kind: chipcard.BelievesNone, approve: true, want: cardauth.OutcomeARPCBad, tvr: "8000040840"},
		{name: "proof of wrong length", approve: true, want: cardauth.OutcomeARPCBad, tvr: "8000040840",
			answer: func(a cardauth.HostAnswer) cardauth.HostAnswer { a.Auth = a.Auth[:7]; return a }},
		{name: "no proof", approve: true, want: cardauth.OutcomeTC, tvr: "8000040800",
			answer: func(a cardauth.HostAnswer) cardauth.HostAnswer { a.Auth = nil; return a }},
	} {
		t.Run(v.name, func(t *testing.T) {
			data := chipcard.Example(5)
			if v.kind != "" {
				data = withFault(data, v.kind)
			}
			_, s, _ := open(t, data)
			if card := s.Read(noon); card.Problem != cardauth.OK {
				t.Fatalf("Read: problem %d", card.Problem)
			}
			proof, problem := s.Authorise(cardauth.ForPayment, 100, noon, pin(t))
			if problem != cardauth.OK {
				t.Fatalf("Authorise: problem %d", problem)
			}
			answer := host(t, data, proof, v.approve)
			if v.answer != nil {
				answer = v.answer(answer)
			}
			word := s.Complete(answer)
			if word.Outcome != v.want {
				t.Errorf("Complete: outcome %d, want %d", word.Outcome, v.want)
			}
			if got, err := tlv.Find(word.DE55, emv.TagTVR); err != nil || hex.EncodeToString(got) != v.tvr {
				t.Errorf("TVR = %x, %v; want %s", got, err, v.tvr)
			}
		})
	}
}

// TestScripts runs issuer scripts of both kinds and reads their results.
func TestScripts(t *testing.T) {
	command := func(b ...byte) []byte { return tlv.Append(nil, emv.TagScriptCommand, b) }
	script := func(kind tlv.Tag, id string, commands ...[]byte) []byte {
		return tlv.Append(nil, kind, append(tlv.Append(nil, emv.TagScriptID, []byte(id)), bytes.Join(commands, nil)...))
	}
	put := command(0x84, 0xDA, 0x9F, 0x14, 0x05, 1, 2, 3, 4, 5)
	bad := command(0x84, 0xEE, 0x00, 0x00, 0x00)
	for _, v := range []struct {
		name, results, tvr string
		scripts            []byte
	}{
		{"before", "20" + "49443031", "8000040800", script(emv.TagScriptBefore, "ID01", put, put)},
		{"after", "20" + "49443032", "8000040800", script(emv.TagScriptAfter, "ID02", put)},
		{"fails before", "12" + "49443031", "8000040820", script(emv.TagScriptBefore, "ID01", put, bad, put)},
		{"fails after", "11" + "49443031", "8000040810", script(emv.TagScriptAfter, "ID01", bad)},
		{"both kinds", "2049443031" + "1149443032", "8000040810",
			append(script(emv.TagScriptAfter, "ID02", bad), script(emv.TagScriptBefore, "ID01", put)...)},
		{"not a command", "11" + "49443031", "8000040820", script(emv.TagScriptBefore, "ID01", command(0x84))},
		{"torn", "1000000000" + "1000000000", "8000040830", []byte{0x71, 0x20, 0x00}},
	} {
		t.Run(v.name, func(t *testing.T) {
			data := chipcard.Example(5)
			_, s, _ := open(t, data)
			s.Read(noon)
			proof, problem := s.Authorise(cardauth.ForPayment, 100, noon, pin(t))
			if problem != cardauth.OK {
				t.Fatalf("Authorise: problem %d", problem)
			}
			answer := host(t, data, proof, true)
			answer.Scripts = v.scripts
			word := s.Complete(answer)
			if word.Outcome != cardauth.OutcomeTC {
				t.Errorf("outcome %d, want TC", word.Outcome)
			}
			if got, err := tlv.Find(word.DE55, emv.TagScriptResults); err != nil || hex.EncodeToString(got) != v.results {
				t.Errorf("DF31 = %x, %v; want %s", got, err, v.results)
			}
			if got, err := tlv.Find(word.DE55, emv.TagTVR); err != nil || hex.EncodeToString(got) != v.tvr {
				t.Errorf("TVR = %x, %v; want %s", got, err, v.tvr)
			}
		})
	}
}

// TestBlockedByScript blocks the application for good by an issuer script.
func TestBlockedByScript(t *testing.T) {
	data := chipcard.Example(5)
	card, s, _ := open(t, data)
	s.Read(noon)
	proof, problem := s.Authorise(cardauth.ForPayment, 100, noon, pin(t))
	if problem != cardauth.OK {
		t.Fatalf("Authorise: problem %d", problem)
	}
	answer := host(t, data, proof, false)
	answer.Scripts = tlv.Append(nil, emv.TagScriptAfter, tlv.Append(nil, emv.TagScriptCommand, []byte{0x84, 0x1E, 0, 0, 0}))
	s.Complete(answer)
	again, err := chipcard.New(data, card.State(), chipcard.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := cardauth.New(config(new(sealed)))
	if err != nil {
		t.Fatal(err)
	}
	next, err := all.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Read(noon); got.Problem != cardauth.AppBlocked {
		t.Errorf("Read after the block: problem %d, want blocked", got.Problem)
	}
}

// TestPulledEverywhere pulls the card at each command of a whole session, before
// and after the card worked on it. The session must say so at that step, and
// nothing may be possible afterwards.
func TestPulledEverywhere(t *testing.T) {
	data := chipcard.Example(11)
	total := 0
	run := func(faults ...chipcard.Fault) (words []string) {
		data.Faults = faults
		card, s, _ := open(t, data)
		defer func() { _, total = card.Commands() }()
		if got := s.Read(noon); got.Problem != cardauth.OK {
			return append(words, fmt.Sprintf("read %d", got.Problem))
		}
		for _, p := range []cardauth.Purpose{cardauth.ForPINProof, cardauth.ForPayment} {
			proof, problem := s.Authorise(p, 100, noon, pin(t))
			if problem != cardauth.OK {
				return append(words, fmt.Sprintf("authorise %d", problem))
			}
			word := s.Complete(host(t, data, proof, true))
			words = append(words, fmt.Sprintf("outcome %d", word.Outcome))
			if word.Outcome == cardauth.OutcomeRemoved {
				if len(word.DE55) == 0 {
					t.Errorf("%v: no DE 55 for the reversal of a card that was pulled", faults)
				}
				if _, problem := s.Authorise(p, 100, noon, pin(t)); problem != cardauth.Removed || !s.PAN().IsZero() {
					t.Errorf("%v: session lives on after the card was pulled", faults)
				}
				return words
			}
		}
		return words
	}
	if got, want := fmt.Sprint(run()), "[outcome 1 outcome 1]"; got != want {
		t.Fatalf("whole session = %s, want %s", got, want)
	}
	whole := total
	if whole < 60 {
		t.Fatalf("whole session took %d commands, want at least 60: is something skipped?", whole)
	}
	ends := map[string]bool{
		fmt.Sprintf("read %d", cardauth.Removed): true, fmt.Sprintf("authorise %d", cardauth.Removed): true,
		fmt.Sprintf("outcome %d", cardauth.OutcomeRemoved): true,
	}
	for n := 1; n <= whole; n++ {
		for _, kind := range []chipcard.Kind{chipcard.PullBefore, chipcard.PullAfter} {
			words := run(chipcard.Fault{Kind: kind, At: n})
			if last := words[len(words)-1]; !ends[last] {
				t.Errorf("%s at command %d ends with %q, want removed", kind, n, last)
			}
		}
		words := run(chipcard.Fault{Kind: chipcard.Mute, At: n})
		if last := words[len(words)-1]; last == "outcome 1" && len(words) == 2 {
			t.Errorf("mute at command %d: the card's last word is TC", n)
		}
	}
}

// TestDamagedAnswers damages single answers anywhere: whatever happens, nothing
// panics and no session ends with a cryptogram that the host would not accept.
func TestDamagedAnswers(t *testing.T) {
	for n := 1; n <= 80; n++ {
		for _, kind := range []chipcard.Kind{chipcard.WrongSW, chipcard.Truncated, chipcard.Oversize, chipcard.WrongTag, chipcard.Loop61, chipcard.Loop6C} {
			data := chipcard.Example(12)
			data.Faults = []chipcard.Fault{{Kind: kind, At: n}}
			_, s, _ := open(t, data)
			if got := s.Read(noon); got.Problem != cardauth.OK {
				continue
			}
			if proof, problem := s.Authorise(cardauth.ForPayment, 100, noon, pin(t)); problem == cardauth.OK {
				s.Complete(host(t, data, proof, true))
			}
		}
	}
}

// TestErrorsHoldNoCardData reads broken cards and looks for the card's data in
// every error that operators see.
func TestErrorsHoldNoCardData(t *testing.T) {
	for n := 1; n <= 60; n++ {
		for _, kind := range []chipcard.Kind{chipcard.Truncated, chipcard.WrongTag, chipcard.WrongSW} {
			data := chipcard.Example(13)
			data.Faults = []chipcard.Fault{{Kind: kind, At: n}}
			_, s, _ := open(t, data)
			s.Read(noon)
			text := fmt.Sprintf("%v %+v", s.Why(), s.Why())
			for _, canary := range []string{data.Bank.PAN, data.Social.IDNumber, data.Social.Name, data.Social.CardID, data.Social.CardNo} {
				if strings.Contains(text, canary) {
					t.Errorf("%s at %d: error holds card data", kind, n)
				}
			}
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, change := range map[string]func(*cardauth.Config){
		"no random":     func(c *cardauth.Config) { c.Random = nil },
		"no seal":       func(c *cardauth.Config) { c.Seal = nil },
		"no IIN":        func(c *cardauth.Config) { c.IINs = nil },
		"short IIN":     func(c *cardauth.Config) { c.IINs = map[string]string{"629": "rcb"} },
		"long IIN":      func(c *cardauth.Config) { c.IINs = map[string]string{"62990001234": "rcb"} },
		"IIN letters":   func(c *cardauth.Config) { c.IINs = map[string]string{"62990O01": "rcb"} },
		"IIN no bank":   func(c *cardauth.Config) { c.IINs = map[string]string{"62990001": ""} },
		"no area":       func(c *cardauth.Config) { c.Areas = nil },
		"odd area":      func(c *cardauth.Config) { c.Areas = []string{"33010"} },
		"serial":        func(c *cardauth.Config) { c.Terminal.Serial = "SB1" },
		"merchant":      func(c *cardauth.Config) { c.Terminal.Merchant = strings.Repeat("M", 21) },
		"offline":       func(c *cardauth.Config) { c.Terminal.OnlineTVR = 0 },
		"empty list":    func(c *cardauth.Config) { c.DE55 = map[string][]cardauth.Tag{"rcb": nil} },
		"list too long": func(c *cardauth.Config) { c.DE55 = map[string][]cardauth.Tag{"rcb": make([]cardauth.Tag, 41)} },
	} {
		cfg := config(new(sealed))
		change(&cfg)
		if _, err := cardauth.New(cfg); !errors.Is(err, cardauth.ErrConfig) {
			t.Errorf("New with %s: error %v, want ErrConfig", name, err)
		}
	}
}

// TestDE55List gives one bank a list of its own.
func TestDE55List(t *testing.T) {
	cfg := config(new(sealed))
	cfg.DE55 = map[string][]cardauth.Tag{"rcb": {emv.TagATC, emv.TagCryptogram, emv.TagSequence}}
	cfg.Sequence = func() uint32 { return 1_2345_6789 } // eight digits of it count
	all, err := cardauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	card, err := chipcard.New(chipcard.Example(1), chipcard.State{}, chipcard.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := all.Open(card)
	if err != nil {
		t.Fatal(err)
	}
	s.Read(noon)
	proof, problem := s.Authorise(cardauth.ForPayment, 1, noon, pin(t))
	if problem != cardauth.OK || !bytes.HasPrefix(proof.DE55, []byte{0x9F, 0x36, 2, 0, 2, 0x9F, 0x26, 8}) ||
		!bytes.HasSuffix(proof.DE55, []byte{0x9F, 0x41, 4, 0x23, 0x45, 0x67, 0x89}) {
		t.Errorf("DE 55 = %x, problem %d; want 9F36, 9F26 and 9F41", proof.DE55, problem)
	}
}

// TestAmountBounds holds the amounts that a payment may have.
func TestAmountBounds(t *testing.T) {
	_, s, _ := open(t, chipcard.Example(1))
	s.Read(noon)
	for amount, want := range map[si.Fen]cardauth.Problem{
		0: cardauth.Unreadable, -1: cardauth.Unreadable, 1: cardauth.OK, si.MaxFen: cardauth.OK, si.MaxFen + 1: cardauth.Unreadable,
	} {
		if _, got := s.Authorise(cardauth.ForPayment, amount, noon, pin(t)); got != want {
			t.Errorf("Authorise of %d fen: problem %d, want %d", amount, got, want)
		}
	}
}
