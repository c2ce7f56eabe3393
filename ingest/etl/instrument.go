package etl

import (
	"bytes"
	"fmt"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/market"
	"chronicle/store/queue"
)

// instrument is the state of one instrument: its book, how far that book can be
// trusted, and its streams. All of it is in the checkpoint. With thousands of them
// each record finds its own out of the processor's caches: what every record needs
// comes first, and the streams' state lies behind it.
type instrument struct {
	book    *book.Book           // nil after a restart until it is needed, see restore.go
	streams [streamCount]*stream // nil until the stream's first record

	bad     bool // the book may be wrong
	waiting bool // chained: events are held back until a snapshot joins
	clear   bool // a new venue session began: the book is empty from the next event on
	fresh   bool // chained: the last thing applied was a snapshot

	kind instrumentKind // what the definition says, as far as each record asks

	seq       uint64 // venue sequence of the last event in the book
	lastEvent int64  // its ts_event
	lastRecv  int64  // its ts_recv

	policy  *Policy
	carried uint64 // the book's place in the carry, while no stream has it; see carry.go
	space   [streamCount]stream
	pending []pendingEvent
	check   checksum.Checker
	def     market.Definition
}

// instrumentKind is taken from a definition.
type instrumentKind struct {
	l3, chained bool
	depth       int32 // L2: levels that the venue keeps; 0: all
}

func kindOf(def *market.Definition) instrumentKind {
	k := instrumentKind{l3: def.BookType == market.L3, chained: def.Chained}
	if !k.l3 {
		k.depth = int32(def.Depth)
	}
	return k
}

// pendingEvent is an event of a chained instrument that came before the snapshot
// which it belongs on.
type pendingEvent struct {
	Time, EventTime int64
	Event           market.BookEvent
}

// channelKey names a sequence domain.
func channelKey(venue, name string) string { return venue + "\x00" + name }

// channel is what is known of one sequence domain.
type channel struct {
	Bad bool // messages of the current venue session are missing from its start
}

func (e *ETL) newInstrument(def market.Definition) *instrument {
	inst := &instrument{
		def: def, kind: kindOf(&def), policy: e.policies.of(def.SymbolID()), book: book.New(def.BookType),
		lastEvent: market.UndefTimestamp, lastRecv: market.UndefTimestamp,
	}
	inst.distrust()
	if def.BeginsEmpty() {
		// The book is right unless the venue session's beginning was missed.
		ch := e.channels[channelKey(def.Venue, def.Channel)]
		inst.bad = ch == nil || ch.Bad
	}
	e.instruments = append(e.instruments, inst)
	e.bySymbol[def.SymbolID()] = inst
	return inst
}

// distrust marks the book as possibly wrong until it is proved again.
func (inst *instrument) distrust() {
	inst.bad = true
	inst.waiting = inst.kind.chained
	inst.fresh = false
}

// stream gives one of the instrument's streams, making its state on first use.
func (e *ETL) stream(inst *instrument, index int) *stream {
	if inst.streams[index] == nil {
		s := &inst.space[index]
		*s = stream{e: e, inst: inst, name: streamNames[index], next: 1, begun: true}
		inst.streams[index] = s
	}
	return inst.streams[index]
}

// define binds an id to an instrument and keeps a changed definition.
func (e *ETL) define(r *queue.Record) error {
	if bytes.Equal(e.ids.bodies[r.Tag], r.Body) {
		return nil // feeds repeat their definitions
	}
	def, err := market.DecodeJSON[market.Definition](r.Body)
	if err != nil {
		return err
	}
	id := def.ID
	if id == 0 {
		id = r.Tag
	}
	def.ID = 0
	if _, err := market.ParseSymbolID(def.SymbolID().String()); err != nil {
		return fmt.Errorf("definition: %w", err)
	}
	ours, err := e.shards.has(def.SymbolID())
	if err != nil {
		return err
	}
	if !ours {
		e.ids.set(id, foreign, bytes.Clone(r.Body))
		return nil
	}
	inst := e.bySymbol[def.SymbolID()]
	known := inst != nil && inst.def == *def
	switch {
	case inst == nil:
		inst = e.newInstrument(*def)
	case !known:
		if err := e.redefine(inst, *def); err != nil {
			return err
		}
	}
	e.ids.set(id, inst, bytes.Clone(r.Body))
	if known {
		return nil
	}
	body := raw(market.EncodeJSON(def))
	return e.stream(inst, statusStream).put(market.KindDefinition, r.Time, r.EventTime, len(body), body)
}

// redefine changes an instrument's definition: new segments from here on, and a
// book whose numbers mean something else is begun anew.
func (e *ETL) redefine(inst *instrument, def market.Definition) error {
	old := inst.def
	inst.def, inst.kind = def, kindOf(&def)
	for _, s := range inst.streams {
		if s == nil {
			continue
		}
		if err := s.redefine(); err != nil {
			return err
		}
	}
	if old.PriceExponent != def.PriceExponent || old.SizeExponent != def.SizeExponent || old.BookType != def.BookType {
		inst.book, inst.carried = book.New(def.BookType), 0
		inst.pending = nil
		inst.distrust()
	}
	return nil
}

// trade writes a venue's trade message.
func (e *ETL) trade(inst *instrument, r *queue.Record) error {
	t := &e.scratch.trade
	if err := t.Decode(r.Body); err != nil {
		return err
	}
	t.RawSeq = r.Seq
	return e.stream(inst, tradeStream).put(market.KindTrade, r.Time, r.EventTime, market.TradeSize, t)
}

// quote writes a venue's own best bid and offer.
func (e *ETL) quote(inst *instrument, r *queue.Record) error {
	q := &e.scratch.quote
	if err := q.Decode(r.Body); err != nil {
		return err
	}
	q.RawSeq = r.Seq
	return e.stream(inst, quoteStream).put(market.KindQuote, r.Time, r.EventTime, market.QuoteSize, q)
}

// status writes a message that changes no book.
func (e *ETL) status(inst *instrument, r *queue.Record) error {
	s := &e.scratch.status
	if err := s.Decode(r.Body); err != nil {
		return err
	}
	s.RawSeq = r.Seq
	return e.stream(inst, statusStream).put(market.KindStatus, r.Time, r.EventTime, s.Size(), s)
}
