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

// TestQuick kills an ETL in a short day and starts it again.
func TestQuick(t *testing.T) {
	s := settings{dir: t.TempDir(), records: 60_000, symbols: 10, orders: 1_000, rate: 1_000, late: 0.3, every: 3_000}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.records = 1 << 50
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("a day larger than the disk: %v", err)
	}
}
