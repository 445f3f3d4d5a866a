package ledgerapi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

var testID = si.PaymentID{0x01, 0x9a, 0xb2, 0xc3, 0xd4, 0xe5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// samples is one command of each type with every field set.
func samples() []Command {
	all := firstSamples()
	for _, make := range bodies {
		if make != nil {
			do := make()
			n := uint64(0)
			fill(reflect.ValueOf(do).Elem(), &n)
			all = append(all, Act{ID: testID, Do: do})
		}
	}
	return all
}

// fill sets every field to another value.
func fill(v reflect.Value, n *uint64) {
	*n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(strings.Repeat("s", int(*n%10+1)))
	case reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	default:
		v.SetUint(*n % 250)
	}
}

func firstSamples() []Command {
	dues := []DueRef{{ID: 1, Version: 2, Amount: 3, LateFee: 4}, {ID: 5, Version: 6, Amount: 7, LateFee: 8}}
	return []Command{
		Reserve{ID: testID, Channel: si.ChannelTerminal, Terminal: 9, Acq: [8]byte{'A'}, Batch: 10, Bank: 3, CardKind: 1,
			Dues: dues, Total: 22, OurDate: 9822, Memo: []byte("memo")},
		Annotate{ID: testID, Stage: StageReversing, Reason: [2]byte{'9', '8'}, Memo: []byte("memo")},
		Post{ID: testID, Evidence: Evidence{Source: SourceWire, Resp: [2]byte{'0', '0'}, Auth: [6]byte{'1'}, HostSerial: "H", BankRRN: [12]byte{'R'},
			BankDate: 9822, MACOK: true, KeyGen: 4}, Maker: 1, Checker: 2},
		Void{ID: testID, Proof: ProofReversalAck, Resp: [2]byte{'1', '2'}, Maker: 1, Checker: 2},
		Pay{ID: testID, Channel: si.ChannelCounter, Bank: 3, Notice: 330110260000000001, Dues: dues, Total: 22, HostSerial: "123456789012",
			BankDate: 9822, OurDate: 9823, STAN: 77, DE7: [10]byte{'1'}},
		Reverse{ID: testID, Bank: 3, BankDate: 9822, Reason: [2]byte{'0', '6'}},
		Unpost{ID: testID, Reason: UnpostARPC},
		Assess{ID: testID, Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2026), Kind: DueYear, DueDay: 9900, Version: 1, Later: true,
			Items: []AssessItem{{Person: 1, Base: 2}, {Person: 3, Base: 4}}},
		Notice{ID: testID, Person: 1, Date: 9822, ValidUntil: 9830, Dues: []si.DueID{1, 2}},
		PutPerson{ID: testID, ExpectVersion: 1, IDHash: si.Hash{1}, PType: si.Flex, Household: 330199, Birth: 588, Sex: 2, Flags: FlagProxyAllowed, Sealed: []byte("sealed")},
		PutCard{ID: testID, IDHash: si.Hash{1}, CardHash: si.Hash{2}, NoHash: si.Hash{3}, PANHash: si.Hash{4}, Bank: 3, State: CardActive, Source: CardImport, Since: 9000},
		Cutover{ID: testID, Bank: 3, From: 9822, To: 9823},
		SealDay{ID: testID, Date: 9821},
		PutConfig{ID: testID, Kind: ConfigRates, Name: "330110", From: 9822, Body: []byte("body"), Maker: 1, Checker: 2},
		PutTerminal{ID: testID, Terminal: 9, Bank: 3, Outlet: "outlet", State: TerminalInService, CertHash: [32]byte{5}},
	}
}

// TestRecordBytes lays records out by hand, so that the codec is not checked
// against itself.
func TestRecordBytes(t *testing.T) {
	head := func(kind string) string {
		return kind + "01" + "0000" + "0807060504030000" + "2a000000" + "019ab2c3d4e5060708090a0b0c0d0e0f"
	}
	for _, tc := range []struct {
		c    Command
		want string
	}{
		{Unpost{ID: testID, Reason: UnpostARPC}, head("07") + "01000000" + "03"},
		{Void{ID: testID, Proof: ProofDeclined, Resp: [2]byte{'5', '1'}, Maker: 1, Checker: 2}, head("04") + "0b000000" +
			"02" + "3531" + "01000000" + "02000000"},
		{Reserve{ID: testID, Channel: 1, Terminal: 0x01020304, Acq: [8]byte([]byte("12345678")), Batch: 5, Bank: 3, CardKind: 2,
			Dues: []DueRef{{ID: 0x11, Version: 1, Amount: 51000, LateFee: 7}}, Total: 51007, OurDate: 0x265e, Memo: []byte{0xaa}}, head("01") + "40000000" +
			"01" + "04030201" + "03" + "02" + "3fc7000000000000" + "01000000" +
			"1100000000000000" + "0100" + "38c7000000000000" + "0700000000000000" +
			"5e26" + "3132333435363738" + "05000000" + "01000000" + "aa"},
		{Pay{ID: testID, Channel: 2, Bank: 3, Notice: 1, Total: 51000, HostSerial: "AB", BankDate: 1, OurDate: 2, STAN: 77, DE7: [10]byte([]byte("1122090000"))},
			head("05") + "2c000000" + "02" + "03" + "0100000000000000" + "38c7000000000000" + "0100" + "4d000000" + "31313232303930303030" +
				"00000000" + "0200" + "4142" + "0200"},
	} {
		got := AppendRecord([]byte("x"), Header{AtMillis: 0x030405060708, Actor: 42}, tc.c)
		if hex.EncodeToString(got) != "78"+tc.want {
			t.Errorf("AppendRecord(%T) =\n%x, want\n78%s", tc.c, got, tc.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range samples() {
		rec := AppendRecord(nil, Header{AtMillis: 77, Actor: 5}, c)
		h, got, n, err := DecodeRecord(append(rec, 0xee))
		if err != nil || n != len(rec) {
			t.Errorf("DecodeRecord(%T) = %d, %v, want %d", c, n, err, len(rec))
			continue
		}
		if h.Type != c.Type() || h.ID != testID || h.AtMillis != 77 || h.Actor != 5 || h.Version != c.Type().Version() || !reflect.DeepEqual(got, c) {
			t.Errorf("DecodeRecord(%T) = %+v %+v, want %+v", c, h, got, c)
		}
		SetAtMillis(rec, 99)
		if h, _, _, _ := SplitRecord(rec); h.AtMillis != 99 {
			t.Errorf("SetAtMillis: header says %d, want 99", h.AtMillis)
		}
	}
}

// TestSeveralRecords splits a batch.
func TestSeveralRecords(t *testing.T) {
	var batch []byte
	all := samples()
	for _, c := range all {
		batch = AppendRecord(batch, Header{}, c)
	}
	for i := 0; len(batch) > 0; i++ {
		h, _, n, err := SplitRecord(batch)
		if err != nil || h.Type != all[i].Type() {
			t.Fatalf("record %d: type %d, %v, want %d", i, h.Type, err, all[i].Type())
		}
		batch = batch[n:]
	}
}

// TestCutShort holds that no proper prefix of a record and no body with a byte
// more or less is taken.
func TestCutShort(t *testing.T) {
	for _, c := range samples() {
		rec := AppendRecord(nil, Header{}, c)
		for i := range rec {
			if _, _, _, err := DecodeRecord(rec[:i]); !errors.Is(err, ErrRecord) {
				t.Errorf("%T cut to %d of %d bytes: %v, want ErrRecord", c, i, len(rec), err)
			}
		}
		body := c.AppendBody(nil)
		for _, b := range [][]byte{append(bytes.Clone(body), 0), body[:len(body)-1]} {
			if _, err := decodeBody(Header{Type: c.Type(), Version: c.Type().Version()}, b); !errors.Is(err, ErrBody) {
				t.Errorf("%T with %d bytes instead of %d: %v, want ErrBody", c, len(b), len(body), err)
			}
		}
	}
}

func TestHeaderRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   int
		to   byte
	}{
		{"type 0", 0, 0}, {"unknown type", 0, 99}, {"version 0", 1, 0}, {"next version", 1, 2}, {"flags", 2, 1}, {"year 10889", 10, 1},
	} {
		rec := AppendRecord(nil, Header{}, samples()[0])
		rec[tc.at] = tc.to
		if _, _, _, err := SplitRecord(rec); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: SplitRecord = %v, want ErrRecord", tc.name, err)
		}
	}
}

// TestBounds takes each bounded field at its bound and one past it.
func TestBounds(t *testing.T) {
	blob := func(n int) []byte { return make([]byte, n) }
	text := func(n int) string { return strings.Repeat("x", n) }
	for _, tc := range []struct {
		name  string
		bound int
		make  func(n int) Command
	}{
		{"Reserve dues", MaxDues, func(n int) Command { return Reserve{Dues: make([]DueRef, n)} }},
		{"Reserve memo", MaxMemo, func(n int) Command { return Reserve{Memo: blob(n)} }},
		{"Annotate memo", MaxMemo, func(n int) Command { return Annotate{Memo: blob(n)} }},
		{"Post serial", MaxSerial, func(n int) Command { return Post{Evidence: Evidence{HostSerial: text(n)}} }},
		{"Pay dues", MaxDues, func(n int) Command { return Pay{Dues: make([]DueRef, n)} }},
		{"Pay serial", MaxSerial, func(n int) Command { return Pay{HostSerial: text(n)} }},
		{"Assess items", MaxAssess, func(n int) Command { return Assess{Items: make([]AssessItem, n)} }},
		{"Notice dues", MaxDues, func(n int) Command { return Notice{Dues: make([]si.DueID, n)} }},
		{"PutPerson sealed", MaxSealed, func(n int) Command { return PutPerson{Sealed: blob(n)} }},
		{"PutConfig name", MaxName, func(n int) Command { return PutConfig{Name: text(n)} }},
		{"PutConfig body", MaxConfig, func(n int) Command { return PutConfig{Body: blob(n)} }},
		{"PutTerminal outlet", MaxOutlet, func(n int) Command { return PutTerminal{Outlet: text(n)} }},
		{"note", MaxNote, func(n int) Command { return Act{Do: &Approve{Note: text(n)}} }},
		{"office", MaxOffice, func(n int) Command { return Act{Do: &CaseOpen{Office: text(n)}} }},
		{"login", MaxLogin, func(n int) Command { return Act{Do: &PutUser{Login: text(n)}} }},
		{"credential", MaxCredential, func(n int) Command { return Act{Do: &PutUser{Credential: blob(n)}} }},
		{"agreement", MaxAgreement, func(n int) Command { return Act{Do: &MandateMove{Agreement: text(n)}} }},
		{"run line dues", MaxDues, func(n int) Command { return Act{Do: &RunLine{Dues: make([]DueRef, n)}} }},
		{"signature", MaxSignature, func(n int) Command { return Act{Do: &DaySignature{Signature: blob(n)}} }},
		{"file name", MaxFileName, func(n int) Command { return Act{Do: &FileRegister{Name: text(n)}} }},
		{"break fields", MaxFields, func(n int) Command { return Act{Do: &BreakOpen{Reasons: make([]FieldReason, n)}} }},
		{"break field", MaxField, func(n int) Command { return Act{Do: &BreakOpen{Reasons: []FieldReason{{Bank: text(n)}}}} }},
		{"command in a resolution", MaxNested, func(n int) Command { return Act{Do: &BreakResolve{Body: blob(n)}} }},
		{"statement reference", MaxStatementRef, func(n int) Command { return Act{Do: &Sweep{StatementLine: StatementLine{Ref: text(n)}}} }},
		{"funds", MaxFunds, func(n int) Command { return Act{Do: &Sweep{Funds: make([]FundAmount, n)}} }},
	} {
		if _, _, _, err := DecodeRecord(AppendRecord(nil, Header{}, tc.make(tc.bound))); err != nil {
			t.Errorf("%s at %d: %v", tc.name, tc.bound, err)
		}
		_, _, _, err := DecodeRecord(AppendRecord(nil, Header{}, tc.make(tc.bound+1)))
		if !errors.Is(err, ErrBody) {
			t.Errorf("%s at %d: %v, want ErrBody", tc.name, tc.bound+1, err)
		}
	}
	if rec := AppendRecord(nil, Header{}, PutConfig{Name: text(MaxName), Body: blob(MaxConfig)}); len(rec) > MaxRecord {
		t.Errorf("the largest record has %d bytes, more than MaxRecord %d", len(rec), MaxRecord)
	}
	long := AppendRecord(nil, Header{}, PutConfig{Body: blob(MaxRecord)})
	if _, _, _, err := SplitRecord(long); !errors.Is(err, ErrRecord) {
		t.Errorf("a record of %d bytes: %v, want ErrRecord", len(long), err)
	}
	if _, _, _, err := DecodeRecord(AppendRecord(nil, Header{}, Post{Evidence: Evidence{HostSerial: text(70_000)}})); !errors.Is(err, ErrBody) {
		t.Errorf("a serial of 70,000 bytes: %v, want ErrBody", err)
	}
}

// TestFingerprint holds what belongs to a request and what does not.
func TestFingerprint(t *testing.T) {
	of := func(c Command) [16]byte {
		fp, _ := Fingerprint(c.Type(), c.AppendBody(nil), nil)
		return fp
	}
	base := samples()[0].(Reserve)
	same := base
	same.Memo, same.Acq, same.Batch, same.OurDate, same.ID = []byte("sealed anew"), [8]byte{'B'}, 11, 9999, si.PaymentID{1}
	if of(same) != of(base) {
		t.Error("a Reserve over another link, with another memo and date, is another request")
	}
	for name, change := range map[string]func(*Reserve){
		"total": func(c *Reserve) { c.Total++ }, "bank": func(c *Reserve) { c.Bank++ }, "terminal": func(c *Reserve) { c.Terminal++ },
		"channel": func(c *Reserve) { c.Channel++ }, "card": func(c *Reserve) { c.CardKind++ },
		"due":  func(c *Reserve) { c.Dues = []DueRef{c.Dues[0]} },
		"late": func(c *Reserve) { c.Dues = []DueRef{c.Dues[0], {ID: 5, Version: 6, Amount: 7, LateFee: 9}} },
	} {
		other := base
		if change(&other); of(other) == of(base) {
			t.Errorf("a Reserve with another %s is the same request", name)
		}
	}
	pay := samples()[4].(Pay)
	later := pay
	if later.OurDate++; of(later) != of(pay) {
		t.Error("a Pay repeated after the cutover is another request")
	}
	if later.HostSerial = "X"; of(later) == of(pay) {
		t.Error("a Pay with another serial is the same request")
	}
	if a, b := of(Annotate{}), of(Unpost{}); a == b {
		t.Error("the type is not in the fingerprint")
	}
	for _, c := range samples() { // a body that does not decode has a fingerprint too
		for i := range c.AppendBody(nil) {
			Fingerprint(c.Type(), c.AppendBody(nil)[:i], nil)
		}
	}
}

func TestResultBytes(t *testing.T) {
	x := Result{Code: Exists, First: OK, State: PayPosted, STAN: 1, RRN: [12]byte{'R'}, DE7: [10]byte{'D'},
		Receipt: si.ReceiptNo{Area: 330110, Date: 9822, Seq: 3}, Journal: 4, OurDate: 5, Bank: 6, Unknown: true,
		HeldBy: testID, Due: 7, Now: DueRef{8, 9, 10, 11}, Notice: 12, Total: 13, Person: 14, Count: 15, Version: 16}
	b := AppendResult(nil, &x)
	if len(b) != ResultSize {
		t.Errorf("a result has %d bytes, want ResultSize %d", len(b), ResultSize)
	}
	back, err := DecodeResult(b)
	if err != nil || back != x {
		t.Errorf("DecodeResult = %+v, %v, want %+v", back, err, x)
	}
	for _, bad := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0)} {
		if _, err := DecodeResult(bad); !errors.Is(err, ErrBody) {
			t.Errorf("DecodeResult of %d bytes = %v, want ErrBody", len(bad), err)
		}
	}
	for _, flags := range []byte{2, 3, 4} { // an extension that is not there, an unknown bit
		b[3] = flags
		if _, err := DecodeResult(b); !errors.Is(err, ErrBody) {
			t.Errorf("DecodeResult with flags %d = %v, want ErrBody", flags, err)
		}
		if _, err := DecodeResult(append(bytes.Clone(b), make([]byte, ExtensionSize)...)); !errors.Is(err, ErrBody) {
			t.Errorf("DecodeResult with flags %d and an empty extension = %v, want ErrBody", flags, err)
		}
	}
	x.No, x.Reasons = 17, 18
	b = AppendResult(nil, &x)
	if back, err := DecodeResult(b); err != nil || back != x || len(b) != ResultSize+ExtensionSize {
		t.Errorf("DecodeResult of %d bytes = %+v, %v, want %+v", len(b), back, err, x)
	}
	if got := hex.EncodeToString(AppendResult(nil, &Result{Code: OK})); got != "01"+strings.Repeat("00", ResultSize-1) {
		t.Errorf("a plain OK is %s", got)
	}
	want := 0
	v := reflect.TypeFor[Result]()
	for i := range v.NumField() {
		want += int(encodedSize(v.Field(i).Type))
	}
	if want != ResultSize+ExtensionSize {
		t.Errorf("the fields of Result take %d bytes, ResultSize and ExtensionSize are %d: a field is not encoded", want, ResultSize+ExtensionSize)
	}
}

func encodedSize(t reflect.Type) (n uintptr) {
	if t.Kind() != reflect.Struct {
		return t.Size()
	}
	for i := range t.NumField() {
		n += encodedSize(t.Field(i).Type)
	}
	return n
}

func TestNames(t *testing.T) {
	for c := OK; c < codeEnd; c++ {
		if s := c.String(); s == "" || s == "Code(?)" || strings.ToUpper(s) != s {
			t.Errorf("code %d is called %q", c, s)
		}
	}
	if len(codeNames) != int(codeEnd) {
		t.Errorf("%d names for %d codes", len(codeNames), codeEnd)
	}
	for _, tc := range []struct{ got, want string }{
		{Code(0).String(), "Code(?)"}, {codeEnd.String(), "Code(?)"}, {NotSameDay.String(), "NOT_SAME_DAY"}, {Malformed.String(), "MALFORMED"},
		{PayTombstone.String(), "TOMBSTONE"}, {PayState(9).String(), "PayState(?)"},
		{DueReplaced.String(), "REPLACED"}, {DueState(0).String(), "DueState(?)"}, {DueState(11).String(), "DueState(?)"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

// TestDecodeAllocates holds that the hot commands decode without allocating.
func TestDecodeAllocates(t *testing.T) {
	all := samples()
	reserve, post, pay := all[0].AppendBody(nil), all[2].AppendBody(nil), all[4].AppendBody(nil)
	rec := AppendRecord(nil, Header{}, all[0])
	r, p := Reserve{Dues: make([]DueRef, 0, MaxDues)}, Pay{Dues: make([]DueRef, 0, MaxDues)}
	var post1 Post
	var scratch []byte
	got := testing.AllocsPerRun(1000, func() {
		_, _, _, _ = SplitRecord(rec)
		_ = r.DecodeBody(testID, reserve)
		_, _ = p.DecodeBody(testID, pay)
		_, _ = post1.DecodeBody(testID, post)
		_, scratch = Fingerprint(TypeReserve, reserve, scratch)
	})
	if got != 0 {
		t.Errorf("decoding allocates %v times, want 0", got)
	}
}

// FuzzDecodeRecord feeds what a damaged log could hold. Whatever is taken must
// be the one encoding of its command.
func FuzzDecodeRecord(f *testing.F) {
	for _, c := range samples() {
		f.Add(AppendRecord(nil, Header{AtMillis: 1 << 40, Actor: 9}, c))
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, c, n, err := DecodeRecord(b)
		if err != nil {
			return
		}
		if again := AppendRecord(nil, h, c); !bytes.Equal(again, b[:n]) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b[:n], c, again)
		}
	})
}

// FuzzDecodeAct feeds bodies of acts of every type. What is taken is the one
// encoding of its act.
func FuzzDecodeAct(f *testing.F) {
	for _, c := range samples() {
		f.Add(uint8(c.Type()), c.AppendBody(nil))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		do, err := DecodeAct(Type(kind), body)
		if err != nil {
			return
		}
		if again := (Act{Do: do}).AppendBody(nil); !bytes.Equal(again, body) {
			t.Errorf("%x decodes to %+v, which encodes to %x", body, do, again)
		}
	})
}

// FuzzDecodeResult holds the same for results.
func FuzzDecodeResult(f *testing.F) {
	f.Add(AppendResult(nil, &Result{Code: OK}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := DecodeResult(b); err == nil && !bytes.Equal(AppendResult(nil, &x), b) {
			t.Errorf("%x decodes to %+v, which encodes otherwise", b, x)
		}
	})
}
