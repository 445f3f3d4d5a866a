package operator

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// maxStage bounds what one import stages, in bytes: the persons of the model
// district take 250 MB. The folder is mostly on the ledger's disk, which must
// not be filled.
const maxStage = 1 << 30

// stage keeps the commands of a file until all of its lines have been checked.
// It holds what the ledger would hold, sealed and hashed, and has no name on
// the disk: with the process it is gone.
//
// A row is the line u32 that the command is of, weight u32 (the lines it stands
// for), and the record of docs/format/ledger-log.md.
type stage struct {
	f     *os.File
	w     *bufio.Writer
	bytes int64
	rows  int
	buf   []byte
}

const stageHead = 4 + 4 + 4

func newStage(dir string) (*stage, error) {
	f, err := os.CreateTemp(dir, "import-*")
	if err != nil {
		return nil, fmt.Errorf("operator: stage an import: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("operator: stage an import: %w", errors.Join(err, f.Close()))
	}
	return &stage{f: f, w: bufio.NewWriterSize(f, 1<<20)}, nil
}

// close gives the space back.
func (s *stage) close() { _ = s.f.Close() } // it has no name, nothing is lost

func (s *stage) put(c ledgerapi.Command, line, weight int) error {
	b := append(s.buf[:0], make([]byte, stageHead)...)
	binary.LittleEndian.PutUint32(b, uint32(line))
	binary.LittleEndian.PutUint32(b[4:], uint32(weight))
	b = ledgerapi.AppendRecord(b, ledgerapi.Header{}, c)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-stageHead))
	s.buf = b
	if s.bytes += int64(len(b)); s.bytes > maxStage {
		return fmt.Errorf("more than %d MB to keep at once; bring the file in two parts", maxStage>>20)
	}
	s.rows++
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("operator: stage an import: %w", err)
	}
	return nil
}

// each hands out the commands in their order.
func (s *stage) each(do func(c ledgerapi.Command, line, weight int) error) error {
	err := s.w.Flush()
	if err == nil {
		_, err = s.f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("operator: stage an import: %w", err)
	}
	in := bufio.NewReaderSize(s.f, 1<<20)
	for range s.rows {
		var head [stageHead]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return fmt.Errorf("operator: staged import: %w", err)
		}
		rec := make([]byte, binary.LittleEndian.Uint32(head[8:]))
		if _, err := io.ReadFull(in, rec); err != nil {
			return fmt.Errorf("operator: staged import: %w", err)
		}
		_, c, _, err := ledgerapi.DecodeRecord(rec)
		if err != nil {
			return fmt.Errorf("operator: staged import: %w", err)
		}
		if err := do(c, int(binary.LittleEndian.Uint32(head[:])), int(binary.LittleEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
	return nil
}
