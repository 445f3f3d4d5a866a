package operator

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// issueAll asks for the notices of the persons and gives the lines and the
// outcome.
func issueAll(t *testing.T, c *Client, ids []string) ([]NoticeLine, Outcome, error) {
	t.Helper()
	var lines []NoticeLine
	o, err := c.Notices(t.Context(), NoticeAsk{Days: 30}, strings.NewReader("id_number\n"+strings.Join(ids, "\n")+"\n"), func(l NoticeLine) { lines = append(lines, l) })
	return lines, o, err
}

func TestNoticesInBulk(t *testing.T) {
	c, n := serve(t)
	if _, err := upload(t, c, "/v1/import/persons", nil, persons(20)); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range 21 { // the last one is not on the register
		_, id := person(i)
		ids = append(ids, id)
	}
	for turn := range 2 {
		lines, o, err := issueAll(t, c, ids)
		if err != nil || len(lines) != len(ids) {
			t.Fatalf("turn %d: %d lines, %v, want %d", turn, len(lines), err, len(ids))
		}
		for i, l := range lines {
			if l.Line != i+2 {
				t.Fatalf("turn %d: answer %d is of line %d, want %d", turn, i, l.Line, i+2)
			}
			who, _ := n.Person(hashOf(ids[i]))
			switch {
			case i == 20:
				if l.Code != NoPerson || l.Notice != "" {
					t.Errorf("turn %d: stranger: got %+v, want %s", turn, l, NoPerson)
				}
			case turn == 1 && who.No <= 2: // paid or held since the first time
				if want := [...]string{"DUE_PAID", "DUE_HELD"}[who.No-1]; l.Code != want || l.Total != 0 || l.Notice == "" {
					t.Errorf("turn %d: got %+v, want %s", turn, l, want)
				}
			case who.No%7 == 0:
				if l.Notice != "" || turn == 0 && l.Code != "NOT_FOUND" {
					t.Errorf("turn %d: who owes nothing: got %+v", turn, l)
				}
			default:
				if no, err := si.ParseNoticeNo(l.Notice); err != nil || no != si.NewNoticeNo(330110, 2026, uint64(who.No)) || l.Total != int64(who.No)*100 || l.Code != "" {
					t.Errorf("turn %d: line %d: got %+v", turn, l.Line, l)
				}
			}
		}
		if o.Done != 21 || turn == 0 && (o.Made != 18 || o.Refused != 3 || o.Codes[NoPerson] != 1 || o.OK) || turn == 1 && o.Made != 0 {
			t.Errorf("turn %d: outcome %+v", turn, o)
		}
	}
}

// TestNoticesBatchBound asks for exactly one batch and for one more.
func TestNoticesBatchBound(t *testing.T) {
	c, _ := serve(t)
	if _, err := upload(t, c, "/v1/import/persons", nil, persons(1)); err != nil {
		t.Fatal(err)
	}
	_, id := person(0)
	for _, n := range []int{hsmapi.MaxPersons, hsmapi.MaxPersons + 1} {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = id
		}
		lines, o, err := issueAll(t, c, ids)
		if err != nil || len(lines) != n || lines[n-1].Line != n+1 || o.Done != n {
			t.Errorf("%d persons: %d lines, %+v, %v", n, len(lines), o, err)
		}
	}
}

func TestNoticesRefusals(t *testing.T) {
	c, n := serve(t)
	_, id := person(0)
	var refused *RefusedError
	if _, _, err := issueAll(t, c, []string{id, "330199198001010999"}); !errors.As(err, &refused) || !strings.Contains(refused.Why, "line 3") || strings.Contains(refused.Why, "33019919") {
		t.Errorf("bad ID number: got %v, want a refusal that names line 3 and not its content", err)
	}
	for _, days := range []int{0, maxNoticeDays + 1, -1} {
		_, err := c.Notices(t.Context(), NoticeAsk{Days: days}, strings.NewReader("id_number\n"), func(NoticeLine) {})
		if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("valid for %d days: got %v, want 400", days, err)
		}
	}
	if o, err := c.Notices(t.Context(), NoticeAsk{Days: maxNoticeDays}, strings.NewReader("id_number\n"), func(NoticeLine) {}); err != nil || !o.OK || o.Done != 0 {
		t.Errorf("no persons, at the bound of days: got %+v, %v", o, err)
	}
	if _, err := upload(t, c, "/v1/import/persons", nil, persons(1)); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.fail = errors.New("no leader")
	n.mu.Unlock()
	if lines, _, err := issueAll(t, c, []string{id}); err == nil || !strings.Contains(err.Error(), "not known") || len(lines) != 0 {
		t.Errorf("ledger away: got %d lines, %v, want an error that says the outcome is not known", len(lines), err)
	}
}
