package operator

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// ProposalFormat is in the first line of every proposal.
const ProposalFormat = "shebao-proposal-1"

// maxProposalLine bounds one line: a record with the longest sealed person in
// base64 has 2,900 bytes.
const maxProposalLine = 4 << 10

// maxProposal bounds the changes of a proposal, as lines of a table are.
const maxProposal = 2_000_000

// A proposal is JSON lines: a head, changes, an end with a sum over the bytes of
// all lines before it. docs/format/import.md describes it.
type proposalHead struct {
	Format string `json:"format"`
	Area   string `json:"area"`
	Maker  uint32 `json:"maker"`
	Made   string `json:"made"`
}

type proposalChange struct {
	Line    int      `json:"line"` // of the register
	Person  uint32   `json:"person"`
	Version uint16   `json:"version"` // that is to be replaced
	Fields  []string `json:"fields"`
	Record  []byte   `json:"record"` // of the ledger: a PutPerson, its personal data sealed
}

type proposalEnd struct {
	Changes *int   `json:"changes"`
	Sum     string `json:"sum"` // SHA-256
}

// proposalWriter makes the lines of a proposal.
type proposalWriter struct {
	to  func(line string)
	sum hash.Hash
	n   int
}

func (p *proposalWriter) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("operator: proposal: %w", err)
	}
	p.sum.Write(append(b, '\n'))
	p.to(string(b))
	return nil
}

func (p *proposalWriter) begin(h proposalHead) error {
	p.sum = sha256.New()
	return p.line(h)
}

func (p *proposalWriter) change(line int, no si.PersonNo, fields []string, c ledgerapi.PutPerson) error {
	p.n++
	return p.line(proposalChange{Line: line, Person: uint32(no), Version: c.ExpectVersion, Fields: fields,
		Record: ledgerapi.AppendRecord(nil, ledgerapi.Header{}, c)})
}

func (p *proposalWriter) end() error {
	return p.line(proposalEnd{Changes: &p.n, Sum: hex.EncodeToString(p.sum.Sum(nil))})
}

// applyProposal makes the changes of a proposal. The query names the checker,
// who must not be the maker. All of it is read and checked first; a person who
// changed since the comparison is reported and left alone.
func (s *Server) applyProposal(w http.ResponseWriter, r *http.Request) {
	checker, err := strconv.ParseUint(r.URL.Query().Get("checker"), 10, 32)
	if err != nil || checker == 0 {
		refuse(w, http.StatusBadRequest, "checker: not a user number")
		return
	}
	im := s.begin(w, r)
	im.actor = si.Actor(checker)
	im.refused = func(line int, res *ledgerapi.Result) string {
		if res.Code == ledgerapi.BadTransition || res.Code == ledgerapi.NotFound {
			return fmt.Sprintf("line %d: person %d changed meanwhile (now version %d); compare again", line, res.Person, res.Version)
		}
		return ""
	}
	im.finish(im.apply(uint32(checker)))
}

func (im *importing) apply(checker uint32) error {
	var err error
	if im.stage, err = newStage(im.s.cfg.Stage); err != nil {
		return err
	}
	defer im.stage.close()
	if err := im.readProposal(checker); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	return im.make()
}

// readProposal stages the commands of a proposal.
func (im *importing) readProposal(checker uint32) error {
	in := bufio.NewReaderSize(im.body, maxProposalLine)
	sum := sha256.New()
	var head proposalHead
	for n := 0; ; n++ {
		raw, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("line %d: the proposal was cut short", n+1)
		case err != nil:
			return fmt.Errorf("line %d: longer than %d bytes, or the file stops before its end", n+1, maxProposalLine)
		case n > maxProposal+1:
			return fmt.Errorf("more than %d changes", maxProposal)
		case n == 0:
			if err := im.head(raw, &head, checker); err != nil {
				return err
			}
		default:
			var end proposalEnd
			if json.Unmarshal(raw, &end) == nil && end.Changes != nil {
				if *end.Changes != n-1 || end.Sum != hex.EncodeToString(sum.Sum(nil)) {
					return fmt.Errorf("line %d: the proposal was changed, or parts of it are lost", n+1)
				}
				if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
					return fmt.Errorf("line %d: bytes behind the end", n+2)
				}
				return nil
			}
			if err := im.change(raw, n+1); err != nil {
				return fmt.Errorf("line %d: %w", n+1, err)
			}
		}
		sum.Write(raw)
	}
}

func (im *importing) head(raw []byte, h *proposalHead, checker uint32) error {
	area := im.s.cfg.Status().Area
	switch {
	case json.Unmarshal(raw, h) != nil || h.Format != ProposalFormat:
		return fmt.Errorf("line 1: not a proposal of the form %s", ProposalFormat)
	case h.Area != area:
		return fmt.Errorf("line 1: a proposal of region %s, this is %s", h.Area, area)
	case h.Maker == 0 || h.Maker == checker:
		return fmt.Errorf("%s: the proposal was made by user %d; another person applies it", ledgerapi.SamePerson, h.Maker)
	}
	return nil
}

// change stages one change after holding it to what it says of itself.
func (im *importing) change(raw []byte, line int) error {
	var c proposalChange
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return errors.New("not a change")
	}
	_, cmd, n, err := ledgerapi.DecodeRecord(c.Record)
	put, ok := cmd.(ledgerapi.PutPerson)
	if err != nil || !ok || n != len(c.Record) || put.ExpectVersion == 0 || put.ExpectVersion != c.Version {
		return errors.New("its record is not the change of a person")
	}
	if p, known := im.s.cfg.Register.Person(put.IDHash); !known || uint32(p.No) != c.Person {
		return fmt.Errorf("person %d is not the one of its record", c.Person)
	}
	im.out.Done++
	return im.stage.put(put, line, 1)
}
