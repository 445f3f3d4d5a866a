// Command simulate plays the world around shebao on one machine: residents,
// cards in a real card service, a PIN pad, a printer, bank hosts, and load.
//
//	simulate demo        everything, with pages to click: what `make run` starts
//	simulate play        one citizen pays two dues, without a browser
//	simulate load        many payments, counted and checked
//	simulate crash       kill -9 everywhere, and a disk that loses what was not synced
//	simulate faults      both paths over bad lines at banks that misbehave
//	simulate bench       the ledger beside other engines, and every bar
//	simulate residents   fictional persons as import files
//	simulate bankhost    one bank's host, for its engineers
//	simulate counter     one bank's counter at our server, for its engineers
//	simulate kiosk       one citizen paying by card at a hub, without a kiosk
//	simulate world       days of the whole system on virtual time, with every invariant checked
//	simulate soak        hours of proof in parts, each with its bars and a dated report
//
// Everything it stands for is outside shebao: hardware, banks, people. The
// programs it starts are the real ones.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/simulators/vpcd"
)

func main() {
	// The process that plays the cards is this program again, inside a network
	// namespace of its own.
	if len(os.Args) > 1 && os.Args[1] == vpcd.ChildCommand {
		os.Exit(vpcd.ChildMain(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		var quiet *exitError
		if !errors.As(err, &quiet) {
			fmt.Fprintln(os.Stderr, "simulate:", err)
		}
		os.Exit(1)
	}
}

// exitError ends the program with 1 after everything has been said.
type exitError struct{ why string }

func (e *exitError) Error() string { return e.why }

// run is the whole program with its surroundings passed in.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use: "simulate", Short: "The world around shebao on one machine",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(demoCommand(), playCommand(), loadCommand(), faultsCommand(), residentsCommand(), worldCommand(),
		bankhostCommand(), counterCommand(), kioskCommand(), benchCommand(), soakCommand(), dayCommand(), crashCommandLine(),
		tailCmd(), matchCommand(), crashLedgerCommand(), crashJournalChild())
	return root.ExecuteContext(ctx)
}
