package fsck_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed"
	"chronicle/internal/testdata"
	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/fsck"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
	"chronicle/store/tier"
)

// stored is one record of a clean stream that was made from a recording.
type stored struct {
	queue.Record
	meta  []byte
	first bool             // of a segment
	ev    market.BookEvent // of book and snapshot records
	gap   market.Gap       // of gap markers
}

func (s *stored) kind() market.Kind { return market.Kind(s.Kind) }
func (s *stored) synthetic() bool   { return s.ev.Attr&market.AttrSynthetic != 0 }
func (s *stored) bad() bool         { return s.ev.Flags&market.FlagMaybeBadBook != 0 }

// The streams that are damaged: a book with a chain, one with checksums, one by
// order with unknown orders, and trades.
const (
	chainedBook = "binance-usdm/btc_usdt/book.q"
	summedBook  = "kraken/xmr_usd/book.q"
	orderBook   = "xnas/bob/book.q"
	trades      = "binance-usdm/btc_usdt/trade.q"
)

// refined gives the clean streams of real recordings, made once for all tests.
// Nobody may change them.
func refined(t *testing.T) map[string][]stored {
	t.Helper()
	var sources [][2]string
	for format, name := range map[string]string{"binance-usdm": "binance/usdm-btcusdt-20240808.gz", "kraken": "crypto/KRAKEN.jsonl.zst", "itch": "itch/ex20101224.TEST_ITCH_50.gz"} {
		sources = append(sources, [2]string{format, testdata.Path(t, name)})
	}
	once.Do(func() {
		dir, err := os.MkdirTemp("", "chronicle-test-")
		if err == nil {
			streams, err = refine(t, dir, sources)
			err = errors.Join(err, os.RemoveAll(dir))
		}
		failed = err
	})
	must(t, failed)
	return streams
}

var (
	once    sync.Once
	streams map[string][]stored
	failed  error
)

// refine brings recordings through feed and ETL, each in a root of its own, and
// reads what comes out.
func refine(t *testing.T, dir string, sources [][2]string) (map[string][]stored, error) {
	all := map[string][]stored{}
	for _, s := range sources {
		root := filepath.Join(dir, s[0])
		raw := filepath.Join(root, "raw.q")
		w, err := queue.OpenWriter(raw, queue.Options{NoSync: true})
		if err != nil {
			return nil, err
		}
		_, err = feed.Replay(t.Context(), w, raw, feed.ReplayOptions{Format: s[0], Path: s[1], Date: map[bool]string{true: "2010-12-24"}[s[0] == "itch"]})
		if err := errors.Join(err, w.Close()); err != nil {
			return nil, err
		}
		e, err := etl.Open(t.Context(), etl.Config{RawDir: raw, CleanDir: filepath.Join(root, "clean"), StateDir: filepath.Join(root, "etl"), NoSync: true,
			Policy: etl.Policy{RollBytes: map[bool]int64{true: 2 << 20, false: 64 << 10}[s[0] == "binance-usdm"], ReplayBudget: 200}})
		if err != nil {
			return nil, err
		}
		if err := errors.Join(e.CatchUp(t.Context()), e.Close()); err != nil {
			return nil, err
		}
		for _, name := range []string{chainedBook, summedBook, orderBook, trades} {
			if !strings.HasPrefix(name, s[0]) && (s[0] != "itch" || name != orderBook) {
				continue
			}
			if all[name], err = readStream(filepath.Join(root, "clean", name)); err != nil {
				return nil, err
			}
			all[name] = all[name][:min(len(all[name]), 1000)]
		}
	}
	return all, nil
}

func readStream(dir string) (all []stored, err error) {
	files, err := queue.ListSegments(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		seg, err := queue.OpenSegment(file.Path)
		if err != nil {
			return nil, err
		}
		c := seg.Cursor()
		for first := true; ; first = false {
			r, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			s := stored{Record: r, meta: seg.Info().Meta, first: first}
			s.Body = bytes.Clone(r.Body)
			if err := s.decode(); err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		if err := seg.Close(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *stored) decode() error {
	switch s.kind() {
	case market.KindBook, market.KindSnapshot:
		return s.ev.Decode(s.Body, s.kind())
	case market.KindGap:
		g, err := market.DecodeJSON[market.Gap](s.Body)
		if err == nil {
			s.gap = *g
		}
		return err
	}
	return nil
}

func (s *stored) encode() {
	switch s.kind() {
	case market.KindBook, market.KindSnapshot:
		s.Body = make([]byte, s.ev.Size(s.kind()))
		s.ev.Put(s.Body, s.kind())
	case market.KindGap:
		s.Body = market.EncodeJSON(&s.gap)
	}
}

// archived writes one of the streams anew, damaged, with hashes and counts that are
// right, and moves the older half of its segments to the warm tier.
func archived(t *testing.T, name string, damage func([]stored) []stored) *site {
	t.Helper()
	records := slices.Clone(refined(t)[name])
	for i := range records {
		records[i].ev.Entries = slices.Clone(records[i].ev.Entries)
	}
	s := &site{Root: manifesttest.NewRoot(t, t.TempDir())}
	s.warm, s.cold = blob.NewDir(s.Archive, "warm"), blob.NewDir(filepath.Join(s.Dir, "cold"), "cold")
	if damage != nil {
		records = damage(records)
	}
	w, err := queue.OpenWriter(filepath.Join(s.Clean, name), queue.Options{Meta: records[0].meta, ManualRoll: true, NoSync: true})
	must(t, err)
	for i := range records {
		r := &records[i]
		if r.first && i > 0 {
			must(t, w.Roll())
		}
		r.encode()
		_, err := w.Append(r.Record)
		must(t, err)
	}
	must(t, w.Roll(), w.Close())
	middle := time.Unix(0, records[len(records)/2].Time)
	a, err := tier.Open(t.Context(), tier.Options{Clean: s.Clean, Manifest: s.Manifest, Tiers: []tier.Policy{
		{Tier: blob.Tier{Name: "warm", Store: s.warm}, After: time.Nanosecond}, {Tier: blob.Tier{Name: "cold", Store: s.cold}, After: 1000 * time.Hour},
	}})
	must(t, err)
	_, err = a.Once(t.Context(), middle, tier.OnceOptions{})
	must(t, err, a.Close())
	return s
}

// TestRealStreams: streams made from recordings are found right, across both places.
func TestRealStreams(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(refined(t))) {
		s := archived(t, name, nil)
		r := s.check(t, nil)
		if !r.Clean() {
			t.Errorf("%s:\n%v", name, r)
		}
		if r.Checked.HotSegments == 0 && name == orderBook || r.Checked.Segments == 0 && name == orderBook {
			t.Errorf("%s is in one place only: %v", name, r)
		}
	}
}

// pick gives the first record, from one on, that fits.
func pick(t *testing.T, records []stored, from int, fits func(i int) bool) int {
	t.Helper()
	for i := from; i < len(records); i++ {
		if fits(i) {
			return i
		}
	}
	t.Fatal("the stream has no such record")
	return 0
}

// TestRealDamage changes one thing in a stream that was made from a recording, and
// wants it named, where it stands.
func TestRealDamage(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		damage func(t *testing.T, r []stored) ([]stored, int) // and the place of the record that shows it
		codes  []fsck.Code
	}{
		"level at a border": {chainedBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, 5, func(i int) bool { return r[i+1].first && r[i].kind() == market.KindBook })
			r[i].ev.Entries[0].Size += 1000
			return r, i + 1
		}, []fsck.Code{fsck.SnapshotDiffers}},
		"order's priority at a border": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, len(r)/2, func(i int) bool { return r[i].first && r[i].synthetic() && swap(r[i].ev.Entries) })
			return r, i
		}, []fsck.Code{fsck.SnapshotDiffers}}, // it, and the next one, which is right again
		"last event left out": {chainedBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, 5, func(i int) bool { return r[i+1].first && r[i].kind() == market.KindBook })
			return slices.Delete(r, i, i+1), i
		}, []fsck.Code{fsck.SnapshotAsOf, fsck.SnapshotDiffers}},
		"event left out": {chainedBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, 50, func(i int) bool {
				return !r[i].bad() && r[i].kind() == market.KindBook && r[i-1].kind() == market.KindBook && r[i+1].kind() == market.KindBook
			})
			return slices.Delete(r, i, i+1), i
		}, []fsck.Code{fsck.ChainBroken, fsck.BookCrossed, fsck.SnapshotDiffers}},
		"chain": {chainedBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, 50, func(i int) bool {
				return !r[i].bad() && r[i].kind() == market.KindBook && r[i+1].kind() == market.KindBook
			})
			r[i].ev.PrevSeq--
			return r, i
		}, []fsck.Code{fsck.ChainBroken}},
		"checksum": {summedBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, 50, func(i int) bool { return r[i].ev.Attr&market.AttrChecksum != 0 })
			r[i].ev.Checksum++
			return r, i
		}, []fsck.Code{fsck.ChecksumDiffers}},
		"book called good": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, len(r)/2, func(i int) bool { return r[i].bad() && r[i].kind() == market.KindBook })
			r[i].ev.Flags &^= market.FlagMaybeBadBook
			return r, i
		}, []fsck.Code{fsck.BookUnproved, fsck.GapUnmarked}},
		"marker left out": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, 5, func(i int) bool { return r[i].kind() == market.KindGap })
			return slices.Delete(r, i, i+1), i
		}, []fsck.Code{fsck.GapUnmarked}},
		"execution": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, len(r)/2, func(i int) bool {
				return slices.ContainsFunc(r[i].ev.Entries, func(e market.Entry) bool { return e.Action == market.Exec })
			})
			r[i].ev.Entries[0].Size++
			return r, i
		}, []fsck.Code{fsck.ExecutionDiffers}},
		"raw sequence": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, len(r)/2, func(i int) bool { return r[i].kind() == market.KindBook && r[i-1].kind() == market.KindBook })
			r[i].ev.RawSeq = r[i-1].ev.RawSeq
			return r, i
		}, []fsck.Code{fsck.RawOrder}},
		"snapshot elsewhere": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, len(r)/2, func(i int) bool { return r[i].synthetic() })
			r[i].Time--
			return r, i + 1
		}, []fsck.Code{fsck.SnapshotPlace}},
		"snapshot's flags": {orderBook, func(t *testing.T, r []stored) ([]stored, int) {
			i := pick(t, r, len(r)/2, func(i int) bool { return r[i].synthetic() })
			r[i].ev.Flags |= market.FlagMBP
			return r, i
		}, []fsck.Code{fsck.SnapshotFlags}},
		"trades in disorder": {trades, func(t *testing.T, r []stored) ([]stored, int) {
			r[20].Body, r[21].Body = r[21].Body, r[20].Body
			return r, 21
		}, []fsck.Code{fsck.RawOrder}},
		"a quote among trades": {trades, func(_ *testing.T, r []stored) ([]stored, int) {
			r[20].Kind, r[20].Body = uint16(market.KindQuote), make([]byte, market.QuoteSize)
			return r, 20
		}, []fsck.Code{fsck.RecordInvalid}},
	} {
		t.Run(name, func(t *testing.T) {
			shows := 0
			s := archived(t, c.stream, func(r []stored) []stored {
				r, shows = c.damage(t, r)
				return r
			})
			found := s.check(t, nil)
			var codes []fsck.Code
			for _, f := range found.Findings {
				codes = append(codes, f.Code)
			}
			if codes = slices.Compact(codes); !slices.Equal(codes, c.codes) {
				t.Fatalf("found %v, want %v:\n%v", codes, c.codes, found)
			}
			if want := fmt.Sprintf("record %d", shows+1); !strings.Contains(found.Findings[0].Detail, want) {
				t.Errorf("%v: want it at %s", found.Findings[0], want)
			}
		})
	}
}

// swap exchanges two orders of one level.
func swap(entries []market.Entry) bool {
	for i := 1; i < len(entries); i++ {
		if a, b := &entries[i-1], &entries[i]; a.Price == b.Price && a.Side == b.Side {
			*a, *b = *b, *a
			return true
		}
	}
	return false
}
