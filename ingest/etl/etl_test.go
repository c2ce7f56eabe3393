package etl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

const second = int64(time.Second)

// rawScript writes a raw queue for tests.
type rawScript struct {
	t    *testing.T
	w    *queue.Writer
	now  int64
	next map[uint32]uint64 // venue sequence per instrument
}

func newScript(t *testing.T, dir string) *rawScript {
	t.Helper()
	w, err := queue.OpenWriter(filepath.Join(dir, "raw.q"), queue.Options{SegmentBytes: 1 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &rawScript{t: t, w: w, now: 1_700_000_000 * second, next: map[uint32]uint64{}}
}

func (s *rawScript) append(kind market.Kind, tag uint32, body []byte) {
	s.t.Helper()
	rec := queue.Record{Time: s.now, EventTime: s.now - 1000, Kind: uint16(kind), Tag: tag, Body: body}
	if _, err := s.w.Append(rec); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rawScript) session(event market.SessionEvent, venue string) {
	s.append(market.KindSession, 0, market.EncodeJSON(&market.Session{Event: event, Venue: venue, Channel: "ch"}))
}

func (s *rawScript) define(id uint32, venue, symbol string, bt market.BookType, chained bool) {
	s.append(market.KindDefinition, id, market.EncodeJSON(&market.Definition{
		ID: id, Venue: venue, Symbol: symbol, Native: symbol, BookType: bt, PriceExponent: -2, Channel: "ch", Chained: chained,
	}))
}

func (s *rawScript) event(kind market.Kind, id uint32, ev market.BookEvent) {
	b := make([]byte, ev.Size(kind))
	ev.Put(b, kind)
	s.append(kind, id, b)
}

func (s *rawScript) delta(id uint32, seq, prev uint64, entries ...market.Entry) {
	s.event(market.KindBook, id, market.BookEvent{Seq: seq, PrevSeq: prev, Flags: market.FlagLast, Entries: entries})
}

func level(side market.Side, price, size int64) market.Entry {
	return market.Entry{Side: side, Price: price, Size: size, Action: market.Modify}
}

// config gives an ETL over the script's raw queue.
func config(dir, out string) Config {
	return Config{
		RawDir: filepath.Join(dir, "raw.q"), CleanDir: filepath.Join(out, "clean"), StateDir: filepath.Join(out, "etl"),
		Policy: Policy{RollInterval: time.Minute, SnapshotInterval: 10 * time.Second, ReplayBudget: 50, RollMinBytes: 1, RollBytes: 20_000},
		NoSync: true,
	}
}

func runAll(t *testing.T, cfg Config) Stats {
	t.Helper()
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return e.Stats()
}

// records reads a whole clean stream.
func records(t *testing.T, cfg Config, venue, symbol, stream string) []queue.Record {
	t.Helper()
	var all []queue.Record
	queuetest.Each(t, StreamDir(cfg.CleanDir, venue, symbol, stream), func(r *queue.Record) {
		kept := *r
		kept.Body = bytes.Clone(r.Body)
		all = append(all, kept)
	})
	return all
}

// dump gives every stream below the clean directory as text.
func dump(t *testing.T, cfg Config) map[string]string {
	t.Helper()
	out := map[string]string{}
	dirs, err := filepath.Glob(filepath.Join(cfg.CleanDir, "*", "*", "*.q"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		rel, _ := filepath.Rel(cfg.CleanDir, dir)
		parts := strings.Split(strings.TrimSuffix(rel, ".q"), string(filepath.Separator))
		var sb strings.Builder
		for _, r := range records(t, cfg, parts[0], parts[1], parts[2]) {
			fmt.Fprintf(&sb, "%d %d %d %d %d %x\n", r.Seq, r.Time, r.EventTime, r.Kind, r.Flags, r.Body)
		}
		out[rel] = sb.String()
	}
	return out
}

// randomRaw writes n records of three kinds of instrument with gaps, snapshots,
// session changes and quiet times.
func randomRaw(s *rawScript, rng *rand.Rand, n int) {
	s.session(market.SessionSourceBegin, "v")
	s.session(market.SessionNew, "v")
	s.define(1, "v", "chained", market.L2, true)
	s.define(2, "v", "plain", market.L2, false)
	s.define(3, "v", "orders", market.L3, false)
	randomEvents(s, rng, n)
	s.session(market.SessionSourceEnd, "v")
}

// randomEvents writes n records of the instruments that are defined.
func randomEvents(s *rawScript, rng *rand.Rand, n int) {
	for i := range n {
		s.now += rng.Int64N(second / 2)
		price, size := 1000+rng.Int64N(20), rng.Int64N(5)
		side := market.Bid
		if rng.IntN(2) == 0 {
			side, price = market.Ask, price+20
		}
		switch k := rng.IntN(100); {
		case k < 30:
			prev := s.next[1]
			s.next[1] += 1 + rng.Uint64N(3)
			if rng.IntN(40) == 0 {
				prev++ // a hole in the chain
				s.next[1] += 2
			}
			s.delta(1, s.next[1], prev, level(side, price, size))
		case k < 33:
			s.event(market.KindSnapshot, 1, market.BookEvent{Seq: s.next[1] - rng.Uint64N(3), Flags: market.FlagSnapshot,
				Entries: []market.Entry{{Side: side, Price: price, Size: 1, Action: market.Add}}})
		case k < 60:
			s.delta(2, 0, 0, level(side, price, size))
		case k < 62:
			s.event(market.KindSnapshot, 2, market.BookEvent{Flags: market.FlagSnapshot})
		case k < 92:
			s.order(rng, uint64(i), side, price, size+1)
		case k < 95:
			t := market.Trade{TradeID: uint64(i), Price: price, Size: 1, Side: side}
			b := make([]byte, market.TradeSize)
			t.Put(b)
			s.append(market.KindTrade, 2, b)
		case k < 96:
			s.append(market.KindGap, 0, market.EncodeJSON(&market.Gap{Venue: "v", Channel: "ch", Cause: market.GapSequence, Start: s.now, End: s.now, Recovered: rng.IntN(2) == 0}))
		case k < 97:
			s.session(market.SessionConnect, "v")
		case k < 98:
			s.session(market.SessionNew, "v")
		default:
			s.now += 20 * second
		}
	}
}

func (s *rawScript) order(rng *rand.Rand, id uint64, side market.Side, price, size int64) {
	s.next[3]++
	seq, old := s.next[3], id-1-rng.Uint64N(20)
	switch rng.IntN(5) {
	case 0:
		s.delta(3, seq, 0, market.Entry{OrderID: old, Size: market.UndefSize, Price: market.UndefPrice, Side: market.NoSide, Action: market.Cancel})
	case 1:
		s.delta(3, seq, 0,
			market.Entry{OrderID: old, Size: 1, Price: market.UndefPrice, Side: market.NoSide, Action: market.Fill},
			market.Entry{OrderID: 7000 + id, Size: 1, Price: market.UndefPrice, Side: market.NoSide, Action: market.Exec})
	case 2:
		s.delta(3, seq, 0,
			market.Entry{OrderID: old, Size: market.UndefSize, Price: market.UndefPrice, Side: market.NoSide, Action: market.Cancel},
			market.Entry{OrderID: id, Size: size, Price: price, Side: market.NoSide, Action: market.Add})
	default:
		s.delta(3, seq, 0, market.Entry{OrderID: id, Size: size, Price: price, Side: side, Action: market.Add})
	}
}

// TestRestartIsExact stops the pipeline at random records, with and without a
// checkpoint, and wants the streams of an uninterrupted run, record for record.
// Whatever is sealed is moved away in between, and few queues are open at a time.
func TestRestartIsExact(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			randomRaw(newScript(t, dir), rng, 1500)
			whole := config(dir, filepath.Join(dir, "whole"))
			runAll(t, whole)
			parts := config(dir, filepath.Join(dir, "parts"))
			parts.MaxOpen = int(seed % 4) // 0: the default
			for done := false; !done; {
				done = runSome(t, parts, rng)
				moveSealed(t, parts.CleanDir, parts.CleanDir+".archive")
			}
			moveSealed(t, parts.CleanDir+".archive", parts.CleanDir)
			compareDumps(t, dump(t, whole), dump(t, parts))
		})
	}
}

// moveSealed moves every sealed segment below a directory to below another one.
func moveSealed(t *testing.T, from, to string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(from, "*", "*", "*.q"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		rel, _ := filepath.Rel(from, dir)
		if err := os.MkdirAll(filepath.Join(to, rel), 0o755); err != nil {
			t.Fatal(err)
		}
		files, err := queue.ListSegments(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !f.Sealed {
				continue
			}
			if err := os.Rename(f.Path, filepath.Join(to, rel, filepath.Base(f.Path))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// runSome processes a random number of records and drops the pipeline as a crash would.
func runSome(t *testing.T, cfg Config, rng *rand.Rand) bool {
	t.Helper()
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.abandon(); err != nil {
			t.Error(err)
		}
	}()
	for range rng.IntN(400) {
		ok, err := e.step()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return true
		}
	}
	if rng.IntN(2) == 0 {
		if err := e.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	// Without a checkpoint the next run must get past this one's end at times.
	return false
}

func compareDumps(t *testing.T, want, got map[string]string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("nothing was written")
	}
	for name, w := range want {
		if got[name] != w {
			a, b := strings.Split(w, "\n"), strings.Split(got[name], "\n")
			for i := range max(len(a), len(b)) {
				if i >= len(a) || i >= len(b) || a[i] != b[i] {
					t.Fatalf("%s: differs at line %d of %d/%d", name, i, len(a), len(b))
				}
			}
		}
	}
	if len(want) != len(got) {
		t.Errorf("%d streams, want %d", len(got), len(want))
	}
}

// TestEverySegmentStandsAlone rebuilds each book from each snapshot and from the
// very start and wants the same digest.
func TestEverySegmentStandsAlone(t *testing.T) {
	dir := t.TempDir()
	randomRaw(newScript(t, dir), rand.New(rand.NewPCG(7, 7)), 4000)
	cfg := config(dir, dir)
	runAll(t, cfg)
	for _, symbol := range []string{"chained", "plain", "orders"} {
		bt := market.L2
		if symbol == "orders" {
			bt = market.L3
		}
		b, synthetic := book.New(bt), 0
		var ev market.BookEvent
		for _, r := range records(t, cfg, "v", symbol, market.StreamBook) {
			kind := market.Kind(r.Kind)
			if kind == market.KindGap {
				continue
			}
			if err := ev.Decode(r.Body, kind); err != nil {
				t.Fatal(err)
			}
			if kind == market.KindSnapshot && ev.Attr&market.AttrSynthetic != 0 {
				fresh := book.New(bt)
				fresh.Apply(&ev, kind)
				if fresh.Digest() != b.Digest() {
					t.Fatalf("%s record %d: the snapshot is not the book", symbol, r.Seq)
				}
				synthetic++
			}
			b.Apply(&ev, kind)
		}
		files, err := queue.ListSegments(StreamDir(cfg.CleanDir, "v", symbol, market.StreamBook))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) < 3 || synthetic < len(files) {
			t.Errorf("%s: %d segments, %d snapshots: too few to say anything", symbol, len(files), synthetic)
		}
		for _, f := range files {
			checkFirst(t, f)
		}
	}
}

func checkFirst(t *testing.T, f queue.SegmentFile) {
	t.Helper()
	s, err := queue.OpenSegment(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Cursor().Next()
	if err != nil || market.Kind(r.Kind) != market.KindSnapshot || r.Flags&queue.FlagKey == 0 {
		t.Errorf("%s begins with %v (%v), not a snapshot", f.Path, market.Kind(r.Kind), err)
	}
	if !f.Sealed {
		t.Errorf("%s is not sealed after the end of the source", f.Path)
	}
}

func TestPolicyChangeOnRestart(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	randomRaw(s, rand.New(rand.NewPCG(3, 3)), 800)
	cfg := config(dir, dir)
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := e.step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.abandon(); err != nil {
		t.Fatal(err)
	}
	cfg.Policy.ReplayBudget = 7
	cfg.Policy.RollBytes = 9000
	if e, err = Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if e.rawSeq != s.w.NextSeq()-1 || e.policies.base != cfg.Policy.or(defaultPolicy) {
		t.Errorf("at raw record %d of %d with policy %+v", e.rawSeq, s.w.NextSeq()-1, e.policies.base)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedCheckpointIsRefused(t *testing.T) {
	dir := t.TempDir()
	randomRaw(newScript(t, dir), rand.New(rand.NewPCG(3, 3)), 100)
	cfg := config(dir, dir)
	runAll(t, cfg)
	path := filepath.Join(cfg.StateDir, "checkpoint")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 9, len(b) / 2, len(b) - 1} {
		bad := bytes.Clone(b)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("byte %d flipped: %v", at, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if st := runAll(t, cfg); st.Written != 0 || st.Repeated == 0 {
		t.Errorf("without the checkpoint: %+v; nothing should be written twice", st)
	}
}

func TestLostCleanRecordsAreNoticed(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	randomRaw(s, rand.New(rand.NewPCG(4, 4)), 100)
	cfg := config(dir, dir)
	runAll(t, cfg)
	if err := os.RemoveAll(StreamDir(cfg.CleanDir, "v", "plain", market.StreamBook)); err != nil {
		t.Fatal(err)
	}
	s.session(market.SessionSourceBegin, "v")
	s.define(2, "v", "plain", market.L2, false)
	s.delta(2, 0, 0, level(market.Bid, 1, 1))
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.abandon()
	if err := e.CatchUp(context.Background()); !errors.Is(err, ErrLostRecords) {
		t.Errorf("got %v", err)
	}
}

// TestAnotherRawQueueIsNoticed: when the raw queue is not the one that the clean
// streams were made from, nothing is appended on top.
func TestAnotherRawQueueIsNoticed(t *testing.T) {
	dir := t.TempDir()
	randomRaw(newScript(t, filepath.Join(dir, "a")), rand.New(rand.NewPCG(5, 5)), 300)
	randomRaw(newScript(t, filepath.Join(dir, "b")), rand.New(rand.NewPCG(6, 6)), 600)
	cfg := config(filepath.Join(dir, "a"), dir)
	runAll(t, cfg)
	if err := os.Remove(filepath.Join(cfg.StateDir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	before := dump(t, cfg)
	cfg.RawDir = filepath.Join(dir, "b", "raw.q")
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.abandon()
	if err := e.CatchUp(t.Context()); !errors.Is(err, ErrDiverged) {
		t.Errorf("got %v", err)
	}
	for name, text := range dump(t, cfg) {
		if !strings.HasPrefix(text, before[name]) {
			t.Errorf("%s was changed", name)
		}
	}
}

// TestFailureInsideARecord: when a record fails after part of it was written, the
// checkpoint stays where it was, and the next run writes that part only once.
func TestFailureInsideARecord(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	s.session(market.SessionSourceBegin, "v")
	s.session(market.SessionNew, "v")
	s.define(1, "v", "a", market.L3, false)
	s.delta(1, 1, 0, market.Entry{OrderID: 9, Side: market.Bid, Price: 100, Size: 10, Action: market.Add})
	s.delta(1, 2, 0,
		market.Entry{OrderID: 9, Side: market.NoSide, Price: market.UndefPrice, Size: 4, Action: market.Fill},
		market.Entry{OrderID: 77, Side: market.NoSide, Price: market.UndefPrice, Size: 4, Action: market.Exec})
	s.session(market.SessionSourceEnd, "v")
	whole := config(dir, filepath.Join(dir, "whole"))
	runAll(t, whole)

	cfg := config(dir, filepath.Join(dir, "parts"))
	trades := StreamDir(cfg.CleanDir, "v", "a", market.StreamTrade)
	if err := os.MkdirAll(filepath.Dir(trades), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(trades, nil, 0o644); err != nil { // no queue can be made there
		t.Fatal(err)
	}
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CatchUp(t.Context()); err == nil {
		t.Fatal("the trade could be written where there is no place for it")
	}
	if err := e.Close(); err != nil {
		t.Errorf("close after a failure: %v", err)
	}
	if err := os.Remove(trades); err != nil {
		t.Fatal(err)
	}
	runAll(t, cfg)
	compareDumps(t, dump(t, whole), dump(t, cfg))
}
