package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/bankfile"
	"github.com/shebao-pay/shebao/settlement/recon"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/evening"
)

// writeDay writes the three sources of a day.
func writeDay(dir string, plan evening.Plan, truths []string) error {
	bank, err := os.Create(filepath.Join(dir, plan.FileName())) // #nosec G304 -- a file of the folder that the day is made in
	if err != nil {
		return fmt.Errorf("bank file: %w", err)
	}
	if err := errors.Join(plan.WriteFile(bank, truths), bank.Close()); err != nil {
		return err
	}
	ledger, err := newRows(filepath.Join(dir, dayLedger))
	if err != nil {
		return err
	}
	terms, err := newRows(filepath.Join(dir, dayTerms))
	if err != nil {
		return errors.Join(err, ledger.close())
	}
	var buf []byte
	err = plan.Payments(truths, func(p evening.Payment) error {
		if p.Ledger != nil {
			r, err := ledgerRow(p)
			if err != nil {
				return err
			}
			buf = appendLedger(buf[:0], &r)
			if err := ledger.add(buf); err != nil {
				return err
			}
		}
		if p.Terminal == nil {
			return nil
		}
		r, err := terminalRow(p)
		if err != nil {
			return err
		}
		buf = appendTerminal(buf[:0], &r)
		return terms.add(buf)
	})
	return errors.Join(err, ledger.close(), terms.close())
}

// dayPayment is the id of the n-th payment of a made-up day.
func dayPayment(n int) (id si.PaymentID) {
	copy(id[:], fmt.Sprintf("%016d", n))
	return id
}

// paymentOfLine is which payment a line of the result, without its verdict, is
// about: by its id, else by the bank's serial.
func paymentOfLine(rest string) int {
	id, rest, _ := strings.Cut(rest, "|")
	if id == "" {
		serial, _, _ := strings.Cut(rest, "|")
		return evening.Number(serial)
	}
	b, err := hex.DecodeString(id)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return -1
	}
	return n
}

func traceOf(rrn, de41 string, stan int) (t recon.Trace) {
	copy(t.RRN[:], rrn)
	copy(t.DE41[:], de41)
	t.STAN = uint32(stan) // #nosec G115 -- six digits
	return t
}

func ledgerRow(p evening.Payment) (recon.LedgerRow, error) {
	states := map[string]recon.LedgerState{"POSTED": recon.Posted, "RESERVED": recon.Reserved, "REVERSING": recon.Reversing, "VOIDED": recon.Voided}
	l := p.Ledger
	r := recon.LedgerRow{Payment: dayPayment(p.N), State: states[l.State], Carried: l.Carried, Terminal: si.Terminal(l.Terminal), OurDate: dayOf, BankDate: dayOf,
		Trace: traceOf(l.RRN, l.DE41, l.STAN), Amount: si.Fen(l.Amount), EndMillis: l.EndMillis}
	if r.State == recon.LedgerNone {
		return r, fmt.Errorf("day: state %q of payment %d", l.State, p.N)
	}
	if l.NextDay {
		r.BankDate++
	}
	copy(r.Serial[:], l.Serial)
	copy(r.Reference[:], l.Reference)
	copy(r.Alias[:], l.Alias)
	return r, nil
}

func terminalRow(p evening.Payment) (recon.TerminalRow, error) {
	states := map[string]recon.TerminalState{"OK": recon.TerminalOK, "REV": recon.TerminalUndone, "UNK": recon.TerminalUnaware}
	r := recon.TerminalRow{Payment: dayPayment(p.N), Terminal: si.Terminal(p.N%evening.Terminals + 1), State: states[p.Terminal.State], // #nosec G115 -- a terminal number
		Amount: si.Fen(p.Terminal.Amount), Trace: traceOf(p.Trace.RRN, p.Trace.DE41, p.Trace.STAN)}
	if r.State == recon.TerminalNone {
		return r, fmt.Errorf("day: state %q of payment %d at its terminal", p.Terminal.State, p.N)
	}
	return r, nil
}

// The rows of ledger and terminals lie in files of fixed records, numbers with
// the least byte first.
const (
	ledgerRecord   = 16 + 1 + 1 + 4 + 2 + 2 + 20 + traceRecord + 8 + 8 + 32 + 8
	terminalRecord = 16 + 4 + 1 + 8 + traceRecord
	traceRecord    = 8 + 4 + 12
)

func appendTrace(b []byte, t *recon.Trace) []byte {
	b = append(b, t.DE41[:]...)
	b = binary.LittleEndian.AppendUint32(b, t.STAN)
	return append(b, t.RRN[:]...)
}

func appendLedger(b []byte, r *recon.LedgerRow) []byte {
	b = append(append(b, r.Payment[:]...), byte(r.State), 0)
	if r.Carried {
		b[len(b)-1] = 1
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Terminal))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.OurDate))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.BankDate))
	b = appendTrace(append(b, r.Serial[:]...), &r.Trace)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Amount))    // #nosec G115 -- back again as it was
	b = binary.LittleEndian.AppendUint64(b, uint64(r.EndMillis)) // #nosec G115 -- back again as it was
	b = append(b, r.Reference[:]...)
	return append(b, r.Alias[:]...)
}

func appendTerminal(b []byte, r *recon.TerminalRow) []byte {
	b = append(b, r.Payment[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Terminal))
	b = append(b, byte(r.State))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Amount)) // #nosec G115 -- back again as it was
	return appendTrace(b, &r.Trace)
}

// cursor reads a record from the front.
type cursor []byte

func (c *cursor) take(n int) []byte {
	b := (*c)[:n]
	*c = (*c)[n:]
	return b
}

func (c *cursor) u64() uint64 { return binary.LittleEndian.Uint64(c.take(8)) }
func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.take(4)) }
func (c *cursor) u16() uint16 { return binary.LittleEndian.Uint16(c.take(2)) }

func (c *cursor) trace(t *recon.Trace) {
	copy(t.DE41[:], c.take(8))
	t.STAN = c.u32()
	copy(t.RRN[:], c.take(12))
}

func readLedger(b []byte, r *recon.LedgerRow) {
	c := cursor(b)
	copy(r.Payment[:], c.take(16))
	r.State, r.Carried, r.Terminal = recon.LedgerState(c.take(1)[0]), c.take(1)[0] == 1, si.Terminal(c.u32())
	r.OurDate, r.BankDate = si.BusinessDate(c.u16()), si.BusinessDate(c.u16())
	copy(r.Serial[:], c.take(20))
	c.trace(&r.Trace)
	r.Amount, r.EndMillis = si.Fen(c.u64()), int64(c.u64()) // #nosec G115 -- as it was
	copy(r.Reference[:], c.take(32))
	copy(r.Alias[:], c.take(8))
}

func readTerminal(b []byte, r *recon.TerminalRow) {
	c := cursor(b)
	copy(r.Payment[:], c.take(16))
	r.Terminal, r.State, r.Amount = si.Terminal(c.u32()), recon.TerminalState(c.take(1)[0]), si.Fen(c.u64()) // #nosec G115 -- as it was
	c.trace(&r.Trace)
}

// rowFile is a file of records being written.
type rowFile struct {
	f *os.File
	b *bufio.Writer
}

func newRows(path string) (*rowFile, error) {
	f, err := os.Create(path) // #nosec G304 -- a file of the folder that the day is made in
	if err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	return &rowFile{f, bufio.NewWriterSize(f, 1<<20)}, nil
}

func (r *rowFile) add(b []byte) error {
	_, err := r.b.Write(b)
	return err
}

func (r *rowFile) close() error { return errors.Join(r.b.Flush(), r.f.Close()) }

// readRows reads a file of records into rows.
func readRows[T any](path string, size int, read func([]byte, *T)) ([]T, error) {
	f, err := os.Open(path) // #nosec G304 -- a file of the folder that the day is made in
	if err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	rows := make([]T, st.Size()/int64(size))
	b, rec := bufio.NewReaderSize(f, 1<<20), make([]byte, size)
	for i := range rows {
		if _, err := io.ReadFull(b, rec); err != nil {
			return nil, fmt.Errorf("rows: %s: %w", path, err)
		}
		read(rec, &rows[i])
	}
	return rows, nil
}

// matchCommand is the process that matches: it is timed from reading the files
// to its result file.
func matchCommand() *cobra.Command {
	var dir string
	var cut int64
	c := &cobra.Command{
		Use: "day-match", Args: cobra.NoArgs, Hidden: true,
		Short: "Matches the files of a made-up day",
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			debug.SetGCPercent(50) // three sources of rows are live from the beginning to the end
			res, err := matchDay(dir, cut)
			if err != nil {
				return err
			}
			f, err := os.Create(filepath.Join(dir, dayResFil)) // #nosec G304 -- a file of the folder that the day is made in
			if err != nil {
				return fmt.Errorf("result: %w", err)
			}
			if err := errors.Join(res.Write(f), f.Close()); err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(matchFigures{Seconds: time.Since(began).Seconds(), RSS: peakMB(), Hash: hex.EncodeToString(res.Hash[:])})
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "where the files are")
	c.Flags().Int64Var(&cut, "cut", 0, "when the date was cut, UTC milliseconds")
	return c
}

func matchDay(dir string, cut int64) (*recon.Result, error) {
	in := recon.Input{Date: dayOf, CutMillis: cut, DriftMillis: recon.DefaultDriftMillis}
	list, err := filepath.Glob(filepath.Join(dir, "*_D_*.txt"))
	if err != nil || len(list) != 1 {
		return nil, fmt.Errorf("%s: one detail file is wanted, there are %d", dir, len(list))
	}
	layout, err := bankfile.NewLayout(bankfile.Settings{})
	if err != nil {
		return nil, err
	}
	name, err := bankfile.ParseName(filepath.Base(list[0]))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(list[0])
	if err != nil {
		return nil, fmt.Errorf("bank file: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("bank file: %w", err)
	}
	if _, err := bankfile.Read(f, st.Size(), layout, bankfile.Want{Name: name}, func(d *bankfile.Detail) error {
		in.Bank = append(in.Bank, recon.BankRowOf(d, layout.DebitView))
		return nil
	}); err != nil {
		return nil, err
	}
	if in.Ledger, err = readRows(filepath.Join(dir, dayLedger), ledgerRecord, readLedger); err != nil {
		return nil, err
	}
	if in.Terminals, err = readRows(filepath.Join(dir, dayTerms), terminalRecord, readTerminal); err != nil {
		return nil, err
	}
	return recon.Match(&in)
}

// peakMB is the most memory that this process has had, in MB, as the system says.
func peakMB() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(v)[0])
			return kb >> 10
		}
	}
	return 0
}
