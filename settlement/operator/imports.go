package operator

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Columns of the import files; docs/format/import.md describes them.
var (
	PersonColumns = []string{"id_number", "name", "person_type", "household", "birth", "sex", "retired", "phone", "address"}
	CardColumns   = []string{"id_number", "card_id", "card_no", "pan", "bank", "since"}
	BaseColumns   = []string{"id_number", "person_type", "grade_fen", "base_fen"}
)

// importing is one import under way: commands in flight, counts, progress lines.
type importing struct {
	s     *Server
	w     http.ResponseWriter
	body  io.Reader
	slots chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	out   Outcome
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) *importing {
	w.Header().Set("Content-Type", "application/x-ndjson")
	// Progress is written while the upload is still being read. Only HTTP/1
	// servers know the switch; without it the answer would wait for the end.
	_ = http.NewResponseController(w).EnableFullDuplex()
	return &importing{s: s, w: w, body: r.Body, slots: make(chan struct{}, inFlight), out: Outcome{Codes: map[string]int{}}}
}

// submit sends one command that stands for weight lines.
func (im *importing) submit(c ledgerapi.Command, weight int) {
	im.slots <- struct{}{}
	im.wg.Add(1)
	im.s.cfg.Ledger.Submit(c, 0, func(r ledgerapi.Result, err error) {
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
			im.out.Error = "the outcome of some lines is not known: " + err.Error() + "; import the same file again"
		case code != ledgerapi.OK:
			im.out.Refused += weight
			im.out.Codes[code.String()] += weight
		case r.Code == ledgerapi.Exists:
			im.out.Exists += weight
		default:
			im.out.Made += weight
		}
	})
}

func (im *importing) exists(n int) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.out.Exists += n
}

func (im *importing) progress(n int) {
	im.mu.Lock()
	im.out.Done += n
	line := map[string]int{"done": im.out.Done}
	im.mu.Unlock()
	_ = json.NewEncoder(im.w).Encode(line)
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

// batches reads CSV with the given header and hands out up to size lines.
func batches(r io.Reader, columns []string, size int, do func(lines [][]string, first int) error) error {
	c := csv.NewReader(r)
	c.FieldsPerRecord = len(columns)
	head, err := c.Read()
	if err != nil || strings.Join(head, ",") != strings.Join(columns, ",") {
		return fmt.Errorf("line 1: the header must be %s", strings.Join(columns, ","))
	}
	var lines [][]string
	for n := 2; ; n++ {
		row, err := c.Read()
		if err == io.EOF {
			if len(lines) > 0 {
				return do(lines, n-len(lines))
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: not %d comma-separated columns", n, len(columns))
		}
		total := 0
		for _, cell := range row {
			total += len(cell)
		}
		if total > MaxLine {
			return fmt.Errorf("line %d: longer than %d bytes", n, MaxLine)
		}
		if lines = append(lines, row); len(lines) == size {
			if err := do(lines, n-len(lines)+1); err != nil {
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
	im.finish(batches(r.Body, PersonColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		recs := make([]hsmapi.PersonRecord, len(lines))
		cmds := make([]ledgerapi.PutPerson, len(lines))
		for i, l := range lines {
			if err := personOf(l, &recs[i], &cmds[i]); err != nil {
				return fmt.Errorf("line %d: %w", first+i, err)
			}
		}
		sealed, err := s.cfg.Sealer.SealPersons(r.Context(), recs)
		if err != nil {
			return fmt.Errorf("lines from %d on: %w", first, err)
		}
		for i := range cmds {
			cmds[i].IDHash, cmds[i].Sealed = sealed[i].IDHash, sealed[i].Blob
			cmds[i].ID = idOf("person", sealed[i].IDHash[:], []byte(strings.Join(lines[i][1:], "\x00")))
			// A person already on the register is left as it is: changes come by
			// comparison and by the desk, never by a second upload.
			if _, known := s.cfg.Register.Person(sealed[i].IDHash); known {
				im.exists(1)
				continue
			}
			im.submit(cmds[i], 1)
		}
		im.progress(len(lines))
		return nil
	}))
}

// personOf reads one line. Its errors name the column, never the value.
func personOf(l []string, rec *hsmapi.PersonRecord, c *ledgerapi.PutPerson) error {
	var err error
	if rec.IDNumber, err = si.ParseIDNumber(l[0]); err != nil {
		return fmt.Errorf("id_number: %w", err)
	}
	if n := len([]rune(l[1])); n == 0 || n > 50 {
		return fmt.Errorf("name: empty or longer than 50 characters")
	}
	rec.Name, rec.Phone, rec.Address = si.NewName(l[1]), l[7], l[8]
	if c.PType, err = si.ParsePType(l[2]); err != nil {
		return fmt.Errorf("person_type: %w", err)
	}
	area, err := strconv.ParseUint(l[3], 10, 32)
	if err != nil || len(l[3]) != 6 && len(l[3]) != 9 {
		return fmt.Errorf("household: not an area code of six or nine digits")
	}
	c.Household = si.AreaCode(area)
	birth, err := time.Parse("20060102", l[4])
	if err != nil || birth.Year() < 1900 || l[4] != rec.IDNumber.BirthDate() {
		return fmt.Errorf("birth: not the YYYYMMDD of the id_number")
	}
	c.Birth = si.BirthMonthOf(birth.Year(), birth.Month())
	switch l[5] {
	case "1", "2", "9":
		c.Sex = l[5][0] - '0'
	default:
		return fmt.Errorf("sex: none of 1, 2, 9")
	}
	switch l[6] {
	case "0":
	case "1":
		c.Flags |= ledgerapi.FlagRetired
	default:
		return fmt.Errorf("retired: neither 0 nor 1")
	}
	return nil
}

func (s *Server) importCards(w http.ResponseWriter, r *http.Request) {
	im := s.begin(w, r)
	im.finish(batches(r.Body, CardColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		recs := make([]hsmapi.CardRecord, len(lines))
		cmds := make([]ledgerapi.PutCard, len(lines))
		for i, l := range lines {
			if err := s.cardOf(l, &recs[i], &cmds[i]); err != nil {
				return fmt.Errorf("line %d: %w", first+i, err)
			}
		}
		hashes, err := s.cfg.Sealer.HashCards(r.Context(), recs)
		if err != nil {
			return fmt.Errorf("lines from %d on: %w", first, err)
		}
		for i, h := range hashes {
			cmds[i].IDHash, cmds[i].CardHash, cmds[i].NoHash, cmds[i].PANHash = h.IDHash, h.CardHash, h.NoHash, h.PANHash
			cmds[i].ID = idOf("card", h.IDHash[:], h.CardHash[:], h.PANHash[:], []byte(lines[i][5]))
			im.submit(cmds[i], 1)
		}
		im.progress(len(lines))
		return nil
	}))
}

func (s *Server) cardOf(l []string, rec *hsmapi.CardRecord, c *ledgerapi.PutCard) error {
	var err error
	if rec.IDNumber, err = si.ParseIDNumber(l[0]); err != nil {
		return fmt.Errorf("id_number: %w", err)
	}
	if len(l[1]) != 32 || len(l[2]) != 9 {
		return fmt.Errorf("card_id or card_no: not 32 and 9 characters")
	}
	rec.CardID, rec.CardNo = l[1], l[2]
	if rec.PAN, err = si.ParsePAN(l[3]); err != nil {
		return fmt.Errorf("pan: %w", err)
	}
	bank, ok := s.cfg.Banks(l[4])
	if !ok {
		return fmt.Errorf("bank: no profile has this code")
	}
	since, err := time.Parse("20060102", l[5])
	if err != nil || since.Year() < 2000 {
		return fmt.Errorf("since: not YYYYMMDD")
	}
	c.Bank, c.State, c.Source = bank, ledgerapi.CardActive, ledgerapi.CardImport
	c.Since = si.Date(since.Year(), since.Month(), since.Day())
	return nil
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
	im.finish(batches(r.Body, BaseColumns, ledgerapi.MaxAssess, func(lines [][]string, first int) error {
		c := tmpl
		if err := s.items(r.Context(), lines, first, column, &c); err != nil {
			return err
		}
		if len(c.Items) > 0 {
			c.ID = idOf("assess", c.AppendBody(nil))
			im.submit(c, len(c.Items))
		}
		im.progress(len(lines))
		return nil
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
func (s *Server) items(ctx context.Context, lines [][]string, first, column int, c *ledgerapi.Assess) error {
	var ids []si.IDNumber
	var bases []si.Fen
	for i, l := range lines {
		if l[1] != c.PType.String() {
			continue
		}
		id, err := si.ParseIDNumber(l[0])
		if err != nil {
			return fmt.Errorf("line %d: id_number: %w", first+i, err)
		}
		base, err := strconv.ParseInt(l[column], 10, 64)
		if err != nil || base < 0 || base > int64(si.MaxFen) {
			return fmt.Errorf("line %d: %s: not an amount in fen", first+i, BaseColumns[column])
		}
		if base == 0 {
			continue // pays nothing of this kind
		}
		ids, bases = append(ids, id), append(bases, si.Fen(base))
	}
	if len(ids) == 0 {
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
