// Command shebaoctl is the operators' tool.
//
// It prints what a person reads to standard output, or with --json one line for
// a program; progress and errors go to standard error. It exits with 0 when
// everything is well, 1 when what it was asked to check is not, or when it could
// not do its work.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "shebaoctl:", err)
		os.Exit(1)
	}
}

// run is the whole program with its surroundings passed in.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	root := &cobra.Command{
		Use: "shebaoctl", Short: "The operators' tool of shebao",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.AddCommand(verifyCommand(), migrateCommand(), backupCommand(), restoreCommand(), clusterCommand(), configCommand(),
		checkProfileCommand(), checkRatesCommand(), importCommand(), compareCommand(), assessCommand(),
		terminalCommand(), noticeCommand(), pendingCommand(), decideCommand(), healthCommand())
	return root.ExecuteContext(ctx)
}
