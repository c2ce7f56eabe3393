package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronicle/book/audit"
	"chronicle/market"
	"chronicle/store/queue"
)

// TestFollows: each snapshot is compared once, in whatever pieces the stream comes,
// across segments, and nothing is found where nothing is wrong.
func TestFollows(t *testing.T) {
	dir := t.TempDir()
	a, _ := newAuditor(t, dir, nil)
	must(t, a.Once(t.Context())) // nothing is there yet
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	want := uint64(0)
	for i := range 12 {
		c.rounds(i % 4)
		want += uint64(i % 4)
		if i%3 == 2 {
			c.events(2)
			c.roll()
		}
		must(t, a.Once(t.Context()))
		must(t, a.Once(t.Context()))
	}
	st := a.Stats()
	segments, err := queue.ListSegments(c.dir(filepath.Join(dir, "clean")))
	must(t, err)
	want += uint64(len(segments)) - 1 // the first one of all is taken as it is
	if st.Snapshots != want || st.Streams != 1 || st.Mismatches+st.Unmarked+st.Skipped+st.Moved+st.Unreadable != 0 || st.Open != 0 {
		t.Errorf("%+v, want %d snapshots", st, want)
	}
	if records := c.w.NextSeq() - 1; st.Records > records+want+4 {
		t.Errorf("%d records were fed, the stream has %d", st.Records, records)
	}
	if n := ledgerLines(t, dir); n != 0 {
		t.Errorf("%d lines in the ledger", n)
	}
}

// TestMismatch: a wrong delta, and later a wrong snapshot, make a row each, once,
// whatever else is wrong in between, and proof closes them, also after restarts.
func TestMismatch(t *testing.T) {
	dir := t.TempDir()
	clean := filepath.Join(dir, "clean")
	c := newClean(t, clean, "a_usd")
	c.rounds(3)
	a, _ := newAuditor(t, dir, nil)
	must(t, a.Once(t.Context()))
	proved := c.w.NextSeq() - 2
	c.events(1)
	c.wrong()
	c.rounds(1)
	shows := c.w.NextSeq() - 2
	c.wrong()
	c.rounds(2) // wrong again, while the row is open
	must(t, a.Once(t.Context()))
	rows := ledgerRows(t, dir)
	if len(rows) != 1 || rows[0].FirstSeq != proved || rows[0].LastSeq != shows || !rows[0].Open() {
		t.Fatalf("rows %+v, want one from %d to %d", rows, proved, shows)
	}
	r := rows[0]
	if r.Venue != "sim" || r.Symbol != "a_usd" || r.Stream != market.StreamBook || r.Cause != market.GapAudit || r.Finding != audit.Differs ||
		r.FirstRawSeq == 0 || r.LastRawSeq <= r.FirstRawSeq || r.Start == 0 || r.End <= r.Start || !strings.Contains(r.Detail, "digest") {
		t.Errorf("row %+v", r)
	}
	if st := a.Stats(); st.Mismatches != 2 || st.Open != 1 {
		t.Errorf("%+v", st)
	}
	for range 2 { // it finds them again, and writes nothing
		a, _ = newAuditor(t, dir, nil)
		must(t, a.Once(t.Context()))
		if st := a.Stats(); st.Mismatches != 2 || st.Open != 1 || ledgerLines(t, dir) != 1 {
			t.Errorf("after a restart: %+v, %d lines", st, ledgerLines(t, dir))
		}
	}
	c.venue()
	heals := c.w.NextSeq() - 1
	c.rounds(1)
	must(t, a.Once(t.Context()))
	if rows = ledgerRows(t, dir); len(rows) != 1 || rows[0].ProvedSeq != heals || rows[0].ProvedTime == 0 || rows[0].ProvedRawSeq == 0 || a.Stats().Open != 0 {
		t.Fatalf("rows %+v, want it proved by %d", rows, heals)
	}
	c.spoil = func(ev *market.BookEvent) { ev.Flags |= market.FlagMaybeBadBook }
	c.rounds(1) // harmless: bad without reason; then good without proof
	for range 2 {
		must(t, a.Once(t.Context()))
		a, _ = newAuditor(t, dir, nil)
	}
	must(t, a.Once(t.Context()))
	rows = ledgerRows(t, dir)
	if len(rows) != 2 || rows[1].Finding != audit.Unproved || rows[0].ProvedSeq != heals || ledgerLines(t, dir) != 3 || a.Stats().Unmarked != 1 {
		t.Errorf("rows %+v, %d lines, %+v", rows, ledgerLines(t, dir), a.Stats())
	}
}

// TestToldOnce: what is wrong with the snapshot to go on from is not found again
// with each visit.
func TestToldOnce(t *testing.T) {
	dir := t.TempDir()
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	a, clock := newAuditor(t, dir, func(c *Config) { c.MaxLag = time.Minute })
	c.events(3)
	c.spoil = func(ev *market.BookEvent) { ev.Flags &^= market.FlagMBP }
	c.snapshot()
	c.events(1)
	for range 5 {
		must(t, a.Once(t.Context()))
		c.rounds(1)
	}
	if st := a.Stats(); st.Mismatches != 1 || st.Snapshots != 5 {
		t.Errorf("%+v", st)
	}
	clock.t = clock.t.Add(time.Hour)
	must(t, a.Once(t.Context()))
	if st := a.Stats(); st.Skipped != 1 {
		t.Errorf("%+v: one snapshot was left", st)
	}
}

// TestMoved: the tier agent takes segments away, read and unread ones.
func TestMoved(t *testing.T) {
	dir := t.TempDir()
	clean := filepath.Join(dir, "clean")
	c := newClean(t, clean, "a_usd")
	a, _ := newAuditor(t, dir, nil)
	remove := func(n int) {
		files, err := queue.ListSegments(c.dir(clean))
		must(t, err)
		for _, f := range files[:n] {
			must(t, os.Remove(f.Path))
		}
	}
	for range 3 {
		c.rounds(2)
		c.roll()
	}
	c.rounds(1)
	must(t, a.Once(t.Context()))
	remove(3) // all of it was proved
	c.rounds(1)
	must(t, a.Once(t.Context()))
	if st := a.Stats(); st.Moved != 0 || st.Snapshots != 3*2+3+2 {
		t.Errorf("%+v", st)
	}
	for range 2 {
		c.roll()
		c.rounds(1)
	}
	remove(2) // the one it stands in, and one that it has not seen
	must(t, a.Once(t.Context()))
	if st := a.Stats(); st.Moved != 1 || st.Mismatches+st.Unreadable != 0 {
		t.Errorf("%+v", st)
	}
	c.roll()
	remove(1)
	for range 3 { // nothing is left, and nothing was missed
		must(t, a.Once(t.Context()))
	}
	if st := a.Stats(); st.Moved != 1 || st.Unreadable != 0 {
		t.Errorf("%+v", st)
	}
	c.rounds(1)
	must(t, a.Once(t.Context()))
	if st := a.Stats(); st.Moved != 2 || st.Mismatches+st.Unreadable+st.Skipped != 0 {
		t.Errorf("%+v", st)
	}
}

// TestSkips: a stream that has waited for too long goes on with its newest
// snapshot, and what was passed over is counted exactly.
func TestSkips(t *testing.T) {
	dir := t.TempDir()
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	a, clock := newAuditor(t, dir, func(c *Config) { c.MaxLag = time.Minute })
	c.rounds(3)
	must(t, a.Once(t.Context()))
	c.rounds(2)
	c.roll()
	c.rounds(4)
	c.roll()
	c.wrong() // where nobody looks
	c.rounds(2)
	clock.t = clock.t.Add(2 * time.Minute)
	if lag := a.Stats().Lag; lag != 2*time.Minute {
		t.Errorf("lag %v", lag)
	}
	must(t, a.Once(t.Context()))
	if st := a.Stats(); st.Skipped != 2+5+3 || st.Snapshots != 3 || st.Mismatches != 0 || st.Lag != 0 {
		t.Errorf("%+v", st)
	}
	c.rounds(1)
	must(t, a.Once(t.Context()))
	clock.t = clock.t.Add(2 * time.Minute)
	must(t, a.Once(t.Context())) // nothing was missed: nothing is skipped
	if st := a.Stats(); st.Skipped != 10 || st.Snapshots != 4 || st.Mismatches != 0 {
		t.Errorf("%+v", st)
	}
}

// TestUnreadable: a damaged segment is told once, and the stream goes on after it.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	clean := filepath.Join(dir, "clean")
	c := newClean(t, clean, "a_usd")
	for range 4 {
		c.rounds(2)
		c.roll()
	}
	files, err := queue.ListSegments(c.dir(clean))
	must(t, err)
	for _, i := range []int{0, 2} {
		b, err := os.ReadFile(files[i].Path)
		must(t, err)
		b[4096+300] ^= 1
		must(t, os.Remove(files[i].Path))
		must(t, os.WriteFile(files[i].Path, b, 0o644))
	}
	var log bytes.Buffer
	a, _ := newAuditor(t, dir, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 5 {
		must(t, a.Once(t.Context()))
	}
	if st := a.Stats(); st.Unreadable != 2 || st.Mismatches+st.Moved+st.Skipped != 0 || st.Snapshots < 4 {
		t.Errorf("%+v", st)
	}
	if n := strings.Count(log.String(), "cannot be audited"); n != 2 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

// TestManyStreams: no descriptor is held for a stream that is idle, and few for one
// that is not; other shards' are left alone.
func TestManyStreams(t *testing.T) {
	dir := t.TempDir()
	const n = 60
	for i := range n {
		c := newClean(t, filepath.Join(dir, "clean"), fmt.Sprintf("s%03d_usd", i))
		for range 1 + i%3 {
			c.rounds(1)
			c.roll()
		}
		must(t, c.w.Close())
	}
	a, clock := newAuditor(t, dir, func(c *Config) {
		c.Has = func(id market.SymbolID) bool { return id.Symbol < "s045" }
	})
	before, most := descriptors(t), 0
	clock.step = 10 * time.Microsecond
	clock.onRest = func() { most = max(most, descriptors(t)) }
	must(t, a.Once(t.Context()))
	if after := descriptors(t); after != before || most > before+2 || most == 0 {
		t.Errorf("%d descriptors before, %d at most, %d after", before, most, after)
	}
	if st := a.Stats(); st.Streams != 45 || st.Snapshots != 15*(1+3+5) {
		t.Errorf("%+v", st)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// TestPace: the work takes no more than its share of the time.
func TestPace(t *testing.T) {
	dir := t.TempDir()
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	c.rounds(500)
	a, clock := newAuditor(t, dir, func(c *Config) { c.Share = 0.02 })
	clock.step = 100 * time.Microsecond
	started := clock.t
	must(t, a.Once(t.Context()))
	all := clock.t.Sub(started)
	if worked := all - clock.slept; clock.slept == 0 || float64(worked) > 0.025*float64(all) || float64(worked) < 0.015*float64(all) {
		t.Errorf("worked for %v of %v", worked, all)
	}
}

// TestBudget: a long stream does not hold up the others.
func TestBudget(t *testing.T) {
	dir := t.TempDir()
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	for range 4 {
		c.rounds(100)
		c.roll()
	}
	other := newClean(t, filepath.Join(dir, "clean"), "b_usd")
	other.rounds(3)
	a, clock := newAuditor(t, dir, nil)
	a.budget = 1800
	must(t, a.Once(t.Context()))
	clock.t = clock.t.Add(time.Second)
	part := a.Stats()
	if part.Records > 2000 || part.Snapshots < 200 || part.Lag != time.Second {
		t.Errorf("%+v", part)
	}
	must(t, a.Once(t.Context()))
	files, err := queue.ListSegments(c.dir(filepath.Join(dir, "clean")))
	must(t, err)
	if st := a.Stats(); st.Snapshots != uint64(100*len(files)+len(files)-1+3) || st.Lag != 0 || st.Mismatches != 0 {
		t.Errorf("%+v of %d segments", st, len(files))
	}
}

func TestConfigIsChecked(t *testing.T) {
	dir := t.TempDir()
	good := Config{CleanDir: dir, LedgerPath: filepath.Join(dir, "l")}
	for _, change := range []func(*Config){
		func(c *Config) { c.CleanDir = "" }, func(c *Config) { c.LedgerPath = "" }, func(c *Config) { c.Share = -1 },
		func(c *Config) { c.Share = 2 }, func(c *Config) { c.Interval = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("accepted %+v", cfg)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestRunEnds(t *testing.T) {
	dir := t.TempDir()
	c := newClean(t, filepath.Join(dir, "clean"), "a_usd")
	c.rounds(5)
	a, clock := newAuditor(t, dir, nil)
	ctx, cancel := context.WithCancel(t.Context())
	rounds := 0
	clock.onRest = func() {
		if rounds++; rounds == 3 {
			cancel()
		}
	}
	if err := a.Run(ctx); err != nil || a.Stats().Snapshots != 5 {
		t.Errorf("%v, %+v", err, a.Stats())
	}
}
