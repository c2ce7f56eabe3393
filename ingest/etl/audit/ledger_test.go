package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"chronicle/book/audit"
	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
	"chronicle/market"
)

func testRow(i int) audit.Row {
	return audit.Row{Venue: "v", Symbol: fmt.Sprint("s", i%3), Stream: "book", FirstSeq: uint64(i + 1), LastSeq: uint64(i + 2), Cause: market.GapAudit, Detail: strings.Repeat("x", 200*i)}
}

// TestLedgerSurvivesPowerLoss: a row that add has returned for is there after any
// crash, and one that was being written may be.
func TestLedgerSurvivesPowerLoss(t *testing.T) {
	for seed := range uint64(60) {
		dir := t.TempDir()
		root := filepath.Join(dir, "root")
		must(t, os.Mkdir(root, 0o755))
		fs := faultfs.New(t, root)
		path := filepath.Join("etl", "ledger.jsonl")
		rng := rand.New(rand.NewPCG(seed, 1))
		l, _, err := openLedger(filepath.Join(root, path))
		must(t, err)
		stop, ops := rng.IntN(30), 0
		image := filepath.Join(dir, "image")
		owed, crashed := 0, false
		fs.Watch(func(durable.Op) {
			if ops++; ops == stop && !crashed {
				crashed = true
				fs.Watch(nil)
				must(t, fs.Crash(image, rng, faultfs.Mode{Sectors: seed%2 == 0}))
			}
		})
		for i := range 6 {
			r := testRow(i)
			must(t, l.add(&r))
			if !crashed {
				owed++
			}
		}
		if !crashed {
			must(t, fs.Crash(image, rng, faultfs.Mode{Sectors: seed%2 == 0}))
		}
		fs.Close()
		l, _, err = openLedger(filepath.Join(image, path))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if l.open < owed || l.open > owed+1 {
			t.Fatalf("seed %d: %d rows of %d", seed, l.open, owed)
		}
		last := testRow(99)
		must(t, l.add(&last))
		if l, torn, err := openLedger(filepath.Join(image, path)); err != nil || torn || !l.covers(market.SymbolID{Venue: "v", Symbol: last.Symbol}, last.LastSeq) {
			t.Fatalf("seed %d: going on: %v %v", seed, torn, err)
		}
	}
}

// TestLedgerRetries: a row that cannot be written waits, is written once, and its
// proof is not lost meanwhile.
func TestLedgerRetries(t *testing.T) {
	for _, kind := range []durable.Kind{durable.OpMkdir, durable.OpCreate, durable.OpWrite, durable.OpSync, durable.OpSyncDir} {
		dir := t.TempDir()
		c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
		c.rounds(1)
		c.wrong()
		c.rounds(2)
		fs := faultfs.New(t, dir)
		fault := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{kind}, Times: -1, Half: true, Err: syscall.EIO})
		a, _ := newAuditor(t, dir, nil)
		must(t, a.Once(t.Context()))
		if fault.Hits() == 0 || len(a.waiting) != 1 {
			t.Errorf("%v: %d faults, %d rows wait", kind, fault.Hits(), len(a.waiting))
		}
		c.venue()
		c.rounds(1)
		must(t, a.Once(t.Context()))
		fault.Stop()
		must(t, a.Once(t.Context()))
		rows := ledgerRows(t, dir)
		if len(rows) != 1 || rows[0].Open() || len(a.waiting) != 0 || a.Stats().Open != 0 {
			t.Errorf("%v: rows %+v, %d wait, %+v", kind, rows, len(a.waiting), a.Stats())
		}
		fs.Close()
	}
}

// TestProofRetries: that a book is proved again is written once, when it can be.
func TestProofRetries(t *testing.T) {
	dir := t.TempDir()
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	c.rounds(1)
	c.wrong()
	c.rounds(1)
	a, _ := newAuditor(t, dir, nil)
	must(t, a.Once(t.Context()))
	fs := faultfs.New(t, dir)
	defer fs.Close()
	fault := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSync}, Times: -1})
	c.venue()
	for range 3 {
		c.rounds(2)
		must(t, a.Once(t.Context()))
	}
	if rows := ledgerRows(t, dir); len(a.waiting) != 1 || a.Stats().Open != 1 {
		t.Errorf("%d rows wait, rows %+v", len(a.waiting), rows)
	}
	fault.Stop()
	must(t, a.Once(t.Context()))
	if rows := ledgerRows(t, dir); len(rows) != 1 || rows[0].Open() || ledgerLines(t, dir) != 2 || a.Stats().Open != 0 {
		t.Errorf("rows %+v, %d lines", rows, ledgerLines(t, dir))
	}
}

// TestLedgerTorn: a broken last line is replaced, and damage before it is an error.
func TestLedgerTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	first, second := testRow(1), testRow(2)
	text := append(first.Line(), bytes.Repeat([]byte("x"), 5000)...)
	must(t, os.WriteFile(path, text, 0o644))
	l, torn, err := openLedger(path)
	if err != nil || !torn || l.open != 1 {
		t.Fatalf("%v %v %+v", torn, err, l)
	}
	must(t, l.add(&second))
	b, err := os.ReadFile(path)
	must(t, err)
	if string(b) != string(first.Line())+string(second.Line()) {
		t.Errorf("the file is now\n%s", b)
	}
	must(t, os.WriteFile(path, slices.Concat([]byte("nothing\n"), b), 0o644))
	if _, err := New(Config{CleanDir: "x", LedgerPath: path}); err == nil || !strings.Contains(err.Error(), "line 1") || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
	if _, _, err := openLedger(filepath.Join(path, "below a file")); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}
