package operator

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/shebao-pay/shebao/settlement/operator/sheet"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// maxFaults is how many lines an answer names: enough to see what is wrong with
// a file, and few enough to read.
const maxFaults = 100

// maxRefusals is how many refused changes of a proposal it names: each is to be
// seen to by a person. The outcome counts all.
const maxRefusals = 10_000

// importing is one import under way: what is wrong with its lines, the commands
// in flight, counts.
type importing struct {
	s      *Server
	w      http.ResponseWriter
	body   io.Reader
	stage  *stage
	seen   map[key]struct{}
	wrong  int
	slots  chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	out    Outcome
	unsure error

	flush   func() error                               // before progress leaves, if not nil
	actor   si.Actor                                   // who makes the commands, 0 for an import
	refused func(line int, r *ledgerapi.Result) string // own words for a refusal, if not nil
}

// key tells what must stand in a file once.
type key struct {
	hash si.Hash
	fund si.Fund
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) *importing {
	w.Header().Set("Content-Type", "application/x-ndjson")
	// Progress is written while the upload is still being read. Only HTTP/1
	// servers know the switch; without it the answer would wait for the end.
	_ = http.NewResponseController(w).EnableFullDuplex()
	return &importing{s: s, w: w, body: r.Body, seen: map[key]struct{}{}, slots: make(chan struct{}, inFlight), out: Outcome{Codes: map[string]int{}}}
}

// fault notes a line that does not fit. It never says what stands there.
func (im *importing) fault(line int, column, why string) {
	im.wrong++
	if len(im.out.Lines) < maxFaults {
		e := sheet.LineError{Line: line, Column: column, Why: why}
		im.out.Lines = append(im.out.Lines, e.Error())
	}
}

// once tells whether this is the first line of its key, and notes the line if
// it is not.
func (im *importing) once(k key, line int, column, what string) bool {
	if _, twice := im.seen[k]; twice {
		im.fault(line, column, what+" stands on an earlier line, too")
		return false
	}
	im.seen[k] = struct{}{}
	return true
}

// load takes a file in two steps: every line is checked and staged by do, which
// gets up to size lines at once; then the commands are made. If anything is
// wrong with any line, none is.
func (im *importing) load(columns []string, size int, do func(lines [][]string, first int) error) error {
	var err error
	if im.stage, err = newStage(im.s.cfg.Stage); err != nil {
		return err
	}
	defer im.stage.close()
	err = batches(im.body, columns, size, func(lines [][]string, first int) error {
		if err := do(lines, first); err != nil {
			return err
		}
		if im.wrong >= maxFaults {
			return fmt.Errorf("%d lines do not fit; the rest was not read", im.wrong)
		}
		im.out.Done = first + len(lines) - 2
		im.progress("checked", im.out.Done)
		return nil
	})
	var bad *sheet.LineError
	switch {
	case errors.As(err, &bad): // the rest cannot be read
		im.out.Lines = append(im.out.Lines, bad.Error())
		im.wrong++
	case err != nil:
		return err
	}
	if im.wrong > 0 {
		return im.refusal()
	}
	return im.make()
}

// refusal is what is said of a file with lines that do not fit.
func (im *importing) refusal() error {
	im.out.Done, im.out.Exists = 0, 0
	if im.wrong == 1 {
		return fmt.Errorf("%s; nothing was imported", im.out.Lines[0])
	}
	return fmt.Errorf("%s, and %d more lines do not fit; nothing was imported", im.out.Lines[0], im.wrong-1)
}

// make sends the staged commands to the ledger.
func (im *importing) make() error {
	done := im.out.Exists
	err := im.stage.each(func(c ledgerapi.Command, line, weight int) error {
		im.submit(c, line, weight)
		if done += weight; done/progressEach != (done-weight)/progressEach {
			im.progress("done", done)
		}
		return nil
	})
	im.wg.Wait()
	if err == nil && im.unsure != nil {
		err = fmt.Errorf("the outcome of some lines is not known: %w; import the same file again", im.unsure)
	}
	return err
}

// progressEach is how many lines lie between two progress lines while commands
// are made.
const progressEach = 1000

// submit sends one command, which is of a line and stands for weight lines.
func (im *importing) submit(c ledgerapi.Command, line, weight int) {
	im.slots <- struct{}{}
	im.wg.Add(1)
	im.s.cfg.Ledger.Submit(c, im.actor, func(r ledgerapi.Result, err error) {
		defer func() { <-im.slots; im.wg.Done() }()
		im.mu.Lock()
		defer im.mu.Unlock()
		code := r.Code
		if code == ledgerapi.Exists {
			code = r.First
		}
		switch {
		case err != nil:
			im.out.Refused += weight
			im.unsure = err
		case code != ledgerapi.OK:
			im.out.Refused += weight
			im.out.Codes[code.String()] += weight
			im.say(line, &r)
		case r.Code == ledgerapi.Exists:
			im.out.Exists += weight
		default:
			im.out.Made += weight
		}
	})
}

// say names a line that the ledger refused.
func (im *importing) say(line int, r *ledgerapi.Result) {
	text := ""
	if im.refused != nil {
		text = im.refused(line, r)
	}
	switch {
	case text != "" && len(im.out.Lines) < maxRefusals:
		im.out.Lines = append(im.out.Lines, text)
	case len(im.out.Lines) < maxFaults:
		im.out.Lines = append(im.out.Lines, fmt.Sprintf("line %d: the ledger refused: %s", line, r.Code))
	}
}

// progress writes one line: checked counts lines that were looked at, done
// those whose commands were sent.
func (im *importing) progress(what string, n int) {
	if im.flush != nil {
		_ = im.flush() // the peer may be gone
	}
	_ = json.NewEncoder(im.w).Encode(map[string]int{what: n}) // likewise
	if f, ok := im.w.(http.Flusher); ok {
		f.Flush()
	}
}

func (im *importing) finish(err error) {
	im.wg.Wait()
	if err != nil {
		im.out.Error = err.Error()
	}
	im.out.OK = im.out.Error == "" && im.out.Refused == 0
	// An upload that was refused in its middle is read to its end: in full duplex
	// the server would otherwise meet the rest as the next request, and the
	// client would lose the answer while it still writes.
	_, _ = io.Copy(io.Discard, im.body) // a peer that is gone has no rest
	_ = json.NewEncoder(im.w).Encode(im.out)
}

// batches reads a table and hands out up to size lines at once; first is the
// number of the first of them.
func batches(r io.Reader, columns []string, size int, do func(lines [][]string, first int) error) error {
	t, err := sheet.NewReader(r, columns)
	if err != nil {
		return err
	}
	var lines [][]string
	for last := 1; ; {
		row, n, err := t.Next()
		if errors.Is(err, io.EOF) {
			if len(lines) > 0 {
				return do(lines, last-len(lines)+1)
			}
			return nil
		}
		if err != nil {
			return err
		}
		last = n
		if lines = append(lines, row); len(lines) == size {
			if err := do(lines, last-len(lines)+1); err != nil {
				return err
			}
			lines = lines[:0]
		}
	}
}

// idOf makes the id of an imported line from what it says, so that the same
// file imported twice changes nothing the second time.
func idOf(kind string, parts ...[]byte) si.PaymentID {
	h := sha256.New()
	h.Write([]byte(kind))
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "|%d|", len(p))
		h.Write(p)
	}
	var id si.PaymentID
	copy(id[6:], h.Sum(nil)) // bytes 0–5 stay zero: not a payment, older than all
	return id
}

func (s *Server) importPersons(w http.ResponseWriter, r *http.Request) {
	im := s.begin(w, r)
	im.finish(im.load(PersonColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		recs := make([]hsmapi.PersonRecord, len(lines))
		cmds := make([]ledgerapi.PutPerson, len(lines))
		for i, l := range lines {
			c := cells{columns: PersonColumns, of: l}
			if recs[i], cmds[i] = c.person(); c.why != "" {
				im.fault(first+i, c.column, c.why)
			}
		}
		if im.wrong > 0 {
			return nil // the lines behind are looked at, but nothing is sealed any more
		}
		sealed, err := s.cfg.Sealer.SealPersons(r.Context(), recs)
		if err != nil {
			return fmt.Errorf("lines from %d on: %w", first, err)
		}
		for i := range cmds {
			if !im.once(key{hash: sealed[i].IDHash}, first+i, PersonColumns[0], "this person") {
				continue
			}
			// A person already on the register is left as it is: changes come by
			// comparison and by the desk, never by a second upload.
			if _, known := s.cfg.Register.Person(sealed[i].IDHash); known {
				im.out.Exists++
				continue
			}
			cmds[i].IDHash, cmds[i].Sealed = sealed[i].IDHash, sealed[i].Blob
			cmds[i].ID = idOf("person", sealed[i].IDHash[:], []byte(strings.Join(lines[i][1:], "\x00")))
			if err := im.stage.put(cmds[i], first+i, 1); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *Server) importCards(w http.ResponseWriter, r *http.Request) {
	im := s.begin(w, r)
	im.finish(im.load(CardColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		recs := make([]hsmapi.CardRecord, len(lines))
		cmds := make([]ledgerapi.PutCard, len(lines))
		for i, l := range lines {
			c := cells{columns: CardColumns, of: l}
			if recs[i], cmds[i] = c.card(s.cfg.Banks); c.why != "" {
				im.fault(first+i, c.column, c.why)
			}
		}
		if im.wrong > 0 {
			return nil
		}
		hashes, err := s.cfg.Sealer.HashCards(r.Context(), recs)
		if err != nil {
			return fmt.Errorf("lines from %d on: %w", first, err)
		}
		for i, h := range hashes {
			if !im.once(key{hash: h.PANHash}, first+i, CardColumns[3], "this card") {
				continue
			}
			if _, known := s.cfg.Register.Person(h.IDHash); !known {
				im.fault(first+i, CardColumns[0], notRegistered)
				continue
			}
			cmds[i].IDHash, cmds[i].CardHash, cmds[i].NoHash, cmds[i].PANHash = h.IDHash, h.CardHash, h.NoHash, h.PANHash
			cmds[i].ID = idOf("card", h.IDHash[:], h.CardHash[:], h.PANHash[:], []byte(lines[i][5]))
			if err := im.stage.put(cmds[i], first+i, 1); err != nil {
				return err
			}
		}
		return nil
	}))
}

const notRegistered = "no such person on the register"

// importEnrolments begins cover. The query names the rate table that grades and
// bases are of: rates (version).
func (s *Server) importEnrolments(w http.ResponseWriter, r *http.Request) {
	rates, err := strconv.ParseUint(r.URL.Query().Get("rates"), 10, 32)
	if err != nil {
		refuse(w, http.StatusBadRequest, "rates: not the version number of a rate table")
		return
	}
	im := s.begin(w, r)
	im.finish(im.load(EnrolmentColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		ids := make([]si.IDNumber, len(lines))
		rows := make([]EnrolmentRow, len(lines))
		for i, l := range lines {
			c := cells{columns: EnrolmentColumns, of: l}
			if ids[i], rows[i] = c.enrolment(); c.why != "" {
				im.fault(first+i, c.column, c.why)
			}
		}
		if im.wrong > 0 {
			return nil
		}
		hashes, err := s.cfg.Sealer.HashIDs(r.Context(), ids)
		if err != nil {
			return fmt.Errorf("lines from %d on: %w", first, err)
		}
		for i, h := range hashes {
			if !im.once(key{h, rows[i].Fund}, first+i, EnrolmentColumns[1], "this person's cover in this insurance type") {
				continue
			}
			p, known := s.cfg.Register.Person(h)
			if !known {
				im.fault(first+i, EnrolmentColumns[0], notRegistered)
				continue
			}
			id := idOf("enrolment", h[:], []byte(strings.Join(lines[i][1:], "\x00")))
			if err := im.stage.put(rows[i].command(id, p.No, uint32(rates)), first+i, 1); err != nil {
				return err
			}
		}
		return nil
	}))
}

// assess makes dues for the persons of a bases file. The query says which:
// fund, person_type, period, kind (current, year), due_day, rates (version),
// use (grade or base).
func (s *Server) assess(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	tmpl, column, err := assessOf(q.Get)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	im := s.begin(w, r)
	im.finish(im.load(BaseColumns, ledgerapi.MaxAssess, func(lines [][]string, first int) error {
		c := tmpl
		if err := s.items(r.Context(), lines, first, column, &c, im); err != nil {
			return err
		}
		if len(c.Items) == 0 || im.wrong > 0 {
			return nil
		}
		c.ID = idOf("assess", c.AppendBody(nil))
		return im.stage.put(c, first, len(c.Items))
	}))
}

func assessOf(get func(string) string) (c ledgerapi.Assess, column int, err error) {
	if c.Fund, err = si.ParseFund(get("fund")); err != nil {
		return c, 0, err
	}
	if c.PType, err = si.ParsePType(get("person_type")); err != nil {
		return c, 0, err
	}
	if c.Period, err = si.ParsePeriod(get("period")); err != nil {
		return c, 0, err
	}
	if c.DueDay, err = si.ParseDate(get("due_day")); err != nil {
		return c, 0, err
	}
	switch get("kind") {
	case "current":
		c.Kind = ledgerapi.DueCurrent
	case "year":
		c.Kind = ledgerapi.DueYear
	default:
		return c, 0, fmt.Errorf("kind: neither current nor year")
	}
	v, err := strconv.ParseUint(get("rates"), 10, 32)
	if err != nil {
		return c, 0, fmt.Errorf("rates: not the version number of a rate table")
	}
	c.Version = uint32(v)
	switch get("use") {
	case "grade":
		column = 2
	case "base":
		column = 3
	default:
		return c, 0, fmt.Errorf("use: neither grade nor base")
	}
	return c, column, nil
}

// items finds the persons of the wanted type among lines.
func (s *Server) items(ctx context.Context, lines [][]string, first, column int, c *ledgerapi.Assess, im *importing) error {
	var ids []si.IDNumber
	var bases []si.Fen
	for i, l := range lines {
		if l[1] != c.PType.String() {
			continue
		}
		v := cells{columns: BaseColumns, of: l}
		id, base := v.id(0), v.fen(column)
		if v.why != "" {
			im.fault(first+i, v.column, v.why)
		}
		if base == 0 {
			continue // pays nothing of this kind
		}
		ids, bases = append(ids, id), append(bases, base)
	}
	if len(ids) == 0 || im.wrong > 0 {
		return nil
	}
	hashes, err := s.cfg.Sealer.HashIDs(ctx, ids)
	if err != nil {
		return fmt.Errorf("lines from %d on: %w", first, err)
	}
	for i, h := range hashes {
		if p, ok := s.cfg.Register.Person(h); ok {
			c.Items = append(c.Items, ledgerapi.AssessItem{Person: p.No, Base: bases[i]})
		}
	}
	return nil
}
