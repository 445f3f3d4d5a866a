// Command settled is the hub node: terminal API, bank links, payment engine and
// ledger of one pooling region. With -hsm the same binary is the HSM process,
// which alone holds keys.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/rs/zerolog"
	"gopkg.in/yaml.v3"

	"github.com/shebao-pay/shebao/cardauth/hsm"
	"github.com/shebao-pay/shebao/cardauth/softhsm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "settled:", err)
		os.Exit(1)
	}
}

// run is the whole program with its surroundings passed in.
func run(ctx context.Context, args []string, out, logTo io.Writer) error {
	fs := flag.NewFlagSet("settled", flag.ContinueOnError)
	fs.SetOutput(logTo)
	path := fs.String("config", "/etc/shebao/settled.yaml", "node file")
	check := fs.Bool("check-config", false, "check the node file and stop")
	show := fs.Bool("print-config", false, "print the node file as it is understood and stop")
	version := fs.Bool("version", false, "print the version and stop")
	keys := fs.Bool("hsm", false, "be the HSM process: -config is then its own file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	switch {
	case *version:
		_, err := fmt.Fprintln(out, "settled", buildVersion())
		return err
	case *keys:
		return runHSM(ctx, *path, *check, out, logTo)
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	switch {
	case *check:
		_, err = fmt.Fprintf(out, "%s is sound\n", *path)
		return err
	case *show:
		return yaml.NewEncoder(out).Encode(cfg) // it holds paths and addresses, no secret
	}
	level, err := zerolog.ParseLevel(cfg.LogLevel)
	if err != nil {
		return fmt.Errorf("log_level: %w", err)
	}
	return serve(ctx, &cfg, zerolog.New(logTo).Level(level).With().Timestamp().Logger())
}

func buildVersion() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "unknown"
}

// HSMConfig is the file of the HSM process.
type HSMConfig struct {
	// Socket is the Unix socket that settled connects to.
	Socket string `yaml:"socket"`
	// KeyStore is the sealed file with the keys.
	KeyStore string `yaml:"key_store"`
	// PassphraseFile holds the passphrase that opens it; nobody else may read it.
	PassphraseFile string `yaml:"passphrase_file"`
	// UIDs are the users that may connect; empty: this process's own.
	UIDs []uint32 `yaml:"uids"`
	// PINPerSecond and PINPerTerminalSecond bound PIN translations; 0: default.
	PINPerSecond         int `yaml:"pin_per_second"`
	PINPerTerminalSecond int `yaml:"pin_per_terminal_second"`
	// Demo must be true: the software key store is no payment HSM, and a real
	// installation puts its own behind the same socket.
	Demo bool `yaml:"demo"`
}

func runHSM(ctx context.Context, path string, check bool, out, logTo io.Writer) error {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	var c HSMConfig
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if c.Socket == "" || c.KeyStore == "" || c.PassphraseFile == "" {
		return fmt.Errorf("config: socket, key_store and passphrase_file are all needed")
	}
	if !c.Demo {
		return fmt.Errorf("config: the software key store serves PINs in a demo only (demo: true); a real installation needs a payment HSM behind this socket")
	}
	if check {
		_, err = fmt.Fprintf(out, "%s is sound\n", path)
		return err
	}
	log := zerolog.New(logTo).With().Timestamp().Logger()
	return hsm.RunProcess(ctx, hsm.ProcessConfig{
		Socket: c.Socket, KeyStore: c.KeyStore, PassphraseFile: c.PassphraseFile, UIDs: c.UIDs,
		Limits: softhsm.Limits{PINPerSecond: c.PINPerSecond, PINPerTerminalSecond: c.PINPerTerminalSecond},
	}, func(line string) { log.Info().Msg(line) })
}
