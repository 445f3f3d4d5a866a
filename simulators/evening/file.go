package evening

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// Bank is who sends the file.
const (
	Bank   = "ccb"
	Region = "330110"
)

// FileName is the name of a plan's file.
func (p Plan) FileName() string { return Bank + "_" + Region + "_D_" + p.Date + "_001_v1.txt" }

// WriteFile writes the bank's detail file as SHEBAO-RECON-1 has it.
func (p Plan) WriteFile(w io.Writer, truths []string) error {
	var count int
	var paid, back int64
	if err := p.Payments(truths, func(x Payment) error {
		for _, l := range x.Bank {
			count++
			if l.Type == 'P' {
				paid += l.Amount
			} else {
				back += l.Amount
			}
		}
		return nil
	}); err != nil {
		return err
	}
	h := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(w, h), 1<<20)
	_, _ = fmt.Fprintf(b, "H|SHEBAO-RECON-1|D|%s|%s|%s|001|01|%d|%d|%s233500|||\n", Bank, Region, p.Date, count, paid-back, p.Date)
	line := 0
	err := p.Payments(truths, func(x Payment) error {
		for _, l := range x.Bank {
			line++
			sign := "C"
			if l.Type != 'P' {
				sign = "D"
			}
			if _, err := fmt.Fprintf(b, "D|%d|%c|%s|%s|%06d|%s120000||%s|%s|120000|%s|%d|%s|623300******0020|%s|%s|00|%s||\n",
				line, l.Type, l.Serial, l.RRN, l.STAN, p.Date[4:], l.DE41, p.Date, p.Date, l.Amount, sign, l.Reference, l.Alias, l.Original); err != nil {
				return err
			}
		}
		return nil
	})
	if err = errors.Join(err, b.Flush()); err != nil { // a bufio.Writer keeps its first error
		return fmt.Errorf("evening: %w", err)
	}
	if _, err := fmt.Fprintf(w, "T|%d|%d|%d|0|%x|\n", count, paid, back, h.Sum(nil)); err != nil {
		return fmt.Errorf("evening: %w", err)
	}
	return nil
}
