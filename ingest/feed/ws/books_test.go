package ws_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chronicle/book"
	"chronicle/ingest/feed/exchangetest"
	"chronicle/market"
	"chronicle/store/queue"
)

// books follows the book streams that an ETL writes.
type books struct {
	t       *testing.T
	clean   string
	depth   int
	streams map[string]*stream // by directory
	gaps    map[string]int     // gap records, by symbol and cause
}

// stream is one book stream.
type stream struct {
	tail   *queue.Tailer
	def    market.Definition
	book   *book.Book
	good   bool
	states []state // of the book, where it is called good
}

// state is a book that is called good.
type state struct {
	rec, seq uint64
	text     string
}

func newBooks(t *testing.T, clean string, depth int) *books {
	b := &books{t: t, clean: clean, depth: depth, streams: make(map[string]*stream), gaps: make(map[string]int)}
	t.Cleanup(func() {
		for _, s := range b.streams {
			_ = s.tail.Close()
		}
	})
	return b
}

// good reads on, and tells whether n books are there and all are called good.
func (b *books) good(n int) bool {
	b.read()
	for _, s := range b.streams {
		if !s.good {
			return false
		}
	}
	return len(b.streams) == n
}

// state tells which books are called good.
func (b *books) state() map[string]bool {
	out := make(map[string]bool)
	for _, s := range b.streams {
		out[s.def.Symbol] = s.good
	}
	return out
}

// gapsOf counts the gap records of a cause, or of all.
func (b *books) gapsOf(cause string) (n int) {
	for what, count := range b.gaps {
		if strings.HasSuffix(what, cause) {
			n += count
		}
	}
	return n
}

// read takes what the ETL has written since.
func (b *books) read() {
	b.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(b.clean, "*", "*", "book.q"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, dir := range dirs {
		s := b.streams[dir]
		if s == nil {
			tail, err := queue.OpenTailer(dir, 0)
			if err != nil {
				continue // being made
			}
			s = &stream{tail: tail, book: book.New(market.L2)}
			b.streams[dir] = s
		}
		for {
			rec, ok, err := s.tail.Next()
			if err != nil {
				b.t.Fatal(err)
			}
			if !ok {
				break
			}
			b.record(s, dir, &rec)
		}
	}
}

func (b *books) record(s *stream, dir string, rec *queue.Record) {
	b.t.Helper()
	if s.def.Symbol == "" {
		s.def = definition(b.t, dir)
	}
	kind := market.Kind(rec.Kind)
	if kind == market.KindGap {
		g, err := market.DecodeJSON[market.Gap](rec.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		b.gaps[s.def.Symbol+" "+string(g.Cause)]++
		s.good = false
		return
	}
	var ev market.BookEvent
	if err := ev.Decode(rec.Body, kind); err != nil {
		b.t.Fatal(err)
	}
	s.book.Apply(&ev, kind)
	s.good = ev.Flags&market.FlagMaybeBadBook == 0
	if s.good && ev.Attr&market.AttrSynthetic == 0 {
		s.states = append(s.states, state{rec.Seq, ev.Seq, s.top(b.depth).String()})
	}
}

// definition gives the definition in a stream's first segment.
func definition(t *testing.T, dir string) market.Definition {
	t.Helper()
	files, err := queue.ListSegments(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no segment, %v", dir, err)
	}
	seg, err := queue.OpenSegment(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer seg.Close()
	var m market.StreamMeta
	if err := json.Unmarshal(seg.Info().Meta, &m); err != nil {
		t.Fatal(err)
	}
	return m.Definition
}

// top gives the best n levels of each side.
func (s *stream) top(n int) (out exchangetest.Book) {
	for side, to := range map[market.Side]*[]exchangetest.Level{market.Bid: &out.Bids, market.Ask: &out.Asks} {
		for _, l := range s.book.Levels(side, n, nil) {
			*to = append(*to, exchangetest.Level{
				Price: string(market.AppendFixed(nil, l.Price, s.def.PriceExponent)), Size: string(market.AppendFixed(nil, l.Size, s.def.SizeExponent)),
			})
		}
	}
	return out
}

// prove compares every book that is called good with what the exchange's own book
// was: by the venue's sequence, or, where it has none, with the states in their
// order, at most back states back. It gives how many were compared, and checks
// that the last one is the exchange's last.
func (b *books) prove(c venueCase, x *exchangetest.Exchange, back int) (proved int) {
	b.t.Helper()
	_, frames := x.Position()
	for _, s := range b.streams {
		truth := statesOf(c, x, frames, s.def.Native)
		last := -1
		for _, st := range s.states {
			at := truth.find(&st, last-back)
			if at < 0 {
				b.t.Errorf("%s: record %d, sequence %d: the book is called good but was not since state %d (is of %v)\n%s", s.def.Symbol, st.rec, st.seq, last, truth.at[st.text], st.text)
				break
			}
			if at < len(truth.states) {
				last = at
				proved++
			}
		}
		n := len(truth.states) - 1
		if last < 0 || last < n-back && truth.states[last].Book.String() != truth.states[n].Book.String() {
			b.t.Errorf("%s: the last book is the exchange's state %d, want its last, %d", s.def.Symbol, last, n)
		}
	}
	return proved
}

// truth is what a book of the exchange went through.
type truth struct {
	states []exchangetest.State
	at     map[string][]int // indices by book, in order
	bySeq  map[uint64]int
}

var truths sync.Map // venue, frames and instrument -> *truth

// statesOf gives the truth of an instrument, made once for all tests.
func statesOf(c venueCase, x *exchangetest.Exchange, frames int, native string) *truth {
	type key struct {
		venue, native string
		frames        int
	}
	if v, ok := truths.Load(key{c.venue, native, frames}); ok {
		return v.(*truth)
	}
	t := &truth{states: x.States(native, c.proved), at: make(map[string][]int), bySeq: make(map[uint64]int)}
	for i := range t.states {
		text := t.states[i].Book.String()
		t.at[text] = append(t.at[text], i)
		if seq := t.states[i].Seq; seq != 0 {
			t.bySeq[seq] = i
		}
	}
	truths.Store(key{c.venue, native, frames}, t)
	return t
}

// find gives the state that a book is, not before the given one; -1 if it is
// none, and the number of states if the exchange had none at this sequence.
func (t *truth) find(st *state, from int) int {
	if st.seq != 0 && len(t.bySeq) > 0 {
		i, ok := t.bySeq[st.seq]
		switch {
		case !ok:
			return len(t.states)
		case t.states[i].Book.String() != st.text:
			return -1
		}
		return i
	}
	for _, i := range t.at[st.text] {
		if i >= from {
			return i
		}
	}
	return -1
}
