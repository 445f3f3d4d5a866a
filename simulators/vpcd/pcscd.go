package vpcd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Deadlines of the card service.
const (
	startDeadline = 8 * time.Second // it takes 30 ms; a loaded machine takes longer
	stopDeadline  = 8 * time.Second // after SIGTERM, then SIGKILL
	startPoll     = 5 * time.Millisecond
)

// firstPort is the driver's port of the first reader. It takes the next one too,
// for a second slot; the namespace has no other listener.
const firstPort = 35963

// portOf is the port of a reader's first slot.
func portOf(reader int) int { return firstPort + 2*reader }

// ReaderName is the PC/SC name of the n-th virtual reader.
func ReaderName(n int) string { return fmt.Sprintf("%s 00 00", friendlyName(n)) }

func friendlyName(n int) string { return fmt.Sprintf("Shebao Virtual Reader %d", n) }

// service is a private pcscd.
type service struct {
	setup
	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process is gone
	output  *tail
	onEnded func(why string)
}

// prepare writes the reader configuration, with a copy of the driver for each
// reader: two entries with one file would share its static slot table.
func (s *service) prepare() error {
	conf := filepath.Join(s.Dir, "reader.conf.d")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return fmt.Errorf("vpcd: %w", err)
	}
	var b bytes.Buffer
	for n := range s.Readers {
		driver := filepath.Join(s.Dir, fmt.Sprintf("driver%d.so", n))
		if err := copyFile(s.Driver, driver); err != nil {
			return fmt.Errorf("vpcd: copy driver: %w", err)
		}
		fmt.Fprintf(&b, "FRIENDLYNAME \"%s\"\nDEVICENAME /dev/null:%d\nLIBPATH %s\nCHANNELID %d\n\n",
			friendlyName(n), portOf(n), driver, portOf(n))
	}
	if err := os.WriteFile(filepath.Join(conf, "readers"), b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("vpcd: %w", err)
	}
	return nil
}

// socketPath is where clients reach a pcscd whose rig lives in dir.
func socketPath(dir string) string { return filepath.Join(dir, "pcscd.sock") }

// start runs pcscd and returns when all readers listen. The socket is ours and
// passed the way systemd does; LISTEN_PID must be pcscd's own, so a shell sets it
// and becomes pcscd.
func (s *service) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return errors.New("vpcd: pcscd runs already")
	}
	path := socketPath(s.Dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("vpcd: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("vpcd: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	_ = listener.Close() // pcscd has its own descriptor
	if err != nil {
		return fmt.Errorf("vpcd: %w", err)
	}
	defer func() { _ = file.Close() }()

	s.output = new(tail)
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh",
		s.PCSCD, "--foreground", "--config", filepath.Join(s.Dir, "reader.conf.d"))
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan struct{})
	if err := startChild(cmd, func(err error) {
		close(ended)
		s.onEnded(fmt.Sprintf("pcscd ended: %v: %s", err, s.output))
	}); err != nil {
		return fmt.Errorf("vpcd: start pcscd: %w", err)
	}
	s.cmd, s.ended = cmd, ended
	return s.awaitReaders()
}

// awaitReaders waits until the driver listens for every reader. Dialling would
// insert a card, so the kernel's table is read instead.
func (s *service) awaitReaders() error {
	deadline := time.Now().Add(startDeadline)
	for {
		listening, err := listeningPorts()
		if err != nil {
			return err
		}
		missing := -1
		for n := range s.Readers {
			if !listening[portOf(n)] {
				missing = n
			}
		}
		if missing < 0 {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("vpcd: pcscd ended at its start: %s", s.output)
		case <-time.After(startPoll):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("vpcd: reader %d does not listen after %v: %s", missing, startDeadline, s.output)
		}
	}
}

// stop ends pcscd: politely, then not. It exits with status 1 even when clean.
func (s *service) stop(kill bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = os.Remove(socketPath(s.Dir)) // clients see that the service is away
	signal := syscall.SIGTERM
	if kill {
		signal = syscall.SIGKILL
	}
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.ended:
	case <-time.After(stopDeadline):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
}

// startChild starts a command and calls ended when it is gone. The kernel sends
// the parent-death signal when the starting thread ends, so that thread is kept
// until the child is gone.
func startChild(cmd *exec.Cmd, ended func(error)) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended(cmd.Wait())
		}
	}()
	return <-started
}

// listeningPorts reads the ports that listen in this network namespace.
func listeningPorts() (map[int]bool, error) {
	table, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		return nil, fmt.Errorf("vpcd: %w", err)
	}
	ports := map[int]bool{}
	const listen = "0A" // TCP_LISTEN
	for _, line := range strings.Split(string(table), "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != listen {
			continue
		}
		_, port, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); err == nil {
			ports[int(n)] = true
		}
	}
	return ports, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_ = os.Remove(to)
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// maxTail bounds what is kept of pcscd's output for an error text.
const maxTail = 2 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - maxTail; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
