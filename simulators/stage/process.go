package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Bounds of starting and stopping a program.
const (
	startTime = 60 * time.Second // a million persons are read back in less
	stopTime  = 8 * time.Second  // then it is killed
	pollTime  = 20 * time.Millisecond
)

// process is one child program with its log file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
	err  error
}

// start runs bin with args; what it prints goes to dir/name.log. The child dies
// with us, whatever ends us.
func start(dir, name, bin string, args ...string) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	cmd := exec.Command(bin, args...) // #nosec G204 -- our own programs
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: a Ctrl-C at the keyboard reaches us alone, and we end
	// the children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("stage: %s: %w; `make build` makes the programs", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	return p, nil
}

// stop asks the program to end and kills it if it does not.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.kill()
	}
}

// kill ends the program at once, as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// pause lets the program stand still until resume, as a machine that stalls does.
func (p *process) pause() error  { return p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// ready waits until check passes. A program that ends first is an error that
// carries the last lines it wrote.
func (p *process) ready(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var last error
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		if last = check(ctx); last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("stage: %s ended before it was ready: %w\n%s", p.name, errOr(p.err, errors.New("exit status 0")), tail(p.log.Name()))
		case <-ctx.Done():
			return fmt.Errorf("stage: %s is not ready after %s: %w\n%s", p.name, startTime, last, tail(p.log.Name()))
		case <-tick.C:
		}
	}
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// tailLines is how much of a log an error shows.
const tailLines = 8

func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if lines = append(lines, "  "+s.Text()); len(lines) > tailLines {
			lines = lines[1:]
		}
	}
	out := "the end of " + path + ":\n"
	for _, l := range lines {
		out += l + "\n"
	}
	return out
}

// get asks url for 200.
func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return nil
}
