package operator

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	Line   int    `json:"line"` // of the file; the header is line 1
	Notice string `json:"notice,omitempty"`
	Total  int64  `json:"total,omitempty"` // fen
	Code   string `json:"code,omitempty"`
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

// notices issues the notices of a whole village or town: one a person and day,
// the one that is there already or a new one. The answer has one line for each
// line of the file, in order, then the outcome.
func (s *Server) notices(w http.ResponseWriter, r *http.Request) {
	days := 0
	if v := r.URL.Query().Get("days"); v != "" {
		var err error
		if days, err = strconv.Atoi(v); err != nil || days < 1 || days > maxNoticeDays {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("days: not a number from 1 to %d", maxNoticeDays))
			return
		}
	}
	im := s.begin(w, r)
	out := json.NewEncoder(w)
	im.finish(batches(r.Body, NoticeColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		answers, err := s.issue(r.Context(), lines, first, days, im)
		for i := range answers {
			_ = out.Encode(&answers[i]) // a peer that is gone ends the upload too
		}
		if err == nil {
			im.out.Done = first + len(lines) - 2
			im.progress("done", im.out.Done)
		}
		return err
	}))
}

// issue makes the notices of one batch and waits for them. After an error it
// answers nothing of the batch: what was made is there when it is asked again.
func (s *Server) issue(ctx context.Context, lines [][]string, first, days int, im *importing) ([]NoticeLine, error) {
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
	answers := make([]NoticeLine, len(lines))
	made := make([]ledgerapi.Result, len(lines))
	errs := make([]error, len(lines))
	var wg sync.WaitGroup
	for i, h := range hashes {
		answers[i].Line = first + i
		p, ok := s.cfg.Register.Person(h)
		if !ok {
			answers[i].Code = NoPerson
			im.count(NoPerson, false)
			continue
		}
		wg.Add(1)
		s.cfg.Ledger.Submit(s.noticeOf(p.No, days), 0, func(r ledgerapi.Result, err error) {
			defer wg.Done()
			made[i], errs[i] = r, err
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("line %d: the outcome is not known: %w; send the same file again", first+i, err)
		}
		if answers[i].Code == "" {
			s.answerNotice(&answers[i], &made[i])
			im.count(answers[i].Code, made[i].Code == ledgerapi.Exists)
		}
	}
	return answers, nil
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

// Notices streams a file with the column id_number and hands each line of the
// answer to each, in the order of the file. A line that got no notice is no
// error; the outcome counts it as refused.
func (c *Client) Notices(ctx context.Context, days int, file io.Reader, each func(NoticeLine)) (Outcome, error) {
	q := url.Values{"days": {strconv.Itoa(days)}}
	resp, err := c.call(ctx, http.MethodPost, "/v1/notices?"+q.Encode(), file)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
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
	return Outcome{}, fmt.Errorf("operator: the node stopped answering in the middle; send the same file again: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
