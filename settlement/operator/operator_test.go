package operator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/settlement/operator/sheet"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a ledger of maps: enough to see what the door asks of the real one.
type node struct {
	mu       sync.Mutex
	ids      map[si.PaymentID]ledgerapi.Command
	persons  map[si.Hash]ledgerapi.Person
	assessed int
	fail     error
}

func (n *node) Submit(c ledgerapi.Command, _ si.Actor, done func(ledgerapi.Result, error)) {
	go func() { done(n.Do(context.Background(), c)) }()
}

func (n *node) Do(_ context.Context, c ledgerapi.Command) (ledgerapi.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return ledgerapi.Result{}, n.fail
	}
	if first, ok := n.ids[c.Key()]; ok {
		if c, ok := first.(ledgerapi.Notice); ok && c.Person%7 != 0 {
			return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, Notice: si.NewNoticeNo(330110, 2026, uint64(c.Person)), Total: si.Fen(c.Person) * 100}, nil
		}
		return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK}, nil
	}
	n.ids[c.Key()] = c
	switch c := c.(type) {
	case ledgerapi.PutPerson:
		p := ledgerapi.Person{No: si.PersonNo(len(n.persons) + 1), IDHash: c.IDHash}
		if old, ok := n.persons[c.IDHash]; ok {
			p = old
		}
		if p.Version != c.ExpectVersion {
			return ledgerapi.Result{Code: ledgerapi.BadTransition, Person: p.No, Version: uint32(p.Version)}, nil
		}
		p.Version++
		p.PType, p.Household, p.Birth, p.Sex, p.Flags, p.Sealed = c.PType, c.Household, c.Birth, c.Sex, c.Flags, c.Sealed
		n.persons[c.IDHash] = p
	case ledgerapi.PutCard:
		if _, ok := n.persons[c.IDHash]; !ok {
			return ledgerapi.Result{Code: ledgerapi.NotFound}, nil
		}
	case ledgerapi.Assess:
		n.assessed += len(c.Items)
	case ledgerapi.Notice:
		if c.Person%7 == 0 { // owes nothing
			return ledgerapi.Result{Code: ledgerapi.NotFound}, nil
		}
		return ledgerapi.Result{Code: ledgerapi.OK, Notice: si.NewNoticeNo(330110, 2026, uint64(c.Person)), Total: si.Fen(c.Person) * 100}, nil
	case ledgerapi.PutConfig:
		if c.Maker == c.Checker {
			return ledgerapi.Result{Code: ledgerapi.SamePerson}, nil
		}
	}
	return ledgerapi.Result{Code: ledgerapi.OK, Version: 1}, nil
}

func (n *node) Person(h si.Hash) (ledgerapi.Person, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.persons[h]
	return p, ok
}
func (n *node) PersonByNo(no si.PersonNo) (ledgerapi.Person, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.persons {
		if p.No == no {
			return p, true
		}
	}
	return ledgerapi.Person{}, false
}
func (n *node) DuesOf(p si.PersonNo, _ si.BusinessDate) []ledgerapi.Due {
	return []ledgerapi.Due{{Ref: ledgerapi.DueRef{ID: si.DueID(p), Amount: 100}, Fund: si.MedRes, Period: si.YearPeriod(2026), State: ledgerapi.DueOpen}}
}
func (n *node) NoticeByNo(no si.NoticeNo, _ si.BusinessDate) (ledgerapi.NoticeView, bool) {
	v := ledgerapi.NoticeView{No: no}
	switch serial := uint64(no) % 10_000_000_000; {
	case serial == 1:
		v.Paid = true
	case serial == 2:
		v.Held = true
	default:
		v.Total = si.Fen(serial) * 100
	}
	return v, true
}
func (n *node) Payment(si.PaymentID) (ledgerapi.Payment, bool) { return ledgerapi.Payment{}, false }

// sealer hashes without a key.
type sealer struct{}

func hashOf(s string) (h si.Hash) {
	sum := sha256.Sum256([]byte(s))
	copy(h[:], sum[:])
	return h
}
func (sealer) SealPersons(_ context.Context, in []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error) {
	out := make([]hsmapi.SealedPerson, len(in))
	for i, p := range in {
		out[i] = hsmapi.SealedPerson{IDHash: hashOf(p.IDNumber.Reveal("test")), Blob: []byte(p.IDNumber.Reveal("test") + "|" + p.Name.Reveal("test"))}
	}
	return out, nil
}
func (sealer) OpenPersons(_ context.Context, blobs [][]byte) ([]hsmapi.PersonView, error) {
	out := make([]hsmapi.PersonView, len(blobs))
	for i, b := range blobs {
		id, name, _ := strings.Cut(string(b), "|")
		out[i] = hsmapi.PersonView{MaskedName: si.NewName(name).Masked(), IDTail: id[14:]}
	}
	return out, nil
}
func (s sealer) RevisePersons(ctx context.Context, in []hsmapi.PersonRevision) ([]hsmapi.PersonRevised, error) {
	out := make([]hsmapi.PersonRevised, len(in))
	for i, p := range in {
		id, name, _ := strings.Cut(string(p.Blob), "|")
		out[i].View = hsmapi.PersonView{MaskedName: si.NewName(name).Masked(), IDTail: id[14:]}
		if theirs := p.Name.Reveal("test"); theirs != "" && theirs != name {
			out[i].NameDiffers, out[i].Blob = true, []byte(id+"|"+theirs)
		}
	}
	return out, nil
}
func (sealer) HashCards(_ context.Context, in []hsmapi.CardRecord) ([]hsmapi.CardHashes, error) {
	out := make([]hsmapi.CardHashes, len(in))
	for i, c := range in {
		out[i] = hsmapi.CardHashes{IDHash: hashOf(c.IDNumber.Reveal("test")), CardHash: hashOf(c.CardID), PANHash: hashOf(c.PAN.Reveal("test"))}
	}
	return out, nil
}
func (sealer) HashIDs(_ context.Context, in []si.IDNumber) ([]si.Hash, error) {
	out := make([]si.Hash, len(in))
	for i, id := range in {
		out[i] = hashOf(id.Reveal("test"))
	}
	return out, nil
}

func serve(t *testing.T) (*Client, *node) {
	t.Helper()
	n := &node{ids: map[si.PaymentID]ledgerapi.Command{}, persons: map[si.Hash]ledgerapi.Person{}}
	s := New(Config{
		Ledger: n, Register: n, Sealer: sealer{}, Now: time.Now,
		Status: func() Status { return Status{Version: "test", Area: "330110", Leader: true} },
		Banks:  func(code string) (si.Bank, bool) { return 3, code == "ccb" },
	})
	path := filepath.Join(t.TempDir(), "op.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("socket mode %v, %v, want 0600", st.Mode(), err)
	}
	if _, err := Listen(path); err == nil {
		t.Fatal("a second node took the socket of a living one")
	}
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	c := Dial(path)
	t.Cleanup(func() {
		c.Close()
		_ = srv.Close()
		<-ended
	})
	return c, n
}

// person makes a line of persons.csv; i must be under 100.
func person(i int) (line, id string) {
	first := fmt.Sprintf("33019919800101%03d", i)
	last, _ := si.IDCheckDigit(first)
	id = first + string(last)
	return id + ",王小明,RESIDENT,330110,19800101,1,0,10000000000,示例", id
}

func persons(n int) string {
	b := strings.Join(PersonColumns, ",") + "\n"
	for i := 0; i < n; i++ {
		l, _ := person(i)
		b += l + "\n"
	}
	return b
}

func upload(t *testing.T, c *Client, path string, q url.Values, body string) (Outcome, error) {
	t.Helper()
	return c.Upload(t.Context(), path, q, strings.NewReader(body), func(int, int) {})
}

func TestImportTwiceChangesNothingTheSecondTime(t *testing.T) {
	c, n := serve(t)
	for turn, want := range []Outcome{{OK: true, Done: 50, Made: 50}, {OK: true, Done: 50, Exists: 50}} {
		got, err := upload(t, c, "/v1/import/persons", nil, persons(50))
		if err != nil || got.OK != want.OK || got.Done != want.Done || got.Made != want.Made || got.Exists != want.Exists {
			t.Fatalf("turn %d: got %+v, %v, want %+v", turn, got, err, want)
		}
	}
	if len(n.persons) != 50 {
		t.Fatalf("%d persons, want 50", len(n.persons))
	}
	_, id := person(7)
	cards := strings.Join(CardColumns, ",") + "\n" +
		id + ",33010000D15600000500000007FFFFFFFF"[:33] + ",D2143569X,6299000300000018,ccb,20200601\n"
	if _, err := upload(t, c, "/v1/import/cards", nil, cards); err == nil {
		t.Error("a PAN with a wrong check digit was taken")
	}
	last, _ := si.LuhnDigit("629900030000001")
	cards = strings.Replace(cards, "6299000300000018", "629900030000001"+string(last), 1)
	for turn, made := range []int{1, 0} {
		if got, err := upload(t, c, "/v1/import/cards", nil, cards); err != nil || got.Made != made {
			t.Errorf("cards, turn %d: got %+v, %v, want %d made", turn, got, err, made)
		}
	}
}

func TestBadLinesAreNamedAndNeverRepeated(t *testing.T) {
	c, n := serve(t)
	good, id := person(1)
	head := strings.Join(PersonColumns, ",") + "\n"
	for name, c2 := range map[string]struct{ body, want string }{
		"header":      {"a,b\n", "line 1"},
		"columns":     {head + "a,b\n", "line 2"},
		"check digit": {head + good + "\n" + "33019919800101002X" + good[18:] + "\n", "line 3: id_number"},
		"birth":       {head + strings.Replace(good, ",19800101,", ",19810101,", 1) + "\n", "line 2: birth"},
		"sex":         {head + strings.Replace(good, ",1,0,", ",3,0,", 1) + "\n", "line 2: sex"},
		"type":        {head + strings.Replace(good, "RESIDENT", "KING", 1) + "\n", "line 2: person_type"},
		"name":        {head + strings.Replace(good, "王小明", "", 1) + "\n", "line 2: name"},
		"long":        {head + strings.Replace(good, "示例", strings.Repeat("x", sheet.MaxLine), 1) + "\n", "line 2: longer"},
	} {
		_, err := upload(t, c, "/v1/import/persons", nil, c2.body)
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Why, c2.want) {
			t.Errorf("%s: got %v, want a refusal with %q", name, err, c2.want)
		} else if strings.Contains(refused.Why, id[:17]) || strings.Contains(refused.Why, "王") {
			t.Errorf("%s: the error repeats the line: %s", name, refused.Why)
		}
	}
	if len(n.persons) != 0 {
		t.Errorf("%d persons of bad batches were kept", len(n.persons))
	}
}

func TestUnknownOutcomeIsSaid(t *testing.T) {
	c, n := serve(t)
	n.fail = errors.New("no leader")
	_, err := upload(t, c, "/v1/import/persons", nil, persons(3))
	if err == nil || !strings.Contains(err.Error(), "not known") {
		t.Fatalf("got %v, want an error that says the outcome is not known", err)
	}
}

func TestAssessTakesThePersonsOfItsType(t *testing.T) {
	c, n := serve(t)
	if _, err := upload(t, c, "/v1/import/persons", nil, persons(20)); err != nil {
		t.Fatal(err)
	}
	body := strings.Join(BaseColumns, ",") + "\n"
	for i := 0; i < 20; i++ {
		_, id := person(i)
		body += id + "," + []string{"RESIDENT", "FLEX"}[i%2] + ",100000,0\n"
	}
	q := url.Values{"fund": {"PENSION_RES"}, "person_type": {"RESIDENT"}, "period": {"2026"}, "kind": {"year"},
		"due_day": {"2026-12-31"}, "rates": {"1"}, "use": {"grade"}}
	if _, err := upload(t, c, "/v1/assess", q, body); err != nil || n.assessed != 10 {
		t.Fatalf("assessed %d, %v, want 10", n.assessed, err)
	}
	if got, err := upload(t, c, "/v1/assess", q, body); err != nil || got.Exists != 10 {
		t.Errorf("again: got %+v, %v, want 10 that exist", got, err)
	}
	q.Set("fund", "FREE_MONEY")
	if _, err := upload(t, c, "/v1/assess", q, body); err == nil {
		t.Error("an unknown insurance type was taken")
	}
}

func TestConfigNeedsTwoPersons(t *testing.T) {
	c, _ := serve(t)
	q := ConfigRequest{ID: strings.Repeat("0a", 16), Kind: "rates", Name: "330110", From: "2026-01-01", Maker: 7, Checker: 7}
	var a Answer
	if err := c.Ask(t.Context(), "/v1/config", q, &a); err != nil || a.Code != "SAME_PERSON" {
		t.Errorf("same person: got %+v, %v", a, err)
	}
	q.ID, q.Checker = strings.Repeat("0b", 16), 8
	if err := c.Ask(t.Context(), "/v1/config", q, &a); err != nil || a.Code != "OK" {
		t.Errorf("two persons: got %+v, %v", a, err)
	}
	q.Kind = "wishes"
	if err := c.Ask(t.Context(), "/v1/config", q, &a); err == nil {
		t.Error("an unknown kind was taken")
	}
}

func TestAsksAboutAPerson(t *testing.T) {
	c, _ := serve(t)
	if _, err := upload(t, c, "/v1/import/persons", nil, persons(1)); err != nil {
		t.Fatal(err)
	}
	_, id := person(0)
	var dues []DueView
	if err := c.Ask(t.Context(), "/v1/dues", PersonRequest{IDNumber: id}, &dues); err != nil || len(dues) != 1 || dues[0].State != "OPEN" {
		t.Errorf("dues: got %+v, %v", dues, err)
	}
	_, other := person(1)
	var refused *RefusedError
	if err := c.Ask(t.Context(), "/v1/dues", PersonRequest{IDNumber: other}, &dues); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("unknown person: got %v, want 404", err)
	}
	var st Status
	if err := c.Ask(t.Context(), "/v1/status", nil, &st); err != nil || !st.Leader {
		t.Errorf("status: got %+v, %v", st, err)
	}
}
