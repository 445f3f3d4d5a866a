package operator

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/shebao-pay/shebao/settlement/operator/sheet"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The kinds of differences between a register and ours.
const (
	DiffNew     = "new"     // stands in the register, not with us
	DiffMissing = "missing" // stands with us, alive, and not in the register
	DiffField   = "differs"
)

// Difference is one row of a comparison's report. What it shows of a person is
// masked.
type Difference struct {
	Kind     string `json:"kind"`
	Line     int    `json:"line,omitempty"`   // of the register
	Person   uint32 `json:"person,omitempty"` // our number
	ID       string `json:"id"`               // last four characters
	Name     string `json:"name"`             // masked: ours, or the register's if new
	Field    string `json:"field,omitempty"`  // name, sex, birth, household, status
	Ours     string `json:"ours,omitempty"`
	Theirs   string `json:"theirs,omitempty"`
	Proposed bool   `json:"proposed,omitempty"` // the proposal takes the register's value
}

// Comparison is the outcome of a comparison.
type Comparison struct {
	OK       bool           `json:"ok"` // the register was read to its end
	Lines    int            `json:"lines"`
	Same     int            `json:"same"`
	New      int            `json:"new"`
	Missing  int            `json:"missing"`
	Differ   int            `json:"differ"` // persons
	Fields   map[string]int `json:"fields,omitempty"`
	Proposed int            `json:"proposed"` // persons that the proposal changes
	Wrong    []string       `json:"wrong,omitempty"`
	Error    string         `json:"error,omitempty"`
}

// comparing is one comparison under way.
type comparing struct {
	im       *importing // its lines, faults and answer
	out      Comparison
	answers  *json.Encoder
	proposal *proposalWriter
	last     si.PersonNo // highest number when it began
	seen     []uint64    // bit per person number
}

// compareRegister compares another register with ours and changes nothing. The
// answer is a line for each difference and for each line of the proposal,
// progress between, and the outcome. The query names the maker.
func (s *Server) compareRegister(w http.ResponseWriter, r *http.Request) {
	maker, err := strconv.ParseUint(r.URL.Query().Get("maker"), 10, 32)
	if err != nil || maker == 0 {
		refuse(w, http.StatusBadRequest, "maker: not a user number")
		return
	}
	c := &comparing{im: s.begin(w, r), last: s.lastPerson()}
	c.seen = make([]uint64, c.last/64+1)
	c.out.Fields = map[string]int{}
	// Thousands of short lines leave in few writes; progress flushes.
	buffered := bufio.NewWriterSize(w, 64<<10)
	c.answers = json.NewEncoder(buffered)
	c.im.flush = buffered.Flush
	if err = c.run(r.Context(), proposalHead{Format: ProposalFormat, Area: s.cfg.Status().Area, Maker: uint32(maker),
		Made: si.DateOf(s.cfg.Now()).String()}); err != nil {
		c.out.Error = err.Error()
	}
	c.out.OK = err == nil
	c.out.Wrong = c.im.out.Lines
	_, _ = io.Copy(io.Discard, r.Body) // as after an import
	_ = c.answers.Encode(c.out)        // the peer may be gone
	_ = buffered.Flush()
}

func (c *comparing) run(ctx context.Context, head proposalHead) error {
	c.proposal = &proposalWriter{to: func(line string) {
		_ = c.answers.Encode(map[string]string{"proposal": line})
	}}
	if err := c.proposal.begin(head); err != nil {
		return err
	}
	err := batches(c.im.body, RegisterColumns, hsmapi.MaxPersons, func(lines [][]string, first int) error {
		if err := c.batch(ctx, lines, first); err != nil {
			return err
		}
		if c.im.wrong >= maxFaults {
			return fmt.Errorf("%d lines do not fit; the rest was not read", c.im.wrong)
		}
		c.out.Lines = first + len(lines) - 2
		c.im.progress("checked", c.out.Lines)
		return nil
	})
	if bad := (*sheet.LineError)(nil); errors.As(err, &bad) {
		c.im.fault(bad.Line, bad.Column, bad.Why)
		err = nil
	}
	if err == nil && c.im.wrong > 0 {
		err = fmt.Errorf("%s (%d lines do not fit); the register was not compared", c.im.out.Lines[0], c.im.wrong)
	}
	if err == nil {
		err = c.missing(ctx)
	}
	if err == nil {
		err = c.proposal.end()
	}
	return err
}

// lastPerson finds the highest person number: they are given without gaps.
func (s *Server) lastPerson() si.PersonNo {
	there := func(no si.PersonNo) bool { _, ok := s.cfg.Register.PersonByNo(no); return ok }
	step := si.PersonNo(1)
	for step < 1<<31 && there(step) {
		step *= 2
	}
	low, high := step/2, step // low is there, or 0
	for low+1 < high {
		if mid := low + (high-low)/2; there(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// batch compares some lines.
func (c *comparing) batch(ctx context.Context, lines [][]string, first int) error {
	rows := make([]registerRow, len(lines))
	ids := make([]si.IDNumber, len(lines))
	today := c.im.s.cfg.Now()
	for i, l := range lines {
		v := cells{columns: RegisterColumns, of: l}
		if rows[i] = v.register(today); v.why != "" {
			c.im.fault(first+i, v.column, v.why)
		}
		ids[i] = rows[i].id
	}
	if c.im.wrong > 0 {
		return nil
	}
	hashes, err := c.im.s.cfg.Sealer.HashIDs(ctx, ids)
	if err != nil {
		return fmt.Errorf("lines from %d on: %w", first, err)
	}
	ours := make([]ledgerapi.Person, len(lines)) // number 0: not with us
	var ask []hsmapi.PersonRevision
	for i, h := range hashes {
		p, known := c.im.s.cfg.Register.Person(h)
		switch {
		case !known:
			if c.im.once(key{hash: h}, first+i, RegisterColumns[0], "this person") {
				c.out.New++
				c.answer(Difference{Kind: DiffNew, Line: first + i, ID: ids[i].Tail(), Name: rows[i].name.Masked()})
			}
			continue
		case p.No > c.last: // came while the register is read
			continue
		case c.seen[p.No/64]&(1<<(p.No%64)) != 0:
			c.im.fault(first+i, RegisterColumns[0], "this person stands on an earlier line, too")
			continue
		}
		c.seen[p.No/64] |= 1 << (p.No % 64)
		ours[i] = p
		if len(p.Sealed) > 0 {
			ask = append(ask, hsmapi.PersonRevision{IDNumber: ids[i], Name: rows[i].name, Blob: p.Sealed})
		}
	}
	var revised []hsmapi.PersonRevised
	if len(ask) > 0 {
		if revised, err = c.im.s.cfg.Sealer.RevisePersons(ctx, ask); err != nil {
			return fmt.Errorf("lines from %d on: %w", first, err)
		}
	}
	for i := range rows {
		if ours[i].No == 0 {
			continue
		}
		var names hsmapi.PersonRevised // nothing to compare with if nothing is sealed
		if len(ours[i].Sealed) > 0 {
			names, revised = revised[0], revised[1:]
		}
		if err := c.person(first+i, &rows[i], &ours[i], &names); err != nil {
			return err
		}
	}
	return nil
}

// person reports how one person differs, and proposes what the register says,
// but for life: nobody is brought back by a file.
func (c *comparing) person(line int, row *registerRow, p *ledgerapi.Person, names *hsmapi.PersonRevised) error {
	next := ledgerapi.PutPerson{ExpectVersion: p.Version, IDHash: p.IDHash, PType: p.PType, Household: p.Household,
		Birth: p.Birth, Sex: p.Sex, Flags: p.Flags, Sealed: p.Sealed}
	var fields []string
	differs := 0
	report := func(field, ours, theirs string, proposed bool) {
		differs++
		c.out.Fields[field]++
		if proposed {
			fields = append(fields, field)
		}
		c.answer(Difference{Kind: DiffField, Line: line, Person: uint32(p.No), ID: row.id.Tail(), Name: names.View.MaskedName,
			Field: field, Ours: ours, Theirs: theirs, Proposed: proposed})
	}
	if names.NameDiffers {
		next.Sealed = names.Blob
		report("name", names.View.MaskedName, row.name.Masked(), true)
	}
	if row.sex != 0 && row.sex != p.Sex {
		next.Sex = row.sex
		report("sex", strconv.Itoa(int(p.Sex)), strconv.Itoa(int(row.sex)), true)
	}
	if row.birth != 0 && row.birth != p.Birth {
		next.Birth = row.birth
		report("birth", maskedBirth(p.Birth), maskedBirth(row.birth), true)
	}
	if row.household != 0 && row.household != p.Household {
		next.Household = row.household
		report("household", p.Household.String(), row.household.String(), true)
	}
	switch dead := p.Flags&ledgerapi.FlagDeceased != 0; {
	case row.status == "DECEASED" && !dead:
		next.Flags |= ledgerapi.FlagDeceased
		report("status", "ALIVE", "DECEASED", true)
	case row.status == "ALIVE" && dead:
		report("status", "DECEASED", "ALIVE", false)
	}
	if differs == 0 {
		c.out.Same++
		return nil
	}
	c.out.Differ++
	if len(fields) == 0 {
		return nil
	}
	c.out.Proposed++
	next.ID = idOf("revision", p.IDHash[:], next.AppendBody(nil))
	return c.proposal.change(line, p.No, fields, next)
}

// maskedBirth shows the year.
func maskedBirth(b si.BirthMonth) string { return strconv.Itoa(b.Year()) + "-**" }

// missing reports whom of ours the register did not name. Who is dead with us
// need not stand in it.
func (c *comparing) missing(ctx context.Context) error {
	var persons []ledgerapi.Person
	for no := si.PersonNo(1); no <= c.last; no++ {
		if c.seen[no/64]&(1<<(no%64)) != 0 {
			continue
		}
		p, ok := c.im.s.cfg.Register.PersonByNo(no)
		if !ok || p.Flags&ledgerapi.FlagDeceased != 0 {
			continue
		}
		if persons = append(persons, p); len(persons) == hsmapi.MaxPersons {
			if err := c.reportMissing(ctx, persons); err != nil {
				return err
			}
			persons = persons[:0]
		}
	}
	return c.reportMissing(ctx, persons)
}

func (c *comparing) reportMissing(ctx context.Context, persons []ledgerapi.Person) error {
	var blobs [][]byte
	for i := range persons {
		if len(persons[i].Sealed) > 0 {
			blobs = append(blobs, persons[i].Sealed)
		}
	}
	var views []hsmapi.PersonView
	if len(blobs) > 0 {
		var err error
		if views, err = c.im.s.cfg.Sealer.OpenPersons(ctx, blobs); err != nil {
			return fmt.Errorf("whom the register does not name: %w", err)
		}
	}
	for i := range persons {
		var v hsmapi.PersonView
		if len(persons[i].Sealed) > 0 {
			v, views = views[0], views[1:]
		}
		c.out.Missing++
		c.answer(Difference{Kind: DiffMissing, Person: uint32(persons[i].No), ID: v.IDTail, Name: v.MaskedName})
	}
	return ctx.Err()
}

func (c *comparing) answer(d Difference) {
	_ = c.answers.Encode(map[string]Difference{"difference": d}) // a peer that is gone ends the upload too
}
