package newcomer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// inside is set for the process that has the network namespace.
const inside = "SHEBAO_NEWCOMER_INSIDE"

// TestMain starts this test program again in a network namespace of its own. It
// is the first process of a new PID namespace as well: when it ends, in whatever
// way, so does everything that it has started.
func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(again())
	}
	if err := vpcd.LoopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "newcomer: set up lo:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this program in the new namespaces, which root may make and others
// get inside a user namespace, and gives its exit code.
func again() int {
	runtime.LockOSThread() // the child is killed when the thread that made it ends
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: gid, Size: 1}}
	}
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		fmt.Fprintln(os.Stderr, "newcomer: namespaces for network and processes are needed:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}
