package vpcd_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// TestMain is also the rig's process, which starts this test program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == vpcd.ChildCommand {
		os.Exit(vpcd.ChildMain(os.Args[2:]))
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
