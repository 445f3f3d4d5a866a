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
	corpusSum    = "72ee2c1d2da4909f99e10b13aed8ea5e93d80228ffda586864b0c6b30303a2a4"
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

// lenient are the classes of the corpus of which the library reads at least one
// body. It is no judge of codes, field lists and limits, and it takes letters,
// signs and spaces for digits; each class stands here by name, so that a change of
// the library or of our corpus is seen.
var lenient = []string{
	"TPDU of another kind",
	"address of nobody",
	"amount over the limit",
	"approval without a code",
	"bit without its place",
	"bytes left over",
	"chip data that is none",
	"code of nine bytes",
	"code of zeros",
	"code with a wrong bit",
	"element changed under the code",
	"element that the message has not",
	"endless bitmaps",
	"header not printable",
	"header of another kind",
	"length that is no number",
	"length that is not the element's",
	"letters in a number",
	"message for the other end",
	"no bits",
	"number that is not digits",
	"padding that is not 0",
	"records that are none",
	"reject code",
	"replay of yesterday's message",
	"sign in a number of letters and digits",
	"space inside a number of letters and digits",
	"text that is not printable",
	"type that is no number",
	"value other than the profile's",
	"version",
	"wrong type",
}

// TestLibraryIsLenient feeds the bodies of the corpus to the library as well: what
// it alone takes is the list above, class by class.
func TestLibraryIsLenient(t *testing.T) {
	takes, of := map[string]int{}, map[string]int{}
	for _, code := range []string{"rcb", "ccb"} { // one of each dialect
		c := codecOf(t, code)
		reads := bankmsg.Library(t, c)
		for end := range ends {
			err := msgtest.Corpus(c, end, msgtest.Standard, func(k msgtest.Case) {
				if n, err := c.Next(k.Frame); err != nil || n != len(k.Frame) || n == 0 {
					return // it never comes to a body
				}
				of[k.Class]++
				if reads(k.Frame) {
					takes[k.Class]++
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(of)) {
		t.Logf("the library reads %5d of %5d: %s", takes[class], of[class], class)
	}
	if got := slices.Sorted(maps.Keys(takes)); !slices.Equal(got, lenient) {
		t.Errorf("the library reads frames of the classes\n%q", got)
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
