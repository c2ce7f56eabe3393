// Package fake is an archive made up for the tests of the servers: two symbols,
// and as many trades as a test likes, generated as they are read. It can be told
// to fail, to stall and to panic.
package fake

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/book"
	"chronicle/market"
	"chronicle/query"
	"chronicle/server/backend"
)

// Base is the time of the first trade: 2026-01-02T10:00:00Z.
const Base int64 = 1_767_348_000_000_000_000

// Step is the time between two trades, 1 ms and 1 ns.
const Step int64 = 1_000_001

// BTC is the symbol that has a book and trades; AAPL has a book by order.
const (
	BTC  = "binance-usdm:btc_usdt"
	AAPL = "xnas:aapl"
)

var definitions = map[string]market.Definition{
	BTC:  {Venue: "binance-usdm", Symbol: "btc_usdt", Native: "BTCUSDT", BookType: market.L2, PriceExponent: -2, SizeExponent: -3},
	AAPL: {Venue: "xnas", Symbol: "aapl", Native: "AAPL", BookType: market.L3, PriceExponent: -4},
}

// Archive is the made-up archive. Set the fields before the first call.
type Archive struct {
	Rows      int64 // trades of BTC; default 10
	BatchRows int64 // rows of a batch; default 4

	Err       error         // what every call fails with
	FailAfter int64         // trades after which a range fails; 0 never
	Stall     chan struct{} // a range waits for it, or for its context, before each batch
	Panic     bool          // BookAt panics
	Cache     bool          // the first batch is given again and again: for benchmarks
	Released  chan struct{} // closed when the first range is released

	Open     atomic.Int64 // ranges that have not been released
	Canceled atomic.Int64 // ranges that ended because their context did
	once     sync.Once
	cached   arrow.RecordBatch
}

var _ backend.Archive = (*Archive)(nil)

// ResolveSymbol takes venue:symbol and the native spellings.
func (a *Archive) ResolveSymbol(ctx context.Context, s string) (market.SymbolID, error) {
	if a.Err != nil {
		return market.SymbolID{}, a.Err
	}
	venue, name, ok := strings.Cut(s, ":")
	if !ok {
		venue, name = "", s
	}
	for _, d := range definitions {
		if (venue == "" || venue == d.Venue) && market.FoldSymbol(name) == market.FoldSymbol(d.Native) {
			return d.SymbolID(), nil
		}
	}
	return market.SymbolID{}, &query.Error{
		Code: query.NotFound, Field: "symbol", Given: s, Allowed: BTC + ", " + AAPL, Detail: "no such symbol in the archive",
	}
}

// BookAt gives the same two levels a side at any time from Base on.
func (a *Archive) BookAt(ctx context.Context, q query.BookRequest) (*query.BookAnswer, error) {
	if a.Panic {
		panic("the fake was told to")
	}
	id, err := a.ResolveSymbol(ctx, q.Symbol)
	if err != nil {
		return nil, err
	}
	if q.At < Base {
		return nil, &query.Error{
			Code: query.NotFound, Field: "at", Given: query.FormatTime(q.At), Allowed: query.FormatTime(Base) + " or later",
			Detail: "time outside the archive of " + id.String(),
		}
	}
	b := &query.BookAnswer{
		Symbol: id.String(), Definition: definitions[id.String()], At: q.At, Clock: q.Clock,
		TsEvent: market.UndefTimestamp, TsRecv: Base, Sequence: 42, RawSequence: 77,
		Bids:      []book.Level{{Price: 6179070, Size: 3871, Count: 3}, {Price: 6179060, Size: 2}},
		Asks:      []book.Level{{Price: 6179080, Size: 5203}, {Price: 6179095, Size: 1_000_000}},
		Condition: query.ConditionAvailable,
		Proof: query.Proof{
			Snapshot: query.SnapshotProof{Sequence: 1, Time: Base},
			Segments: []query.SegmentProof{
				{Hash: "sha256:1f0c", Tier: "warm", Key: "binance-usdm/btc_usdt/book/2026-01-02/00000000000000000001.q", FirstSeq: 1, LastSeq: 9, Sealed: true},
				{Tier: "hot", Key: "binance-usdm/btc_usdt/book.q", FirstSeq: 10, LastSeq: 12},
			},
			LastSeq: 12, LastRawSeq: 77, Deltas: 11, Digest: "8a4bb1c1a2d0e4f3",
		},
	}
	b.Bids, b.Asks = b.Bids[:min(q.Depth, 2)], b.Asks[:min(q.Depth, 2)]
	return b, nil
}

// BookSchema is query's own.
func (a *Archive) BookSchema(depth int, p query.PriceType) *arrow.Schema {
	return new(query.Archive).BookSchema(depth, p)
}

// Range gives trades of BTC, whatever the schema.
func (a *Archive) Range(ctx context.Context, q query.RangeRequest) (array.RecordReader, error) {
	if _, err := a.ResolveSymbol(ctx, q.Symbols[0]); err != nil {
		return nil, err
	}
	rows := cmp.Or(a.Rows, 10)
	first, last := int64(0), rows
	if q.Start > Base {
		first = min((q.Start-Base+Step-1)/Step, rows)
	}
	if q.End > 0 {
		last = min(max((q.End-Base+Step-1)/Step, first), rows)
	}
	if q.Limit > 0 {
		last = min(last, first+q.Limit)
	}
	a.Open.Add(1)
	return &reader{a: a, ctx: ctx, at: first, end: last, refs: 1, batch: cmp.Or(a.BatchRows, 4)}, nil
}

// RangeSchema gives the columns of trades.
func (a *Archive) RangeSchema(ctx context.Context, q query.RangeRequest) (*arrow.Schema, error) {
	return tradeSchema, a.Err
}

// Symbols lists AAPL and BTC.
func (a *Archive) Symbols(ctx context.Context) ([]query.SymbolInfo, error) {
	if a.Err != nil {
		return nil, a.Err
	}
	var all []query.SymbolInfo
	for name, d := range definitions {
		v := query.SymbolInfo{
			Symbol: name, Native: d.Native, BookType: d.BookType, PriceExponent: d.PriceExponent, SizeExponent: d.SizeExponent,
			Streams: []string{market.StreamBook}, First: Base, Last: Base + 9*Step, Records: 12, Condition: query.ConditionAvailable,
		}
		if name == BTC {
			v.Streams = []string{market.StreamBook, market.StreamTrade}
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y query.SymbolInfo) int { return strings.Compare(x.Symbol, y.Symbol) })
	return all, nil
}

// Segments lists one sealed segment and one that is still written.
func (a *Archive) Segments(ctx context.Context, f query.SegmentFilter) ([]query.SegmentInfo, error) {
	if a.Err != nil {
		return nil, a.Err
	}
	var out []query.SegmentInfo
	for i, stream := range []string{market.StreamBook, market.StreamTrade} {
		v := query.SegmentInfo{
			Symbol: BTC, Stream: stream, FirstSeq: 1, LastSeq: 9, FirstTime: Base, LastTime: Base + 9*Step, Records: 9, Bytes: 8192,
			Tier: "warm", Sealed: true, Hash: "sha256:1f0c", Location: "archive/" + strconv.Itoa(i),
		}
		if stream == market.StreamTrade {
			v.Tier, v.Sealed, v.Hash = "hot", false, ""
		}
		if (f.Stream == "" || f.Stream == stream) && (f.Symbol == "" || f.Symbol == BTC) {
			out = append(out, v)
		}
	}
	return out, nil
}
