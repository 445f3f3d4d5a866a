package vpcd_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// deskDir is the folder of every rig whose service the PC/SC library talks to: it
// remembers the first socket's path for the life of a process.
var deskDir string

// TestMain is also the rig's process, which starts this test program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == vpcd.ChildCommand {
		os.Exit(vpcd.ChildMain(os.Args[2:]))
	}
	if len(os.Args) > 2 && os.Args[1] == parentCommand {
		os.Exit(parentMain(os.Args[2]))
	}
	var err error
	if deskDir, err = os.MkdirTemp("", "vpcd"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(deskDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
