package pcsc_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// rig is the card service of all tests here: the PC/SC library remembers its
// socket for the life of a process.
var rig *vpcd.Rig

// TestMain starts a private pcscd. Where it is missing the tests fail and say
// what to install.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == vpcd.ChildCommand {
		os.Exit(vpcd.ChildMain(os.Args[2:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pcsc")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	rig, err = vpcd.Start(context.Background(), vpcd.Config{Dir: dir, Readers: 4})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv("PCSCLITE_CSOCK_NAME", rig.Socket()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	rig.Close()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}
