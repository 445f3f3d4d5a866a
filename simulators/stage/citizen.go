package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// View is one screen of the kiosk as a citizen sees it.
type View struct {
	ID, Step, Lang string
	Text           string // all words on it
	Buttons        []Button
	conn           string
}

// Button is one thing to press.
type Button struct {
	Action, Value string
	Disabled      bool
	On            bool // a ticked row
}

// Can tells whether the screen has that button, ready to be pressed.
func (v View) Can(action string) bool {
	for _, b := range v.Buttons {
		if b.Action == action && !b.Disabled {
			return true
		}
	}
	return false
}

// Citizen stands before the kiosk: it follows the page's event stream as the
// browser does and presses buttons by the same requests.
type Citizen struct {
	base   string
	http   *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	view    View
	seen    []string      // screen ids in order
	changed chan struct{} // closed and renewed at each screen
	err     error
}

// openKiosk opens the page of this stage's kiosk as it stands now.
func (s *Stage) openKiosk(ctx context.Context) (*Citizen, error) {
	url, err := s.KioskURL()
	if err != nil {
		return nil, err
	}
	return newCitizen(ctx, url, s.tap)
}

// NewCitizen opens the kiosk's page.
func NewCitizen(ctx context.Context, kioskURL string) (*Citizen, error) {
	return newCitizen(ctx, kioskURL, nil)
}

// newCitizen asks through the given way; nil is the usual one.
func newCitizen(ctx context.Context, kioskURL string, way http.RoundTripper) (*Citizen, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	u, err := url.Parse(kioskURL)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Citizen{base: u.Scheme + "://" + u.Host, http: &http.Client{Jar: jar, Transport: way}, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	if err := c.fetch(ctx, kioskURL); err != nil {
		cancel()
		return nil, err
	}
	go c.follow(ctx)
	return c, nil
}

func (c *Citizen) fetch(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("stage: kiosk page: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("stage: kiosk page: %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// Leave closes the page.
func (c *Citizen) Leave() {
	c.cancel()
	<-c.done
	c.http.CloseIdleConnections()
}

// follow reads the event stream to its end.
func (c *Citizen) follow(ctx context.Context) {
	defer close(c.done)
	err := c.stream(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = errors.New("stage: the kiosk closed its page")
	}
	c.err = err
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Citizen) stream(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/events?w=1080&h=1920", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	event := ""
	var data strings.Builder
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "":
			c.take(event, data.String())
			event = ""
			data.Reset()
		case strings.HasPrefix(line, "event: "):
			event = line[7:]
		case strings.HasPrefix(line, "data: "):
			data.WriteString(line[6:] + "\n")
		}
	}
	return lines.Err()
}

var (
	attrForm   = regexp.MustCompile(`data-(screen|step|conn|lang)="([^"]*)"`)
	buttonForm = regexp.MustCompile(`<button [^>]*>`)
	actionForm = regexp.MustCompile(`data-action="([^"]*)"`)
	valueForm  = regexp.MustCompile(`data-value="([^"]*)"`)
	tagForm    = regexp.MustCompile(`(?s)<svg.*?</svg>|<[^>]*>`)
	spaceForm  = regexp.MustCompile(`\s+`)
)

// take makes a view of one event.
func (c *Citizen) take(event, data string) {
	if event != "screen" && event != "wipe" {
		return
	}
	var v View
	if event == "screen" {
		for _, m := range attrForm.FindAllStringSubmatch(data[:min(len(data), 600)], -1) {
			switch m[1] {
			case "screen":
				v.ID = m[2]
			case "step":
				v.Step = m[2]
			case "conn":
				v.conn = m[2]
			case "lang":
				v.Lang = m[2]
			}
		}
		for _, tag := range buttonForm.FindAllString(data, -1) {
			b := Button{Disabled: strings.Contains(tag, " disabled"), On: strings.Contains(tag, `aria-checked="true"`)}
			if m := actionForm.FindStringSubmatch(tag); m != nil {
				b.Action = m[1]
			}
			if m := valueForm.FindStringSubmatch(tag); m != nil {
				b.Value = html.UnescapeString(m[1])
			}
			v.Buttons = append(v.Buttons, b)
		}
		v.Text = strings.TrimSpace(spaceForm.ReplaceAllString(html.UnescapeString(tagForm.ReplaceAllString(data, " ")), " "))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) == 0 || c.seen[len(c.seen)-1] != v.ID {
		c.seen = append(c.seen, v.ID)
	}
	c.view = v
	close(c.changed)
	c.changed = make(chan struct{})
}

// Now is the present screen.
func (c *Citizen) Now() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view
}

// Seen are the screens so far, in order.
func (c *Citizen) Seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.seen...)
}

// Wait waits for one of the screens and gives it.
func (c *Citizen) Wait(ctx context.Context, limit time.Duration, ids ...string) (View, error) {
	return c.until(ctx, limit, strings.Join(ids, " or "), func(v View) bool { return slices.Contains(ids, v.ID) })
}

// until waits for a screen that is as wanted.
func (c *Citizen) until(ctx context.Context, limit time.Duration, what string, is func(View) bool) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		c.mu.Lock()
		v, changed, err := c.view, c.changed, c.err
		c.mu.Unlock()
		switch {
		case is(v):
			return v, nil
		case err != nil:
			return v, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v, fmt.Errorf("stage: waited %s for the screen %s; the kiosk shows %q after %s", limit, what, v.ID, strings.Join(c.Seen(), " → "))
		}
	}
}

// toMenu reads what the kiosk says of earlier payments, one page each, until the
// menu is there.
func (c *Citizen) toMenu(ctx context.Context) error {
	last := ""
	for {
		v, err := c.until(ctx, screenWait, "menu", func(v View) bool {
			return v.ID == "menu" || v.ID == "unresolved" && v.Step != last
		})
		if err != nil || v.ID == "menu" {
			return err
		}
		last = v.Step
		if err := c.Press(ctx, v, "next", ""); err != nil {
			return err
		}
	}
}

// Press presses a button of the screen v.
func (c *Citizen) Press(ctx context.Context, v View, action, value string) error {
	form := url.Values{"conn": {v.conn}, "step": {v.Step}, "action": {action}, "value": {value}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/press", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", c.base)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("stage: press %s: %w", action, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusNoContent {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return fmt.Errorf("stage: press %s on %s: %s: %s", action, v.ID, resp.Status, strings.TrimSpace(string(b)))
	}
	return nil
}
