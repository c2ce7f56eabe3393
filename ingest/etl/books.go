package etl

import (
	"slices"

	"chronicle/market"
	"chronicle/store/queue"
)

// bookRecord handles a raw book event or venue snapshot.
func (e *ETL) bookRecord(inst *instrument, r *queue.Record) error {
	if inst.clear {
		if err := e.clearBook(inst, r); err != nil {
			return err
		}
	}
	ev, kind := &e.scratch.event, market.Kind(r.Kind)
	if err := ev.Decode(r.Body, kind); err != nil {
		return err
	}
	ev.RawSeq = r.Seq
	if inst.kind.chained {
		return e.chained(inst, kind, ev, r.Time, r.EventTime)
	}
	if kind == market.KindSnapshot {
		inst.bad = false
	}
	return e.emit(inst, kind, ev, r.Time, r.EventTime)
}

// chained applies the sequencing rule of venues whose events name the one they
// follow and whose book is joined by a snapshot fetched on the side: after a
// snapshot of sequence S the first event to apply is the one with
// PrevSeq <= S < Seq, and from there on PrevSeq equals the Seq before.
func (e *ETL) chained(inst *instrument, kind market.Kind, ev *market.BookEvent, time, eventTime int64) error {
	switch {
	case kind == market.KindSnapshot && inst.waiting:
		return e.join(inst, ev, time, eventTime)
	case kind == market.KindSnapshot && ev.Seq < inst.seq:
		e.n.Stale++ // the book is newer than this snapshot of it
		return nil
	case kind == market.KindSnapshot:
		inst.bad, inst.fresh = false, true
		return e.emit(inst, kind, ev, time, eventTime)
	case inst.waiting:
		return e.hold(inst, ev, time, eventTime)
	case ev.Seq <= inst.seq:
		e.n.Stale++ // a repetition; applying it would put old sizes back
		return nil
	case ev.PrevSeq == inst.seq || inst.fresh && ev.PrevSeq <= inst.seq:
		inst.fresh = false
		return e.emit(inst, kind, ev, time, eventTime)
	}
	gap := market.Gap{
		RawSeq: ev.RawSeq, Venue: inst.def.Venue, Channel: inst.def.Channel, Symbol: inst.def.Symbol,
		Start: inst.lastRecv, End: time, FirstSeq: inst.seq + 1, LastSeq: ev.PrevSeq, Cause: market.GapChain,
	}
	if err := e.mark(inst, &gap, time); err != nil {
		return err
	}
	inst.distrust()
	return e.hold(inst, ev, time, eventTime)
}

// hold keeps an event until its snapshot comes. When too many wait they are
// written out, flagged, rather than withheld for longer.
func (e *ETL) hold(inst *instrument, ev *market.BookEvent, time, eventTime int64) error {
	held := *ev
	held.Entries = slices.Clone(ev.Entries)
	inst.pending = append(inst.pending, pendingEvent{Time: time, EventTime: eventTime, Event: held})
	if len(inst.pending) < inst.policy.MaxPending {
		return nil
	}
	return e.release(inst, len(inst.pending))
}

// release writes the first n held events as they are; the book is not trusted,
// so each is flagged.
func (e *ETL) release(inst *instrument, n int) error {
	for i := range inst.pending[:n] {
		p := &inst.pending[i]
		if err := e.emit(inst, market.KindBook, &p.Event, p.Time, p.EventTime); err != nil {
			return err
		}
	}
	inst.pending = slices.Delete(inst.pending, 0, n)
	return nil
}

// join puts a venue snapshot where the venue's own sequence has it: after the
// held events that it contains and before the first that it does not. The
// snapshot takes that event's capture time, so that the stream stays in order and
// the book is known from the first event that is known to be right.
func (e *ETL) join(inst *instrument, snap *market.BookEvent, time, eventTime int64) error {
	contained := 0
	for contained < len(inst.pending) && inst.pending[contained].Event.Seq <= snap.Seq {
		contained++
	}
	if contained < len(inst.pending) && inst.pending[contained].Event.PrevSeq > snap.Seq {
		e.n.Stale++
		e.log.Warn("snapshot is older than the events that wait for it; waiting for the next",
			"symbol", inst.def.SymbolID(), "snapshot_seq", snap.Seq, "first_held_prev_seq", inst.pending[contained].Event.PrevSeq)
		return nil
	}
	if err := e.release(inst, contained); err != nil {
		return err
	}
	held := inst.pending
	inst.pending = nil
	if len(held) > 0 {
		time = held[0].Time
	}
	inst.bad, inst.waiting, inst.fresh = false, false, true
	if err := e.emit(inst, market.KindSnapshot, snap, time, eventTime); err != nil {
		return err
	}
	for i := range held {
		p := &held[i]
		if err := e.chained(inst, market.KindBook, &p.Event, p.Time, p.EventTime); err != nil {
			return err
		}
	}
	return nil
}

// emit applies one event to the book and appends it to the book stream: first the
// snapshot that it makes due, then a marker if it shows the book to be wrong, then
// the event itself.
func (e *ETL) emit(inst *instrument, kind market.Kind, ev *market.BookEvent, time, eventTime int64) error {
	if err := e.restore(inst); err != nil {
		return err
	}
	s := e.stream(inst, bookStream)
	var trades []market.Trade
	if inst.kind.l3 && kind == market.KindBook {
		trades = e.scratch.resolver.Resolve(inst.book, ev)
	}
	if err := s.begin(ev.Size(kind)); err != nil {
		return err
	}
	if kind == market.KindBook && e.snapshotDue(s, time, eventTime) {
		if err := e.inject(inst, ev.RawSeq, time, eventTime); err != nil {
			return err
		}
	}
	if gap := e.apply(inst, kind, ev, time); gap != nil && !inst.bad {
		if err := e.putMarkers(inst, gap, time, true); err != nil {
			return err
		}
		inst.bad = true
	}
	if inst.bad {
		ev.Flags |= market.FlagMaybeBadBook
	}
	if err := e.write(s, kind, ev, time, eventTime); err != nil {
		return err
	}
	inst.lastEvent, inst.lastRecv = eventTime, time
	if ev.Seq != 0 {
		inst.seq = ev.Seq
	}
	return e.executions(inst, trades, time, eventTime)
}

// executions writes the trades that an event contains.
func (e *ETL) executions(inst *instrument, trades []market.Trade, time, eventTime int64) error {
	for i := range trades {
		if err := e.stream(inst, tradeStream).put(market.KindTrade, time, eventTime, market.TradeSize, &trades[i]); err != nil {
			return err
		}
	}
	return nil
}

// apply changes the book and returns what proves it wrong, or nil.
func (e *ETL) apply(inst *instrument, kind market.Kind, ev *market.BookEvent, time int64) *market.Gap {
	res := inst.book.Apply(ev, kind)
	if depth := int(inst.kind.depth); depth > 0 && kind == market.KindBook {
		ev.Entries = inst.book.Truncate(market.Bid, depth, ev.Entries)
		ev.Entries = inst.book.Truncate(market.Ask, depth, ev.Entries)
	}
	e.n.BadEntries += uint64(res.Duplicate + res.Invalid)
	var cause market.GapCause
	if ev.Attr&market.AttrChecksum != 0 && !e.verify(inst, ev.Checksum) {
		cause = market.GapChecksum
	}
	if inst.kind.l3 && res.Unknown > 0 {
		e.n.UnknownOrders++
		cause = market.GapUnknownOrder
	}
	if inst.book.Crossed() {
		e.n.Crossed++
		if !inst.kind.l3 && cause == "" {
			cause = market.GapCrossed
		}
	}
	if cause == "" {
		return nil
	}
	return &market.Gap{
		RawSeq: ev.RawSeq, Venue: inst.def.Venue, Channel: inst.def.Channel, Symbol: inst.def.Symbol,
		Start: inst.lastRecv, End: time, FirstSeq: ev.Seq, LastSeq: ev.Seq, Cause: cause,
	}
}

// verify compares the book with the venue's checksum.
func (e *ETL) verify(inst *instrument, want uint32) bool {
	got, ok := inst.check.Compute(inst.def.Checksum, inst.book, inst.def.PriceExponent, inst.def.SizeExponent)
	if !ok {
		return true // the venue's rule is not known, so nothing can be said
	}
	if got != want {
		e.n.ChecksumsBad++
		return false
	}
	e.n.ChecksumsGood++
	return true
}

// snapshotDue tells whether the book as it stands must be written before the next
// event: at a segment's start, when the book has changed and enough event time
// has passed, and when a reader would have too much to replay. The budget grows
// with the book, so that snapshots are never more than half of what they save.
func (e *ETL) snapshotDue(s *stream, time, eventTime int64) bool {
	if s.records == 0 {
		return true
	}
	if s.deltas == 0 {
		return false
	}
	if eventTime == market.UndefTimestamp {
		eventTime = time
	}
	p := s.inst.policy
	return s.deltas >= max(p.ReplayBudget, 2*s.snapshotSize) || eventTime-s.snapshotTime >= int64(p.SnapshotInterval)
}

// inject writes the book as it stands, in the place and at the time of the record
// that made it due.
func (e *ETL) inject(inst *instrument, rawSeq uint64, time, eventTime int64) error {
	if err := e.restore(inst); err != nil {
		return err
	}
	snap := &e.scratch.snapshot
	*snap = market.BookEvent{
		RawSeq: rawSeq, Seq: inst.seq,
		Flags: market.FlagSnapshot | market.FlagLast, Attr: market.AttrSynthetic,
		AsOfEvent: inst.lastEvent, AsOfRecv: inst.lastRecv,
		Entries: inst.book.AppendSnapshot(snap.Entries[:0]),
	}
	if inst.def.BookType == market.L2 {
		snap.Flags |= market.FlagMBP
	}
	if inst.bad {
		snap.Flags |= market.FlagMaybeBadBook
	}
	e.n.Snapshots++
	return e.write(inst.streams[bookStream], market.KindSnapshot, snap, time, eventTime)
}

// write appends one book record and keeps the snapshot policy's count.
func (e *ETL) write(s *stream, kind market.Kind, ev *market.BookEvent, time, eventTime int64) error {
	n := ev.Size(kind)
	b, err := s.reserve(n)
	if err != nil {
		return err
	}
	if b != nil {
		ev.Put(b, kind)
	}
	rec := queue.Record{Time: time, EventTime: eventTime, Kind: uint16(kind)}
	if kind == market.KindSnapshot {
		rec.Flags = queue.FlagKey
	}
	s.count(kind, ev, s.next, time, eventTime)
	s.inst.carried = 0
	return s.commit(rec, n, b != nil)
}

// count keeps what the snapshot policy and a restart need to know of a book
// record: the stream's sequence seq.
func (s *stream) count(kind market.Kind, ev *market.BookEvent, seq uint64, time, eventTime int64) {
	if kind != market.KindSnapshot {
		s.deltas += len(ev.Entries)
		return
	}
	s.deltas, s.snapshotSeq, s.snapshotTime, s.snapshotSize = 0, seq, eventTime, len(ev.Entries)
	if eventTime == market.UndefTimestamp {
		s.snapshotTime = time
	}
}
