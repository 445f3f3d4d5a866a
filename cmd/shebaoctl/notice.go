package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/notice"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/paper"
	"github.com/shebao-pay/shebao/si"
)

// The font of the sheets, of Debian's fonts-noto-cjk.
const (
	noticeFont   = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
	noticeFamily = "Noto Sans CJK SC"
)

// noticeFlags are what shebaoctl notice is asked for.
type noticeFlags struct {
	socket            *string
	days              int
	file, office, pdf string
	font, family      string
}

func noticeCommand() *cobra.Command {
	var f noticeFlags
	c := &cobra.Command{
		Use: "notice", Args: cobra.NoArgs,
		Short: "Makes today's payment notices, of one person, of a file or of an office, and prints them as PDF",
		Long: `Makes today's payment notice of each person who owes something, or finds the one
that is there. Who: the person whose ID number is read from standard input; with
--file, everybody in a CSV file with the column id_number; with --office,
everybody whose household belongs to that office. With --pdf the sheets are
written into one PDF file, which only its owner can read.`,
	}
	f.socket = socketFlag(c)
	fl := c.Flags()
	fl.IntVar(&f.days, "days", 30, "valid for so many days")
	fl.StringVar(&f.file, "file", "", "CSV file with the column id_number")
	fl.StringVar(&f.office, "office", "", "code of an office of the region's table")
	fl.StringVar(&f.pdf, "pdf", "", "write the sheets to this PDF file")
	fl.StringVar(&f.font, "font", noticeFont, "font file of the sheets")
	fl.StringVar(&f.family, "font-family", noticeFamily, "family in the font file")
	c.MarkFlagsMutuallyExclusive("file", "office")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return c
}

func (f *noticeFlags) run(cmd *cobra.Command) error {
	cl := operator.Dial(*f.socket)
	defer cl.Close()
	if f.file == "" && f.office == "" && f.pdf == "" {
		return f.one(cmd, cl)
	}
	who, err := f.who(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = who.Close() }()
	if f.pdf == "" {
		return f.list(cmd, cl, who)
	}
	return f.print(cmd, cl, who)
}

// one makes the notice of a person and says its number.
func (f *noticeFlags) one(cmd *cobra.Command, cl *operator.Client) error {
	id, err := askID(cmd)
	if err != nil {
		return err
	}
	var a operator.Answer
	if err := cl.Ask(cmd.Context(), "/v1/notice", operator.PersonRequest{IDNumber: id, Days: f.days}, &a); err != nil {
		return err
	}
	return done(cmd.OutOrStdout(), a)
}

func askID(cmd *cobra.Command) (string, error) {
	if atTerminal(cmd.InOrStdin()) {
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), "ID number: ")
	}
	return idNumber(cmd.InOrStdin())
}

// who is the file that names the persons; empty for an office.
func (f *noticeFlags) who(cmd *cobra.Command) (io.ReadCloser, error) {
	switch {
	case f.office != "":
		return io.NopCloser(strings.NewReader("")), nil
	case f.file != "":
		r, err := os.Open(f.file) // #nosec G304 -- the operator names the file
		if err != nil {
			return nil, fmt.Errorf("persons: %w", err)
		}
		return r, nil
	}
	id, err := askID(cmd)
	return io.NopCloser(strings.NewReader(operator.NoticeColumns[0] + "\n" + id + "\n")), err
}

// bar shows how many notices are done.
func bar(cmd *cobra.Command) *progressbar.ProgressBar {
	return progressbar.NewOptions(-1, progressbar.OptionSetWriter(cmd.ErrOrStderr()),
		progressbar.OptionSetDescription("notices"), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish())
}

func (f *noticeFlags) ask(sheets bool) operator.NoticeAsk {
	return operator.NoticeAsk{Days: f.days, Office: f.office, Sheets: sheets}
}

// list prints a line for each person.
func (f *noticeFlags) list(cmd *cobra.Command, cl *operator.Client, who io.Reader) error {
	b := bar(cmd)
	out := json.NewEncoder(cmd.OutOrStdout())
	o, err := cl.Notices(cmd.Context(), f.ask(false), who, func(l operator.NoticeLine) {
		_ = b.Add(1)
		_ = out.Encode(l) // a reader that is gone ends the command
	})
	_ = b.Finish()
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), o)
}

// printed is what the command says of a PDF file.
type printed struct {
	File    string         `json:"file"`
	Sheets  int            `json:"sheets"`
	Total   string         `json:"total"`           // yuan, of all sheets
	Without map[string]int `json:"without"`         // persons without a sheet, by reason
	Lacks   []string       `json:"lacks,omitempty"` // characters that the font does not have
	Seconds float64        `json:"seconds"`
}

// print writes the sheets while they come in. The file appears under its name
// when it is whole.
func (f *noticeFlags) print(cmd *cobra.Command, cl *operator.Client, who io.Reader) error {
	began := time.Now()
	var agency operator.Agency
	if err := cl.Ask(cmd.Context(), "/v1/agency", nil, &agency); err != nil {
		return err
	}
	raw, err := os.ReadFile(f.font) // #nosec G304 -- the operator names the file
	if err != nil {
		return fmt.Errorf("font: %w; install fonts-noto-cjk or name another file with --font", err)
	}
	font, err := paper.OpenFont(raw, f.family)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.pdf), ".notices-*") // mode 0600
	if err != nil {
		return fmt.Errorf("PDF file: %w", err)
	}
	defer func() { _, _ = tmp.Close(), os.Remove(tmp.Name()) }()
	buf := bufio.NewWriterSize(tmp, 1<<20)
	d := &drawing{doc: paper.New(buf, font, "社会保险费缴费通知单"), agency: agency}
	b := bar(cmd)
	o, err := cl.Notices(cmd.Context(), f.ask(true), who, func(l operator.NoticeLine) {
		_ = b.Add(1)
		d.add(&l)
	})
	_ = b.Finish()
	switch {
	case err != nil:
		return err
	case d.err != nil:
		return d.err
	case d.doc.Pages() == 0:
		_ = printJSON(cmd.OutOrStdout(), o)
		return errors.New("nobody has anything to pay: no file is written")
	}
	if err := errors.Join(d.doc.Close(), buf.Flush(), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), f.pdf); err != nil {
		return fmt.Errorf("PDF file: %w", err)
	}
	p := printed{File: f.pdf, Sheets: d.doc.Pages(), Total: d.total.Grouped(), Without: map[string]int{}, Seconds: time.Since(began).Seconds()}
	for code, n := range o.Codes {
		p.Without[code] = n
	}
	for _, r := range d.doc.Missing() {
		p.Lacks = append(p.Lacks, fmt.Sprintf("U+%04X", r))
	}
	if err := printJSON(cmd.OutOrStdout(), p); err != nil {
		return err
	}
	if len(p.Lacks) > 0 {
		return errors.New("the font lacks characters of some sheets, which have an empty box there: print those with another --font")
	}
	return nil
}

// drawing draws the sheets as the answers come in; the first error counts.
type drawing struct {
	doc    *paper.Doc
	agency operator.Agency
	total  si.Fen
	err    error
}

func (d *drawing) add(l *operator.NoticeLine) {
	if d.err != nil || l.Sheet == nil {
		return
	}
	n, err := sheetOf(l)
	if err == nil {
		var at notice.Office
		for _, o := range d.agency.Offices {
			if o.Code == l.Sheet.Office {
				at = notice.Office{Code: o.Code, Name: o.Name, Address: o.Address, Phone: o.Phone}
			}
		}
		from := notice.Sender{Agency: d.agency.Name, Hotline: d.agency.Hotline, Banks: d.agency.Banks, Demo: d.agency.Demo}
		err = notice.Draw(d.doc, &from, &at, n)
	}
	if err != nil {
		d.err = fmt.Errorf("notice of line %d: %w", l.Line, err)
		return
	}
	d.total += n.Total
}

// sheetOf reads an answer of the node.
func sheetOf(l *operator.NoticeLine) (*notice.Notice, error) {
	n := &notice.Notice{Name: l.Sheet.Name, IDTail: l.Sheet.IDTail, Total: si.Fen(l.Total)}
	var errs [3]error
	n.No, errs[0] = si.ParseNoticeNo(l.Notice)
	n.Issued, errs[1] = si.ParseDate(l.Sheet.Issued)
	n.ValidUntil, errs[2] = si.ParseDate(l.Sheet.ValidUntil)
	for _, d := range l.Sheet.Dues {
		fund, err := si.ParseFund(d.Fund)
		if err != nil {
			return nil, err
		}
		period, err := si.ParsePeriod(d.Period)
		if err != nil {
			return nil, err
		}
		n.Dues = append(n.Dues, notice.Due{Fund: fund, Period: period, Amount: si.Fen(d.Amount), LateFee: si.Fen(d.LateFee)})
	}
	return n, errors.Join(errs[:]...)
}
