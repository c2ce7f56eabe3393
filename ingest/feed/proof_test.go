package feed

import (
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
)

// ladder is the simplest book there is: it serves to check that the records hold
// what the venue's own proofs are made over.
type ladder struct {
	bids, asks map[int64]int64
	def        market.Definition

	bestBid, bestAsk int64
	dirty            bool // the best prices must be looked for anew
}

func (l *ladder) apply(e *market.BookEvent, kind market.Kind) {
	if kind == market.KindSnapshot || l.bids == nil {
		l.bids, l.asks, l.dirty = make(map[int64]int64), make(map[int64]int64), true
	}
	for _, t := range e.Entries {
		side := l.bids
		if t.Side == market.Ask {
			side = l.asks
		}
		if t.Action == market.Cancel {
			delete(side, t.Price)
		} else {
			side[t.Price] = t.Size
			l.dirty = l.dirty || t.Side == market.Bid && t.Price > l.bestBid || t.Side == market.Ask && t.Price < l.bestAsk
		}
	}
}

// top gives the best n prices of both sides.
func (l *ladder) top(n int) (bids, asks []int64) {
	bids, asks = slices.Sorted(maps.Keys(l.bids)), slices.Sorted(maps.Keys(l.asks))
	slices.Reverse(bids)
	return bids[:min(n, len(bids))], asks[:min(n, len(asks))]
}

// cut removes what is beyond the depth that the venue keeps.
func (l *ladder) cut(depth int) {
	bids, asks := l.top(1 << 30)
	for _, p := range bids[min(depth, len(bids)):] {
		delete(l.bids, p)
	}
	for _, p := range asks[min(depth, len(asks)):] {
		delete(l.asks, p)
	}
}

func (l *ladder) krakenSum() uint32 {
	bids, asks := l.top(10)
	var text []byte
	for _, p := range asks {
		text = strconv.AppendInt(strconv.AppendInt(text, p, 10), l.asks[p], 10)
	}
	for _, p := range bids {
		text = strconv.AppendInt(strconv.AppendInt(text, p, 10), l.bids[p], 10)
	}
	return crc32.ChecksumIEEE(text)
}

func (l *ladder) okxSum() uint32 {
	bids, asks := l.top(25)
	var text []byte
	level := func(price, size int64) {
		if len(text) > 0 {
			text = append(text, ':')
		}
		text = append(market.AppendFixed(text, price, l.def.PriceExponent), ':')
		text = market.AppendFixed(text, size, l.def.SizeExponent)
	}
	for i := range 25 {
		if i < len(bids) {
			level(bids[i], l.bids[bids[i]])
		}
		if i < len(asks) {
			level(asks[i], l.asks[asks[i]])
		}
	}
	return crc32.ChecksumIEEE(text)
}

// events hands every book event of the records to see, after it is applied.
func events(t *testing.T, records []queue.Record, see func(rec queue.Record, e *market.BookEvent, l *ladder)) {
	t.Helper()
	books := make(map[uint32]*ladder)
	for _, rec := range records {
		switch kind := market.Kind(rec.Kind); kind {
		case market.KindDefinition:
			d, err := market.DecodeJSON[market.Definition](rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			books[rec.Tag] = &ladder{def: *d}
		case market.KindBook, market.KindSnapshot:
			var e market.BookEvent
			if err := e.Decode(rec.Body, kind); err != nil {
				t.Fatal(err)
			}
			books[rec.Tag].apply(&e, kind)
			see(rec, &e, books[rec.Tag])
		}
	}
}

func TestVenueChecksumsHold(t *testing.T) {
	for _, c := range []struct {
		format, path string
		want         int
		sum          func(*ladder) uint32
	}{
		{"kraken", "crypto/KRAKEN.jsonl.zst", 4269, (*ladder).krakenSum},
		{"okx", "crypto/OKX.jsonl.zst", 290, (*ladder).okxSum},
	} {
		got := recorded(t, c.format, c.path)
		right := 0
		events(t, got.records, func(rec queue.Record, e *market.BookEvent, l *ladder) {
			if l.def.Depth > 0 {
				l.cut(l.def.Depth)
			}
			if e.Attr&market.AttrChecksum != 0 && c.sum(l) == e.Checksum {
				right++
			}
		})
		if right != c.want {
			t.Errorf("%s: %d checksums hold, want %d", c.format, right, c.want)
		}
	}
}

// After each depth event the best of the book is what the last bookTicker with
// a sequence not above the event's said.
func TestBooksAgreeWithTheVenuesBest(t *testing.T) {
	for _, c := range []struct {
		format, path string
		want         int
		applies      func(seq, snapshot uint64) bool
	}{
		// two of them came before the snapshot did
		{"binance-usdm", "binance/usdm-btcusdt-20240808.gz", 6547, func(seq, snapshot uint64) bool { return seq >= snapshot }},
		{"binance-spot", "binance/spot-btcusdt-20240808.gz", 3449, func(seq, snapshot uint64) bool { return seq > snapshot }},
	} {
		got := recorded(t, c.format, c.path)
		n, right := agreeing(t, got.records, c.applies)
		if n != c.want || right != c.want {
			t.Errorf("%s: %d of %d events agree, want %d", c.format, right, n, c.want)
		}
	}
}

func agreeing(t *testing.T, records []queue.Record, applies func(seq, snapshot uint64) bool) (n, right int) {
	var quotes []market.Quote
	var snapshot, prev uint64
	for _, rec := range records {
		if market.Kind(rec.Kind) == market.KindQuote {
			var q market.Quote
			if err := q.Decode(rec.Body); err != nil {
				t.Fatal(err)
			}
			quotes = append(quotes, q)
		}
	}
	held := &ladder{}
	var early []market.BookEvent
	see := func(e *market.BookEvent) {
		if !applies(e.Seq, snapshot) {
			return
		}
		if prev != 0 && e.PrevSeq != prev {
			t.Fatalf("event %d follows %d, not %d: the chain is broken", e.Seq, e.PrevSeq, prev)
		}
		prev = e.Seq
		held.apply(e, market.KindBook)
		i, found := slices.BinarySearchFunc(quotes, e.Seq, func(q market.Quote, seq uint64) int {
			if q.Seq <= seq {
				return -1
			}
			return 1
		})
		if found || i == 0 {
			return
		}
		n++
		bids, asks := held.best()
		if q := quotes[i-1]; q.BidPrice == bids && q.AskPrice == asks && q.BidSize == held.bids[bids] && q.AskSize == held.asks[asks] {
			right++
		}
	}
	events(t, records, func(rec queue.Record, e *market.BookEvent, _ *ladder) {
		switch {
		case market.Kind(rec.Kind) == market.KindSnapshot:
			held.apply(e, market.KindSnapshot)
			snapshot = e.Seq
			for i := range early {
				see(&early[i])
			}
		case snapshot == 0:
			copied := *e
			early = append(early, copied)
		default:
			see(e)
		}
	})
	return n, right
}

// best gives the best prices. It keeps them while their levels stand and nothing
// better came, because looking at every level after every event is slow.
func (l *ladder) best() (bid, ask int64) {
	if _, ok := l.bids[l.bestBid]; !ok || l.dirty {
		l.bestBid = 0
		for p := range l.bids {
			l.bestBid = max(l.bestBid, p)
		}
	}
	if _, ok := l.asks[l.bestAsk]; !ok || l.dirty {
		l.bestAsk = math.MaxInt64
		for p := range l.asks {
			l.bestAsk = min(l.bestAsk, p)
		}
	}
	l.dirty = false
	return l.bestBid, l.bestAsk
}
