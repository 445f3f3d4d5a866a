package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// NoticeColumns is the file of a bulk issue: who is to get a payment notice.
var NoticeColumns = []string{"id_number"}

// Bounds of a notice's validity in days.
const (
	defaultNoticeDays = 30
	maxNoticeDays     = 366
)

// NoPerson is the code of a line whose person is not on the register.
const NoPerson = "NO_PERSON"

// NoticeLine answers one line of a bulk issue: the notice and what it costs
// today, or why there is nothing to pay: NO_PERSON, NOT_FOUND (nothing is open),
// DUE_PAID or DUE_HELD (all of today's notice is).
type NoticeLine struct {
	Line   int         `json:"line"` // of the file, whose header is line 1; of an office: counted from 1
	Notice string      `json:"notice,omitempty"`
	Total  int64       `json:"total,omitempty"` // fen
	Code   string      `json:"code,omitempty"`
	Sheet  *NoticeView `json:"sheet,omitempty"` // if it was asked for
}

// NoticeView is what a notice's sheet says besides number and total.
type NoticeView struct {
	Name       string      `json:"name"` // masked
	IDTail     string      `json:"id_tail"`
	Issued     string      `json:"issued"`
	ValidUntil string      `json:"valid_until"`
	Office     string      `json:"office,omitempty"` // code
	Dues       []NoticeDue `json:"dues"`
}

// NoticeDue is one line of a sheet, amounts in fen.
type NoticeDue struct {
	Fund    string `json:"fund"`
	Period  string `json:"period"`
	Amount  int64  `json:"amount"`
	LateFee int64  `json:"late_fee,omitempty"`
}

// noticeOf is the command for a person's notice of today: the same for every
// request of one day, until there is something else to pay.
func (s *Server) noticeOf(p si.PersonNo, days int) ledgerapi.Notice {
	if days < 1 || days > maxNoticeDays {
		days = defaultNoticeDays
	}
	today := si.DateOf(s.cfg.Now())
	key := fmt.Appendf(nil, "%d|%s", p, today)
	for _, d := range s.cfg.Register.DuesOf(p, today) {
		if d.State == ledgerapi.DueOpen {
			key = fmt.Appendf(key, "|%d", d.Ref.ID)
		}
	}
	return ledgerapi.Notice{
		ID: idOf("notice", key), Person: p, Date: today, ValidUntil: today + si.BusinessDate(days),
	}
}

// issuing is one bulk issue under way.
type issuing struct {
	*importing
	days     int
	sheets   bool
	officeOf func(si.AreaCode) string
	out      *json.Encoder
}

// notices issues the notices of a whole village or town: one a person and day,
// the one that is there already or a new one. Who gets one is said by the file, or
// by the query office=CODE: everybody of that office who owes something, in the
// order of their numbers. With sheets=1 each line has what its sheet says. The
// answer has one line for each person, in order, then the outcome.
func (s *Server) notices(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	days := 0
	if v := q.Get("days"); v != "" {
		var err error
		if days, err = strconv.Atoi(v); err != nil || days < 1 || days > maxNoticeDays {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("days: not a number from 1 to %d", maxNoticeDays))
			return
		}
	}
	offices, err := s.offices()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	is := &issuing{days: days, sheets: q.Get("sheets") == "1", officeOf: areaTable(offices)}
	code := q.Get("office")
	if code != "" && !slices.ContainsFunc(offices, func(o Office) bool { return o.Code == code }) {
		refuse(w, http.StatusNotFound, "office: none of the region's table has the code "+strconv.Quote(code))
		return
	}
	is.importing, is.out = s.begin(w, r), json.NewEncoder(w)
	if code != "" {
		is.finish(is.office(r.Context(), code))
		return
	}
	is.finish(batches(r.Body, NoticeColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		persons, err := s.personsOf(r.Context(), lines, first)
		if err != nil {
			return err
		}
		return is.issue(r.Context(), persons, first)
	}))
}

// personsOf finds the persons of a batch; the zero Person is who is not on the
// register.
func (s *Server) personsOf(ctx context.Context, lines [][]string, first int) ([]ledgerapi.Person, error) {
	ids := make([]si.IDNumber, len(lines))
	for i, l := range lines {
		var err error
		if ids[i], err = si.ParseIDNumber(l[0]); err != nil {
			return nil, fmt.Errorf("line %d: id_number: %w", first+i, err)
		}
	}
	hashes, err := s.cfg.Sealer.HashIDs(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("lines from %d on: %w", first, err)
	}
	persons := make([]ledgerapi.Person, len(lines))
	for i, h := range hashes {
		persons[i], _ = s.cfg.Register.Person(h)
	}
	return persons, nil
}

// office issues the notices of everybody of an office who owes something. Person
// numbers are given out without gaps.
func (is *issuing) office(ctx context.Context, code string) error {
	var batch []ledgerapi.Person
	line := 1
	flush := func() error {
		first := line
		line += len(batch)
		err := is.issue(ctx, batch, first)
		batch = batch[:0]
		return err
	}
	today := si.DateOf(is.s.cfg.Now())
	for no := si.PersonNo(1); ; no++ {
		p, ok := is.s.cfg.Register.PersonByNo(no)
		if !ok {
			break
		}
		if is.officeOf(p.Household) != code || !slices.ContainsFunc(is.s.cfg.Register.DuesOf(no, today), payable) {
			continue
		}
		if batch = append(batch, p); len(batch) == hsmapi.MaxPersons {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

func payable(d ledgerapi.Due) bool {
	return d.State == ledgerapi.DueOpen && d.Payer == ledgerapi.PayerPerson
}

// issue makes the notices of one batch and waits for them. After an error it
// answers nothing of the batch: what was made is there when it is asked again.
func (is *issuing) issue(ctx context.Context, persons []ledgerapi.Person, first int) error {
	answers := make([]NoticeLine, len(persons))
	made := make([]ledgerapi.Result, len(persons))
	errs := make([]error, len(persons))
	var wg sync.WaitGroup
	for i, p := range persons {
		answers[i].Line = first + i
		if p.No == 0 {
			answers[i].Code = NoPerson
			is.count(NoPerson, false)
			continue
		}
		wg.Add(1)
		is.s.cfg.Ledger.Submit(is.s.noticeOf(p.No, is.days), 0, func(r ledgerapi.Result, err error) {
			defer wg.Done()
			made[i], errs[i] = r, err
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("line %d: the outcome is not known: %w; ask for the same again", first+i, err)
		}
		a := &answers[i]
		if a.Code != "" {
			continue
		}
		is.s.answerNotice(a, &made[i])
		if is.sheets && a.Code == "" {
			if err := is.sheet(ctx, a, &persons[i], made[i].Notice); err != nil {
				return fmt.Errorf("line %d: %w", first+i, err)
			}
		}
		is.count(a.Code, made[i].Code == ledgerapi.Exists)
	}
	for i := range answers {
		_ = is.out.Encode(&answers[i]) // a peer that is gone ends the upload too
	}
	is.importing.out.Done += len(persons)
	is.progress("done", is.importing.out.Done)
	return nil
}

// sheet adds what the sheet says: the dues that are open now, and of the person
// what the HSM process shows.
func (is *issuing) sheet(ctx context.Context, a *NoticeLine, p *ledgerapi.Person, no si.NoticeNo) error {
	today := si.DateOf(is.s.cfg.Now())
	v, ok := is.s.cfg.Register.NoticeByNo(no, today)
	if !ok {
		return errors.New("the notice is not in the ledger")
	}
	views, err := is.s.cfg.Sealer.OpenPersons(ctx, [][]byte{p.Sealed})
	if err != nil {
		return fmt.Errorf("HSM process: %w", err)
	}
	who := views[0]
	a.Total = int64(v.Total)
	a.Sheet = &NoticeView{
		Name: who.MaskedName, IDTail: who.IDTail, Issued: today.String(), ValidUntil: v.ValidUntil.String(), Office: is.officeOf(p.Household),
	}
	for _, d := range v.Dues {
		a.Sheet.Dues = append(a.Sheet.Dues, NoticeDue{Fund: d.Fund.String(), Period: d.Period.String(), Amount: int64(d.Ref.Amount), LateFee: int64(d.Ref.LateFee)})
	}
	return nil
}

// answerNotice fills a line with the notice. One that was there already costs
// what is open of it now, which the ledger's first answer does not know.
func (s *Server) answerNotice(a *NoticeLine, r *ledgerapi.Result) {
	if r.Notice == 0 {
		a.Code = r.Code.String()
		return
	}
	a.Notice, a.Total = r.Notice.String(), int64(r.Total)
	if r.Code != ledgerapi.Exists {
		return
	}
	v, _ := s.cfg.Register.NoticeByNo(r.Notice, si.DateOf(s.cfg.Now()))
	a.Total = int64(v.Total)
	switch {
	case v.Total > 0:
	case v.Held:
		a.Code = ledgerapi.DueHeld.String()
	case len(v.Ahead) > 0: // nothing to pay yet
	default:
		a.Code = ledgerapi.DuePaid.String()
	}
}

// count files the outcome of one line.
func (im *importing) count(refusal string, existed bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	switch {
	case refusal != "":
		im.out.Refused++
		im.out.Codes[refusal]++
	case existed:
		im.out.Exists++
	default:
		im.out.Made++
	}
}

// NoticeAsk says what notices are asked for.
type NoticeAsk struct {
	Days   int
	Office string // everybody of that office; empty: whom the file names
	Sheets bool   // with what the sheets say
}

// Notices issues notices and hands each line of the answer to each, in order. The
// file has the column id_number; it is nil where an office is named. A line that
// got no notice is no error; the outcome counts it as refused.
func (c *Client) Notices(ctx context.Context, ask NoticeAsk, file io.Reader, each func(NoticeLine)) (Outcome, error) {
	q := url.Values{"days": {strconv.Itoa(ask.Days)}}
	if ask.Office != "" {
		q.Set("office", ask.Office)
	}
	if ask.Sheets {
		q.Set("sheets", "1")
	}
	resp, err := c.call(ctx, http.MethodPost, "/v1/notices?"+q.Encode(), file)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := answerLines(resp.Body)
	for lines.Scan() {
		var l struct {
			NoticeLine
			OK *bool `json:"ok"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return Outcome{}, fmt.Errorf("operator: answer is not understood: %w", err)
		}
		if l.OK != nil {
			var o Outcome
			if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
				return o, fmt.Errorf("operator: answer is not understood: %w", err)
			}
			if o.Error != "" {
				return o, &RefusedError{http.StatusUnprocessableEntity, o.Error}
			}
			return o, nil
		}
		if l.Line > 0 {
			each(l.NoticeLine)
		}
	}
	return Outcome{}, fmt.Errorf("operator: the node stopped answering in the middle; ask for the same again: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
