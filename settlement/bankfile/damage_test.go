package bankfile

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// TestDamage: a file cut at any byte is refused, and with any byte of four
// kilobytes changed as well, without a flag file.
func TestDamage(t *testing.T) {
	for _, tc := range layouts {
		t.Run(tc.name, func(t *testing.T) {
			l := layoutOf(t, tc.s)
			n := 4
			if tc.name == "recon" {
				n = 26 // some 4 KB
			}
			whole, _ := fileOf(t, l, n)
			refused := func(b []byte) bool {
				_, err := Read(bytes.NewReader(b), int64(len(b)), l, Want{Name: nameOf(Details)}, func(*Detail) error { return nil })
				return codeOf(err) != 0
			}
			for i := range whole {
				if !refused(whole[:i]) {
					t.Errorf("cut at byte %d: taken", i)
				}
			}
			flips := []byte{1, 0x80}
			b := bytes.Clone(whole)
			for i := range b {
				for _, x := range flips {
					b[i] ^= x
					if !refused(b) {
						t.Errorf("byte %d is %#x for %#x: taken", i, b[i], whole[i])
					}
					b[i] ^= x
				}
			}
		})
	}
}

// big is a file of any size whose bytes are made when they are asked for: a
// beginning, and then the same for ever.
type big struct {
	endless
	size int64
}

func (f *big) ReadAt(p []byte, at int64) (int, error) {
	if at >= f.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.size-at))
	if _, err := f.endless.ReadAt(p[:n], at); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestLimits: at each bound a file is looked at further, one past it is not.
func TestLimits(t *testing.T) {
	l := layoutOf(t, Settings{})
	read := func(src io.ReaderAt, size int64) error {
		_, err := Read(src, size, l, Want{Name: nameOf(Details)}, func(*Detail) error { return nil })
		return err
	}
	d := draftOf(t, Settings{})
	head := string(d.lines[0])

	// 2 GiB: at the bound it is the first line that is refused.
	f := &big{endless{begin: "X|\n", more: "X|\n"}, MaxSize}
	if err := read(f, MaxSize); codeOf(err) != BadForm {
		t.Errorf("a file of 2 GiB: %v, want to be read and refused with Q06", err)
	}
	f.size++
	if err := read(f, MaxSize+1); codeOf(err) != OverLimit {
		t.Errorf("a file of 2 GiB and a byte: %v", err)
	}

	// Five million lines: the header says how many there are.
	for _, n := range []int{MaxLines - 2, MaxLines - 1} {
		line := []byte(d.set(0, 8, strconv.Itoa(n)).lines[0])
		want := Truncated
		if n > MaxLines-2 {
			want = OverLimit
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := read(bytes.NewReader(line), int64(len(line))); codeOf(err) != want {
			t.Errorf("a header that counts %d details: %v, want %s", n, err, want)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("a header that counts %d details takes %d bytes of memory", n, used)
		}
	}

	// 1,024 bytes: a note that makes a line of that length is too long for its
	// field, but the line is not too long.
	for _, over := range []int{0, 1} {
		x := draftOf(t, Settings{})
		x.set(1, 19, "")
		x.set(1, 19, strings.Repeat("n", MaxLine+1+over-len(x.lines[1])))
		if got := len(x.lines[1]) - 1; got != MaxLine+over {
			t.Fatalf("the line has %d bytes", got)
		}
		b := x.bytes()
		want := BadForm
		if over > 0 {
			want = OverLimit
		}
		if err := read(bytes.NewReader(b), int64(len(b))); codeOf(err) != want {
			t.Errorf("a line of %d bytes: %v, want %s", MaxLine+over, err, want)
		}
	}

	// A file without line ends is given up at once, not at its end.
	f = &big{endless{begin: head, more: "D"}, MaxSize}
	if err := read(f, MaxSize); codeOf(err) != OverLimit || f.read > 2*bufferSize {
		t.Errorf("a line of 2 GiB: %v after %d bytes", err, f.read)
	}
}

// TestSums: a sum of eighteen digits is taken, one of nineteen is not.
func TestSums(t *testing.T) {
	l := layoutOf(t, Settings{})
	row := func(fen si.Fen) error {
		x := &Total{Line: 1, Item: 'P', Count: 1, Sum: fen}
		var b bytes.Buffer
		_, err := Write(&b, l, headerOf(Totals), func(yield func(*Total) bool) { yield(x) })
		if err != nil {
			return err
		}
		_, err = Read(bytes.NewReader(b.Bytes()), int64(b.Len()), l, Want{Name: nameOf(Totals)}, func(*Total) error { return nil })
		return err
	}
	if err := row(sumLimit); err != nil {
		t.Errorf("the greatest sum: %v", err)
	}
	if err := row(sumLimit + 1); err == nil {
		t.Error("a fen more than the greatest sum was written")
	}
	two := func(yield func(*AccountLine) bool) {
		for i, fen := range []si.Fen{sumLimit, 1, sumLimit} {
			if !yield(&AccountLine{Line: uint32(i + 1), Item: "OEC"[i], Account: "A", Booked: theDay, Value: theDay, Amount: fen, Sign: 'C',
				Serial: []string{"", "S", ""}[i]}) {
				return
			}
		}
	}
	if _, err := Write(io.Discard, l, headerOf(Account), two); err == nil || !strings.Contains(err.Error(), "closing balance") {
		t.Errorf("a balance beyond eighteen digits: %v", err)
	}
}

// failing is a source whose disk fails, ends early or grows.
type failing struct {
	b     []byte
	after int
	err   error
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > int64(f.after) {
		n := 0
		if at < int64(f.after) {
			n = copy(p, f.b[at:f.after])
		}
		return n, f.err
	}
	return copy(p, f.b[at:]), nil
}

// TestSource: a source that fails says nothing about the file; one that is
// shorter or longer than its size does.
func TestSource(t *testing.T) {
	l := layoutOf(t, Settings{})
	b, _ := fileOf(t, l, 5)
	read := func(src io.ReaderAt, size int) error {
		_, err := Read(src, int64(size), l, Want{Name: nameOf(Details)}, func(*Detail) error { return nil })
		return err
	}
	disk := errors.New("disk failed")
	if err := read(failing{b, 100, disk}, len(b)); !errors.Is(err, disk) || codeOf(err) != 0 {
		t.Errorf("a failing source: %v", err)
	}
	if err := read(failing{b, 100, io.EOF}, len(b)); codeOf(err) != HashDiffers {
		t.Errorf("a source shorter than its size: %v", err)
	}
	if err := read(bytes.NewReader(append(bytes.Clone(b), 'x')), len(b)); codeOf(err) != HashDiffers {
		t.Errorf("a file that has grown: %v", err)
	}
	if err := read(bytes.NewReader(b), -1); err == nil || codeOf(err) != 0 {
		t.Errorf("a negative size: %v", err)
	}
	stop := errors.New("stop")
	if _, err := Read(bytes.NewReader(b), int64(len(b)), l, Want{Name: nameOf(Details)}, func(*Detail) error { return stop }); err != stop {
		t.Errorf("Read = %v, want what the callback said", err)
	}
	statement := []byte(statementXML(2))
	if _, err := ReadStatement(failing{statement, 700, disk}, int64(len(statement)), WantStatement{Date: theDay}, func(*Entry) error { return nil }); !errors.Is(err, disk) || codeOf(err) != 0 {
		t.Errorf("a failing source of a statement: %v", err)
	}
	if _, err := Reread[Detail](bytes.NewReader(b), l, int64(len(b))-5); err == nil {
		t.Error("Reread took what is no detail line")
	}
}
