package bankmsg_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"os"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/msgtest"
	"github.com/shebao-pay/shebao/settlement/profile"
)

var banks = []string{"rcb", "icbc", "ccb", "boc"}

func codecOf(t testing.TB, code string) *bankmsg.Codec {
	t.Helper()
	p, err := profile.LoadFS(os.DirFS("../../data/banks"), code)
	if err != nil {
		t.Fatal(err)
	}
	c, err := bankmsg.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The corpus of this version: how many frames it has and the SHA-256 over them,
// each behind its length in four bytes, big-endian, in the order of banks, ends
// and msgtest.Corpus. A change of a demo profile or of the generator changes
// both; the test then prints the new ones.
const (
	corpusFrames = 28_960
	corpusSum    = "500cec6773bc0099e83eb843586af7ac6bc8dc4bfcfecbe16781bfe41d7aece4"
)

// Bounds of what one malformed frame may cost.
const (
	mostBytes = 1 << 20
	leastCase = 20_000
)

// ends are the two ends at which a bank's frames arrive.
var ends = map[bankmsg.Role]string{bankmsg.HubLink: "link", bankmsg.HubServer: "server"}

// accepts is what a receiver with today's key takes: a whole frame of good form
// whose code, where it has one, is good.
func accepts(c *bankmsg.Codec, frame []byte, m *bankmsg.Message, in *bankmsg.Inbound) bool {
	n, err := c.Next(frame)
	if err != nil || n != len(frame) || n == 0 {
		return false
	}
	if c.Decode(frame, m, in) != nil {
		return false
	}
	return !in.HasMAC || msgtest.Code(msgtest.Standard.Today, in.MACIn) == in.MAC
}

// TestCorpus feeds both ends of all four banks every frame of the corpus: none is
// taken, none crashes, none costs more than a megabyte. The slowest is printed.
func TestCorpus(t *testing.T) {
	sum := sha256.New()
	classes := map[string]int{}
	frames := 0
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var most uint64
	var slowest time.Duration
	var slowClass string
	var m bankmsg.Message
	var in bankmsg.Inbound
	for _, code := range banks {
		c := codecOf(t, code)
		for _, end := range []bankmsg.Role{bankmsg.HubLink, bankmsg.HubServer} {
			receiver := c.For(end)
			err := msgtest.Corpus(c, end, msgtest.Standard, func(k msgtest.Case) {
				var n [4]byte
				binary.BigEndian.PutUint32(n[:], uint32(len(k.Frame)))
				sum.Write(n[:])
				sum.Write(k.Frame)
				frames++
				classes[k.Class]++
				metrics.Read(allocated)
				before := allocated[0].Value.Uint64()
				began := time.Now()
				taken := accepts(receiver, k.Frame, &m, &in)
				took := time.Since(began)
				metrics.Read(allocated)
				if cost := allocated[0].Value.Uint64() - before; cost > most {
					most = cost
				}
				if took > slowest {
					slowest, slowClass = took, k.Class
				}
				if taken {
					t.Errorf("%s, %s: %s of %v (reply %v), DE %d: taken", code, ends[end], k.Class, k.Of.Kind, k.Of.Reply, k.DE)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		t.Logf("%6d %s", classes[class], class)
	}
	t.Logf("%d frames in %d classes; the slowest took %v (%s), the dearest %d bytes", frames, len(classes), slowest, slowClass, most)
	if most > mostBytes {
		t.Errorf("a frame cost %d bytes, at most %d may", most, mostBytes)
	}
	if frames < leastCase {
		t.Errorf("%d frames, want at least %d", frames, leastCase)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); frames != corpusFrames || got != corpusSum {
		t.Errorf("the corpus is now %d frames with SHA-256 %s", frames, got)
	}
}

// TestCorpusIsMadeOfGoodMessages holds the generator to its own ground: what the
// cases are made of is taken by the end that it is for, so that a case is refused
// for its fault and for nothing else.
func TestCorpusIsMadeOfGoodMessages(t *testing.T) {
	for _, code := range banks {
		c := codecOf(t, code)
		s := msgtest.NewSampler(c.Profile(), 1)
		var m, back bankmsg.Message
		var f bankmsg.Frame
		var in bankmsg.Inbound
		for _, r := range msgtest.Rules(c.Profile()) {
			for range 20 {
				s.Fill(r, &m)
				if err := c.Encode(&f, r.Kind, r.Reply, &m); err != nil {
					t.Fatalf("%s: %v (reply %v): %v", code, r.Kind, r.Reply, err)
				}
				if f.MACIn != nil {
					f.PutMAC(msgtest.Code(msgtest.Standard.Today, f.MACIn))
				}
				if !accepts(c, f.Wire, &back, &in) || in.Kind != r.Kind || in.Reply != r.Reply {
					t.Fatalf("%s: %v (reply %v): not taken as what it is", code, r.Kind, r.Reply)
				}
				w := msgtest.Take(c.Profile(), f.Wire)
				end := w.Parts[len(w.Parts)-1]
				if end.At+end.Prefix+end.Size != len(f.Wire) || !bytes.Equal(w.Mend(slices.Clone(f.Wire)), f.Wire) {
					t.Fatalf("%s: %v (reply %v): the generator takes the frame apart differently", code, r.Kind, r.Reply)
				}
			}
		}
	}
}
