package etl

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

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
// They are told from records that are merely made a second time by one rule: no
// record is made from a source_begin, or from anything after it, before a
// checkpoint stands at the record before it. A feed that starts again after the
// power loss writes a source_begin first. So a pipeline that comes to one from an
// older checkpoint knows that whatever its streams hold beyond their position was
// made from records that are no longer there.

// newSource comes before anything is made from the source_begin r.
func (e *ETL) newSource(r *queue.Record) error {
	if e.checkpointSeq == e.rawSeq {
		return nil
	}
	if err := e.adoptAll(r.Seq, r.Time, "the raw queue lost the records that these were made from"); err != nil {
		return err
	}
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
	if id == e.rawID && e.rawSeq < next {
		return nil
	}
	from := min(max(oldest, 1), next) - 1
	if id == e.rawID {
		from = next - 1 // what is there was processed
	}
	e.log.Error("the raw queue is not the one that was processed so far, or has lost records: going on with what it holds now, books are not trusted until they are proved again",
		"processed", e.rawSeq, "queue", e.rawID, "now", id, "oldest", oldest, "next", next)
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
	e.rawSeq, e.rawID = from, id
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
			if s.next == s.stored {
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

// findUnknown makes the state of streams that are there but not in the pipeline.
func (e *ETL) findUnknown() error {
	dirs, err := filepath.Glob(filepath.Join(e.cfg.CleanDir, "*", "*", "*.q"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		files, err := queue.ListSegments(dir)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			continue // nothing hot: whatever it was, it was finished
		}
		meta, err := streamMeta(files[len(files)-1].Path)
		if err != nil {
			return err
		}
		inst, index := e.bySymbol[meta.Definition.SymbolID()], slices.Index(streamNames[:], meta.Stream)
		if index < 0 || inst != nil && inst.streams[index] != nil {
			continue
		}
		if inst == nil {
			if ours, err := e.shards.has(meta.Definition.SymbolID()); err != nil || !ours {
				continue // another shard's
			}
			inst = e.newInstrument(meta.Definition)
		}
		e.stream(inst, index)
	}
	return nil
}

func streamMeta(path string) (*market.StreamMeta, error) {
	segment, err := queue.OpenSegment(path)
	if err != nil {
		return nil, err
	}
	defer segment.Close()
	meta := new(market.StreamMeta)
	if err := json.Unmarshal(segment.Info().Meta, meta); err != nil {
		return nil, fmt.Errorf("%s: metadata: %w", path, err)
	}
	return meta, nil
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
