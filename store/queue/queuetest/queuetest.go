// Package queuetest helps tests that look into queues.
package queuetest

import (
	"errors"
	"io"
	"testing"

	"chronicle/store/queue"
)

// Each calls use with every record of the queue in dir, in order. The record and
// its body are valid until the next call. Whatever cannot be read fails the test.
func Each(tb testing.TB, dir string, use func(r *queue.Record)) {
	tb.Helper()
	files, err := queue.ListSegments(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		s, err := queue.OpenSegment(f.Path)
		if err != nil {
			tb.Fatal(err)
		}
		for c := s.Cursor(); ; {
			r, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatal(err)
			}
			use(&r)
		}
		if err := s.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}
