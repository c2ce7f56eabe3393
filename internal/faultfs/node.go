package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const pageSize = 4096

// node is a file or directory, whatever its names are.
type node struct {
	file *os.File // open for as long as the FS is: the inode's number is not given out again
	dir  bool

	image []byte           // of a file: what is on disk
	clean map[int64][]byte // of a file: pages that a failed sync has made the kernel take for clean

	// failed is of a file that a failed sync of the file system should have written:
	// its own next sync gives it.
	failed error

	names map[string]*node // of a directory: what is on disk
	now   map[string]*node // of a directory: the names it has
}

// see gives the node at path; nil if there is no file or directory.
func (f *FS) see(path string) (*node, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, nil
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if n := f.nodes[inode]; n != nil {
		return n, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n := &node{file: file, dir: info.IsDir(), clean: map[int64][]byte{}}
	if n.dir {
		n.names, n.now = map[string]*node{}, map[string]*node{}
	}
	f.nodes[inode] = n
	return n, nil
}

// adopt takes everything below n to be on disk.
func (f *FS) adopt(n *node) error {
	if !n.dir {
		var err error
		n.image, err = n.read()
		return err
	}
	names, err := f.list(n)
	if err != nil {
		return err
	}
	for name, child := range names {
		n.names[name], n.now[name] = child, child
		if err := f.adopt(child); err != nil {
			return err
		}
	}
	return nil
}

// list gives what a directory really has now.
func (f *FS) list(n *node) (map[string]*node, error) {
	dir := fmt.Sprintf("/proc/self/fd/%d", n.file.Fd()) // wherever it has been moved to
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := map[string]*node{}
	for _, e := range entries {
		child, err := f.see(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if child != nil {
			names[e.Name()] = child
		}
	}
	return names, nil
}

// read gives the bytes that a file has now.
func (n *node) read() ([]byte, error) {
	info, err := n.file.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, info.Size())
	got, err := n.file.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil // it was cut meanwhile
	}
	return b[:got], err
}

// persist notes that the first end bytes of data, which the file had when a sync
// was called, are on disk. All of the file is, length and all, if whole.
func (n *node) persist(data []byte, end int64, whole bool) {
	if end = min(end, int64(len(data))); whole {
		end = int64(len(data))
	}
	size := max(end, int64(len(n.image)))
	if whole {
		size = end
	}
	image := make([]byte, size)
	copy(image, n.image)
	for at := int64(0); at < end; at += pageSize {
		page := data[at:min(at+pageSize, end)]
		if bytes.Equal(page, n.clean[at/pageSize]) {
			continue // the kernel does not know that it has still to be written
		}
		delete(n.clean, at/pageSize)
		copy(image[at:], page)
	}
	n.image = image
}

// forget is a sync that failed: what it should have written is taken for clean. It
// tells whether that was anything.
func (n *node) forget(data []byte, end int64) (any bool) {
	for at := int64(0); at < min(end, int64(len(data))); at += pageSize {
		page := data[at:min(at+pageSize, int64(len(data)))]
		if old := pageOf(n.image, at); !bytes.Equal(page, old) {
			n.clean[at/pageSize] = bytes.Clone(page)
			any = true
		}
	}
	return any
}

// told gives, once, the error that a sync of the file system has left.
func (n *node) told() error {
	err := n.failed
	n.failed = nil
	return err
}

// dirtied notes that the bytes [off, off+length) are to be written by the next sync.
func (n *node) dirtied(off, length int64) {
	for page := off / pageSize; page*pageSize < off+length; page++ {
		delete(n.clean, page)
	}
}

// pageOf gives the page of b at the offset at, as much of it as there is.
func pageOf(b []byte, at int64) []byte {
	if at >= int64(len(b)) {
		return nil
	}
	return b[at:min(at+pageSize, int64(len(b)))]
}
