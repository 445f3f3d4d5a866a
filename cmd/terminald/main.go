// Command terminald is the kiosk's program: card reader, PIN pad and printer on
// one side, the citizen's page on loopback, the hub on the other.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/cardauth/epp"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal"
	"github.com/shebao-pay/shebao/terminal/device/escpos"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/hub"
	"github.com/shebao-pay/shebao/terminal/journal"
	"github.com/shebao-pay/shebao/terminal/kiosk"
	"github.com/shebao-pay/shebao/terminal/print"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "terminald:", err)
		os.Exit(1)
	}
}

// run is the whole program with its surroundings passed in.
func run(ctx context.Context, args []string, out, logTo io.Writer) error {
	fs := flag.NewFlagSet("terminald", flag.ContinueOnError)
	fs.SetOutput(logTo)
	path := fs.String("config", "/etc/shebao/terminald.yaml", "node file")
	check := fs.Bool("check-config", false, "check the node file and stop")
	show := fs.Bool("print-config", false, "print the node file as it is understood and stop")
	version := fs.Bool("version", false, "print the version and stop")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil // the usage was printed
	case err != nil:
		return err
	case fs.NArg() > 0:
		return fmt.Errorf("%q is no flag; the node file is named by -config", fs.Arg(0))
	case *version:
		_, err := fmt.Fprintln(out, "terminald", buildVersion())
		return err
	}
	cfg, err := loadConfig(*path)
	switch {
	case err != nil:
		return err
	case *check:
		_, err = fmt.Fprintf(out, "%s is sound\n", *path)
		return err
	case *show:
		return yaml.NewEncoder(out).Encode(cfg) // it holds paths and addresses, no secret
	}
	return serve(ctx, &cfg, logTo)
}

func buildVersion() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "unknown"
}

// serve puts the terminal together, from the disk outwards, and runs it.
func serve(ctx context.Context, cfg *Config, logTo io.Writer) error {
	level, err := zerolog.ParseLevel(cfg.LogLevel)
	if err != nil {
		return fmt.Errorf("log_level: %w", err)
	}
	log := zerolog.New(logTo).Level(level).With().Timestamp().Uint32("terminal", cfg.Terminal).Logger()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	j, err := journal.Open(filepath.Join(cfg.Data, "journal.bolt"), journal.Options{Terminal: "terminal-" + strconv.Itoa(int(cfg.Terminal))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	client, err := dialHub(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	slot, err := openSlot(cfg, epp.Dial(cfg.PINPad.Socket), log)
	if err != nil {
		return err
	}
	defer slot.close()
	return runTerminal(ctx, cfg, j, client, slot, log)
}

func dialHub(cfg *Config) (*hub.Client, error) {
	ca, err := os.ReadFile(cfg.Hub.CA)
	if err != nil {
		return nil, fmt.Errorf("hub.ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("hub.ca: %s holds no certificate", cfg.Hub.CA)
	}
	cert, err := tls.LoadX509KeyPair(cfg.Hub.Cert, cfg.Hub.Key)
	if err != nil {
		return nil, fmt.Errorf("hub.cert and hub.key: %w", err)
	}
	times := cfg.times()
	return hub.New(hub.Config{
		Addrs: cfg.Hub.Addresses, ServerName: cfg.Hub.ServerName, Roots: roots, Cert: cert,
		Read: times.HubRead, Pay: times.HubPay,
	})
}

// times are the screen times with the node file's changes.
func (c *Config) times() flow.Times {
	t := flow.DefaultTimes()
	t.Idle, t.Warning = millis(c.Times.IdleMillis, t.Idle), millis(c.Times.WarningMillis, t.Warning)
	t.HubPay, t.HubRead = millis(c.Times.PayMillis, t.HubPay), millis(c.Times.QueryMillis, t.HubRead)
	t.Result, t.TakeCard = millis(c.Times.ResultMillis, t.Result), millis(c.Times.TakeCardMillis, t.TakeCard)
	t.AskFirst = millis(c.Times.UnresolvedMillis, t.AskFirst)
	return t
}

// writeToken makes this boot's token and leaves it for the browser's launcher.
func writeToken(path string) (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("kiosk token: %w", err)
	}
	token := hex.EncodeToString(b[:])
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("kiosk token: %w", err)
	}
	return token, nil
}

// runTerminal starts the page and the terminal and waits for either to end.
func runTerminal(ctx context.Context, cfg *Config, j *journal.Journal, client *hub.Client, s *slot, log zerolog.Logger) error {
	token, err := writeToken(cfg.Kiosk.TokenFile)
	if err != nil {
		return err
	}
	mm, err := strconv.ParseFloat(cfg.Kiosk.MMPerPixel, 64)
	if err != nil {
		return fmt.Errorf("kiosk.mm_per_px: %w", err)
	}
	var t *terminal.Terminal
	page, err := kiosk.New(kiosk.Config{
		Addr: cfg.Kiosk.Listen, FrameAncestors: cfg.Kiosk.FrameAncestors, MMPerPx: mm, Token: token, Demo: cfg.Demo,
	}, func(p flow.Press) { t.Press(p) }, func(connected bool) { t.Browser(connected) })
	if err != nil {
		return err
	}
	defer page.Close()
	network, address, _ := strings.Cut(cfg.Printer.Address, ":")
	if t, err = terminal.New(terminal.Config{
		Slot: s, Printer: escpos.New(network, address), Hub: client, Journal: j, Display: page,
		Paper: cfg.paper(), QR: func(r termapi.Receipt) string { return print.VerifyText(r, "") },
		Applied: s.applied, Times: cfg.times(), Version: buildVersion(), Log: log,
		Heartbeat: millis(cfg.Times.HeartbeatMillis, 0),
	}); err != nil {
		return err
	}
	pages, err := net.Listen("tcp", cfg.Kiosk.Listen)
	if err != nil {
		return fmt.Errorf("kiosk page: %w; is another terminal running on this machine?", err)
	}
	admin, err := net.Listen("tcp", cfg.Admin.Listen)
	if err != nil {
		return fmt.Errorf("admin page: %w", errors.Join(err, pages.Close()))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 3)
	go func() { ended <- page.Serve(ctx, pages) }()
	go func() { ended <- serveAdmin(ctx, admin, t) }()
	go func() { ended <- t.Run(ctx) }()
	log.Info().Str("page", cfg.Kiosk.Listen).Str("admin", cfg.Admin.Listen).Msg("terminal runs")
	err = <-ended
	cancel()
	err = errors.Join(err, <-ended, <-ended)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	log.Info().Err(err).Msg("terminal ended")
	return err
}

// paper ties the layouts to the terminal.
func (c *Config) paper() terminal.Paper {
	options := func(o terminal.PaperOptions) print.Options {
		return print.Options{Lang: o.Lang, Demo: o.Demo, Hotline: o.Hotline, Agency: "社会保险经办机构"}
	}
	return terminal.Paper{
		Receipt: func(r termapi.Receipt, o terminal.PaperOptions) ([]byte, error) { return print.Receipt(r, options(o)) },
		Slip: func(s flow.Slip, o terminal.PaperOptions) ([]byte, error) {
			return print.PendingSlip(c.pendingOf(s), options(o))
		},
	}
}

// serveAdmin answers /live, /ready and /metrics.
func serveAdmin(ctx context.Context, l net.Listener, t *terminal.Terminal) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		s := t.Status()
		if s.Broken || s.Screen == "" || s.Screen == string(flow.ScreenOutOfService) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprintf(w, "screen %s, paper %s, unsettled %d\n", s.Screen, s.Paper, s.Unsettled)
	})
	mux.Handle("GET /metrics", metricsHandler(t))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin page: %w", err)
	}
	return nil
}

// pendingOf lays out what the machine says of an unresolved payment.
func (c *Config) pendingOf(s flow.Slip) print.Pending {
	return print.Pending{
		Payment: s.ID, Time: s.Time, Name: s.Name, IDTail: s.IDTail, Bank: s.Bank, CardTail: s.CardTail,
		Terminal: strconv.Itoa(int(c.Terminal)), Total: s.Total, Dues: s.Dues,
	}
}

// terminalNo is the terminal's number as the card side binds it.
func (c *Config) terminalNo() si.Terminal { return si.Terminal(c.Terminal) }
