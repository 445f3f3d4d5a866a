package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is an open table as a stream of CSV lines.
type File struct {
	f    *os.File
	from io.Reader
	err  error
}

// Open opens a CSV file or a workbook. A CSV file is handed on as it is; the
// lines of a workbook are made as they are read.
func Open(path string) (*File, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	from, err := reader(f)
	if err != nil {
		_ = f.Close() // only read
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &File{f: f, from: from}, nil
}

func reader(f *os.File) (io.Reader, error) {
	head := make([]byte, 8)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK")):
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return newWorkbook(f, info.Size())
	case bytes.Equal(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return nil, errors.New("an old or encrypted workbook; save it as XLSX without a password, or as CSV UTF-8")
	}
	return f, nil
}

// Read gives CSV bytes.
func (t *File) Read(b []byte) (int, error) {
	n, err := t.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

// Err is the error that ended the reading, if one did. A stream that carried
// the lines to a node says less about it.
func (t *File) Err() error { return t.err }

// Close closes the file.
func (t *File) Close() error { return t.f.Close() }
