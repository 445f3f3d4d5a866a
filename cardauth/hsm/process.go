package hsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shebao-pay/shebao/cardauth/softhsm"
)

// ProcessConfig is what the HSM process needs.
type ProcessConfig struct {
	// Socket is the path of the Unix socket; it is made with mode 0600 (0660 if UIDs
	// are given, whose group the folder's owner decides).
	Socket string
	// KeyStore is the path of the key store file.
	KeyStore string
	// PassphraseFile holds the passphrase on its first line. Others must not be able
	// to read it.
	PassphraseFile string
	// UIDs are the users that may connect; empty means the process's own.
	UIDs []uint32
	// Limits bound PIN translation.
	Limits softhsm.Limits
}

// maxPassphrase bounds a file with a secret line.
const maxPassphrase = 1024

// RunProcess is the HSM process: it shuts itself off from core dumps, debuggers
// and swap as far as the system lets it, opens the key store and serves until ctx
// ends. log gets a line for the operator at each step, never a secret.
func RunProcess(ctx context.Context, c ProcessConfig, log func(string)) error {
	if err := harden(log); err != nil {
		return err
	}
	pass, err := ReadSecretLine(c.PassphraseFile)
	if err != nil {
		return err
	}
	store, err := softhsm.Open(c.KeyStore, pass)
	clear(pass)
	if err != nil {
		return fmt.Errorf("hsm: key store: %w", err)
	}
	defer func() { _ = store.Close() }() // only wipes
	store.SetLimits(c.Limits)
	l, err := Listen(c.Socket, len(c.UIDs) > 0)
	if err != nil {
		return err
	}
	log(fmt.Sprintf("hsm: serving %d keys at %s", len(store.Keys()), c.Socket))
	err = Serve(ctx, l, store, ServeOptions{UIDs: c.UIDs})
	log("hsm: stopped")
	return err
}

// Listen opens the Unix socket with mode 0600, or 0660 if shared. A socket left
// behind by a process that is gone is removed; a live one is an error.
func Listen(path string, shared bool) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close() // only asked whether somebody is there
		return nil, fmt.Errorf("hsm: another process serves %s; stop it first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("hsm: remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("hsm: listen: %w", err)
	}
	mode := os.FileMode(0o600)
	if shared {
		mode = 0o660
	}
	// Who slips in before this is turned away by the check of credentials.
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close() // the first error is the one to tell
		return nil, fmt.Errorf("hsm: socket mode: %w", err)
	}
	return l, nil
}

// ReadSecretLine reads the first line of a file that holds a secret: a passphrase,
// or a part of a key. It refuses a file that others may read. The caller wipes
// what it got.
func ReadSecretLine(path string) ([]byte, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("hsm: secret file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("hsm: secret file: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("hsm: secret file %s is open to others: chmod 600 it", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, fmt.Errorf("hsm: secret file: %w", err)
	}
	if len(b) > maxPassphrase {
		clear(b)
		return nil, fmt.Errorf("hsm: secret file %s is longer than %d bytes", path, maxPassphrase)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, fmt.Errorf("hsm: secret file %s has an empty first line", path)
	}
	return line, nil
}

// harden refuses core dumps and debuggers, which must succeed, and locks memory,
// which may fail where the system grants too little.
func harden(log func(string)) error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("hsm: switch off core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hsm: switch off debugging: %w", err)
	}
	// With a finite limit a later allocation would fail, which no program survives;
	// then it is better not to lock.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("hsm: memory lock limit: %w", err)
	}
	if os.Geteuid() != 0 && limit.Cur != unix.RLIM_INFINITY {
		log("hsm: memory is not locked: set LimitMEMLOCK=infinity, or keys may reach swap")
		return nil
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		log("hsm: memory is not locked, keys may reach swap: " + err.Error())
	}
	return nil
}
