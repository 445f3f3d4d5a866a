package operator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// desk is a ledger and its register with one payment in each state, enough to
// see what the door asks and tells.
type desk struct {
	Register
	Ledger
	asked []ledgerapi.Command
	code  ledgerapi.Code
	err   error
}

var deskStates = map[string]ledgerapi.PayState{
	"0193a1b2c3d4e5f60718293a4b5c6d71": ledgerapi.PayReversing, // needs a person
	"0193a1b2c3d4e5f60718293a4b5c6d72": ledgerapi.PayReversing, // needs none
	"0193a1b2c3d4e5f60718293a4b5c6d73": ledgerapi.PayReserved,  // is not listed
	"0193a1b2c3d4e5f60718293a4b5c6d74": ledgerapi.PayVoided,
}

func (d *desk) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	s, ok := deskStates[id.String()]
	return ledgerapi.Payment{ID: id, State: s}, ok
}

func (d *desk) Do(_ context.Context, c ledgerapi.Command) (ledgerapi.Result, error) {
	d.asked = append(d.asked, c)
	return ledgerapi.Result{Code: d.code, First: ledgerapi.OK}, d.err
}

// TestDecide holds what two persons may decide, what the ledger is asked, and
// who hears of it.
func TestDecide(t *testing.T) {
	const needs = "0193a1b2c3d4e5f60718293a4b5c6d71"
	paid := `{"ending":"paid","reference":"2026-1129-7","bank_date":"2026-11-29","maker":101,"checker":102}`
	not := `{"ending":"not-charged","reference":"2026-1129-7","maker":101,"checker":102}`
	for _, tc := range []struct {
		id, body string
		code     ledgerapi.Code
		err      error
		status   int
		says     string
		heard    ledgerapi.PayState
	}{
		{needs, paid, ledgerapi.OK, nil, http.StatusOK, `"code":"OK"`, ledgerapi.PayPosted},
		{needs, not, ledgerapi.OK, nil, http.StatusOK, `"code":"OK"`, ledgerapi.PayVoided},
		{needs, not, ledgerapi.Exists, nil, http.StatusOK, `"code":"EXISTS"`, ledgerapi.PayVoided},
		{needs, not, ledgerapi.SamePerson, nil, http.StatusOK, `"code":"SAME_PERSON"`, 0},
		{needs, not, ledgerapi.NeedsSecondPerson, nil, http.StatusOK, `"code":"NEEDS_SECOND_PERSON"`, 0},
		{needs, not, 0, errors.New("no quorum"), http.StatusServiceUnavailable, "the outcome is not known", 0},
		{"0193a1b2c3d4e5f60718293a4b5c6d72", not, ledgerapi.OK, nil, http.StatusConflict, "still resolving", 0},
		{"0193a1b2c3d4e5f60718293a4b5c6d73", not, ledgerapi.OK, nil, http.StatusConflict, "still resolving", 0},
		{"0193a1b2c3d4e5f60718293a4b5c6d74", not, ledgerapi.Exists, nil, http.StatusOK, `"code":"EXISTS"`, ledgerapi.PayVoided},
		{"0193a1b2c3d4e5f60718293a4b5c6d79", not, ledgerapi.OK, nil, http.StatusNotFound, "no such payment", 0},
		{"7", not, ledgerapi.OK, nil, http.StatusBadRequest, "payment", 0},
		{needs, strings.Replace(not, "not-charged", "refunded", 1), ledgerapi.OK, nil, http.StatusBadRequest, "paid or not-charged", 0},
		{needs, strings.Replace(not, "2026-1129-7", "", 1), ledgerapi.OK, nil, http.StatusBadRequest, "reference", 0},
		{needs, strings.Replace(not, "2026-1129-7", strings.Repeat("x", maxReference), 1), ledgerapi.OK, nil, http.StatusOK, `"code":"OK"`, ledgerapi.PayVoided},
		{needs, strings.Replace(not, "2026-1129-7", strings.Repeat("x", maxReference+1), 1), ledgerapi.OK, nil, http.StatusBadRequest, "reference", 0},
		{needs, strings.Replace(not, "2026-1129-7", "a\tb", 1), ledgerapi.OK, nil, http.StatusBadRequest, "does not fit", 0},
		{needs, strings.Replace(not, `"maker"`, `"bank_date":"2026-11-29","maker"`, 1), ledgerapi.OK, nil, http.StatusBadRequest, "belongs to paid", 0},
		{needs, strings.Replace(paid, "2026-11-29", "29.11.", 1), ledgerapi.OK, nil, http.StatusBadRequest, "bank_date", 0},
		{needs, strings.Replace(not, `"maker"`, `"marker"`, 1), ledgerapi.OK, nil, http.StatusBadRequest, "unknown field", 0},
	} {
		d := &desk{code: tc.code, err: tc.err}
		var heard []Decision
		s := New(Config{Ledger: d, Register: d, Status: func() Status { return Status{} },
			Pending: func() []PendingView {
				return []PendingView{{ID: needs, Why: NeedsUnanswered}, {ID: "0193a1b2c3d4e5f60718293a4b5c6d72"}}
			},
			Decided: func(d Decision) { heard = append(heard, d) },
		})
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/pending/"+tc.id, strings.NewReader(tc.body)))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) {
			t.Errorf("%s %s: got %d %s, want %d and %q", tc.id, tc.body, w.Code, w.Body, tc.status, tc.says)
		}
		if (len(heard) > 0) != (tc.heard != 0) {
			t.Errorf("%s %s, ledger %v: told %+v", tc.id, tc.body, tc.code, heard)
		}
		for _, h := range heard {
			if h.State != tc.heard || h.ID.String() != tc.id || h.Maker != 101 || h.Checker != 102 {
				t.Errorf("%s: told %+v", tc.id, h)
			}
		}
		if tc.status == http.StatusOK || tc.err != nil {
			wantCommand(t, tc.body, d.asked)
		} else if len(d.asked) != 0 {
			t.Errorf("%s %s: the ledger was asked %+v", tc.id, tc.body, d.asked)
		}
	}
}

// wantCommand holds the one command that a decision becomes.
func wantCommand(t *testing.T, body string, asked []ledgerapi.Command) {
	t.Helper()
	var q DecideRequest
	if err := json.Unmarshal([]byte(body), &q); err != nil || len(asked) != 1 {
		t.Errorf("%s: the ledger was asked %+v, %v", body, asked, err)
		return
	}
	switch c := asked[0].(type) {
	case ledgerapi.Post:
		if q.Ending != EndingPaid || c.Maker != 101 || c.Checker != 102 || c.Evidence.Source != ledgerapi.SourceDesk ||
			c.Evidence.HostSerial != q.Reference || c.Evidence.BankDate != si.Date(2026, 11, 29) {
			t.Errorf("%s: posted on %+v", body, c)
		}
	case ledgerapi.Void:
		if q.Ending != EndingNotCharged || c.Maker != 101 || c.Checker != 102 || c.Proof != ledgerapi.ProofDesk {
			t.Errorf("%s: voided by %+v", body, c)
		}
	default:
		t.Errorf("%s: asked %T", body, c)
	}
}
