package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"chronicle/internal/durable"
)

const (
	locksDir       = ".locks"
	replacedPrefix = ".replaced-"
	buildingDir    = ".building"
	rebuildDir     = ".rebuild"
	commitDigits   = 12
)

// commitName gives the file name of a commit.
func commitName(n uint64) string { return fmt.Sprintf("%0*d.json", commitDigits, n) }

// parseCommitName reads a file name; ok is false for any other name.
func parseCommitName(name string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, ".json")
	if !ok || len(digits) < commitDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && commitName(n) == name
}

// layout is what a look at the manifest folder tells.
type layout struct {
	writers []string
	epoch   int // number of rebuilds so far
}

// look lists the manifest folder. One that is not there is an empty archive's.
// With an error about things that do not belong there, the rest is listed.
func look(dir string) (layout, error) {
	var l layout
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read manifest: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == rebuildDir:
			return l, fmt.Errorf("%s: %w: wait for it, or if it was interrupted run it again", dir, ErrRebuilding)
		case strings.HasPrefix(name, replacedPrefix):
			l.epoch = max(l.epoch, epochOf(name))
		case strings.HasPrefix(name, "."):
		case e.IsDir() && writerName.MatchString(name):
			l.writers = append(l.writers, name)
		default:
			err = errors.Join(err, fmt.Errorf("%s: not a writer's folder, take it away: %w", filepath.Join(dir, name), ErrCorrupt))
		}
	}
	return l, err
}

// epochOf gives the number of the rebuild that a folder's name stands for, 0 for
// any other name.
func epochOf(name string) int {
	rest, ok := strings.CutPrefix(name, replacedPrefix)
	n, err := strconv.Atoi(rest)
	if !ok || err != nil {
		return 0
	}
	return n
}

// head is the end of a log as far as it was read.
type head struct {
	n    uint64
	hash string // of the file of commit n; empty for n = 0
}

// lastNumber lists a log's folder and checks that its numbers have no hole.
// Temporary files are passed over; any other name is an error.
func lastNumber(dir, writer string) (uint64, error) {
	entries, err := os.ReadDir(filepath.Join(dir, writer))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read manifest log: %w", err)
	}
	numbers := make([]uint64, 0, len(entries))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		n, ok := parseCommitName(e.Name())
		if !ok {
			return 0, fmt.Errorf("%s: not a commit, take it away: %w", filepath.Join(dir, writer, e.Name()), ErrCorrupt)
		}
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, cmp.Compare)
	for i, n := range numbers {
		if n != uint64(i)+1 {
			return 0, missing(dir, writer, uint64(i)+1)
		}
	}
	return uint64(len(numbers)), nil
}

func missing(dir, writer string, n uint64) error {
	return fmt.Errorf("%s is missing while later commits are there: restore it, or run `chronicle manifest rebuild`: %w",
		filepath.Join(dir, writer, commitName(n)), ErrCorrupt)
}

// readCommit reads the commit after h and checks that it belongs there. An error
// that is fs.ErrNotExist means that there is none yet.
func readCommit(dir, writer string, h head) (*Commit, head, error) {
	path := filepath.Join(dir, writer, commitName(h.n+1))
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, h, err
	}
	c, err := DecodeCommit(b)
	if err != nil {
		return nil, h, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case c.Writer != writer || c.N != h.n+1:
		err = fmt.Errorf("%s: holds commit %d of %s: %w", path, c.N, c.Writer, ErrCorrupt)
	case c.PrevHash != h.hash:
		err = fmt.Errorf("%s: follows %s, but the commit before it is %s: %w", path, c.PrevHash, h.hash, ErrCorrupt)
	}
	if err != nil {
		return nil, h, err
	}
	return c, head{n: c.N, hash: hashOf(b)}, nil
}

// Temps lists what crashes have left in the manifest folder, for people.
func Temps(dir string) ([]string, error) {
	var found []string
	l, err := look(dir)
	if err != nil {
		return nil, err
	}
	for _, writer := range l.writers {
		entries, err := os.ReadDir(filepath.Join(dir, writer))
		if err != nil {
			return nil, fmt.Errorf("read manifest log: %w", err)
		}
		for _, e := range entries {
			if durable.IsTemp(e.Name()) {
				found = append(found, filepath.Join(dir, writer, e.Name()))
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, buildingDir)); err == nil {
		found = append(found, filepath.Join(dir, buildingDir))
	}
	return found, nil
}

// Follower replays the logs of a manifest folder into a State and keeps up with
// them. It needs no lock on disk; in memory it has one owner at a time.
type Follower struct {
	dir   string
	epoch int
	heads map[string]head
	state *State
}

// NewFollower gives a follower that has read nothing yet.
func NewFollower(dir string) *Follower {
	return &Follower{dir: dir, heads: map[string]head{}, state: NewState()}
}

// Load replays the logs of a manifest folder.
func Load(ctx context.Context, dir string) (*Follower, error) {
	f := NewFollower(dir)
	_, err := f.Refresh(ctx)
	return f, err
}

// Examine replays as much of every log as can be, and gives what is wrong with
// the rest. It is for fsck.
func Examine(ctx context.Context, dir string) (*Follower, []error) {
	f := NewFollower(dir)
	var wrong []error
	l, err := look(dir)
	if err != nil {
		wrong = append(wrong, err)
	}
	f.epoch = l.epoch
	for _, writer := range l.writers {
		if _, err := f.follow(ctx, writer); err != nil {
			wrong = append(wrong, err)
		}
	}
	return f, wrong
}

// State gives what was replayed. It changes with the next Refresh.
func (f *Follower) State() *State { return f.state }

// Commits gives the number of commits replayed, by writer.
func (f *Follower) Commits() map[string]uint64 {
	n := make(map[string]uint64, len(f.heads))
	for writer, h := range f.heads {
		n[writer] = h.n
	}
	return n
}

// Refresh replays the commits that are new and gives their number. When nothing
// is new it costs one listing of the manifest folder and one failing open per
// writer. After an error the state holds the commits before the bad one, and the
// next call begins with that one again. When a rebuild has replaced the logs, all
// is read anew. On NFS the client's caches may hide a new commit for as long as
// their attribute timeout (acdirmax) says.
func (f *Follower) Refresh(ctx context.Context) (int, error) {
	l, err := look(f.dir)
	if err != nil {
		return 0, err
	}
	if l.epoch != f.epoch {
		f.restart(l.epoch)
	}
	total := 0
	for _, writer := range l.writers {
		n, err := f.follow(ctx, writer)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, f.checkWriters(l.writers)
}

// restart forgets everything, except that somebody listens for changes.
func (f *Follower) restart(epoch int) {
	f.epoch, f.heads, f.state = epoch, map[string]head{}, NewState()
}

// checkWriters makes sure that no log that was read before has vanished.
func (f *Follower) checkWriters(writers []string) error {
	for writer, h := range f.heads {
		if h.n > 0 && !slices.Contains(writers, writer) {
			return fmt.Errorf("%s is gone: restore it, or run `chronicle manifest rebuild`: %w", filepath.Join(f.dir, writer), ErrCorrupt)
		}
	}
	return nil
}

// follow replays what is new in one log. The first time it lists the folder, so
// that a hole is seen; later commits are tried by number.
func (f *Follower) follow(ctx context.Context, writer string) (int, error) {
	h, known := f.heads[writer]
	var last uint64
	if !known {
		var err error
		if last, err = lastNumber(f.dir, writer); err != nil {
			return 0, err
		}
	}
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		c, next, err := readCommit(f.dir, writer, h)
		if errors.Is(err, fs.ErrNotExist) {
			if h.n < last {
				return n, missing(f.dir, writer, h.n+1)
			}
			f.heads[writer] = h
			return n, nil
		}
		if err == nil {
			err = f.state.Apply(c)
		}
		if err != nil {
			return n, fmt.Errorf("replay manifest: %w", err)
		}
		h = next
		f.heads[writer] = h
	}
}
