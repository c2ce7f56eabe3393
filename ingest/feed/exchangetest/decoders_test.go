package exchangetest_test

import (
	"bufio"
	"math/rand/v2"
	"testing"

	"chronicle/book"
	"chronicle/ingest/feed/binance"
	"chronicle/ingest/feed/bybit"
	"chronicle/ingest/feed/coinbase"
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/exchangetest"
	"chronicle/ingest/feed/kraken"
	"chronicle/ingest/feed/okx"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/source"
	"chronicle/internal/testdata"
	"chronicle/market"
)

// depth is how many levels are compared: with a recording that has no more.
const depth = 50

// decoded is what a decoder made of one instrument.
type decoded struct {
	def      market.Definition
	snapshot *market.BookEvent // the first
	events   []event           // all others
}

type event struct {
	kind market.Kind
	market.BookEvent
}

// decode runs a recording of traffic through a decoder.
func decode(t *testing.T, path string, session func(*emit.Emitter) recording.Session) map[string]*decoded {
	t.Helper()
	f, err := source.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	q, c := &emittest.Queue{}, &emit.Counters{}
	e := emit.New(q, c, emit.Options{Venue: "test"})
	s := session(e)
	var d recording.Decoder
	for _, pass := range []func([]byte){func(b []byte) { d.Expect(b, s) }, func(b []byte) { d.Line(b, s, e) }} {
		r, err := f.Reader()
		if err != nil {
			t.Fatal(err)
		}
		lines := source.NewLines(bufio.NewReader(r))
		for line, err := lines.Next(); err == nil; line, err = lines.Next() {
			pass(line)
		}
	}
	if st := c.Stats(); st.Skipped != 0 || st.Gaps != 0 {
		t.Fatalf("counts are %+v", st)
	}
	return byNative(t, q)
}

func byNative(t *testing.T, q *emittest.Queue) map[string]*decoded {
	t.Helper()
	out, byID := make(map[string]*decoded), make(map[uint32]*decoded)
	for _, rec := range q.Records {
		switch kind := market.Kind(rec.Kind); kind {
		case market.KindDefinition:
			def, err := market.DecodeJSON[market.Definition](rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			if byID[rec.Tag] == nil {
				byID[rec.Tag] = &decoded{}
				out[def.Native] = byID[rec.Tag]
			}
			byID[rec.Tag].def = *def
		case market.KindBook, market.KindSnapshot:
			ev := event{kind: kind}
			if err := ev.Decode(rec.Body, kind); err != nil {
				t.Fatal(err)
			}
			if d := byID[rec.Tag]; kind == market.KindSnapshot && d.snapshot == nil {
				d.snapshot = &ev.BookEvent
			} else {
				d.events = append(d.events, ev)
			}
		}
	}
	return out
}

// best gives a book as the exchange gives its own.
func best(b *book.Book, def *market.Definition) (out exchangetest.Book) {
	for i, side := range []market.Side{market.Bid, market.Ask} {
		for _, l := range b.Levels(side, depth, nil) {
			level := exchangetest.Level{Price: market.FormatFixed(l.Price, def.PriceExponent), Size: market.FormatFixed(l.Size, def.SizeExponent)}
			if i == 0 {
				out.Bids = append(out.Bids, level)
			} else {
				out.Asks = append(out.Asks, level)
			}
		}
	}
	return out
}

// Every event of every decoder, applied by the book machine, gives the book that
// the exchange's own rules give: compared after events chosen at random.
func TestDecodersGiveTheExchangesBooks(t *testing.T) {
	for _, c := range []struct {
		venue, path    string
		books, changes int
		session        func(*emit.Emitter) recording.Session
	}{
		{"kraken", "crypto/KRAKEN.jsonl.zst", 10, 4279, func(e *emit.Emitter) recording.Session { return kraken.New(e) }},
		{"okx", "crypto/OKX.jsonl.zst", 3, 290, func(e *emit.Emitter) recording.Session { return okx.New(e) }},
		{"binance-usdm", "crypto/BINANCE_FUTURES.jsonl.zst", 4, 752, func(e *emit.Emitter) recording.Session { return binance.New(e) }},
		{"coinbase", "crypto/COINBASE.jsonl.zst", 2, 775, func(e *emit.Emitter) recording.Session { return coinbase.New(e) }},
		{"bybit", "crypto/BYBIT.jsonl.zst", 6, 2148, func(e *emit.Emitter) recording.Session { return bybit.New(e) }},
	} {
		t.Run(c.venue, func(t *testing.T) {
			t.Parallel()
			path := testdata.Path(t, c.path)
			x := exchangetest.New(t, c.venue, path, exchangetest.Options{})
			books, changes := 0, 0
			for native, d := range decode(t, path, c.session) {
				if d.snapshot != nil {
					books++
					changes += compare(t, x, native, d)
				}
			}
			if books != c.books || changes != c.changes {
				t.Errorf("%d books with %d changes, want %d with %d", books, changes, c.books, c.changes)
			}
		})
	}
}

// compare follows one book and gives how many changes the exchange made to it.
func compare(t *testing.T, x *exchangetest.Exchange, native string, d *decoded) (changes int) {
	b := book.New(market.L2)
	b.Apply(d.snapshot, market.KindSnapshot)
	for len(d.events) > 0 && d.events[0].Seq != 0 && d.events[0].Seq <= d.snapshot.Seq && d.def.Chained {
		d.events = d.events[1:] // in the snapshot already
	}
	r := rand.New(rand.NewPCG(7, 7))
	x.Walk(native, func(frame int, seq uint64, truth func(int) exchangetest.Book) {
		if changes++; changes > 1 || d.def.Chained && seq != d.snapshot.Seq { // else it is the snapshot's own state
			if len(d.events) == 0 {
				t.Fatalf("%s: no event for frame %d", native, frame)
			}
			ev := &d.events[0]
			d.events = d.events[1:]
			b.Apply(&ev.BookEvent, ev.kind)
			if d.def.Depth > 0 {
				b.Truncate(market.Bid, d.def.Depth, nil)
				b.Truncate(market.Ask, d.def.Depth, nil)
			}
		}
		if r.IntN(20) != 0 && len(d.events) > 0 {
			return
		}
		if got, want := best(b, &d.def).String(), truth(depth).String(); got != want {
			t.Fatalf("%s after frame %d:\n%.500s\nwant\n%.500s", native, frame, got, want)
		}
	})
	if len(d.events) > 0 {
		t.Errorf("%s: %d events that the exchange does not know", native, len(d.events))
	}
	return changes
}
