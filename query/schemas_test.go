package query

import (
	"context"
	"slices"
	"testing"

	"chronicle/market"
)

// TestQuotesAndRareSchemas: the rows of the streams that hold no book and no trades.
func TestQuotesAndRareSchemas(t *testing.T) {
	r := newRoot(t, tempDir(t))
	id := market.SymbolID{Venue: "sim", Symbol: "abc"}
	quotes, status := r.stream(streamID{id, market.StreamQuote}, l2Def), r.stream(streamID{id, market.StreamStatus}, l2Def)
	q := market.Quote{RawSeq: 9, Seq: 8, BidPrice: 100, BidSize: 5, AskPrice: market.UndefPrice, AskSize: market.UndefSize, Flags: market.FlagLast}
	b := make([]byte, market.QuoteSize)
	q.Put(b)
	quotes.append(record{time: 10, event: noTime, kind: market.KindQuote, raw: b})
	def := market.Definition{Venue: "sim", Symbol: "abc", Native: "ABC", BookType: market.L3, PriceExponent: -2, SizeExponent: -3, TickSize: "0.01"}
	status.append(record{time: 1, event: 1, kind: market.KindDefinition, raw: market.EncodeJSON(&def)})
	st := market.Status{RawSeq: 4, Seq: 3, Code: 72, Payload: []byte("halt")}
	b = make([]byte, st.Size())
	st.Put(b)
	status.append(record{time: 2, event: 1, kind: market.KindStatus, raw: b})
	session := market.EncodeJSON(&market.Session{Event: market.SessionEnd})
	status.append(record{time: 3, event: noTime, kind: market.KindSession, raw: session})
	status.append(record{time: 4, event: noTime, kind: market.KindGap, gap: market.Gap{RawSeq: 6, Channel: "ch", Start: 3, End: 4, FirstSeq: 5, LastSeq: 7, Cause: market.GapSequence, Recovered: true}})
	quotes.close()
	status.close()
	a := r.open()
	defer a.Close()
	for schema, want := range map[string][]string{
		SchemaQuotes:     {"10 - sim:abc 8 100 5 - - 128 9"},
		SchemaStatus:     {"2 1 sim:abc status 72 0 3 aGFsdA== 4", "3 - sim:abc session 0 0 0 eyJldmVudCI6ImVuZF9zZXNzaW9uIn0= 0"},
		SchemaGap:        {"4 - sim:abc ch 3 4 5 7 sequence true - 6"},
		SchemaDefinition: {"1 1 sim:abc ABC l3 -2 -3 0.01 - -  " + string(market.EncodeJSON(&def))},
	} {
		if got := collect(t, a, RangeRequest{Schema: schema, Symbols: []string{"abc"}, PriceType: PriceFixed}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", schema, got, want)
		}
	}
	if rows, err := tryCollect(a, RangeRequest{Schema: SchemaGap, Symbols: []string{"abc"}, OnGap: GapError}); err != nil || len(rows) != 1 {
		t.Errorf("gaps are listed with on_gap=error: %q, %v", rows, err)
	}
}

// TestFixedThatDoesNotFit: a mantissa that int64 cannot hold at the column's
// exponent is an error, not another number.
func TestFixedThatDoesNotFit(t *testing.T) {
	r := newRoot(t, tempDir(t))
	for i, symbol := range []string{"coarse", "fine"} {
		s := r.stream(streamID{market.SymbolID{Venue: "sim", Symbol: symbol}, market.StreamTrade}, market.Definition{PriceExponent: int8(-18 * i)})
		s.trade(10, 10, 10, 1)
		s.close()
	}
	a := r.open()
	defer a.Close()
	req := RangeRequest{Schema: SchemaTrades, Symbols: []string{"coarse", "fine"}, PriceType: PriceFixed}
	_, err := tryCollect(a, req)
	wantError(t, err, InvalidArgument, "price_type", "10 does not fit int64 at the column's exponent -18")
	req.PriceType = PriceDecimal
	if rows := collect(t, a, req); len(rows) != 2 {
		t.Errorf("rows %q", rows)
	}
}

// TestProofNamesWhatWasRead: a book's proof names the place that it was read
// from, and the hash that the place's file has.
func TestProofNamesWhatWasRead(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	s.event(market.KindBook, 10, 10)
	s.event(market.KindBook, 20, 20)
	s.roll()
	s.close()
	for _, step := range []int{stepAdded, stepDone} {
		a := r.open()
		m := r.mover()
		if step == stepAdded {
			m.move(s.sealed()[0], stepAdded)
		} else {
			m.finish(s.sealed()[0])
		}
		m.close()
		ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "abc", At: 20, Depth: 1})
		check(t, err)
		p := ans.Proof.Segments[0]
		want := map[int]string{stepAdded: tierHot, stepDone: TierWarm}[step]
		if p.Tier != want || !p.Sealed || p.FirstSeq != 1 || p.LastSeq != 3 || ans.Proof.LastSeq != 3 || ans.Proof.Deltas != 2 || len(p.Hash) != 71 {
			t.Errorf("proof %+v, want tier %s", ans.Proof, want)
		}
		check(t, a.Close())
	}
}
