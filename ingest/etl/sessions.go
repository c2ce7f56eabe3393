package etl

import (
	"chronicle/market"
	"chronicle/store/queue"
)

// session handles the start and end of sources and venue sessions.
func (e *ETL) session(r *queue.Record) error {
	s, err := market.DecodeJSON[market.Session](r.Body)
	if err != nil {
		return err
	}
	switch s.Event {
	case market.SessionSourceBegin:
		if err := e.newSource(r); err != nil {
			return err
		}
		e.ids.clear() // the source numbers its instruments anew
		e.rollReset = true
		e.awaitSource(s.Input != "")
		return e.outage(s, r)
	case market.SessionConnect:
		return e.reconnect(s)
	case market.SessionNew:
		return e.newSession(s, r)
	case market.SessionSourceEnd:
		if err := e.releaseAll(); err != nil {
			return err
		}
		return e.rollAll()
	}
	return nil
}

// awaitSource makes every stream look at the clock of the recording that begins. A
// live source is never older than what is here, whatever the machine's clock says.
func (e *ETL) awaitSource(recording bool) {
	for _, inst := range e.instruments {
		for _, s := range inst.streams {
			if s != nil {
				s.begun, s.behind, s.oldTime = !recording, false, s.lastTime
			}
		}
	}
}

// reconnect gives up the books of a connection that is up (again): they are
// unknown until the venue's snapshot. The feed has written the gap.
func (e *ETL) reconnect(s *market.Session) error {
	for _, inst := range e.instruments {
		if inst.def.Venue != s.Venue || inst.def.Channel != s.Channel {
			continue
		}
		if err := e.release(inst, len(inst.pending)); err != nil {
			return err
		}
		inst.distrust()
	}
	return nil
}

// outage marks every book of the venue that was being followed: what happened
// while nobody listened is not known.
func (e *ETL) outage(s *market.Session, r *queue.Record) error {
	for _, inst := range e.instruments {
		if inst.def.Venue != s.Venue {
			continue
		}
		if err := e.release(inst, len(inst.pending)); err != nil {
			return err
		}
		time := max(r.Time, inst.lastRecv)
		gap := market.Gap{
			RawSeq: r.Seq, Venue: inst.def.Venue, Channel: inst.def.Channel, Symbol: inst.def.Symbol,
			Start: inst.lastRecv, End: time, Cause: market.GapDisconnect, Detail: string(s.Event),
		}
		if inst.lastRecv != market.UndefTimestamp {
			if err := e.mark(inst, &gap, time); err != nil {
				return err
			}
		}
		inst.distrust()
	}
	return nil
}

// newSession starts the books of a channel anew: they are empty, and right.
func (e *ETL) newSession(s *market.Session, r *queue.Record) error {
	e.channels[channelKey(s.Venue, s.Channel)] = &channel{}
	for _, inst := range e.instruments {
		if inst.def.Venue != s.Venue || inst.def.Channel != s.Channel || !inst.def.BeginsEmpty() {
			continue
		}
		inst.clear = true
		if r.Time <= inst.lastRecv {
			continue // the record does not tell when: the next event will
		}
		if err := e.clearBook(inst, r); err != nil {
			return err
		}
	}
	return nil
}

// clearBook writes the empty book that a new venue session begins with.
func (e *ETL) clearBook(inst *instrument, r *queue.Record) error {
	inst.clear, inst.bad = false, false
	if ch := e.channels[channelKey(inst.def.Venue, inst.def.Channel)]; ch == nil || ch.Bad {
		inst.bad = true
	}
	if inst.streams[bookStream] == nil {
		return nil // nothing was ever in it
	}
	empty := market.BookEvent{
		RawSeq: r.Seq, Flags: market.FlagSnapshot | market.FlagLast,
		AsOfEvent: market.UndefTimestamp, AsOfRecv: market.UndefTimestamp,
	}
	if inst.def.BookType == market.L2 {
		empty.Flags |= market.FlagMBP
	}
	return e.emit(inst, market.KindSnapshot, &empty, r.Time, r.EventTime)
}

// releaseAll writes out every event that still waits for a snapshot.
func (e *ETL) releaseAll() error {
	for _, inst := range e.instruments {
		if err := e.release(inst, len(inst.pending)); err != nil {
			return err
		}
	}
	return nil
}

// rawGap handles a hole that the feed saw: every instrument of the channel is
// marked, and unless the hole was filled its book is not trusted any more.
func (e *ETL) rawGap(r *queue.Record) error {
	g, err := market.DecodeJSON[market.Gap](r.Body)
	if err != nil {
		return err
	}
	g.RawSeq = r.Seq
	lost := !g.Recovered && g.Session == "" // of a session that is over the books are gone anyway
	if lost {
		key := channelKey(g.Venue, g.Channel)
		if e.channels[key] == nil {
			e.channels[key] = &channel{}
		}
		e.channels[key].Bad = true
	}
	for _, inst := range e.instruments {
		if inst.def.Venue != g.Venue || g.Channel != "" && inst.def.Channel != g.Channel || g.Symbol != "" && inst.def.Symbol != g.Symbol {
			continue
		}
		if err := e.mark(inst, g, r.Time); err != nil {
			return err
		}
		if lost {
			inst.distrust()
		}
	}
	return nil
}

// mark appends a gap marker to each stream of the instrument that the gap concerns.
func (e *ETL) mark(inst *instrument, gap *market.Gap, time int64) error {
	return e.putMarkers(inst, gap, time, false)
}

// putMarkers does that, also for an event that has been applied to the book and is
// not written yet: the book stream's segment must not be cut between the two, for the
// next one would begin with a book that has the event in it already.
func (e *ETL) putMarkers(inst *instrument, gap *market.Gap, time int64, applied bool) error {
	g := *gap
	g.Symbol = inst.def.Symbol
	body := raw(market.EncodeJSON(&g))
	for i, s := range inst.streams {
		if s == nil || (i == tradeStream || i == quoteStream) && concernsBook(g.Cause) {
			continue
		}
		if !applied || i != bookStream {
			if err := s.begin(len(body)); err != nil {
				return err
			}
		}
		if i == bookStream && s.records == 0 {
			if err := e.inject(inst, g.RawSeq, time, market.UndefTimestamp); err != nil {
				return err
			}
		}
		e.n.Gaps++
		if err := s.append(market.KindGap, time, market.UndefTimestamp, len(body), body); err != nil {
			return err
		}
	}
	return nil
}

// concernsBook tells whether a gap shows in the book alone: the trades and quotes
// beside it came as they were sent. (The status stream has every marker.)
func concernsBook(cause market.GapCause) bool {
	switch cause {
	case market.GapChain, market.GapChecksum, market.GapUnknownOrder, market.GapCrossed:
		return true
	}
	return false
}
