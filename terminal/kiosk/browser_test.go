package kiosk

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// display is a panel of a kiosk.
type display struct {
	name          string
	width, height int64
	mm            float64
}

var displays = []display{
	{"portrait", 1080, 1920, 0.248},   // 21.5 inch
	{"landscape", 1366, 768, 0.252},   // 15.6 inch, the smallest type in millimetres a pixel
	{"landscape18", 1366, 768, 0.300}, // 18.5 inch
}

// rig is a kiosk server and the browser that shows it.
type rig struct {
	t       *testing.T
	server  *Server
	ctx     context.Context
	presses chan flow.Press
	browser chan bool

	mu       sync.Mutex
	console  []string // errors and warnings of the page
	requests []string // addresses asked for
}

// chromium starts a browser of its own for the test; it ends with it.
func chromium(t *testing.T, width, height int64) context.Context {
	t.Helper()
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(int(width), int(height)),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("force-prefers-reduced-motion", true),
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, cancelTime := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it closes the browser and waits
		cancelTime()
		cancel()
		cancelAlloc()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start /usr/bin/chromium (package chromium): %v", err)
	}
	return ctx
}

// newRig serves a kiosk and opens it in a browser of the display's size.
func newRig(t *testing.T, d display) *rig {
	t.Helper()
	r := &rig{t: t, presses: make(chan flow.Press, 64), browser: make(chan bool, 64)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = New(Config{Addr: l.Addr().String(), MMPerPx: d.mm},
		func(p flow.Press) { r.presses <- p }, func(on bool) { r.browser <- on })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	r.ctx = chromium(t, d.width, d.height)
	if err := chromedp.Listen(r.ctx, r.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(r.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(r.ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	r.do(chromedp.EmulateViewport(d.width, d.height), chromedp.Navigate(r.server.URL()))
	if !<-r.browser {
		t.Fatal("browser: got false first, want true")
	}
	return r
}

// listen notes what the page complains of and asks for.
func (r *rig) listen(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case *cdpruntime.EventConsoleAPICalled:
		r.console = append(r.console, fmt.Sprintf("console %s", ev.Type))
	case *cdpruntime.EventExceptionThrown:
		r.console = append(r.console, ev.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		r.console = append(r.console, ev.Entry.Text)
	case *network.EventRequestWillBeSent:
		r.requests = append(r.requests, ev.Request.URL)
	}
}

func (r *rig) do(steps ...chromedp.Action[chromedp.Void]) {
	r.t.Helper()
	if err := chromedp.Do(r.ctx, steps...); err != nil {
		r.t.Fatal(err)
	}
}

// eval gives the value of a script in the page; a promise is awaited.
func eval[T any](r *rig, script string) T {
	r.t.Helper()
	v, err := chromedp.Run(r.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		r.t.Fatalf("script %.80s: %v", script, err)
	}
	return v
}

// until waits for the page to make a condition true, looking at each change.
func (r *rig) until(condition string) {
	r.t.Helper()
	if !eval[bool](r, `new Promise((done) => {
		const look = () => { if (`+condition+`) { watch.disconnect(); done(true); } };
		const watch = new MutationObserver(look);
		watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
		setTimeout(() => done(false), 10000);
	})`) {
		r.t.Fatalf("the page never had %s", condition)
	}
}

// show shows sc and waits until the page has it.
func (r *rig) show(sc flow.Screen) {
	r.t.Helper()
	r.server.Show(sc)
	r.until(fmt.Sprintf(`document.getElementById("screen")?.dataset.screen === %q && document.getElementById("screen").dataset.step === "%d"`, sc.ID, sc.Step))
}

// TestPictures writes pictures of the samples for people to look at:
// KIOSK_PICTURES=dir gives every display in full size, KIOSK_IMAGES=dir the tall
// display in half size with few colours and an index, as docs/images/kiosk has
// them.
func TestPictures(t *testing.T) {
	if dir := os.Getenv("KIOSK_PICTURES"); dir != "" {
		for _, d := range displays {
			pictures(t, d, 1, func(lang, mode, file string, png []byte) {
				write(t, filepath.Join(dir, d.name, lang+"-"+mode, file), png)
			})
		}
	}
	if dir := os.Getenv("KIOSK_IMAGES"); dir != "" {
		index := map[string][]string{}
		pictures(t, displays[0], 0.5, func(lang, mode, file string, png []byte) {
			write(t, filepath.Join(dir, lang+"-"+mode, file), fewColours(t, png))
			index[file] = append(index[file], lang+"-"+mode)
		})
		write(t, filepath.Join(dir, "README.md"), indexPage(index))
	}
}

// pictures shows every sample in every mode and hands the picture to keep.
func pictures(t *testing.T, d display, scale float64, keep func(lang, mode, file string, png []byte)) {
	t.Helper()
	r := newRig(t, d)
	r.do(chromedp.EmulateViewport(d.width, d.height, chromedp.EmulateScale(scale)))
	step := uint64(1)
	for _, lang := range languages {
		for _, mode := range []string{"normal", "large"} {
			for i, s := range samples() {
				sc := s.in(lang, mode == "large")
				step++
				sc.Step = step
				r.show(sc)
				keep(lang, mode, fmt.Sprintf("%02d-%s.png", i+1, s.name), r.picture())
			}
		}
	}
}

// picture takes a picture of the page.
func (r *rig) picture() []byte {
	r.t.Helper()
	png, err := chromedp.Run(r.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		r.t.Fatal(err)
	}
	return png
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// fewColours keeps the 256 most frequent colours of a picture; the rest become
// the nearest of them.
func fewColours(t *testing.T, in []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	count := map[color.RGBA]int{}
	coarse := func(x, y int) color.RGBA {
		r, g, bl, _ := img.At(x, y).RGBA()
		return color.RGBA{uint8(r>>8) &^ 3, uint8(g>>8) &^ 3, uint8(bl>>8) &^ 3, 255}
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[coarse(x, y)]++
		}
	}
	all := slices.Collect(maps.Keys(count))
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, c := range all[:min(256, len(all))] {
		palette = append(palette, c)
	}
	near := map[color.RGBA]uint8{}
	out := image.NewPaletted(b, palette)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := coarse(x, y)
			i, ok := near[c]
			if !ok {
				i = uint8(palette.Index(c)) //#nosec G115 -- a palette has at most 256 colours
				near[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var w bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(&w, out); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// indexPage lists the pictures, one row a screen.
func indexPage(index map[string][]string) []byte {
	var b bytes.Buffer
	b.WriteString("# Screens of the kiosk\n\nMade by `KIOSK_IMAGES=$PWD/docs/images/kiosk go test -run TestPictures ./terminal/kiosk` " +
		"from the samples of its tests: 1080 × 1920, half size. People and amounts are fictional.\n\n" +
		"| screen | 中文 | 中文 长辈版 | English | English, large type |\n|---|---|---|---|---|\n")
	for _, file := range slices.Sorted(maps.Keys(index)) {
		fmt.Fprintf(&b, "| %s |", strings.TrimSuffix(file, ".png"))
		for _, dir := range []string{"zh-normal", "zh-large", "en-normal", "en-large"} {
			fmt.Fprintf(&b, " <img src=\"%s/%s\" width=\"160\" alt=\"%s %s\"> |", dir, file, strings.TrimSuffix(file, ".png"), dir)
		}
		b.WriteString("\n")
	}
	return b.Bytes()
}
