package queue

import (
	"errors"
	"fmt"
	"os"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// A reservation grows a file by its own size, but by no less and no more than this.
const (
	minStep   = 64 << 10
	maxStep   = 4 << 20
	smallStep = 1 << 20
	pageSize  = 4096
)

func alignUp(n, to int64) int64 { return (n + to - 1) / to * to }

// reserver makes sure that the bytes [from, to) of f have blocks of their own,
// extending f as needed. Bytes that were not there before read as zero. When it
// fails, f may be longer than before, but holds nothing new except zeros.
type reserver func(f *os.File, from, to int64) error

// reserveBlocks is the reserver for real files.
func reserveBlocks(f *os.File, from, to int64) error {
	err := durable.Allocate(f, from, to)
	if cannotAllocate(err) {
		err = writeZeros(f, from, to)
	}
	return asFull(err)
}

func cannotAllocate(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}

// zeros are never written to.
var zeros [256 << 10]byte

// writeZeros is what reserves blocks where fallocate cannot.
func writeZeros(f *os.File, from, to int64) error {
	for from < to {
		chunk := zeros[:min(to-from, int64(len(zeros)))]
		if err := durable.WriteAt(f, chunk, from); err != nil {
			return err
		}
		from += int64(len(chunk))
	}
	return nil
}

// asFull marks the errors that mean "no space" with ErrFull.
func asFull(err error) error {
	for _, full := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}

// clearFrom makes all bytes of f from off on zero, and keeps them reserved. The
// page that holds off is overwritten rather than punched out, because a reader
// may be looking at the length word in it.
func clearFrom(f *os.File, off, size int64, reserve reserver) error {
	page := min(alignUp(off+recordAlign, pageSize), size)
	if err := writeZeros(f, off, page); err != nil {
		return asFull(err)
	}
	if page == size {
		return nil
	}
	err := durable.Punch(f, page, size)
	if cannotAllocate(err) {
		return asFull(writeZeros(f, page, size))
	}
	if err != nil {
		return err
	}
	return reserve(f, page, size)
}
