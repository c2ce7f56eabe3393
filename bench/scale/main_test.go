package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"chronicle/bench/proc"
)

func TestMain(m *testing.M) {
	var t task
	if child, err := proc.Task(&t); child {
		exit(errors.Join(err, t.run()))
		return
	}
	os.Exit(m.Run())
}

// TestQuick takes a few books over midnight, as the command does with many.
func TestQuick(t *testing.T) {
	s := settings{dir: t.TempDir(), symbols: 30, orders: 3_000, records: 20_000, rate: 1_000, every: 4_000, most: 1 << 30, deep: true}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.most = 1 << 20
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "MiB of memory") {
		t.Errorf("with 1 MiB allowed: %v", err)
	}
}
