package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Table is what index.meta says about a queue.
type Table struct {
	NextSeq  uint64 // no ended segment holds this sequence or a later one
	Segments []IndexedSegment
}

// ReadTable reads index.meta of the queue in dir without taking a lock. False
// means that there is no table, or that it was left half-changed by a crash: list
// the segments instead. Segments in it may have been moved away since.
func ReadTable(dir string) (Table, bool, error) {
	v, err := openTableView(dir)
	if err != nil || v == nil {
		return Table{}, false, err
	}
	t, ok := v.read()
	return t, ok, v.close()
}

// tableView is a reader's mapping of a table.
type tableView struct{ mem []byte }

// openTableView maps the table of the queue in dir; nil if there is none, or what
// is there never was one.
func openTableView(dir string) (*tableView, error) {
	f, err := os.Open(filepath.Join(dir, tableName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open queue table: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < pageSize {
		return nil, err
	}
	mem, err := mapFile(f, info.Size(), unix.PROT_READ)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name(), err)
	}
	v := &tableView{mem: mem[:info.Size()]}
	if string(mem[:8]) != tableMagic || loadCount(mem, tableGeneration) == 0 {
		return nil, v.close()
	}
	return v, nil
}

// tableTries bounds how often a reader meets a change in progress before it does
// without the table.
const tableTries = 100

// read takes a consistent copy; false if there is none to be had.
func (v *tableView) read() (Table, bool) {
	for range tableTries {
		before := loadCount(v.mem, tableGeneration)
		n := loadCount(v.mem, tableCount)
		if before%2 != 0 || n > uint64(len(v.mem)-tableHeader)/tableEntry {
			continue
		}
		t := Table{NextSeq: loadCount(v.mem, tableNext), Segments: make([]IndexedSegment, n)}
		for i := range t.Segments {
			t.Segments[i] = v.entry(i)
		}
		if loadCount(v.mem, tableGeneration) == before {
			return t, true
		}
	}
	return Table{}, false
}

func (v *tableView) entry(i int) IndexedSegment {
	at := func(field int) uint64 { return loadCount(v.mem, tableHeader+i*tableEntry+8*field) }
	return IndexedSegment{
		FirstSeq: at(0), LastSeq: at(1), FirstTime: int64(at(2)), LastTime: int64(at(3)),
		FirstEventTime: int64(at(4)), LastEventTime: int64(at(5)),
	}
}

// newest gives the first sequence of the newest segment. It costs one load.
func (v *tableView) newest() uint64 { return loadCount(v.mem, tableNewest) }

func (v *tableView) close() error {
	mem := v.mem
	v.mem = nil
	if mem == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mem[:cap(mem)]))
}
