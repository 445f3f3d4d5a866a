package emv_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// noon is the 22nd in China and still the 21st in UTC−12.
var noon = time.Date(2026, 11, 22, 12, 34, 56, 0, si.China)

func params() emv.Params {
	return emv.Params{Amount: 1234, At: noon, Unpredictable: [4]byte{1, 2, 3, 4}, Sequence: 7}
}

func terminal() *emv.Terminal {
	t := emv.NewTerminal("SB000001")
	return &t
}

// paper is a card written down by hand: an answer for each command prefix, the
// longest prefix first. Nothing else is known to it.
type paper struct {
	t       *testing.T
	answers map[string]string // hex prefix of a command → hex answer
	sent    []string
}

func (p *paper) Transmit(command []byte) ([]byte, error) {
	c := hex.EncodeToString(command)
	p.sent = append(p.sent, c)
	best, answer := "", "6a82"
	for prefix, a := range p.answers {
		if strings.HasPrefix(c, prefix) && len(prefix) > len(best) {
			best, answer = prefix, a
		}
	}
	b, err := hex.DecodeString(answer)
	if err != nil {
		p.t.Fatalf("bad hex in test: %v", err)
	}
	return b, nil
}

// object is one data object in hexadecimal.
func object(tag tlv.Tag, value string) string {
	b, err := hex.DecodeString(value)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(tlv.Append(nil, tag, b))
}

const (
	debit   = "a000000333010101"
	credit  = "a000000333010102"
	cash    = "a000000333010106"
	selects = "00a4040008"
	account = "6299000100000014"
)

// records are the usual two records of the paper card.
func record1() string {
	return object(0x57, account+"d49122010000000000") + object(0x5F20, "202f")
}

func record2() string {
	return object(0x5A, account) + object(0x5F24, "491231") + object(0x5F25, "200101") + object(0x5F34, "01") +
		object(0x8C, "9f02069f3704") + object(0x8D, "8a029f3704") + object(0x8E, "0000000000000000"+"0203"+"1f00")
}

// paperCard is a card without a directory, of debit application, format 1.
func paperCard(t *testing.T) *paper {
	return &paper{t: t, answers: map[string]string{
		selects + debit: object(0x6F, object(0x84, debit)+object(0xA5, object(0x9F38, "9f1a029f7a01"))) + "9000",
		"80a8":          object(0x80, "7c00"+"08010200") + "9000",
		"00b2010c":      object(0x70, record1()) + "9000",
		"00b2020c":      object(0x70, record2()) + "9000",
		"80ae80":        object(0x80, "80"+"0012"+"1122334455667788"+"07010103a0000001") + "9000",
		"80ae40":        object(0x80, "40"+"0012"+"8877665544332211"+"0701010360000001") + "9000",
		"80ae00":        object(0x80, "00"+"0012"+"8877665544332211"+"0701010320000001") + "9000",
		"0082":          "9000",
	}}
}

// TestCommands holds the bytes that go to a card: the PDOL and CDOL of the card
// decide them.
func TestCommands(t *testing.T) {
	card := paperCard(t)
	x, err := emv.Begin(card, nil, terminal(), params())
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if err := x.Request(card); err != nil {
		t.Fatalf("Request: %v", err)
	}
	verdict, err := x.Finish(card, emv.Answer{Approved: true, Answered: true, ARC: "00", Auth: bytes.Repeat([]byte{0xAB}, 10)})
	if err != nil || verdict != emv.Accepted {
		t.Errorf("Finish = %d, %v; want accepted", verdict, err)
	}
	want := []string{
		"00a404000e315041592e5359532e444446303100", // no directory
		selects + debit + "00",
		"80a8000005" + "8303" + "0156" + "00" + "00",
		"00b2010c00", "00b2020c00",
		"80ae80000a" + "000000001234" + "01020304" + "00",
		"008200000a" + strings.Repeat("ab", 10),
		"80ae400006" + "3030" + "01020304" + "00",
	}
	if got := strings.Join(card.sent, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("commands:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if x.ATC() != 0x12 {
		t.Errorf("ATC = %d, want 18", x.ATC())
	}
}

// TestBegin has one paper card for each rule of reading and checking.
func TestBegin(t *testing.T) {
	for name, v := range map[string]struct {
		change func(a map[string]string)
		want   error
	}{
		"good": {func(a map[string]string) {}, nil},
		"format 2": {func(a map[string]string) {
			a["80a8"] = object(0x77, object(0x82, "7c00")+object(0x94, "08010200")) + "9000"
		}, nil},
		"no PDOL": {func(a map[string]string) {
			a[selects+debit] = object(0x6F, object(0x84, debit)+object(0xA5, object(0x50, "50"))) + "9000"
		}, nil},
		"name longer than asked": {func(a map[string]string) {
			a[selects+debit] = object(0x6F, object(0x84, debit+"01")+object(0xA5, object(0x50, "50"))) + "9000"
		}, nil},
		"other name": {func(a map[string]string) {
			a[selects+debit] = object(0x6F, object(0x84, credit)+object(0xA5, object(0x50, "50"))) + "9000"
		}, emv.ErrRecords},
		"bad PDOL": {func(a map[string]string) {
			a[selects+debit] = object(0x6F, object(0x84, debit)+object(0xA5, object(0x9F38, "9f1a"))) + "9000"
		}, emv.ErrRecords},
		"no application":           {func(a map[string]string) { a[selects+debit] = "6a82" }, emv.ErrNoApplication},
		"blocked":                  {func(a map[string]string) { a[selects+debit] = "6283" }, emv.ErrBlocked},
		"blocked card":             {func(a map[string]string) { a["00a4"] = "6a81"; a[selects+debit] = "6a81" }, emv.ErrBlocked},
		"conditions":               {func(a map[string]string) { a["80a8"] = "6985" }, emv.ErrNoApplication},
		"empty AFL":                {func(a map[string]string) { a["80a8"] = object(0x80, "7c00") + "9000" }, emv.ErrRecords},
		"odd AFL":                  {func(a map[string]string) { a["80a8"] = object(0x80, "7c00080102") + "9000" }, emv.ErrRecords},
		"AFL without AIP":          {func(a map[string]string) { a["80a8"] = object(0x77, object(0x94, "08010200")) + "9000" }, emv.ErrRecords},
		"AFL file 0":               {func(a map[string]string) { a["80a8"] = object(0x80, "7c00"+"00010200") + "9000" }, emv.ErrRecords},
		"AFL file 31":              {func(a map[string]string) { a["80a8"] = object(0x80, "7c00"+"f8010200") + "9000" }, emv.ErrRecords},
		"AFL low bits":             {func(a map[string]string) { a["80a8"] = object(0x80, "7c00"+"09010200") + "9000" }, emv.ErrRecords},
		"AFL record 0":             {func(a map[string]string) { a["80a8"] = object(0x80, "7c00"+"08000200") + "9000" }, emv.ErrRecords},
		"AFL backwards":            {func(a map[string]string) { a["80a8"] = object(0x80, "7c00"+"08020100") + "9000" }, emv.ErrRecords},
		"AFL more signed than has": {func(a map[string]string) { a["80a8"] = object(0x80, "7c00"+"08010203") + "9000" }, emv.ErrRecords},
		"garbage for options":      {func(a map[string]string) { a["80a8"] = "80" + "9000" }, emv.ErrRecords},
		"no template 70":           {func(a map[string]string) { a["00b2010c"] = record1() + "9000" }, emv.ErrRecords},
		"two templates": {func(a map[string]string) {
			a["00b2010c"] = object(0x70, record1()) + object(0x70, "") + "9000"
		}, emv.ErrRecords},
		"torn record":           {func(a map[string]string) { a["00b2010c"] = object(0x70, "5a08629900") + "9000" }, emv.ErrRecords},
		"object twice":          {func(a map[string]string) { a["00b2010c"] = object(0x70, record1()+object(0x5A, account)) + "9000" }, emv.ErrRecords},
		"terminal's object":     {func(a map[string]string) { a["00b2010c"] = object(0x70, record1()+object(0x9F02, "00")) + "9000" }, emv.ErrRecords},
		"no account":            {func(a map[string]string) { a["00b2020c"] = object(0x70, object(0x5F24, "491231")) + "9000" }, emv.ErrRecords},
		"Luhn digit":            {replace(account, "6299000100000015"), emv.ErrRecords},
		"track differs":         {replace(object(0x5A, account), object(0x5A, "6299000100000022")), emv.ErrRecords},
		"track expiry":          {replace("d4912", "d4911"), emv.ErrRecords},
		"track torn":            {replace(object(0x57, account+"d49122010000000000"), object(0x57, account)), emv.ErrRecords},
		"expiry no date":        {replace(object(0x5F24, "491231"), object(0x5F24, "491331")), emv.ErrRecords},
		"effective no date":     {replace(object(0x5F25, "200101"), object(0x5F25, "2001")), emv.ErrRecords},
		"sequence letters":      {replace(object(0x5F34, "01"), object(0x5F34, "0f")), emv.ErrRecords},
		"no sequence":           {replace(object(0x5F34, "01"), ""), nil},
		"not yet":               {replace(object(0x5F25, "200101"), object(0x5F25, "261123")), emv.ErrNotEffective},
		"from today":            {replace(object(0x5F25, "200101"), object(0x5F25, "261122")), nil},
		"no CVM list":           {replace(object(0x8E, "0000000000000000"+"0203"+"1f00"), ""), emv.ErrNoOnlinePIN},
		"odd CVM list":          {replace(object(0x8E, "0000000000000000"+"0203"+"1f00"), object(0x8E, "000000000000000002031f")), emv.ErrNoOnlinePIN},
		"only for cash":         {replace("0203"+"1f00", "0201"+"0204"), emv.ErrNoOnlinePIN},
		"always":                {replace("0203"+"1f00", "0200"+"1f00"), nil},
		"limit, other currency": {replace("0203"+"1f00", "0208"+"0207"), emv.ErrNoOnlinePIN},
		"no verification":       {func(a map[string]string) { a["80a8"] = object(0x80, "6c00"+"08010200") + "9000" }, emv.ErrNoOnlinePIN},
	} {
		t.Run(name, func(t *testing.T) {
			card := paperCard(t)
			v.change(card.answers)
			x, err := emv.Begin(card, nil, terminal(), params())
			if !errors.Is(err, v.want) {
				t.Fatalf("Begin: error %v, want %v", err, v.want)
			}
			if err == nil && x.Account().PAN.IsZero() {
				t.Error("Begin gives no account")
			}
		})
	}
}

// replace changes text in every record.
func replace(old, with string) func(map[string]string) {
	return func(a map[string]string) {
		for _, r := range []string{"00b2010c", "00b2020c"} {
			body := strings.ReplaceAll(inner(a[r]), old, with)
			a[r] = object(0x70, body) + "9000"
		}
	}
}

// inner is the value of template 70 of an answer.
func inner(answer string) string {
	b, err := hex.DecodeString(answer[:len(answer)-4])
	if err != nil {
		panic(err)
	}
	v, err := tlv.Find(b, 0x70)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(v)
}

// TestRecordBounds holds the number and size of records at the bound and one past it.
func TestRecordBounds(t *testing.T) {
	for _, v := range []struct {
		last byte
		want error
	}{{emv.MaxRecords, nil}, {emv.MaxRecords + 1, emv.ErrRecords}} {
		card := paperCard(t)
		card.answers["80a8"] = object(0x80, "7c000801"+hex.EncodeToString([]byte{v.last})+"00") + "9000"
		for n := 3; n <= int(v.last); n++ {
			card.answers["00b2"+hex.EncodeToString([]byte{byte(n)})+"0c"] = object(0x70, "") + "9000"
		}
		if _, err := emv.Begin(card, nil, terminal(), params()); !errors.Is(err, v.want) {
			t.Errorf("Begin with %d records: error %v, want %v", v.last, err, v.want)
		}
	}
}

// TestDirectory chooses by priority and never electronic cash.
func TestDirectory(t *testing.T) {
	entry := func(aid, priority string) string {
		return object(0x61, object(0x4F, aid)+object(0x87, priority))
	}
	for _, v := range []struct{ name, record, want string }{
		{"priority", entry(debit, "02") + entry(credit, "01"), credit},
		{"no priority comes last", entry(debit, "00") + entry(credit, "0f"), credit},
		{"order where equal", entry(credit, "01") + entry(debit, "01"), credit},
		{"cash is never taken", entry(cash, "01") + entry(debit, "02"), debit},
		{"only cash: the list", entry(cash, "01"), debit},
		{"foreign: the list", entry("a0000000031010", "01"), debit},
		{"garbage: the list", "ff", debit},
	} {
		card := paperCard(t)
		card.answers["00a404000e3150"] = object(0x6F, object(0x84, "3150")+object(0xA5, object(0x88, "01"))) + "9000"
		card.answers["00b201"+"0c"] = object(0x70, record1()) + "9000"
		card.answers[selects+credit] = strings.ReplaceAll(card.answers[selects+debit], debit, credit)
		card.answers[selects+cash] = strings.ReplaceAll(card.answers[selects+debit], debit, cash)
		dir := &directoryCard{paper: card, record: object(0x70, v.record) + "9000"}
		x, err := emv.Begin(dir, nil, terminal(), params())
		if err != nil {
			t.Errorf("%s: Begin: %v", v.name, err)
		} else if got := hex.EncodeToString(x.AID()); got != v.want {
			t.Errorf("%s: AID %s, want %s", v.name, got, v.want)
		}
	}
}

// directoryCard answers record 1 of file 1 from its directory until an
// application is selected.
type directoryCard struct {
	*paper
	record   string
	selected bool
}

func (d *directoryCard) Transmit(command []byte) ([]byte, error) {
	c := hex.EncodeToString(command)
	if strings.HasPrefix(c, selects) {
		d.selected = true
	}
	if strings.HasPrefix(c, "00b2") && !d.selected {
		if !strings.HasPrefix(c, "00b2010c") {
			return []byte{0x6A, 0x83}, nil
		}
		return hex.DecodeString(d.record)
	}
	return d.paper.Transmit(command)
}

// TestRequest has one paper card for each first cryptogram.
func TestRequest(t *testing.T) {
	const iad = "07010103a0000001"
	for name, v := range map[string]struct {
		answer string
		want   error
	}{
		"ARQC":             {object(0x80, "80"+"0012"+"1122334455667788"+iad) + "9000", nil},
		"ARQC, no IAD":     {object(0x80, "80"+"0012"+"1122334455667788") + "9000", nil},
		"format 2":         {object(0x77, object(0x9F27, "80")+object(0x9F36, "0012")+object(0x9F26, "1122334455667788")+object(0x9F10, iad)) + "9000", nil},
		"TC":               {object(0x80, "40"+"0012"+"1122334455667788"+iad) + "9000", emv.ErrYesCard},
		"AAC":              {object(0x80, "00"+"0012"+"1122334455667788"+iad) + "9000", emv.ErrCardDeclined},
		"reserved":         {object(0x80, "c0"+"0012"+"1122334455667788"+iad) + "9000", emv.ErrRecords},
		"short":            {object(0x80, "80"+"0012"+"11223344556677") + "9000", emv.ErrRecords},
		"long":             {object(0x80, "80"+"0012"+"1122334455667788"+strings.Repeat("00", 33)) + "9000", emv.ErrRecords},
		"longest":          {object(0x80, "80"+"0012"+"1122334455667788"+strings.Repeat("00", 32)) + "9000", nil},
		"format 2, no ATC": {object(0x77, object(0x9F27, "80")+object(0x9F26, "1122334455667788")+object(0x9F10, iad)) + "9000", emv.ErrRecords},
		"other template":   {object(0x70, "80"+"0012"+"1122334455667788") + "9000", emv.ErrRecords},
		"nothing":          {"9000", emv.ErrRecords},
	} {
		card := paperCard(t)
		card.answers["80ae80"] = v.answer
		x, err := emv.Begin(card, nil, terminal(), params())
		if err != nil {
			t.Fatalf("Begin: %v", err)
		}
		if err := x.Request(card); !errors.Is(err, v.want) {
			t.Errorf("Request with %s: error %v, want %v", name, err, v.want)
		}
		if err := x.Request(card); !errors.Is(err, emv.ErrOrder) {
			t.Errorf("second Request with %s: error %v, want ErrOrder", name, err)
		}
		if _, err := x.Finish(card, emv.Answer{}); v.want != nil && !errors.Is(err, emv.ErrOrder) {
			t.Errorf("Finish after a failed request with %s: error %v, want ErrOrder", name, err)
		}
	}
}

// TestNoAnswer asks for an AAC with the terminal's own code.
func TestNoAnswer(t *testing.T) {
	card := paperCard(t)
	x, err := emv.Begin(card, nil, terminal(), params())
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if err := x.Request(card); err != nil {
		t.Fatalf("Request: %v", err)
	}
	verdict, err := x.Finish(card, emv.Answer{Approved: true, Auth: bytes.Repeat([]byte{1}, 10)})
	if err != nil || verdict != emv.Declined {
		t.Errorf("Finish = %d, %v; want declined", verdict, err)
	}
	if got, want := card.sent[len(card.sent)-1], "80ae000006"+hex.EncodeToString([]byte("Z3"))+"01020304"+"00"; got != want {
		t.Errorf("last command %s, want %s", got, want)
	}
	if strings.HasPrefix(card.sent[len(card.sent)-2], "0082") {
		t.Error("an issuer's proof is shown although nothing was answered")
	}
}

// TestMidnight takes the date of the transaction in China.
func TestMidnight(t *testing.T) {
	p := params()
	p.At = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC) // the 23rd has begun in China
	card := paperCard(t)
	replace(object(0x8C, "9f02069f3704"), object(0x8C, "9a039f21039f4104"))(card.answers)
	x, err := emv.Begin(card, nil, terminal(), p)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if err := x.Request(card); err != nil {
		t.Fatalf("Request: %v", err)
	}
	if got, want := card.sent[len(card.sent)-1], "80ae80000a"+"261123"+"000000"+"00000007"+"00"; got != want {
		t.Errorf("GENERATE AC %s, want %s", got, want)
	}
}

// recorder keeps the answers of a card as a tape.
type recorder struct {
	card *chipcard.Card
	tape []byte
}

func (r *recorder) Transmit(command []byte) ([]byte, error) {
	answer, err := r.card.Transmit(command)
	r.tape = append(append(r.tape, byte(len(answer))), answer...)
	return answer, err
}

// tape is a card that answers length, bytes, length, bytes …
type tape []byte

func (c *tape) Transmit([]byte) ([]byte, error) {
	if len(*c) == 0 {
		return nil, apdu.ErrRemoved
	}
	n := min(int((*c)[0]), len(*c)-1)
	r := (*c)[1 : 1+n]
	*c = (*c)[1+n:]
	return append([]byte(nil), r...), nil
}

// run is a whole transaction.
func run(card apdu.Transmitter) error {
	x, err := emv.Begin(card, nil, terminal(), params())
	if err != nil {
		return err
	}
	if err := x.Request(card); err != nil {
		return err
	}
	if _, err := x.DE55(emv.RequestTags); err != nil {
		return err
	}
	_, err = x.Finish(card, emv.Answer{Approved: true, Answered: true, ARC: "00", Auth: make([]byte, 10)})
	return err
}

// FuzzTransaction feeds a whole transaction with whatever a card could answer:
// FCI, directory, AFL, records, lists, cryptograms. Seeds are the answers of
// simulated cards. Nothing may panic or go on for ever.
func FuzzTransaction(f *testing.F) {
	plain := chipcard.Example(1)
	bare := chipcard.Example(2)
	bare.Bank.NoDirectory, bare.Bank.PDOL = true, "-"
	sm4 := chipcard.Example(3)
	sm4.Bank.Cipher, sm4.Bank.PAN = "SM4", chipcard.Account("62990002", 19, 3)
	for _, data := range []chipcard.Data{plain, bare, sm4} {
		card, err := chipcard.New(data, chipcard.State{}, chipcard.Hooks{})
		if err != nil {
			f.Fatal(err)
		}
		r := &recorder{card: card}
		if err := run(r); err != nil {
			f.Fatalf("seed: %v", err)
		}
		f.Add(r.tape)
	}
	f.Add([]byte{2, 0x6A, 0x82, 2, 0x61, 0x00, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		card := tape(b)
		if err := run(&card); err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}

// FuzzScripts feeds the issuer's scripts, which come over the wire.
func FuzzScripts(f *testing.F) {
	for _, seed := range []string{"71099f180401020304860584da000000", "720b860984da9f1405", "7100", "86", ""} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			b = []byte(seed)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, scripts []byte) {
		card := paperCard(t)
		x, err := emv.Begin(card, nil, terminal(), params())
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Request(card); err != nil {
			t.Fatal(err)
		}
		if verdict, err := x.Finish(card, emv.Answer{Approved: true, Answered: true, Scripts: scripts}); err != nil || verdict != emv.Accepted {
			t.Fatalf("Finish = %d, %v: scripts do not decide the verdict", verdict, err)
		}
		out, err := x.DE55(emv.ReversalTags)
		if err != nil || len(out) > emv.MaxDE55 {
			t.Fatalf("DE55 = %d bytes, %v", len(out), err)
		}
	})
}
