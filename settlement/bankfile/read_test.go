package bankfile

import (
	"bytes"
	"crypto/sha256"
	"io"
	"syscall"
	"testing"
	"time"
)

// TestRoundTrip: what Write makes, Read takes back to the same rows, header and
// sums, and Write makes the same bytes of them, in every layout.
func TestRoundTrip(t *testing.T) {
	for _, tc := range layouts {
		t.Run(tc.name, func(t *testing.T) {
			l := layoutOf(t, tc.s)
			const n = 300
			b, wrote := fileOf(t, l, n)
			flag := FlagOf(wrote)
			rows, read, err := readAll(b, l, Want{nameOf(Details), &flag})
			if err != nil {
				t.Fatal(err)
			}
			if !read.Created.Equal(wrote.Created) {
				t.Errorf("created %v, want %v", read.Created, wrote.Created)
			}
			read.Created, wrote.Created = time.Time{}, time.Time{}
			if read != wrote || read.Count != n || read.Sum == 0 || read.F == 0 || read.R == 0 {
				t.Errorf("read %+v, want as written %+v", read, wrote)
			}
			i := 0
			for want := range details(t, l, n) {
				got := rows[i]
				if i++; !sameDetail(&got, want) {
					t.Fatalf("row %d is %+v, want %+v", i, got, *want)
				}
				again, err := Reread[Detail](bytes.NewReader(b), l, got.Offset)
				if err != nil || !sameDetail(again, want) {
					t.Fatalf("Reread of row %d = %+v, %v", i, again, err)
				}
			}
		})
	}
}

func sameDetail(a, b *Detail) bool {
	x, y := a.own(), b.own()
	same := bytes.Equal(x.HostSerial, y.HostSerial) && bytes.Equal(x.DE32, y.DE32) && bytes.Equal(x.Account, y.Account) &&
		bytes.Equal(x.Reference, y.Reference) && bytes.Equal(x.Alias, y.Alias) && bytes.Equal(x.Original, y.Original) && bytes.Equal(x.Note, y.Note)
	for _, d := range []*Detail{&x, &y} {
		d.Offset, d.HostSerial, d.DE32, d.Account, d.Reference, d.Alias, d.Original, d.Note = 0, nil, nil, nil, nil, nil, nil, nil
	}
	return same && x.Line == y.Line && x.Type == y.Type && x.RRN == y.RRN && x.STAN == y.STAN && x.DE7 == y.DE7 && x.DE41 == y.DE41 &&
		x.TxnDate == y.TxnDate && x.TxnTime == y.TxnTime && x.Settle == y.Settle && x.Amount == y.Amount && x.Sign == y.Sign && x.Response == y.Response
}

// TestAllocations: reading allocates for the file, not for its lines.
func TestAllocations(t *testing.T) {
	l := layoutOf(t, Settings{})
	of := func(n int) float64 {
		b, _ := fileOf(t, l, n)
		src := bytes.NewReader(b)
		return testing.AllocsPerRun(3, func() {
			if _, err := Read(src, int64(len(b)), l, Want{Name: nameOf(Details)}, func(*Detail) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	few, many := of(10), of(5_000)
	if many > few+2 {
		t.Errorf("Read of 5,000 lines allocates %.0f times, of 10 lines %.0f: want no allocation a line", many, few)
	}
}

// BenchmarkRead is the reading of a million details; MB/s is that of the file,
// and the last figure how often its hash could be made in the same time.
func BenchmarkRead(b *testing.B) {
	const lines = 1_000_000
	l := layoutOf(b, Settings{})
	file, sum := fileOf(b, l, lines)
	flag := FlagOf(sum)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	began := cpuTime(b)
	for b.Loop() {
		n := 0
		if _, err := Read(bytes.NewReader(file), int64(len(file)), l, Want{nameOf(Details), &flag}, func(*Detail) error { n++; return nil }); err != nil || n != lines {
			b.Fatal(n, err)
		}
	}
	used := (cpuTime(b) - began) / time.Duration(b.N)
	b.ReportMetric(float64(used.Nanoseconds())/lines, "cpu-ns/line")
	began = cpuTime(b)
	if sha256.Sum256(file) != sum.SHA256 {
		b.Fatal("the file is another")
	}
	b.ReportMetric(float64(used)/float64(cpuTime(b)-began), "x-its-SHA-256")
}

// cpuTime is what this process has used of the processors: on a machine with
// other work it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWrite is the writing of a million details.
func BenchmarkWrite(b *testing.B) {
	l := layoutOf(b, Settings{})
	for b.Loop() {
		if _, err := Write(io.Discard, l, headerOf(Details), details(b, l, 1_000_000)); err != nil {
			b.Fatal(err)
		}
	}
}
