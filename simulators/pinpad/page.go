package pinpad

import (
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

const (
	// maxViews bounds the pages that look at one pad.
	maxViews = 8
	// maxForm bounds a key press.
	maxForm = 64
	// heartbeat keeps a page's event stream alive and finds pages that are gone.
	heartbeat = 15 * time.Second
)

// view is what the page shows: never a digit.
type view struct {
	State  string `json:"state"` // idle, entry, sealing, fault
	Count  int    `json:"count"`
	Max    int    `json:"max"`
	Amount string `json:"amount,omitempty"`
	Short  bool   `json:"short,omitempty"`
	Fault  string `json:"fault,omitempty"`
}

func (p *Pad) makeToken() error {
	var b [24]byte
	if _, err := rand.Read(b[:]); err != nil {
		return fmt.Errorf("pinpad: random token: %w", err)
	}
	p.token = hex.EncodeToString(b[:])
	// Ports do not separate cookies: each pad has its own name.
	_, port, _ := strings.Cut(p.page.Addr().String(), ":")
	p.cookie = "shebao_pinpad_" + port
	return nil
}

func (p *Pad) viewLocked() view {
	switch {
	case p.fault == Tamper || p.fault == NoKey:
		return view{State: "fault", Fault: p.fault.String()}
	case p.entry == nil:
		return view{State: "idle"}
	}
	e := p.entry
	v := view{State: "entry", Count: e.pin.Len(), Max: e.max, Short: e.short}
	if e.sealing {
		v.State = "sealing"
	}
	if e.amount > 0 {
		v.Amount = e.amount.Grouped()
	}
	return v
}

func (p *Pad) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.showLocked()
}

// showLocked gives every page the newest view; an older one that was not yet
// fetched is replaced.
func (p *Pad) showLocked() {
	v := p.viewLocked()
	for c := range p.views {
		select {
		case <-c:
		default:
		}
		c <- v // has room: only this function sends, under the lock
	}
}

// handler serves the page. GET changes nothing.
func (p *Pad) handler() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic("pinpad: embedded page is missing: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.root)
	mux.Handle("GET /pinpad.css", http.FileServerFS(page))
	mux.Handle("GET /pinpad.js", http.FileServerFS(page))
	mux.HandleFunc("GET /events", p.inside(p.events))
	mux.HandleFunc("POST /key", p.inside(p.key))
	return p.guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard sets the headers and refuses requests under another name (DNS rebinding).
func (p *Pad) guard(next http.Handler) http.Handler {
	ancestors := "'none'"
	if p.cfg.FrameAncestors != "" {
		ancestors = p.cfg.FrameAncestors
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), clipboard-read=(), clipboard-write=()")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if r.Host != p.page.Addr().String() {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// root takes the token once into a cookie, then shows the page.
func (p *Pad) root(w http.ResponseWriter, r *http.Request) {
	if t := r.URL.Query().Get("token"); t != "" {
		if !p.isToken(t) {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: p.cookie, Value: p.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	p.inside(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page/pinpad.html")
	})(w, r)
}

func (p *Pad) isToken(t string) bool {
	return subtle.ConstantTimeCompare([]byte(t), []byte(p.token)) == 1
}

// inside lets only the browser in that has the cookie.
func (p *Pad) inside(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(p.cookie)
		if err != nil || !p.isToken(c.Value) {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// key takes one key press. Nothing of it comes back.
func (p *Pad) key(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	err = p.press(r.PostForm.Get("k"))
	if errors.Is(err, ErrKey) {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent) // a key without an entry is harmless
}

// events streams the view.
func (p *Pad) events(w http.ResponseWriter, r *http.Request) {
	c := make(chan view, 1)
	p.mu.Lock()
	if len(p.views) >= maxViews {
		p.mu.Unlock()
		w.Header().Set("Retry-After", strconv.Itoa(5))
		http.Error(w, "too many pages", http.StatusServiceUnavailable)
		return
	}
	p.views[c] = true
	c <- p.viewLocked()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.views, c)
		p.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var text []byte
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			text = []byte(":\n\n")
		case v := <-c:
			body, err := json.Marshal(v)
			if err != nil {
				return
			}
			text = fmt.Appendf(nil, "data: %s\n\n", body)
		}
		if _, err := w.Write(text); err != nil || out.Flush() != nil {
			return
		}
	}
}
