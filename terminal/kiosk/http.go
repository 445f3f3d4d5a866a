package kiosk

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shebao-pay/shebao/terminal/flow"
)

//go:embed assets
var assetFiles embed.FS

// cookieName is the kiosk's own: ports do not separate cookies, and the demo has
// several pages on one host.
const cookieName = "shebao_kiosk"

var (
	originForm = regexp.MustCompile(`^https?://[a-z0-9.\-]+(:[0-9]{1,5})?$`)
	tokenForm  = regexp.MustCompile(`^[0-9a-f]{32,64}$`)
	actionForm = regexp.MustCompile(`^[a-z\-]{1,24}$`)
)

// routes are all addresses of the kiosk. Everything else is not found.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.shell)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /press", s.pressed)
	mux.HandleFunc("GET /assets/{file}", s.asset)
	return mux
}

// guarded puts the checks that stand before every answer: headers, Host, origin,
// cookie.
func (s *Server) guarded(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	inner := cross.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && r.Method == http.MethodGet && r.URL.Query().Has("t") {
			if !same(r.URL.Query().Get("t"), s.conf.Token) {
				http.Error(w, "wrong token", http.StatusForbidden)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.conf.Token, Path: "/",
				HttpOnly: true, SameSite: http.SameSiteStrictMode})
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodPost && r.Header.Get("Origin") != "http://"+r.Host {
			http.Error(w, "another origin", http.StatusForbidden)
			return
		}
		c, err := r.Cookie(cookieName)
		if err != nil || !same(c.Value, s.conf.Token) {
			http.Error(w, "open the address with the token", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.headers(w.Header())
		if r.Host != s.conf.Addr && !slices.Contains(s.conf.Hosts, r.Host) {
			http.Error(w, "unknown host", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		inner.ServeHTTP(w, r)
	})
}

// headers closes everything that the page does not need.
func (s *Server) headers(h http.Header) {
	ancestors := "'none'"
	if s.conf.FrameAncestors != "" {
		ancestors = s.conf.FrameAncestors
	} else {
		h.Set("X-Frame-Options", "DENY")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "+ancestors)
	h.Set("Permissions-Policy", "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(), "+
		"display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), "+
		"midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=()")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// same compares two secrets without telling by time how much of them is equal.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// shell is the empty page. It holds nothing of anybody.
func (s *Server) shell(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(s.pages.shell) // a browser that left reads nothing
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// asset answers a file of the page. size.css is made from the display's pixel
// size.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if name == "size.css" {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = fmt.Fprintf(w, ":root{--mm:%.4fpx}\n", 1/s.conf.MMPerPx)
		return
	}
	data, err := fs.ReadFile(assetFiles, path.Join("assets", name))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	_, _ = w.Write(data)
}

// pressed takes a press. What is not well formed is refused here; what is stale
// or not allowed is the flow's to ignore.
func (s *Server) pressed(w http.ResponseWriter, r *http.Request) {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "application/x-www-form-urlencoded" {
		http.Error(w, "form only", http.StatusUnsupportedMediaType)
		return
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, "form not readable", http.StatusBadRequest)
		return
	}
	f := r.PostForm
	step, err := strconv.ParseUint(f.Get("step"), 10, 64)
	action, value := f.Get("action"), f.Get("value")
	if err != nil || len(action) > maxAction || !actionForm.MatchString(action) || len(value) > maxValue || !plain(value) {
		http.Error(w, "press not readable", http.StatusBadRequest)
		return
	}
	if !s.isLive(f.Get("conn")) {
		http.Error(w, "another page is live", http.StatusConflict)
		return
	}
	if flow.Action(action) == flow.ActPage {
		n, err := strconv.Atoi(value)
		if err != nil || !s.turn(step, n) {
			value = ""
		}
	}
	s.press(flow.Press{Step: step, Action: flow.Action(action), Value: value})
	w.WriteHeader(http.StatusNoContent)
}

// plain tells whether s is printable ASCII: ids and numbers are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7E {
			return false
		}
	}
	return true
}

func (s *Server) isLive(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live != nil && id != "" && same(id, s.live.id)
}

// events is the page's stream. It ends when the browser goes, when a newer
// connection takes over, or when the server closes.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	width, _ := strconv.Atoi(r.URL.Query().Get("w")) // zero: portrait
	height, _ := strconv.Atoi(r.URL.Query().Get("h"))
	c := newConn(height >= width)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	if !s.attach(c) {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	defer s.detach(c)
	out := stream{w: w, rc: http.NewResponseController(w)}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	wiped := s.wipeCount()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-s.close:
			_ = out.send("wipe", nil) // the page comes back when a server does
			return
		case <-c.gone:
			_ = out.send("gone", nil)
			return
		case <-tick.C:
			err = out.comment()
		case <-c.wake:
			wiped, err = s.sendScreen(out, c, wiped)
		}
		if err != nil {
			return
		}
	}
}

// newConn makes a connection that will be sent the present screen first. It is
// woken before anybody else knows of it: afterwards the one place in wake may be
// taken by a screen that changes just then, and waiting for it would be for ever.
func newConn(portrait bool) *conn {
	c := &conn{id: random(), portrait: portrait, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	c.wake <- struct{}{}
	return c
}

func (s *Server) wipeCount() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wipes
}

// sendScreen sends what the page should show now. A wipe since the last look is
// sent first, so that no screen is ever patched from one session's to another's.
func (s *Server) sendScreen(out stream, c *conn, wiped uint64) (uint64, error) {
	s.mu.Lock()
	sc, page, wipes := s.screen, s.page, s.wipes
	s.mu.Unlock()
	if wipes != wiped || sc == nil {
		if err := out.send("wipe", nil); err != nil {
			return wipes, err
		}
	}
	if sc == nil {
		return wipes, nil
	}
	html, err := s.pages.render(*sc, page, c, s.conf.Demo)
	if err != nil {
		return wipes, err
	}
	return wipes, out.send("screen", html)
}

// stream writes server-sent events.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (o stream) send(event string, data []byte) error {
	var b bytes.Buffer
	b.WriteString("event: " + event + "\n")
	for line := range strings.Lines(string(data)) {
		b.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
	}
	if len(data) == 0 {
		b.WriteString("data:\n")
	}
	b.WriteString("\n")
	return o.flush(b.Bytes())
}

func (o stream) comment() error { return o.flush([]byte(":\n\n")) }

func (o stream) flush(p []byte) error {
	if err := o.rc.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	if _, err := o.w.Write(p); err != nil {
		return err
	}
	return o.rc.Flush()
}
