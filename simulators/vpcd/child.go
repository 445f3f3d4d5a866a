package vpcd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// controlFD is the descriptor of the control socket in the child.
const controlFD = 3

// maxLine bounds a line of the control socket: a card with all its settings is
// under 4 KiB.
const maxLine = 64 << 10

// ChildMain is the process that Start runs: it brings up loopback in its
// namespace, runs pcscd and plays the cards until its control socket closes.
// args are what Start put behind its own arguments.
func ChildMain(args []string) int {
	if err := childMain(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childMain(args []string) error {
	if len(args) != 1 {
		return errors.New("vpcd: the process of a rig is started by vpcd.Start only")
	}
	var set setup
	if err := json.Unmarshal([]byte(args[0]), &set); err != nil {
		return fmt.Errorf("vpcd: setup: %w", err)
	}
	file := os.NewFile(controlFD, "control")
	if file == nil {
		return errors.New("vpcd: no control socket")
	}
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		return fmt.Errorf("vpcd: control socket: %w", err)
	}
	c := &child{conn: conn, slots: make([]*slot, set.Readers)}
	c.service = &service{setup: set, onEnded: func(why string) { c.event(Event{Kind: Down, Why: why}) }}
	defer c.close()
	if err := c.begin(); err != nil {
		c.send(message{Error: err.Error()})
		return err
	}
	c.event(Event{Kind: Ready})
	return c.serve()
}

// child is the process of a rig.
type child struct {
	service *service
	conn    net.Conn
	write   sync.Mutex
	mu      sync.Mutex
	slots   []*slot
}

// slot is a reader with a card in it.
type slot struct {
	card   *chipcard.Card
	cancel context.CancelFunc
	done   chan struct{}
}

func (c *child) begin() error {
	if err := LoopbackUp(); err != nil {
		return fmt.Errorf("vpcd: bring up loopback: %w", err)
	}
	if err := c.service.prepare(); err != nil {
		return err
	}
	return c.service.start()
}

// serve works on requests, one after the other, until the parent is gone.
func (c *child) serve() error {
	lines := bufio.NewScanner(c.conn)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	for lines.Scan() {
		var r request
		answer := message{}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("vpcd: request: %w", err)
		}
		answer.ID = r.ID
		stats, err := c.handle(&r)
		if err != nil {
			answer.Error = err.Error()
		}
		answer.Stats = stats
		c.send(answer)
	}
	return lines.Err()
}

func (c *child) handle(r *request) (Stats, error) {
	if r.Reader < 0 || r.Reader >= len(c.slots) {
		return Stats{}, ErrReader
	}
	switch r.Op {
	case "insert":
		return Stats{}, c.insert(r)
	case "remove":
		return c.remove(r.Reader)
	case "fault":
		s := c.slot(r.Reader)
		if s == nil {
			return Stats{}, ErrEmpty
		}
		s.card.SetFaults(r.Faults...)
		return Stats{}, nil
	case "stats":
		s := c.slot(r.Reader)
		if s == nil {
			return Stats{}, ErrEmpty
		}
		return statsOf(s.card), nil
	case "stop":
		c.service.stop(true)
		return Stats{}, nil
	case "start":
		return Stats{}, c.service.start()
	}
	return Stats{}, fmt.Errorf("vpcd: unknown request %q", r.Op)
}

func statsOf(card *chipcard.Card) Stats {
	powered, all := card.Commands()
	return Stats{Card: card.ID(), Commands: all, Powered: powered, State: card.State()}
}

func (c *child) slot(reader int) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots[reader]
}

// insert puts a card into an empty reader. A card stays inserted while pcscd is
// away and is there again when it comes back, as in a real slot.
func (c *child) insert(r *request) error {
	var data chipcard.Data
	if err := json.Unmarshal(r.Card, &data); err != nil {
		return fmt.Errorf("vpcd: card: %w", err)
	}
	reader := r.Reader
	card, err := chipcard.New(data, r.State, chipcard.Hooks{Save: func(s chipcard.State) {
		c.event(Event{Kind: Saved, Reader: reader, Card: data.ID, State: s})
	}})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots[reader] != nil {
		return ErrTaken
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &slot{card: card, cancel: cancel, done: make(chan struct{})}
	c.slots[reader] = s
	go c.play(ctx, reader, s)
	return nil
}

// play shows the card until it is removed, and pulls it where a fault does.
func (c *child) play(ctx context.Context, reader int, s *slot) {
	defer close(s.done)
	for ctx.Err() == nil {
		err := play(ctx, portOf(reader), s.card)
		if errors.Is(err, apdu.ErrRemoved) {
			c.mu.Lock()
			mine := c.slots[reader] == s
			if mine {
				c.slots[reader] = nil
			}
			c.mu.Unlock()
			if mine {
				c.event(Event{Kind: Pulled, Reader: reader, Card: s.card.ID(), State: s.card.State()})
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
}

// remove pulls the card and waits until its connection is closed.
func (c *child) remove(reader int) (Stats, error) {
	c.mu.Lock()
	s := c.slots[reader]
	c.slots[reader] = nil
	c.mu.Unlock()
	if s == nil {
		return Stats{}, ErrEmpty
	}
	s.cancel()
	<-s.done
	return statsOf(s.card), nil
}

// close pulls all cards first: a mute one would keep pcscd from ending.
func (c *child) close() {
	for reader := range c.slots {
		_, _ = c.remove(reader)
	}
	c.service.stop(false)
	_ = c.conn.Close()
}

func (c *child) event(e Event) { c.send(message{Event: &e}) }

// send writes one line. A parent that does not listen any more is gone, which
// serve sees.
func (c *child) send(m message) {
	b, err := json.Marshal(m)
	if err != nil {
		b, _ = json.Marshal(message{ID: m.ID, Error: err.Error()})
	}
	c.write.Lock()
	defer c.write.Unlock()
	_, _ = c.conn.Write(append(b, '\n'))
}

// LoopbackUp sets the interface lo up: a new network namespace has it down.
func LoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
		return err
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}
