package etl

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"chronicle/internal/durable"
	"chronicle/market"
	"chronicle/store/queue"
)

// When the raw queue has lost records that a clean stream has kept
//
// A power loss may cost the raw queue what it had not synced, and leave clean
// records that were made from it. They are data that cannot be recorded again, so
// they stay: the pipeline takes them over as they are ("adopts" them), marks the
// place with a gap of cause raw_lost, and trusts no book that they touch.
//
// They are told from records that are merely made a second time by one rule: before
// anything is made from a source_begin, or from what follows it, there is a checkpoint
// at the record before it that names it. A feed that starts again after the power
// loss writes a source_begin first. So a pipeline that comes to one which its
// checkpoint does not name knows that whatever its streams hold beyond their
// position was made from records that are no longer there.

// sourceMark tells one source_begin from another of the same number.
type sourceMark struct {
	Seq  uint64
	Time int64
	Sum  uint32 // of the body
}

// newSource comes before anything is made from the source_begin r.
func (e *ETL) newSource(r *queue.Record) error {
	if e.rawID == "" { // the queue may have been made after it was opened here
		var err error
		if e.rawID, err = queue.ID(e.cfg.RawDir); err != nil {
			return err
		}
	}
	mark := sourceMark{Seq: r.Seq, Time: r.Time, Sum: crc32.Checksum(r.Body, castagnoli)}
	if mark == e.source || r.Seq <= e.remake {
		return nil
	}
	if err := e.adoptAll(r.Seq, r.Time, "the raw queue lost the records that these were made from"); err != nil {
		return err
	}
	e.source = mark
	return e.Checkpoint()
}

// sameRawQueue looks whether the raw queue is the one of the checkpoint and still
// goes that far. Where it does not (it was on tmpfs, say, and the machine lost
// power) the clean streams go on with what it holds now.
func (e *ETL) sameRawQueue() error {
	id, err := queue.ID(e.cfg.RawDir)
	if err != nil {
		return fmt.Errorf("etl: raw queue: %w", err)
	}
	oldest, next, err := queue.Bounds(e.cfg.RawDir)
	if err != nil {
		return fmt.Errorf("etl: raw queue: %w", err)
	}
	same := id == e.rawID || id == "" || e.rawID == ""
	if same && e.rawSeq < next {
		return nil
	}
	from := min(max(oldest, 1), next) - 1
	if same {
		from = next - 1 // what is there was processed
	}
	e.log.Error("the raw queue is not the one that was processed so far, or has lost records: going on with what it holds now, books are not trusted until they are proved again",
		"processed", e.rawSeq, "queue", e.rawID, "now", id, "oldest", oldest, "next", next)
	e.rawSeq, e.rawID = from, id
	if err := e.adoptAll(0, 0, "the raw queue was lost or replaced"); err != nil {
		return fmt.Errorf("etl: %w", err)
	}
	for _, inst := range e.instruments {
		if err := e.markLost(inst, 0, "the raw queue was lost or replaced"); err != nil {
			return fmt.Errorf("etl: %w", err)
		}
	}
	e.ids.clear()
	e.channels = map[string]*channel{}
	e.rollReset = true
	return e.Checkpoint()
}

// adoptAll takes over what the streams hold beyond the pipeline's position; all
// of it was made from raw records numbered since or higher. Streams that the
// pipeline does not know of, because their instrument was first seen in what is
// lost, are found in the directory.
func (e *ETL) adoptAll(since uint64, time int64, detail string) error {
	if err := e.findUnknown(); err != nil {
		return err
	}
	for _, inst := range e.instruments {
		adopted := false
		for i, s := range inst.streams {
			if s == nil {
				continue
			}
			if s.w == nil {
				if err := s.open(); err != nil {
					return err
				}
			}
			if s.next >= s.stored {
				s.followCut()
				continue
			}
			adopted = true
			if err := e.adopt(inst, i, since); err != nil {
				return fmt.Errorf("%s of %s: %w", s.name, inst.def.SymbolID(), err)
			}
		}
		if !adopted {
			continue
		}
		if err := e.markLost(inst, time, detail); err != nil {
			return err
		}
	}
	return nil
}

// followCut takes over that the queue's segment has ended, for a reason that was lost.
func (s *stream) followCut() {
	if s.next == s.stored && s.w.SegmentRecords() == 0 {
		s.records, s.bytes = 0, 0
	}
}

// findUnknown makes the state of streams that are there but not in the pipeline.
func (e *ETL) findUnknown() error {
	dirs, err := filepath.Glob(filepath.Join(e.cfg.CleanDir, "*", "*", "*.q"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		stream := strings.TrimSuffix(filepath.Base(dir), ".q")
		symbol := filepath.Dir(dir)
		id := market.SymbolID{Venue: filepath.Base(filepath.Dir(symbol)), Symbol: filepath.Base(symbol)}
		inst, index := e.bySymbol[id], slices.Index(streamNames[:], stream)
		if index < 0 || inst != nil && inst.streams[index] != nil {
			continue
		}
		if ours, err := e.shards.has(id); err != nil || !ours {
			continue // another shard's
		}
		if inst == nil {
			def, err := definitionIn(symbol)
			if err != nil {
				return err
			}
			if def == nil {
				if err := e.setAside(dir); err != nil {
					return err
				}
				continue
			}
			inst = e.newInstrument(*def)
		}
		e.stream(inst, index)
	}
	return nil
}

// definitionIn reads the definition in the newest segments of an instrument's
// streams; nil when none has it: a header may be among what is lost.
func definitionIn(symbol string) (*market.Definition, error) {
	for _, stream := range streamNames {
		files, err := queue.ListSegments(filepath.Join(symbol, stream+".q"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, file := range slices.Backward(files) {
			segment, err := queue.OpenSegment(file.Path)
			if err != nil {
				continue // recovery is to say what is wrong with it
			}
			meta := new(market.StreamMeta)
			err = json.Unmarshal(segment.Info().Meta, meta)
			if segment.Close(); err == nil && meta.Venue != "" {
				return &meta.Definition, nil
			}
		}
	}
	return nil, nil
}

// setAside recovers a queue of which nothing says what it holds, for the headers are
// among what is lost. Where there are records all the same they are kept, but out
// of the way of the stream that will be made anew: without the definition nobody
// can tell what their numbers mean.
func (e *ETL) setAside(dir string) error {
	w, err := queue.OpenWriter(dir, queue.Options{ManualRoll: true, NoSync: e.cfg.NoSync})
	if err != nil {
		return err
	}
	records := w.NextSeq() - 1
	if err := w.Close(); err != nil || records == 0 {
		return err
	}
	aside := fmt.Sprintf("%s.lost-%d", dir, e.rawSeq+1)
	e.log.Error("a clean stream has lost its header, and with it what its numbers mean: set aside", "stream", dir, "records", records, "to", aside)
	return durable.Rename(dir, aside)
}

// adopt takes over the rest of one stream: it changes the state as making the
// records would have.
func (e *ETL) adopt(inst *instrument, index int, since uint64) error {
	s := inst.streams[index]
	if err := e.restore(inst); err != nil {
		return err
	}
	first := s.next
	var events []uint64 // raw sequences of adopted book events
	err := eachStored(s.dir(), s.next, s.stored, func(r *queue.Record) error {
		from, err := e.adoptRecord(inst, s, r)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		if from < since && from != 0 {
			return fmt.Errorf("record %d was made from raw record %d, which was processed again and made something else: %w", r.Seq, from, ErrDiverged)
		}
		if market.Kind(r.Kind) == market.KindBook {
			events = append(events, from)
		}
		s.lastTime = max(s.lastTime, r.Time)
		s.next++
		e.n.Adopted++
		return nil
	})
	if err != nil {
		return err
	}
	inst.pending = slices.DeleteFunc(inst.pending, func(p pendingEvent) bool { return slices.Contains(events, p.Event.RawSeq) })
	if index == bookStream {
		inst.carried = 0
	}
	e.log.Error("clean records are kept whose raw records were lost", "symbol", inst.def.SymbolID().String(), "stream", s.name, "first", first, "last", s.next-1)
	s.tail = nil
	s.records = max(s.records, 1)
	return s.roll()
}

// adoptRecord applies one record to the instrument's state and gives the raw
// record that it was made from; 0 when it does not tell.
func (e *ETL) adoptRecord(inst *instrument, s *stream, r *queue.Record) (uint64, error) {
	switch kind := market.Kind(r.Kind); kind {
	case market.KindBook, market.KindSnapshot:
		ev := &e.scratch.event
		if err := ev.Decode(r.Body, kind); err != nil {
			return 0, err
		}
		inst.book.Apply(ev, kind)
		s.count(kind, ev, r.Seq, r.Time, r.EventTime)
		inst.bad = ev.Flags&market.FlagMaybeBadBook != 0
		if ev.Attr&market.AttrSynthetic == 0 {
			inst.lastEvent, inst.lastRecv = r.EventTime, r.Time
		}
		if ev.Seq != 0 {
			inst.seq = ev.Seq
		}
		return ev.RawSeq, nil
	case market.KindTrade:
		err := e.scratch.trade.Decode(r.Body)
		return e.scratch.trade.RawSeq, err
	case market.KindQuote:
		err := e.scratch.quote.Decode(r.Body)
		return e.scratch.quote.RawSeq, err
	case market.KindStatus:
		err := e.scratch.status.Decode(r.Body)
		return e.scratch.status.RawSeq, err
	case market.KindGap:
		g, err := market.DecodeJSON[market.Gap](r.Body)
		if err != nil {
			return 0, err
		}
		if !g.Recovered && g.Session == "" {
			inst.distrust()
		}
		return g.RawSeq, nil
	}
	return 0, nil
}

// markLost puts the gap into the instrument's streams and distrusts its book.
func (e *ETL) markLost(inst *instrument, time int64, detail string) error {
	start := market.UndefTimestamp
	for _, s := range inst.streams {
		if s != nil && s.next > 1 {
			start = max(start, s.lastTime)
		}
	}
	if start == market.UndefTimestamp {
		return nil // nothing was ever written
	}
	time = max(time, start)
	gap := market.Gap{
		RawSeq: e.rawSeq + 1, Venue: inst.def.Venue, Channel: inst.def.Channel, Symbol: inst.def.Symbol,
		Start: start, End: time, Cause: market.GapRawLost, Detail: detail,
	}
	if err := e.mark(inst, &gap, time); err != nil {
		return err
	}
	inst.distrust()
	return nil
}
