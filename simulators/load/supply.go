package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/residents"
)

// Supply keeps the notices of a run and hands out each once. One takes sixteen
// bytes.
type Supply struct {
	list []open
	next atomic.Uint64
}

type open struct {
	notice si.NoticeNo
	amount si.Fen
}

// Issue asks the node for the payment notices of n residents, from the first on,
// and keeps those that have something to pay. A person has one notice a day, so
// dues that are assessed after it wait for the next day's.
func Issue(ctx context.Context, c *operator.Client, gen residents.Generator, n int, progress func(done int)) (*Supply, error) {
	s := &Supply{}
	file, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := idNumbers(w, gen, n)
		_ = w.CloseWithError(err) // always nil
		written <- err
	}()
	var bad error
	done := 0
	o, err := c.Notices(ctx, operator.NoticeAsk{Days: noticeDays}, file, func(l operator.NoticeLine) {
		if done++; done%progressEach == 0 {
			progress(done)
		}
		if l.Notice == "" || l.Total <= 0 {
			return
		}
		no, err := si.ParseNoticeNo(l.Notice)
		if err != nil {
			bad = fmt.Errorf("load: notice of line %d: %w", l.Line, err)
			return
		}
		s.list = append(s.list, open{no, si.Fen(l.Total)})
	})
	_ = file.Close() // lets the writer go when the node stopped reading
	if werr := <-written; err == nil && werr != nil {
		err = werr
	}
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, fmt.Errorf("load: issue notices: %w", err)
	}
	if len(s.list) == 0 {
		return nil, fmt.Errorf("load: none of %d residents owes anything (%v); import and assess them first", n, o.Codes)
	}
	return s, nil
}

const (
	noticeDays   = 30
	progressEach = 1000
)

// idNumbers writes the file of a bulk issue.
func idNumbers(w io.Writer, gen residents.Generator, n int) error {
	b := bufio.NewWriter(w)
	if _, err := b.WriteString(operator.NoticeColumns[0] + "\n"); err != nil {
		return err
	}
	for i := range n {
		p, err := gen.At(i)
		if err != nil {
			return err
		}
		if _, err := b.WriteString(p.IDNumber + "\n"); err != nil {
			return err
		}
	}
	return b.Flush()
}

// Invent gives n notices that nobody made, for a server without a ledger.
func Invent(area si.AreaCode, year, n int) *Supply {
	s := &Supply{list: make([]open, n)}
	for i := range s.list {
		s.list[i] = open{si.NewNoticeNo(area, year, uint64(i+1)), 100}
	}
	return s
}

// Len is how many notices there were at the beginning.
func (s *Supply) Len() int { return len(s.list) }

// Left is how many nobody has asked for.
func (s *Supply) Left() int { return len(s.list) - int(min(s.next.Load(), uint64(len(s.list)))) }

// Next hands out a notice that was not handed out before.
func (s *Supply) Next() (si.NoticeNo, si.Fen, bool) {
	i := s.next.Add(1) - 1
	if i >= uint64(len(s.list)) {
		return 0, 0, false
	}
	return s.list[i].notice, s.list[i].amount, true
}
