package epp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/si"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testRequest(t testing.TB) Request {
	t.Helper()
	body := "629900010000001"
	luhn, err := si.LuhnDigit(body)
	if err != nil {
		t.Fatal(err)
	}
	pan, err := si.ParsePAN(body + string(luhn))
	if err != nil {
		t.Fatal(err)
	}
	return Request{PAN: pan, Format: si.PINFormat4AES, Amount: 1234, MinLen: 4, MaxLen: 6}
}

// script is a pad that says what it is told, and keeps the question.
func script(t testing.TB, says string, hold bool) (path string, asked chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked = make(chan string, 4)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			q, _ := in.ReadString('\n')
			_, _ = conn.Write([]byte(says))
			asked <- q
			if hold {
				_, _ = in.ReadByte() // until the driver hangs up
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return path, asked
}

func TestEnter(t *testing.T) {
	block := strings.Repeat("A5", 16)
	path, asked := script(t, `{"keys":1}`+"\n"+`{"keys":2}`+"\n"+`{"keys":1}`+"\n"+`{"block":"`+block+`","key":"terminal/1/tpk","format":1}`+"\n", false)
	r := testRequest(t)
	var counts []int
	got, err := Dial(path).Enter(t.Context(), r, func(n int) { counts = append(counts, n) })
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%X", got.Block.Reveal("test")) != block || got.Key != "terminal/1/tpk" || got.Format != si.PINFormat4AES {
		t.Errorf("Enter = %+v", got)
	}
	if fmt.Sprint(counts) != "[1 2 1]" {
		t.Errorf("counts %v, want [1 2 1]", counts)
	}
	want := fmt.Sprintf(`{"op":"enter","pan":"%s","format":1,"amount":1234,"min":4,"max":6}`+"\n", r.PAN.Reveal("test"))
	if q := <-asked; q != want {
		t.Errorf("the pad was asked %q, want %q", q, want)
	}
}

func TestAnswers(t *testing.T) {
	block16, block8 := strings.Repeat("A5", 16), strings.Repeat("A5", 8)
	for name, c := range map[string]struct {
		says string
		want error
	}{
		"cancelled":        {`{"error":"cancelled"}`, ErrCancelled},
		"timeout":          {`{"keys":3}` + "\n" + `{"error":"timeout"}`, ErrTimeout},
		"fault":            {`{"error":"fault","text":"tamper"}`, ErrFault},
		"unknown error":    {`{"error":"?"}`, ErrFault},
		"nothing":          {``, ErrFault},
		"no JSON":          {`hello`, ErrFault},
		"too many digits":  {`{"keys":7}`, ErrFault},
		"negative digits":  {`{"keys":-1}`, ErrFault},
		"another format":   {`{"block":"` + block8 + `","key":"k","format":2}`, ErrFault},
		"no key name":      {`{"block":"` + block16 + `","format":1}`, ErrFault},
		"block of 4 bytes": {`{"block":"A5A5A5A5","key":"k","format":1}`, ErrFault},
		"block not hex":    {`{"block":"zz","key":"k","format":1}`, ErrFault},
		"endless line":     {`{"text":"` + strings.Repeat("x", maxLine) + `"}`, ErrFault},
	} {
		path, _ := script(t, c.says+"\n", false)
		if b, err := Dial(path).Enter(t.Context(), testRequest(t), func(int) {}); !errors.Is(err, c.want) || !b.Block.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestReady(t *testing.T) {
	for says, want := range map[string]error{
		`{"ready":true}`: nil, `{"error":"fault","text":"no key"}`: ErrFault, `{}`: ErrFault, ``: ErrFault,
	} {
		path, _ := script(t, says+"\n", false)
		if err := Dial(path).Ready(t.Context()); !errors.Is(err, want) {
			t.Errorf("Ready when the pad says %q: %v, want %v", says, err, want)
		}
	}
	if err := Dial(filepath.Join(t.TempDir(), "none")).Ready(t.Context()); !errors.Is(err, ErrFault) {
		t.Errorf("Ready without a pad: %v, want ErrFault", err)
	}
}

func TestCancel(t *testing.T) {
	path, asked := script(t, `{"keys":1}`+"\n", true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := Dial(path).Enter(ctx, testRequest(t), func(int) {}); !errors.Is(err, ErrCancelled) {
		t.Errorf("Enter after cancel: %v, want ErrCancelled", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Dial(path).Enter(ctx, testRequest(t), func(int) {}); !errors.Is(err, ErrTimeout) {
		t.Errorf("Enter past its deadline: %v, want ErrTimeout", err)
	}
}

func TestRequestRules(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"no card": func(r *Request) { r.PAN.Wipe() }, "3 digits": func(r *Request) { r.MinLen = 3 },
		"13 digits": func(r *Request) { r.MaxLen = 13 }, "min above max": func(r *Request) { r.MinLen = 7 },
		"negative amount": func(r *Request) { r.Amount = -1 },
	} {
		r := testRequest(t)
		change(&r)
		if _, err := Dial("/nonexistent").Enter(t.Context(), r, func(int) {}); err == nil || errors.Is(err, ErrFault) {
			t.Errorf("%s: %v, want a refusal before the pad is asked", name, err)
		}
	}
}

// FuzzListen feeds the driver what a broken pad could say: never a panic, counts
// within the request, and a block of the format asked for or none.
func FuzzListen(f *testing.F) {
	f.Add([]byte(`{"keys":1}` + "\n" + `{"block":"A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5","key":"k","format":1}` + "\n"))
	f.Add([]byte(`{"error":"timeout"}` + "\n"))
	r := testRequest(f)
	f.Fuzz(func(t *testing.T, says []byte) {
		var b Block
		err := listen(bytes.NewReader(says), b.take(r, func(n int) {
			if n < 0 || n > r.MaxLen {
				t.Errorf("count %d", n)
			}
		}))
		if err == nil && (len(b.Block.Reveal("test")) != 16 || b.Key == "" || b.Format != r.Format) {
			t.Errorf("took %+v", b)
		}
	})
}
