package proof

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"chronicle/book"
	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/store/queue"
)

// tally counts what an audit has compared.
type tally struct {
	events   int // event boundaries: book events and venue snapshots
	good     int // of them, called good, and equal to the truth
	compared int // comparisons of whole books, order by order
	markers  int // gap markers
	answers  int // of query, called available and true
}

func (a *tally) add(b tally) {
	a.events, a.good, a.compared, a.markers = a.events+b.events, a.good+b.good, a.compared+b.compared, a.markers+b.markers
	a.answers += b.answers
}

// share gives the part of the event boundaries that is good.
func (a *tally) share() float64 { return float64(a.good) / float64(max(a.events, 1)) }

func (a *tally) String() string {
	return fmt.Sprintf("%d event boundaries, %.1f %% called good and true, %d books compared, %d gap markers, %d answers of query available and true",
		a.events, 100*a.share(), a.compared, a.markers, a.answers)
}

// auditBooks compares every book that the clean streams call good with the
// simulator's own.
func auditBooks(t testing.TB, w *wire, streams map[string][]queue.Record) (all tally) {
	t.Helper()
	for name, records := range streams {
		if path.Base(name) != market.StreamBook {
			continue
		}
		a := &auditor{t: t, w: w, name: name, symbol: symbolOf(w, name), epoch: -1, sims: map[int]*sim.Sim{}}
		for i := range records {
			a.record(&records[i])
		}
		all.add(a.tally)
	}
	return all
}

// symbolOf gives the venue's spelling; empty for an instrument that it does not have.
func symbolOf(w *wire, stream string) string {
	symbol := strings.ToUpper(path.Base(path.Dir(stream)))
	if slices.Contains(w.world.Symbols, symbol) {
		return symbol
	}
	return ""
}

// auditor replays one book stream.
type auditor struct {
	t       testing.TB
	w       *wire
	name    string
	symbol  string     // empty: no book can be true
	book    *book.Book // nil before the first record
	epoch   int        // of the book; -1 before the first record
	seq     uint64
	trusted bool
	sims    map[int]*sim.Sim
	event   market.BookEvent
	tally   tally

	ours [2][]book.Order
}

func (a *auditor) record(r *queue.Record) {
	a.t.Helper()
	kind := market.Kind(r.Kind)
	if kind == market.KindGap {
		g, err := market.DecodeJSON[market.Gap](r.Body)
		must(a.t, err)
		a.tally.markers++
		a.trusted = a.trusted && (g.Recovered || g.Session != "")
		return
	}
	must(a.t, a.event.Decode(r.Body, kind))
	good := a.event.Flags&market.FlagMaybeBadBook == 0
	first := a.book == nil
	if first {
		a.book = book.New(market.L3)
	}
	if synthetic := a.event.Attr&market.AttrSynthetic != 0; synthetic {
		if good && !a.trusted && !first {
			a.t.Fatalf("seed %d, %s record %d: a snapshot of our own making calls a book good that was not", a.w.world.Seed, a.name, r.Seq)
		}
		a.book.Apply(&a.event, kind)
		if good {
			a.compare(r, "a snapshot is called good")
		}
		a.trusted = good
		return
	}
	epoch, known := a.w.epochAt[r.Time]
	if !known {
		a.t.Fatalf("%s record %d: nothing was received at %d", a.name, r.Seq, r.Time)
	}
	if kind == market.KindSnapshot { // the venue's books are empty
		a.epoch, a.seq = epoch, 0
	} else {
		if a.trusted && a.epoch == epoch && a.event.Seq > a.seq {
			a.seq = a.event.Seq - 1
			a.compare(r, "a change is missing before it, and no gap says so")
		}
		a.epoch, a.seq = epoch, a.event.Seq
	}
	a.book.Apply(&a.event, kind)
	a.tally.events++
	if a.trusted = good; good {
		a.compare(r, "the book is called good")
		a.tally.good++
	}
}

// compare holds the book against the simulator's after message a.seq.
func (a *auditor) compare(r *queue.Record, why string) {
	a.t.Helper()
	a.tally.compared++
	for i, side := range []market.Side{market.Bid, market.Ask} {
		a.ours[i] = a.book.AppendOrders(side, 0, a.ours[i][:0])
		want := a.truth(side)
		equal := len(want) == len(a.ours[i])
		for k := 0; equal && k < len(want); k++ {
			o, w := &a.ours[i][k], &want[k]
			equal = o.ID == w.ID && o.Price == w.Price && o.Size == w.Size && o.Side == w.Side
		}
		if !equal {
			a.t.Fatalf("seed %d, %s record %d (raw %d, %v): %s, and after message %d of session %d it is wrong:\n %c  %v\nwant %v",
				a.w.world.Seed, a.name, r.Seq, a.event.RawSeq, market.Kind(r.Kind), why, a.seq, a.epoch, side, a.ours[i], want)
		}
	}
}

// truth gives one side of the simulator's book after message a.seq.
func (a *auditor) truth(side market.Side) []sim.Order {
	if a.symbol == "" || a.epoch < 0 {
		return nil
	}
	s := a.sims[a.epoch]
	if s == nil || s.Seq() > a.seq {
		var err error
		s, err = a.w.series.Session(a.epoch)
		must(a.t, err)
		a.sims[a.epoch] = s
	}
	s.Advance(a.seq)
	return s.Orders(a.symbol, side)
}

// auditRecords checks that every message of the raw queue is in the clean streams
// exactly once.
func auditRecords(t testing.TB, raw []queue.Record, streams map[string][]queue.Record) (messages int) {
	t.Helper()
	type origin struct {
		kind uint16
		seq  uint64
	}
	there := map[origin]int{}
	traded := map[uint64]bool{} // book events, whose executions are trades too
	for _, r := range raw {
		switch market.Kind(r.Kind) {
		case market.KindBook:
			traded[r.Seq] = true
			fallthrough
		case market.KindTrade, market.KindQuote, market.KindStatus:
			there[origin{r.Kind, r.Seq}]++
		}
	}
	messages = len(there)
	for name, records := range streams {
		for _, r := range records {
			switch market.Kind(r.Kind) {
			case market.KindBook, market.KindTrade, market.KindQuote, market.KindStatus:
			default:
				continue
			}
			from := origin{r.Kind, binary.LittleEndian.Uint64(r.Body)}
			if market.Kind(r.Kind) == market.KindTrade && traded[from.seq] {
				continue
			}
			if there[from]--; there[from] < 0 {
				t.Fatalf("%s record %d: raw record %d is there twice, or was no %v", name, r.Seq, from.seq, market.Kind(r.Kind))
			}
		}
	}
	for from, n := range there {
		if n != 0 {
			t.Fatalf("raw record %d, a %v, is in no clean stream", from.seq, market.Kind(from.kind))
		}
	}
	return messages
}

// auditOnce checks that no message is in a clean stream twice, whatever became of
// the raw queue's numbers: its receipt and its venue sequence name it.
func auditOnce(t testing.TB, seed uint64, raw []queue.Record, streams map[string][]queue.Record) {
	t.Helper()
	type message struct {
		kind uint16
		time int64
		seq  uint64
	}
	there := map[message]string{}
	for stream, records := range streams {
		for _, r := range records {
			switch market.Kind(r.Kind) {
			case market.KindBook, market.KindTrade, market.KindStatus:
				m := message{r.Kind, r.Time, binary.LittleEndian.Uint64(r.Body[8:])}
				if other, twice := there[m]; twice {
					t.Fatalf("seed %d: %s record %d: message %d received at %d is there twice, also in %s", seed, stream, r.Seq, m.seq, m.time, other)
				}
				there[m] = stream
			}
		}
	}
	for _, r := range raw {
		switch market.Kind(r.Kind) {
		case market.KindBook, market.KindTrade, market.KindStatus:
			m := message{r.Kind, r.Time, binary.LittleEndian.Uint64(r.Body[8:])}
			if _, ok := there[m]; !ok {
				t.Fatalf("seed %d: raw record %d, a %v, is in no clean stream", seed, r.Seq, market.Kind(r.Kind))
			}
		}
	}
}
