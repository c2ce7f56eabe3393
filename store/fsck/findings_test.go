package fsck_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chronicle/market"
	"chronicle/store/fsck"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
)

// defect is a way to damage an archive, and what must be found then.
type defect struct {
	damage func(t *testing.T, s *site)
	codes  []fsck.Code // all findings, in order
	where  string      // part of the first one's place
}

// find damages an archive in each way and wants just that to be found.
func find(t *testing.T, defects map[string]defect) {
	for name, c := range defects {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.damage(t, s)
			r := s.check(t, nil)
			var codes []fsck.Code
			for _, f := range r.Findings {
				codes = append(codes, f.Code)
				if f.Detail == "" || f.Fix == "" || f.Where == "" {
					t.Errorf("incomplete finding %+v", f)
				}
			}
			if !slices.Equal(codes, c.codes) {
				t.Fatalf("found %v, want %v:\n%v", codes, c.codes, r)
			}
			if len(codes) > 0 && !strings.Contains(r.Findings[0].Where, c.where) {
				t.Errorf("the first is at %q, want %q", r.Findings[0].Where, c.where)
			}
		})
	}
}

// TestManifestFindings is about the log and the tiers as such.
func TestManifestFindings(t *testing.T) {
	find(t, map[string]defect{
		"commit damaged": {func(t *testing.T, s *site) { flip(t, filepath.Join(s.Manifest, "main/000000000002.json"), 300) },
			[]fsck.Code{fsck.ManifestCorrupt, fsck.MoveOpen, fsck.MoveOpen, fsck.MoveOpen, fsck.MoveOpen, fsck.MoveOpen}, "manifest"},
		"commit missing": {func(t *testing.T, s *site) { must(t, os.Remove(filepath.Join(s.Manifest, "main/000000000001.json"))) },
			[]fsck.Code{fsck.ManifestCorrupt, fsck.StreamStart, fsck.Orphan, fsck.Orphan, fsck.Orphan, fsck.Orphan, fsck.Orphan}, "manifest"},
		"temporary commit": {func(t *testing.T, s *site) {
			must(t, os.WriteFile(filepath.Join(s.Manifest, "main/.x.json.tmp-1"), nil, 0o644))
		}, []fsck.Code{fsck.ManifestTemp}, ".x.json.tmp-1"},
		"tier away": {func(t *testing.T, s *site) { must(t, os.Rename(s.Archive, s.Archive+".away")) },
			[]fsck.Code{fsck.TierMissing}, "warm"},
	})
}

// TestSegmentFindings is about the files of the tiers.
func TestSegmentFindings(t *testing.T) {
	find(t, map[string]defect{
		"segment missing": {func(t *testing.T, s *site) { must(t, os.Remove(s.inWarm(warmBook))) },
			[]fsck.Code{fsck.SegmentMissing}, "warm:" + warmBook},
		"segment too long": {func(t *testing.T, s *site) {
			f, err := os.OpenFile(s.inWarm(warmTrade), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write([]byte("more"))
			must(t, err, f.Close())
		}, []fsck.Code{fsck.SegmentSize, fsck.SegmentCorrupt}, "warm:" + warmTrade},
		"segment cut":    {func(t *testing.T, s *site) { must(t, os.Truncate(s.inWarm(warmTrade), 5000)) }, []fsck.Code{fsck.SegmentSize, fsck.SegmentCorrupt}, "warm:" + warmTrade},
		"record damaged": {func(t *testing.T, s *site) { flip(t, s.inWarm(warmBook), 4096+70) }, []fsck.Code{fsck.SegmentCorrupt}, "warm:" + warmBook},
		"header damaged": {func(t *testing.T, s *site) { flip(t, s.inWarm(warmBook), 40) }, []fsck.Code{fsck.SegmentCorrupt}, "warm:" + warmBook},
		"footer damaged": {func(t *testing.T, s *site) { flip(t, s.inWarm(warmBook), -100) }, []fsck.Code{fsck.SegmentCorrupt}, "warm:" + warmBook},
		"row says other counts": {func(t *testing.T, s *site) {
			edit(t, s, func(r *manifest.Segment) { r.Keys = 3; r.FirstTime++; r.Definition.TickSize = "0.01" })
		}, []fsck.Code{fsck.SegmentDiffers, fsck.SegmentDiffers, fsck.SegmentDiffers}, "warm:" + warmBook},
		"row says other key": {func(t *testing.T, s *site) {
			other := "sim/a_usd/book/2024-08-09/00000000000000000009.q"
			copyFile(t, s.inWarm(warmBook), s.inWarm(other))
			must(t, os.Remove(s.inWarm(warmBook)))
			intentsToo(t, s, other)
		}, []fsck.Code{fsck.SegmentMisplaced}, "2024-08-09"},
		"orphan": {func(t *testing.T, s *site) { copyFile(t, s.inWarm(warmBook), s.inWarm("sim/b_usd/x.q")) },
			[]fsck.Code{fsck.Orphan}, "warm:sim/b_usd/x.q"},
		"temporary copy": {func(t *testing.T, s *site) {
			must(t, os.WriteFile(s.inWarm("sim/a_usd/book/.1.q.tmp-5"), nil, 0o644))
		}, []fsck.Code{fsck.TempFile}, ".1.q.tmp-5"},
	})
}

// TestStreamFindings is about streams across archive and queues.
func TestStreamFindings(t *testing.T) {
	find(t, map[string]defect{
		"same segment hot too": {func(t *testing.T, s *site) {
			copyFile(t, s.inWarm(warmTrade), s.inHot("sim/a_usd/trade.q/00000000000000000009.q"))
		}, []fsck.Code{fsck.Duplicate}, "trade.q"},
		"other segment hot": {func(t *testing.T, s *site) { otherHot(t, s, 8) }, []fsck.Code{fsck.Overlap}, "trade.q"},
		"overlapping hot":   {func(t *testing.T, s *site) { otherHot(t, s, 5) }, []fsck.Code{fsck.Overlap, fsck.Overlap, fsck.Overlap}, "trade.q"},
		"hot segment gone":  {func(t *testing.T, s *site) { must(t, os.Remove(s.inHot(hotBook))) }, []fsck.Code{fsck.SequenceGap}, "book.q/00000000000000000033.q"},
		"hot segment damaged": {func(t *testing.T, s *site) { flip(t, s.inHot(hotBook), 4096+70) },
			[]fsck.Code{fsck.QueueCorrupt}, hotBook},
		"stream cut off": {func(t *testing.T, s *site) {
			must(t, os.RemoveAll(s.Manifest), os.RemoveAll(s.Archive))
		}, []fsck.Code{fsck.StreamStart}, hotBook},
		"queue misplaced": {func(t *testing.T, s *site) {
			must(t, os.RemoveAll(s.inHot("sim/a_usd/trade.q")), os.RemoveAll(s.inHot("sim/b_usd")),
				os.MkdirAll(s.inHot("sim/b_usd"), 0o755), os.Rename(s.inHot("sim/a_usd/book.q"), s.inHot("sim/b_usd/book.q")))
		}, []fsck.Code{fsck.StreamStart, fsck.SegmentMisplaced, fsck.SegmentMisplaced, fsck.SegmentMisplaced}, "sim/b_usd/book.q"},
		"numbering lost": {func(t *testing.T, s *site) { must(t, os.Remove(s.inHot("sim/a_usd/trade.q/index.meta"))) },
			[]fsck.Code{fsck.Numbering}, "trade.q"},
		"raw damaged": {func(t *testing.T, s *site) { flip(t, filepath.Join(s.Raw, "00000000000000000006.q"), 4096+45) },
			[]fsck.Code{fsck.QueueCorrupt}, "raw_main.q"},
		"raw hole": {func(t *testing.T, s *site) { must(t, os.Remove(filepath.Join(s.Raw, "00000000000000000006.q"))) },
			[]fsck.Code{fsck.SequenceGap}, "raw_main.q"},
		"raw start deleted": {func(t *testing.T, s *site) { must(t, os.Remove(filepath.Join(s.Raw, "00000000000000000001.q"))) }, nil, ""},
	})
}

// TestRecordFindings is about what is in the records.
func TestRecordFindings(t *testing.T) {
	find(t, map[string]defect{
		"wrong snapshot": {func(t *testing.T, s *site) {
			bad := book(now.UnixNano(), 2)
			bad.Venue, bad.Spoil = "okx", true
			manifesttest.Write(t, s.Clean, bad)
		}, []fsck.Code{fsck.SnapshotDiffers}, "okx"},
		"no snapshot first": {func(t *testing.T, s *site) { custom(t, s, "book", market.KindBook, queue.FlagKey, emptyEvent()) },
			[]fsck.Code{fsck.FirstRecord}, "custom"},
		"no key first": {func(t *testing.T, s *site) {
			custom(t, s, "quote", market.KindQuote, 0, make([]byte, market.QuoteSize))
		},
			[]fsck.Code{fsck.FirstRecord}, "custom"},
		"bad body": {func(t *testing.T, s *site) { custom(t, s, "trade", market.KindTrade, queue.FlagKey, []byte("short")) },
			[]fsck.Code{fsck.RecordInvalid}, "custom"},
		"unknown kind": {func(t *testing.T, s *site) { custom(t, s, "trade", 77, queue.FlagKey, nil) },
			[]fsck.Code{fsck.RecordInvalid}, "custom"},
	})
}

// TestManyStreams: streams are checked side by side, and reported in order.
func TestManyStreams(t *testing.T) {
	s := newSite(t)
	var want []string
	for i := range 25 {
		bad := book(now.UnixNano(), 2)
		bad.Symbol, bad.Spoil = fmt.Sprintf("b%02d_usd", i), true
		manifesttest.Write(t, s.Clean, bad)
		want = append(want, bad.Symbol)
	}
	done := 0
	r := s.check(t, func(o *fsck.Options) {
		o.Progress = func(p fsck.Progress) {
			if done++; p.Done != done {
				t.Errorf("progress of %d after %d", p.Done, done-1)
			}
		}
	})
	var got []string
	for _, f := range r.Findings {
		got = append(got, strings.Split(f.Where, string(filepath.Separator))[len(strings.Split(s.Clean, string(filepath.Separator)))+1])
	}
	if !slices.Equal(got, want) || r.Checked.Streams != 27 || r.Checked.Snapshots != 4+25 {
		t.Errorf("findings about %v\n%v", got, r)
	}
}

// TestRedefined: where prices mean something else the book begins anew.
func TestRedefined(t *testing.T) {
	s := newSite(t)
	def := market.Definition{Venue: "sim", Symbol: "custom", BookType: market.L2, PriceExponent: -2}
	meta := func() []byte {
		b, err := json.Marshal(market.StreamMeta{Venue: "sim", Symbol: "custom", Stream: "book", Definition: def})
		must(t, err)
		return b
	}
	w, err := queue.OpenWriter(s.inHot("sim/custom/book.q"), queue.Options{Meta: meta(), NoSync: true, ManualRoll: true})
	must(t, err)
	put := func(kind market.Kind, flags uint16, ev market.BookEvent) {
		b := make([]byte, ev.Size(kind))
		ev.Put(b, kind)
		_, err := w.Append(queue.Record{Time: int64(ev.RawSeq), EventTime: int64(ev.RawSeq), Kind: uint16(kind), Flags: flags, Body: b})
		must(t, err)
	}
	level := []market.Entry{{Side: market.Bid, Price: 1, Size: 1, Action: market.Add}}
	const bad = market.FlagMaybeBadBook
	put(market.KindSnapshot, queue.FlagKey, market.BookEvent{RawSeq: 1, Flags: market.FlagLast})
	put(market.KindBook, 0, market.BookEvent{RawSeq: 2, Flags: market.FlagLast, Entries: level})
	def.PriceExponent = -3
	must(t, w.Roll(), w.SetMeta(meta()))
	put(market.KindSnapshot, queue.FlagKey, market.BookEvent{RawSeq: 3, Flags: market.FlagSnapshot | market.FlagLast | market.FlagMBP | bad, Attr: market.AttrSynthetic, AsOfEvent: 2, AsOfRecv: 2})
	put(market.KindBook, 0, market.BookEvent{RawSeq: 3, Flags: market.FlagLast | bad, Entries: level})
	must(t, w.Roll(), w.Close())
	if r := s.check(t, nil); !r.Clean() {
		t.Errorf("findings:\n%v", r)
	}
}

// TestAlikeFindings: very many of one kind in a stream are counted.
func TestAlikeFindings(t *testing.T) {
	s := newSite(t)
	def := market.Definition{Venue: "sim", Symbol: "custom", BookType: market.L2}
	meta, err := json.Marshal(market.StreamMeta{Venue: "sim", Symbol: "custom", Stream: "trade", Definition: def})
	must(t, err)
	w, err := queue.OpenWriter(s.inHot("sim/custom/trade.q"), queue.Options{Meta: meta, NoSync: true})
	must(t, err)
	for i := range 100 {
		_, err := w.Append(queue.Record{EventTime: queue.NoTime, Kind: uint16(market.KindTrade), Flags: queue.FlagKey, Body: []byte{byte(i)}})
		must(t, err)
	}
	must(t, w.Roll(), w.Close())
	r := s.check(t, nil)
	if n := len(r.Findings); n != 21 || !strings.Contains(r.Findings[20].Detail, "80 more") {
		t.Errorf("%d findings:\n%v", n, r)
	}
}

// intentsToo makes both commits of the log name another key for a segment.
func intentsToo(t *testing.T, s *site, key string) {
	t.Helper()
	must(t, os.RemoveAll(s.Manifest))
	w, err := manifest.OpenWriter(t.Context(), s.Manifest, "main", manifest.WriterOptions{})
	must(t, err)
	for info, err := range s.warm.List(t.Context(), "") {
		must(t, err)
		for _, row := range manifesttest.Rows(t, "warm", []string{s.inWarm(info.Key)}) {
			if info.Key == key {
				row.Key = key
			}
			_, err := w.Commit(manifest.Op{Op: manifest.OpAdd, Segment: &row})
			must(t, err)
		}
	}
	_, err = w.Commit(manifest.Op{Op: manifest.OpGap, Gap: &manifest.Gap{Venue: "sim", Symbol: "a_usd"}})
	must(t, err, w.Close())
}

// otherHot puts segments of the trades into the queue that were not made by the
// same hand: the numbering began anew.
func otherHot(t *testing.T, s *site, records int) {
	t.Helper()
	must(t, os.RemoveAll(s.inHot("sim/a_usd/trade.q")))
	manifesttest.Write(t, s.Clean, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Segments: 2, Records: records, Start: now.UnixNano()})
	if records == 8 {
		must(t, os.Remove(s.inHot("sim/a_usd/trade.q/00000000000000000001.q")))
	} else {
		must(t, os.Remove(s.inHot("sim/a_usd/trade.q/index.meta")))
	}
}

func emptyEvent() []byte {
	ev := market.BookEvent{}
	b := make([]byte, ev.Size(market.KindBook))
	ev.Put(b, market.KindBook)
	return b
}

// custom writes a queue with one record.
func custom(t *testing.T, s *site, stream string, kind market.Kind, flags uint16, body []byte) {
	t.Helper()
	def := market.Definition{Venue: "sim", Symbol: "custom", BookType: market.L2}
	meta, err := json.Marshal(market.StreamMeta{Venue: "sim", Symbol: "custom", Stream: stream, Definition: def})
	must(t, err)
	w, err := queue.OpenWriter(s.inHot("sim/custom/"+stream+".q"), queue.Options{Meta: meta, NoSync: true})
	must(t, err)
	_, err = w.Append(queue.Record{Time: manifesttest.Epoch, EventTime: queue.NoTime, Kind: uint16(kind), Flags: flags, Body: body})
	must(t, err, w.Roll(), w.Close())
}
