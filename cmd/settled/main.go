// Command settled is the hub node: terminal API, bank links, payment engine and
// ledger of one pooling region. With -hsm the same binary is the HSM process,
// which alone holds keys.
package main

import (
	"context"
	"errors"
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
	keys := fs.Bool("hsm", false, "be the HSM process: -config is then its own file; `keys` behind the flags works on its key store")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil // the usage was printed
	case err != nil:
		return err
	case *keys && fs.NArg() > 0 && fs.Arg(0) == "keys":
	case fs.NArg() > 0:
		return fmt.Errorf("%q is no flag; the node file is named by -config", fs.Arg(0))
	case *version:
		_, err := fmt.Fprintln(out, "settled", buildVersion())
		return err
	}
	if *keys {
		cfg, err := loadHSMConfig(*path)
		if err != nil || *check || *show {
			return shown(err, out, *path, *show, cfg)
		}
		if fs.NArg() > 0 {
			return workKeys(&cfg, fs.Args()[1:], out)
		}
		return runHSM(ctx, &cfg, logTo)
	}
	cfg, err := loadConfig(*path)
	if err != nil || *check || *show {
		return shown(err, out, *path, *show, cfg)
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

// shown ends -check-config and -print-config. The file holds paths and
// addresses, no secret, so all of it may be printed.
func shown(err error, out io.Writer, path string, whole bool, cfg any) error {
	if err != nil {
		return err
	}
	if whole {
		return yaml.NewEncoder(out).Encode(cfg)
	}
	_, err = fmt.Fprintf(out, "%s is sound\n", path)
	return err
}

func runHSM(ctx context.Context, c *HSMConfig, logTo io.Writer) error {
	log := zerolog.New(logTo).With().Timestamp().Logger()
	return hsm.RunProcess(ctx, hsm.ProcessConfig{
		Socket: c.Socket, KeyStore: c.KeyStore, PassphraseFile: c.PassphraseFile, UIDs: c.UIDs,
		Limits: softhsm.Limits{PINPerSecond: c.PINPerSecond, PINPerTerminalSecond: c.PINPerTerminalSecond},
	}, func(line string) { log.Info().Msg(line) })
}
