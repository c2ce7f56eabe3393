// Package source opens what a feed reads from: recorded files (plain, gzip or
// zstd), their lines, and captured packets. It knows compression and framing,
// not venues.
//
// Two kinds of error are kept apart. A fault of the disk is an error of its own
// ([File.Fault]) and must stop the replay; a recording that breaks off or does
// not decompress is damage: everything before it has been delivered.
//
// Values of this package belong to one goroutine.
package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// File is a recorded file. Close it after use.
type File struct {
	f     *os.File
	size  int64
	done  int64 // compressed bytes read so far
	fault error // first error of the disk itself
	zstd  *zstd.Decoder
}

// Open opens a recording for reading.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open recording: %w", err)
	}
	return &File{f: f, size: info.Size()}, nil
}

// Name gives the file's name without its folder.
func (f *File) Name() string { return filepath.Base(f.f.Name()) }

// Size gives the file's size in bytes, compressed as it is.
func (f *File) Size() int64 { return f.size }

// Done gives how many of Size bytes have been read since the last Reader.
func (f *File) Done() int64 { return f.done }

// Fault gives the first error of the disk itself, or nil.
func (f *File) Fault() error { return f.fault }

// Close releases the file.
func (f *File) Close() error {
	if f.zstd != nil {
		f.zstd.Close()
	}
	return f.f.Close()
}

// Hash reads the whole file and gives "sha256:" and the hash of its bytes.
func (f *File) Hash(ctx context.Context) (string, error) {
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("hash recording: %w", err)
	}
	h := sha256.New()
	for {
		n, err := io.CopyN(h, f.f, 8<<20)
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("hash recording: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
	}
}

// Read reads the file's own bytes and notes the disk's errors.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.f.Read(p)
	f.done += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && f.fault == nil {
		f.fault = fmt.Errorf("read recording: %w", err)
	}
	return n, err
}

// Reader starts reading from the beginning, decompressed as the first bytes
// demand. A reader before it must not be used any more.
func (f *File) Reader() (*bufio.Reader, error) {
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	f.done = 0
	raw := bufio.NewReaderSize(f, 256<<10)
	magic, err := raw.Peek(4)
	if err != nil && f.fault != nil {
		return nil, f.fault
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("read gzip header of %s: %w", f.Name(), err)
		}
		return bufio.NewReaderSize(gz, 256<<10), nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return f.zstdReader(raw)
	}
	return raw, nil
}

// zstdReader decodes on the caller's goroutine: what a damaged stream delivers
// must not depend on how goroutines were scheduled.
func (f *File) zstdReader(raw io.Reader) (*bufio.Reader, error) {
	if f.zstd != nil {
		f.zstd.Close()
	}
	dec, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return nil, fmt.Errorf("read zstd header of %s: %w", f.Name(), err)
	}
	f.zstd = dec
	return bufio.NewReaderSize(dec, 256<<10), nil
}
