package panel

import (
	"bytes"
	"context"
	"crypto/subtle"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.Format("15:04:05") },
}).ParseFS(files, "page/*.html"))

// cookieName is the panel's own: ports do not separate cookies.
const cookieName = "shebao_panel"

// regions are the parts of the page that change; each has a template of its name.
var regions = []string{"steps", "tray", "slot", "paper", "faults", "answers", "messages"}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /page/{file}", s.file)
	mux.HandleFunc("GET /paper/{no}", s.strip)
	mux.HandleFunc("POST /insert", s.act(func(ctx context.Context, r *http.Request) error {
		return s.conf.Tray.Insert(ctx, r.PostForm.Get("id"))
	}))
	mux.HandleFunc("POST /pull", s.act(func(ctx context.Context, _ *http.Request) error { return s.conf.Tray.Pull(ctx) }))
	if s.conf.Faults != nil {
		mux.HandleFunc("POST /fault", s.act(func(ctx context.Context, r *http.Request) error {
			return s.conf.Faults.Set(ctx, r.PostForm.Get("group"), r.PostForm.Get("id"), r.PostForm.Get("on") == "true")
		}))
	}
	if s.conf.Paper != nil {
		mux.HandleFunc("POST /tear", s.act(func(context.Context, *http.Request) error {
			s.conf.Paper.Clear()
			return nil
		}))
	}
	if s.conf.Counter != nil {
		mux.HandleFunc("POST /inquire", s.act(func(ctx context.Context, r *http.Request) error {
			return s.teller(ctx, r, "查询 Inquire", s.conf.Counter.Inquire)
		}))
		mux.HandleFunc("POST /pay", s.act(func(ctx context.Context, r *http.Request) error {
			return s.teller(ctx, r, "缴费 Pay", s.conf.Counter.Pay)
		}))
		mux.HandleFunc("POST /reverse", s.act(func(ctx context.Context, r *http.Request) error {
			return s.teller(ctx, r, "冲正 Reverse", s.conf.Counter.Reverse)
		}))
	}
	return mux
}

// guarded checks Host, origin and cookie before every answer.
func (s *Server) guarded(next http.Handler) http.Handler {
	inner := http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("Origin") != "http://"+r.Host {
			http.Error(w, "another origin", http.StatusForbidden)
			return
		}
		if r.Method == http.MethodGet && r.URL.Path == "/" {
			http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
			next.ServeHTTP(w, r)
			return
		}
		c, err := r.Cookie(cookieName)
		if err != nil || subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.cookie)) != 1 {
			http.Error(w, "open the panel's first page again", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"frame-src "+s.origins+"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		// Typed by name, the frames would be on another site than the panel and
		// their strict cookies would stay away: go to the address itself.
		_, port, _ := strings.Cut(s.conf.Addr, ":")
		if r.Method == http.MethodGet && r.URL.Path == "/" && r.Host == "localhost:"+port {
			http.Redirect(w, r, s.URL(), http.StatusSeeOther)
			return
		}
		if r.Host != s.conf.Addr && !slices.Contains(s.conf.Hosts, r.Host) {
			http.Error(w, "unknown host", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		inner.ServeHTTP(w, r)
	})
}

// act runs one act of the person at the desk. An error is said on the page.
func (s *Server) act(do func(context.Context, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "form not readable", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), actTime)
		defer cancel()
		if err := do(ctx, r); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		s.Changed()
		w.WriteHeader(http.StatusNoContent)
	}
}

// teller asks the bank and keeps the answer on the page.
func (s *Server) teller(ctx context.Context, r *http.Request, what string, ask func(context.Context, string, string) (CounterAnswer, error)) error {
	bank, notice := r.PostForm.Get("bank"), strings.ReplaceAll(r.PostForm.Get("notice"), " ", "")
	a, err := ask(ctx, bank, notice)
	if err != nil {
		return err
	}
	s.note(logLine{Ask: fmt.Sprintf("%s %s %s", what, bank, notice), OK: a.OK, Lines: a.Lines})
	return nil
}

// view is everything the page shows.
type view struct {
	Config
	Cards    []Card
	Inserted *Card
	Groups   []FaultGroup
	Strips   []Strip
	Banks    []Bank
	Notices  []Notice
	Answers  []logLine
	Inbox    []Message
}

func (s *Server) look() view {
	v := view{Config: s.conf, Cards: s.conf.Tray.Cards(), Answers: s.answers()}
	in := s.conf.Tray.Inserted()
	for i := range v.Cards {
		if v.Cards[i].ID == in {
			v.Inserted = &v.Cards[i]
		}
	}
	if s.conf.Faults != nil {
		v.Groups = s.conf.Faults.Groups()
	}
	if s.conf.Paper != nil {
		v.Strips = s.conf.Paper.Strips()
		slices.Reverse(v.Strips)
	}
	if s.conf.Counter != nil {
		v.Banks, v.Notices = s.conf.Counter.Banks(), s.conf.Counter.Notices()
	}
	if s.conf.Messages != nil {
		v.Inbox = s.conf.Messages()
	}
	return v
}

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "panel", s.look()); err != nil {
		http.Error(w, "page not readable: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // a browser that left reads nothing
}

var fileTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kind, ok := fileTypes[path.Ext(name)]
	data, err := fs.ReadFile(files, path.Join("page", name))
	if err != nil || !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data)
}

// strip is the picture of one paper.
func (s *Server) strip(w http.ResponseWriter, r *http.Request) {
	no, err := strconv.Atoi(r.PathValue("no"))
	if err != nil || s.conf.Paper == nil {
		http.NotFound(w, r)
		return
	}
	for _, p := range s.conf.Paper.Strips() {
		if p.No == no {
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = w.Write([]byte(p.SVG))
			return
		}
	}
	http.NotFound(w, r)
}

// subscribe gives a channel that is woken by Changed, or nil when there are too
// many pages.
func (s *Server) subscribe() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.streams) >= maxStreams {
		return nil
	}
	c := make(chan struct{}, 1)
	c <- struct{}{}
	s.streams[c] = struct{}{}
	return c
}

func (s *Server) unsubscribe(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, c)
}

// events sends each region that differs from what this page has.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	wake := s.subscribe()
	if wake == nil {
		http.Error(w, "too many pages", http.StatusServiceUnavailable)
		return
	}
	defer s.unsubscribe(wake)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	rc := http.NewResponseController(w)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	had := map[string]string{}
	for {
		var out bytes.Buffer
		select {
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		case <-tick.C:
			out.WriteString(":\n\n")
		case <-wake:
			if err := s.changes(&out, had); err != nil {
				return
			}
		}
		if err := rc.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
			return
		}
		if _, err := w.Write(out.Bytes()); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
	}
}

// changes appends the regions that are not as the page has them.
func (s *Server) changes(out *bytes.Buffer, had map[string]string) error {
	v := s.look()
	for _, id := range regions {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, id, v); err != nil {
			return fmt.Errorf("panel: region %s: %w", id, err)
		}
		if had[id] == b.String() {
			continue
		}
		had[id] = b.String()
		out.WriteString("event: " + id + "\n")
		for line := range strings.Lines(b.String()) {
			out.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
		}
		out.WriteString("data:\n\n")
	}
	return nil
}
