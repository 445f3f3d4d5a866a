package vpcd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// Config says what a rig is.
type Config struct {
	// Dir holds configuration, driver copies and the service's socket. Its path
	// must be short: a Unix socket's name has at most 107 bytes.
	Dir string
	// Readers is the number of virtual readers, 1 to MaxReaders.
	Readers int
	// Self starts the calling program again so that it calls ChildMain with the
	// one argument that is put behind. Empty: the running program with
	// [ChildCommand].
	Self []string
	// PCSCD and Driver are paths; empty means the places of Debian's packages.
	PCSCD  string
	Driver string
}

// ChildCommand is the first argument of a program that is started again to be a
// rig's process: it then returns what ChildMain answers to the other arguments.
const ChildCommand = "cards"

// maxSocketPath is the longest name of a Unix socket.
const maxSocketPath = 107

// maxEvents bounds the queue of events. A reader that is too slow loses the
// oldest ones; nothing waits for it.
const maxEvents = 256

// closeDeadline is how long the child may take to end everything it started.
const closeDeadline = stopDeadline + 2*time.Second

// Rig is a private pcscd with virtual readers. Its methods may be called from
// several goroutines.
type Rig struct {
	cfg    Config
	conn   net.Conn
	cmd    *exec.Cmd
	ended  chan struct{}
	events chan Event
	ready  chan error // one value: how the start went
	output tail

	mu      sync.Mutex
	id      uint64
	waiting map[uint64]chan message
	closed  bool
}

// Start runs a rig and returns when its readers are there.
func Start(ctx context.Context, cfg Config) (*Rig, error) {
	if cfg.Readers < 1 || cfg.Readers > MaxReaders {
		return nil, fmt.Errorf("vpcd: %d readers: a rig has 1 to %d", cfg.Readers, MaxReaders)
	}
	if len(cfg.Self) == 0 {
		cfg.Self = []string{"/proc/self/exe", ChildCommand}
	}
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("vpcd: %w", err)
	}
	if n := len(socketPath(cfg.Dir)); n > maxSocketPath {
		return nil, fmt.Errorf("vpcd: path of the socket has %d bytes, more than %d: choose a shorter Config.Dir", n, maxSocketPath)
	}
	if err := cfg.find(); err != nil {
		return nil, err
	}
	r := &Rig{
		cfg: cfg, ended: make(chan struct{}), events: make(chan Event, maxEvents),
		ready: make(chan error, 1), waiting: map[uint64]chan message{},
	}
	if err := r.launch(); err != nil {
		return nil, err
	}
	select {
	case err = <-r.ready:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startDeadline + time.Second):
		err = fmt.Errorf("vpcd: rig is not ready after %v: %s", startDeadline, &r.output)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Places of the card service and of the driver in Debian's packages.
var (
	pcscdPlaces  = []string{"/usr/sbin/pcscd", "/usr/local/sbin/pcscd", "/sbin/pcscd"}
	driverPlaces = []string{
		"/usr/lib/pcsc/drivers/serial/libifdvpcd.so",
		"/usr/lib/*/pcsc/drivers/serial/libifdvpcd.so",
		"/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so",
	}
)

// find looks for pcscd and the driver.
func (c *Config) find() error {
	if c.PCSCD == "" {
		c.PCSCD = firstOf(pcscdPlaces)
	}
	if _, err := os.Stat(c.PCSCD); err != nil {
		return fmt.Errorf("%w: pcscd: apt-get install pcscd", ErrMissing)
	}
	if c.Driver == "" {
		c.Driver = firstOf(driverPlaces)
	}
	if _, err := os.Stat(c.Driver); err != nil {
		return fmt.Errorf("%w: driver of the virtual reader: apt-get install vsmartcard-vpcd", ErrMissing)
	}
	return nil
}

// firstOf gives the first existing file of a list of patterns.
func firstOf(patterns []string) string {
	for _, p := range patterns {
		if found, err := filepath.Glob(p); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// launch starts the child in a network namespace of its own, which root may make
// and others get inside a user namespace.
func (r *Rig) launch() error {
	flags := []uintptr{syscall.CLONE_NEWNET, syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		flags = flags[1:]
	}
	var err error
	for _, f := range flags {
		if err = r.launchWith(f); !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrRights, err)
}

func (r *Rig) launchWith(flags uintptr) error {
	set, err := json.Marshal(setup{Dir: r.cfg.Dir, Readers: r.cfg.Readers, Driver: r.cfg.Driver, PCSCD: r.cfg.PCSCD})
	if err != nil {
		return fmt.Errorf("vpcd: %w", err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close() }()
	args := append(append([]string{}, r.cfg.Self[1:]...), string(set))
	cmd := exec.Command(r.cfg.Self[0], args...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = &r.output
	// A process group of its own: a Ctrl-C at the terminal is for the parent,
	// which then ends the rig in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := startChild(cmd, func(error) { close(r.ended) }); err != nil {
		_ = ours.Close()
		return fmt.Errorf("vpcd: start the rig's process: %w", err)
	}
	r.cmd, r.conn = cmd, ours
	go r.listen()
	return nil
}

// socketPair makes the control socket.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("vpcd: control socket: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), "control")
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("vpcd: control socket: %w", err)
	}
	return ours, theirs, nil
}

// listen sorts what the child says until it is gone.
func (r *Rig) listen() {
	lines := bufio.NewScanner(r.conn)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			break
		}
		switch {
		case m.Event != nil:
			r.happened(*m.Event)
		case m.ID == 0:
			r.started(errors.New(m.Error))
		default:
			r.mu.Lock()
			answer := r.waiting[m.ID]
			delete(r.waiting, m.ID)
			r.mu.Unlock()
			if answer != nil {
				answer <- m
			}
		}
	}
	r.started(fmt.Errorf("%w: its process ended: %s", ErrClosed, &r.output))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, answer := range r.waiting {
		close(answer)
	}
	r.waiting = nil
	close(r.events)
}

// started tells Start how it went; only the first word counts.
func (r *Rig) started(err error) {
	select {
	case r.ready <- err:
	default:
	}
}

// happened queues an event, in place of the oldest if the queue is full.
func (r *Rig) happened(e Event) {
	if e.Kind == Ready {
		r.started(nil)
	}
	for {
		select {
		case r.events <- e:
			return
		default:
		}
		select {
		case <-r.events:
		default:
		}
	}
}

// ask sends one request and waits for its answer.
func (r *Rig) ask(req request) (Stats, error) {
	answer := make(chan message, 1)
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return Stats{}, ErrClosed
	}
	r.id++
	req.ID = r.id
	r.waiting[req.ID] = answer
	line, err := json.Marshal(req)
	if err == nil {
		_, err = r.conn.Write(append(line, '\n'))
	}
	if err != nil {
		delete(r.waiting, req.ID)
	}
	r.mu.Unlock()
	if err != nil {
		return Stats{}, fmt.Errorf("vpcd: control socket: %w", err)
	}
	m, ok := <-answer
	if !ok {
		return Stats{}, ErrClosed
	}
	if m.Error != "" {
		return Stats{}, known(m.Error)
	}
	return m.Stats, nil
}

// known gives the error that the child named, one that callers branch on where
// it is one.
func known(text string) error {
	for _, err := range []error{ErrReader, ErrTaken, ErrEmpty} {
		if text == err.Error() {
			return err
		}
	}
	return errors.New(text)
}

// Socket is the path of pcscd's socket, for PCSCLITE_CSOCK_NAME.
func (r *Rig) Socket() string { return socketPath(r.cfg.Dir) }

// Events tells what happens. The channel closes when the rig's process ends.
func (r *Rig) Events() <-chan Event { return r.events }

// Insert puts a card into an empty reader with what it kept since its last use.
// Readers see it after about 400 ms: pcscd asks the driver so often.
func (r *Rig) Insert(reader int, card chipcard.Data, kept chipcard.State) error {
	b, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("vpcd: card: %w", err)
	}
	_, err = r.ask(request{Op: "insert", Reader: reader, Card: b, State: kept})
	return err
}

// Remove pulls the card and tells what it did and what it keeps.
func (r *Rig) Remove(reader int) (Stats, error) {
	return r.ask(request{Op: "remove", Reader: reader})
}

// Fault replaces the faults of the inserted card.
func (r *Rig) Fault(reader int, faults ...chipcard.Fault) error {
	_, err := r.ask(request{Op: "fault", Reader: reader, Faults: faults})
	return err
}

// Stats tells what the inserted card has done.
func (r *Rig) Stats(reader int) (Stats, error) {
	return r.ask(request{Op: "stats", Reader: reader})
}

// StopService kills pcscd; cards stay in their readers.
func (r *Rig) StopService() error {
	_, err := r.ask(request{Op: "stop"})
	return err
}

// StartService starts pcscd again on the same socket.
func (r *Rig) StartService() error {
	_, err := r.ask(request{Op: "start"})
	return err
}

// Close ends the child, which ends pcscd. It ends nothing else.
func (r *Rig) Close() {
	_ = r.conn.Close()
	select {
	case <-r.ended:
	case <-time.After(closeDeadline):
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}
