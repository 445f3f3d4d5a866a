package ledger

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si"
)

const (
	// listName is the file of a backup that names all others.
	listName = "backup"
	// partial is the end of a folder's name that is not whole yet.
	partial = ".partial"
	// maxListLine bounds one line of a backup's list, maxListFiles their number: a
	// file for each segment of a hundred years.
	maxListLine  = 1024
	maxListFiles = 1 << 22

	copyStep = 1 << 20 // bytes between two words of progress
)

// BackupInfo is what a backup holds.
type BackupInfo struct {
	Region si.Region
	Area   si.AreaCode
	Index  uint64 // entry at which its state file stands
	Head   string // chain head there, in hexadecimal
	Files  int
	Bytes  int64
}

// source is a file to be copied.
type source struct {
	name, path string
	size       int64
}

// Backup copies the ledger of a running node into the folder out, which must not
// exist: state file, archive, and the log up to what is applied. Payments go on.
// The copy can be verified and restored like the folder of a stopped node.
func (n *Node) Backup(out string, progress func(done, total int64)) (BackupInfo, error) {
	var info BackupInfo
	if n.cfg.NullState {
		return info, errors.New("ledger: a null state has nothing to back up")
	}
	links := filepath.Join(n.cfg.Dir, "backup.links")
	if err := errors.Join(os.RemoveAll(links), os.Mkdir(links, 0o700)); err != nil {
		return info, fmt.Errorf("ledger: backup: %w", err)
	}
	info, err := n.backup(out, links, progress)
	return info, errors.Join(err, os.RemoveAll(links))
}

func (n *Node) backup(out, links string, progress func(done, total int64)) (BackupInfo, error) {
	if err := n.Checkpoint(); err != nil {
		return BackupInfo{}, err
	}
	// The state must not be later than the log's end, nor the archive change
	// before everything has its second name.
	n.saving.Lock()
	state := filepath.Join(links, stateName)
	f, err := os.OpenFile(state, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- a name of ours in the node's folder
	if err != nil {
		n.saving.Unlock()
		return BackupInfo{}, fmt.Errorf("ledger: backup: %w", err)
	}
	p, size, err := n.store.CopyTo(f)
	list, eerr := n.log.Export(links, n.applied.Load())
	n.saving.Unlock()
	if err = errors.Join(err, eerr, f.Close()); err != nil {
		return BackupInfo{}, fmt.Errorf("ledger: backup: %w", err)
	}
	files := []source{{stateName, state, size}}
	for _, e := range list {
		files = append(files, source{logDir + "/" + e.Name, e.Path, e.Size})
	}
	info := BackupInfo{Region: n.cfg.Region, Area: n.cfg.Area, Index: p.Index, Head: hex.EncodeToString(p.Head[:])}
	return writeBackup(out, info, files, progress)
}

// Backup copies the ledger of a stopped node into the folder out.
func Backup(dir, out string, progress func(done, total int64)) (info BackupInfo, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	owner, err := store.Owner(filepath.Join(dir, stateName))
	if err != nil {
		return info, err
	}
	info = BackupInfo{Region: owner.Region, Area: owner.Area, Index: owner.Index, Head: hex.EncodeToString(owner.Head[:])}
	files, err := sources(dir)
	if err != nil {
		return info, err
	}
	return writeBackup(out, info, files, progress)
}

// sources are the files of a stopped node that a backup holds. Term and vote are
// none of them: whoever votes again must remember, and a restored node begins
// with a term of its own.
func sources(dir string) ([]source, error) {
	var files []source
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		base := filepath.Base(name)
		if name != stateName && (!strings.HasPrefix(name, logDir+"/") || base == "next" || strings.HasSuffix(base, ".tmp")) {
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, source{name, path, st.Size()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return files, nil
}

// writeBackup copies the files and then the list of them; the folder gets its
// name when all of it is durable.
func writeBackup(out string, info BackupInfo, files []source, progress func(done, total int64)) (BackupInfo, error) {
	if !missing(out) {
		return info, fmt.Errorf("ledger: %s exists; a backup gets a folder of its own", out)
	}
	tmp := out + partial
	if err := os.RemoveAll(tmp); err != nil {
		return info, fmt.Errorf("ledger: backup: %w", err)
	}
	var total int64
	for _, f := range files {
		total += f.size
	}
	var list strings.Builder
	fmt.Fprintf(&list, "shebao-backup 1 region %d area %06d index %d head %s\n", info.Region, info.Area, info.Index, info.Head)
	for _, f := range files {
		sum, err := copyFile(f, filepath.Join(tmp, filepath.FromSlash(f.name)), func(n int64) {
			info.Bytes += n
			tell(progress, info.Bytes, total)
		})
		if err != nil {
			return info, fmt.Errorf("ledger: backup: %s: %w", f.name, err)
		}
		fmt.Fprintf(&list, "%x %d %s\n", sum, f.size, f.name)
	}
	info.Files = len(files)
	fmt.Fprintf(&list, "end %d\n", info.Files)
	if err := writeState(filepath.Join(tmp, listName), strings.NewReader(list.String())); err != nil {
		return info, err
	}
	return info, named(tmp, out)
}

func tell(progress func(done, total int64), done, total int64) {
	if progress != nil {
		progress(done, total)
	}
}

// named gives a whole folder its name, durably.
func named(tmp, out string) error {
	err := filepath.WalkDir(tmp, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = replog.Disk.SyncDir(path)
		}
		return err
	})
	if err = errors.Join(err, os.Rename(tmp, out), replog.Disk.SyncDir(filepath.Dir(filepath.Clean(out)))); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// copyFile copies the first size bytes of a file durably and gives their SHA-256.
func copyFile(f source, to string, progress func(n int64)) (sum []byte, err error) {
	in, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return nil, err
	}
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- under the folder the operator named
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for left := f.size; left > 0 && err == nil; {
		var n int64
		n, err = io.CopyN(io.MultiWriter(w, h), in, min(left, copyStep))
		left -= n
		progress(n)
	}
	if err == nil {
		err = w.Sync()
	}
	return h.Sum(nil), errors.Join(err, w.Close())
}

// listed is one file of a backup's list.
type listed struct {
	sum  string
	size int64
	name string
}

var errList = errors.New("ledger: no list of a backup")

// parseList reads the list of a backup: a line of the whole, one for each file,
// and one that ends it.
func parseList(r io.Reader) (info BackupInfo, files []listed, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxListLine)
	var index uint64
	if !lines.Scan() {
		return info, nil, errList
	}
	var region, area uint32
	if n, err := fmt.Sscanf(lines.Text(), "shebao-backup 1 region %d area %d index %d head %64s", &region, &area, &index, &info.Head); err != nil || n != 4 ||
		region > 1<<16-1 || area > 999_999 {
		return info, nil, errList
	}
	info.Region, info.Area, info.Index = si.Region(region), si.AreaCode(area), index
	whole := false
	for !whole && lines.Scan() {
		if whole = lines.Text() == fmt.Sprintf("end %d", len(files)); whole {
			break
		}
		f := strings.SplitN(lines.Text(), " ", 3)
		if len(f) != 3 || len(f[0]) != 2*sha256.Size || len(files) >= maxListFiles {
			return info, nil, errList
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || size < 0 || !filepath.IsLocal(filepath.FromSlash(f[2])) {
			return info, nil, errList
		}
		files = append(files, listed{f[0], size, f[2]})
		if info.Bytes += size; info.Bytes < 0 {
			return info, nil, errList
		}
	}
	info.Files = len(files)
	if err := lines.Err(); err != nil || !whole || lines.Scan() || !slices.ContainsFunc(files, func(l listed) bool { return l.name == stateName }) {
		return info, nil, errors.Join(errList, err)
	}
	return info, files, nil
}

// Restore makes the data directory of a lone node out of a backup: each file is
// held against the backup's list, the copy is verified whole, and only then gets
// its name. dir must not exist. node is the name of the node (empty: node-1).
func Restore(from, dir, node string, progress func(step string, done, total int64)) (info BackupInfo, err error) {
	step := func(name string) func(done, total int64) {
		return func(done, total int64) {
			if progress != nil {
				progress(name, done, total)
			}
		}
	}
	set(&node, defaultNode)
	if !missing(dir) {
		return info, fmt.Errorf("ledger: %s exists; move it away first, a restored ledger takes the place of nothing", dir)
	}
	f, err := os.Open(filepath.Join(from, listName)) // #nosec G304 -- the operator names the folder
	if err != nil {
		return info, fmt.Errorf("ledger: %s is no backup: %w", from, err)
	}
	info, files, err := parseList(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return info, err
	}
	tmp := dir + partial
	if err := os.RemoveAll(tmp); err != nil {
		return info, fmt.Errorf("ledger: restore: %w", err)
	}
	if err := copyBack(from, tmp, files, info.Bytes, step("copy")); err != nil {
		return info, err
	}
	r, err := Verify(tmp, step("verify"))
	if err != nil {
		return info, err
	}
	if !r.OK() {
		return info, fmt.Errorf("ledger: the backup is not what was written: %s", strings.Join(r.Problems, "; "))
	}
	if err := alone(tmp, node); err != nil {
		return info, err
	}
	return info, named(tmp, dir)
}

// copyBack copies a backup's files and holds each against the list.
func copyBack(from, to string, files []listed, total int64, progress func(done, total int64)) error {
	var done int64
	for _, l := range files {
		path := filepath.FromSlash(l.name)
		st, err := os.Stat(filepath.Join(from, path))
		if err == nil && st.Size() != l.size {
			err = fmt.Errorf("it has %d bytes, the list says %d", st.Size(), l.size)
		}
		var sum []byte
		if err == nil {
			sum, err = copyFile(source{l.name, filepath.Join(from, path), l.size}, filepath.Join(to, path), func(n int64) {
				done += n
				progress(done, total)
			})
		}
		if err == nil && hex.EncodeToString(sum) != l.sum {
			err = errors.New("its SHA-256 is not the one in the list")
		}
		if err != nil {
			return fmt.Errorf("ledger: %s of the backup: %w", l.name, err)
		}
	}
	return nil
}

// alone makes a copied directory one of a lone node.
func alone(dir, node string) error {
	owner, err := store.Owner(filepath.Join(dir, stateName))
	if err != nil {
		return err
	}
	return replog.Alone(replog.Config{
		Dir: filepath.Join(dir, logDir), Meta: filepath.Join(dir, metaName), NodeID: node, At: position(owner.Position),
	})
}
