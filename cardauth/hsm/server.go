package hsm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shebao-pay/shebao/si/hsmapi"
)

const (
	// maxConnections bounds the clients: settled holds one, tools one each.
	maxConnections = 32
	// maxWorkers bounds the verbs that run at once beside the codes of each
	// connection; they are short, and the machine has few cores.
	maxWorkers = 8
	// maxAnswers bounds the answers that wait for a client that does not read: two
	// full batches, then the connection ends.
	maxAnswers = 2 * maxFrame
	// writeWait is how long one write to a client may take.
	writeWait = 5 * time.Second
	readSize  = 256 << 10
)

// ServeOptions narrow who may connect.
type ServeOptions struct {
	// UIDs may connect; empty means the server's own user alone.
	UIDs []uint32
}

// Serve answers the verbs on a Unix listener until ctx ends; then it closes the
// listener and all connections, waits for what is running and returns nil. Peers
// of another user are turned away by their socket credentials.
func Serve(ctx context.Context, l net.Listener, v Verbs, o ServeOptions) error {
	uids := o.UIDs
	if len(uids) == 0 {
		uids = []uint32{uint32(os.Geteuid())}
	}
	s := &server{verbs: v, workers: make(chan struct{}, maxWorkers), open: make(map[net.Conn]bool)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close() // Accept's error is what ends the loop
		s.closeAll()
	})
	defer stop()
	defer s.wg.Wait()
	defer s.closeAll()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			cancel()
			return fmt.Errorf("hsm: accept: %w", err)
		}
		if uid, err := peerUID(conn); err != nil || !slices.Contains(uids, uid) || !s.add(conn) {
			_ = conn.Close() // a stranger, or one too many: it is told nothing
			continue
		}
		s.wg.Go(func() {
			defer s.remove(conn)
			s.serve(ctx, conn)
		})
	}
}

type server struct {
	verbs   Verbs
	workers chan struct{}
	wg      sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (s *server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.open) >= maxConnections {
		return false
	}
	s.open[c] = true
	return true
}

func (s *server) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	_ = c.Close() // nothing is left to write
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		_ = c.Close() // ends its reader and writer
	}
}

// peerUID is the user of the process at the other end.
func peerUID(c net.Conn) (uint32, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("hsm: not a Unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("hsm: peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("hsm: peer credentials: %w", err)
	}
	if sockErr != nil {
		return 0, fmt.Errorf("hsm: peer credentials: %w", sockErr)
	}
	return cred.Uid, nil
}

// serve reads one connection. Codes are made at once, in this goroutine, so that a
// batch costs no hand-over; other verbs run beside, and their answers come when
// they are ready.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	out := newSender(conn, maxAnswers)
	var running sync.WaitGroup
	defer out.close()
	defer running.Wait()
	if !out.frame(func(b []byte) []byte {
		return append(beginFrame(b, 0, 0), helloText...)
	}) {
		return
	}
	in := bufio.NewReaderSize(conn, readSize)
	var buf []byte
	var jobs []hsmapi.MACJob
	defer func() { clear(buf[:cap(buf)]) }()
	for {
		id, code, body, err := readFrame(in, &buf)
		if err != nil {
			return
		}
		if verb(code) == verbMAC {
			jobs, err = readMACJobs(body, jobs)
			if err == nil {
				err = s.verbs.MAC(ctx, jobs)
			}
			if !out.queue(func(b []byte) []byte {
				return appendMACResults(beginFrame(b, id, statusOf(err)), jobs)
			}) {
				return
			}
			// Answers leave together with those of the requests that came together.
			if in.Buffered() < frameHead {
				out.flush()
			}
			continue
		}
		out.flush()
		own := append([]byte(nil), body...)
		s.workers <- struct{}{}
		running.Go(func() {
			defer func() { <-s.workers }()
			defer clear(own)
			out.frame(func(b []byte) []byte { return s.answer(ctx, b, id, verb(code), own) })
		})
	}
}

// answer does one verb and appends the frame of its answer.
func (s *server) answer(ctx context.Context, b []byte, id uint32, v verb, body []byte) []byte {
	begin := len(b)
	b, err := s.do(ctx, beginFrame(b, id, 0), v, body)
	if err != nil {
		b = beginFrame(b[:begin], id, statusOf(err))
		b = append(b, err.Error()...)
	}
	return b
}

// do appends the body of an answer, or answers an error.
func (s *server) do(ctx context.Context, b []byte, v verb, body []byte) ([]byte, error) {
	switch v {
	case verbImportDE62:
		r, err := readImportDE62(body)
		return reply(ctx, b, r, err, s.verbs.ImportDE62, appendWorkingKeys)
	case verbImportTR31:
		r, err := readImportTR31(body)
		return reply(ctx, b, r, err, s.verbs.ImportTR31, appendImportedKey)
	case verbTranslatePIN:
		r, err := readTranslatePIN(body)
		if err != nil {
			return b, err
		}
		block, err := s.verbs.TranslatePIN(ctx, r)
		return append(b, block.Reveal(purpose)...), err
	case verbOpenCard:
		r, err := readOpenCard(body)
		if err != nil {
			return b, err
		}
		card, err := s.verbs.OpenCard(ctx, r)
		return appendCardOpened(b, &card), err
	case verbEnvelopeKey:
		key, err := s.verbs.EnvelopeKey(ctx)
		return append(b, key...), err
	case verbHash:
		kind, value, err := readHash(body)
		if err != nil {
			return b, err
		}
		h, err := s.verbs.Hash(ctx, kind, value)
		return append(b, h[:]...), err
	case verbHashIDs:
		r, err := readIDs(body)
		return reply(ctx, b, r, err, s.verbs.HashIDs, appendHashes)
	case verbHashCards:
		r, err := readCards(body)
		return reply(ctx, b, r, err, s.verbs.HashCards, appendCardHashes)
	case verbSealPersons:
		r, err := readPersons(body)
		return reply(ctx, b, r, err, s.verbs.SealPersons, appendSealedPersons)
	case verbOpenPerson:
		return reply(ctx, b, body, nil, s.verbs.OpenPerson, appendPersonView)
	case verbOpenPersons:
		r, err := readBlobs(body)
		return reply(ctx, b, r, err, s.verbs.OpenPersons, appendPersonViews)
	case verbRevisePersons:
		r, err := readRevisions(body)
		return reply(ctx, b, r, err, s.verbs.RevisePersons, appendRevised)
	case verbSealMemo:
		r, err := readMemo(body)
		return reply(ctx, b, r, err, s.verbs.SealMemo, appendRaw)
	case verbOpenMemo:
		r, err := readMemo(body)
		return reply(ctx, b, r, err, s.verbs.OpenMemo, appendRaw)
	case verbMAC: // done by serve
	}
	return b, fmt.Errorf("%w: verb %d", hsmapi.ErrForm, v)
}

func appendRaw(b, v []byte) []byte { return append(b, v...) }

func reply[Q, A any](ctx context.Context, b []byte, r Q, err error, do func(context.Context, Q) (A, error), write func([]byte, A) []byte) ([]byte, error) {
	if err != nil {
		return b, err
	}
	a, err := do(ctx, r)
	if err != nil {
		return b, err
	}
	return write(b, a), nil
}

// sender gathers frames and writes them in one goroutine, as many at once as
// wait.
type sender struct {
	conn net.Conn
	most int
	wake chan struct{}
	quit chan struct{}
	done chan struct{}

	mu     sync.Mutex
	out    []byte
	closed bool
}

func newSender(conn net.Conn, most int) *sender {
	w := &sender{
		conn: conn, most: most,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go w.run()
	return w
}

// queue appends one frame, to be written at the next flush. It tells whether the
// connection is still in use. write must only append to what it is given.
func (w *sender) queue(write func([]byte) []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.out) > w.most {
		return false
	}
	begin := len(w.out)
	w.out = endFrame(write(w.out), begin)
	return true
}

func (w *sender) flush() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (w *sender) frame(write func([]byte) []byte) bool {
	ok := w.queue(write)
	w.flush()
	return ok
}

func (w *sender) run() {
	defer close(w.done)
	var spare []byte
	for last := false; !last; {
		select {
		case <-w.wake:
		case <-w.quit:
			last = true
		}
		w.mu.Lock()
		w.out, spare = spare[:0], w.out
		w.mu.Unlock()
		if len(spare) == 0 {
			continue
		}
		err := w.conn.SetWriteDeadline(time.Now().Add(writeWait))
		if err == nil {
			_, err = w.conn.Write(spare)
		}
		clear(spare)
		if err != nil {
			w.mu.Lock()
			w.closed = true
			w.mu.Unlock()
			_ = w.conn.Close() // ends the reader, which calls close
		}
	}
}

// close writes what waits, as far as the connection takes it, and ends the writer.
func (w *sender) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.quit)
	<-w.done
}
