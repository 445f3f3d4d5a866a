package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxSteal is the share of processor time, in percent, that another guest of the
// host may take before a run says nothing.
const maxSteal = 2.0

// machine describes where a run was made.
type machine struct {
	commit, cpu, kernel string
	cores               int
	memory              uint64 // bytes
	load                string // average of a minute when the run began
	sync50, sync99      time.Duration
}

// quietLoad is the load average of a minute up to which a machine counts as idle.
const quietLoad = 0.5

// busy tells whether other work was running when the run began.
func (m machine) busy() bool {
	v, err := strconv.ParseFloat(m.load, 64)
	return err != nil || v > quietLoad
}

func describe(dir string) (machine, error) {
	m := machine{cores: runtime.NumCPU(), commit: "unknown"}
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		m.commit = strings.TrimSpace(string(out))
	}
	if exec.Command("git", "diff", "--quiet", "HEAD", "--", ".", ":!docs").Run() != nil {
		m.commit += ", changed"
	}
	m.cpu = afterColon("/proc/cpuinfo", "model name")
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.kernel = strings.TrimSpace(string(kernel))
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, err
	}
	m.load, _, _ = strings.Cut(string(load), " ")
	kib, _, _ := strings.Cut(afterColon("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.ParseUint(kib, 10, 64); err == nil {
		m.memory = n << 10
	}
	m.sync50, m.sync99, err = syncLatency(dir)
	return m, err
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores of %s, %d GiB, Linux %s, %s; one 4 KiB write with fdatasync takes %.2f ms (median), %.2f ms (99 %%); load average %s before the run",
		m.cores, m.cpu, m.memory>>30, m.kernel, runtime.Version(), ms(m.sync50), ms(m.sync99), m.load)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// afterColon is the value of the first line of a file that begins with a name.
func afterColon(path, name string) string {
	b, err := os.ReadFile(path) // #nosec G304 -- of /proc
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// syncs is how many writes measure the disk: enough for a 99th percentile.
const syncs = 500

// syncLatency writes into a file that was filled before, as the log does.
func syncLatency(dir string) (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, syncs*4096)); err != nil {
		return 0, 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, 0, err
	}
	block, took := bytes.Repeat([]byte{1}, 4096), make([]time.Duration, syncs)
	for i := range took {
		began := time.Now()
		if _, err := f.WriteAt(block, int64(i)*4096); err != nil {
			return 0, 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[syncs/2], took[syncs*99/100], nil
}

// ticks reads the processor time of the whole machine: stolen by the host, and all.
func ticks() (steal, all uint64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil || i > 7 { // what guests of ours use is counted in user time
			break
		}
		if i == 7 {
			steal = n
		}
		all += n
	}
	return steal, all
}

// used is what a process and its children have spent: processor time, and bytes
// that went to the disk.
type used struct {
	cpu     time.Duration
	written int64
}

func (u used) minus(o used) used { return used{u.cpu - o.cpu, u.written - o.written} }

// usedBy adds up this process and, if it is not 0, another one with its children.
func usedBy(pid int) used {
	u := used{cpuOfSelf(), writtenBy("self")}
	if pid == 0 {
		return u
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u
	}
	for _, p := range stats {
		b, err := os.ReadFile(p) // #nosec G304 -- of /proc
		if err != nil {
			continue // it has ended
		}
		id := filepath.Base(filepath.Dir(p))
		// Fields behind the name in brackets: state, parent, …, user, system.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) < 14 || id != strconv.Itoa(pid) && f[1] != strconv.Itoa(pid) {
			continue
		}
		user, _ := strconv.Atoi(f[11])
		sys, _ := strconv.Atoi(f[12])
		u.cpu += time.Duration(user+sys) * 10 * time.Millisecond
		u.written += writtenBy(id)
	}
	return u
}

func writtenBy(id string) int64 {
	n, err := strconv.ParseInt(afterColon("/proc/"+id+"/io", "write_bytes"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
