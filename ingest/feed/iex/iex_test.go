package iex

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// Messages as IEX sent them, read by hand: after the type are a byte of flags,
// eight of time and, but for S, eight of symbol.
const (
	levelBuy     = "3801be7f13353ae25d165620202020202020be000000b4f01e0000000000"
	levelSell    = "35012ab9d8623ae25d16554e48202020202052000000f882340000000000"
	quoteATSG    = "5100c048e39c37b30d15415453472020202055490000ecb003000000000044b303000000000005ed0000"
	tradeIBKR    = "5440ecfd4fba8a55fa1749424b52202020206400000074f41400000000009000000000006300"
	breakTFC     = "42002728e4dd2858fa175446432020202020640000007070060000000000ee01000000006300"
	addIBKR      = "61351e7711156155fa1749424b52202020200a000000000063006400000008d4140000000000"
	modifyIBKR   = "4d00ce8b8436a455fa1749424b5220202020ae00000000006300c8000000841b150000000000"
	deleteIBKR   = "52204a97fec26155fa1749424b52202020200a00000000006300"
	executedIBKR = "4c409c378e7c6855fa1749424b52202020200d0000000000630064000000a00e1500000000001800000000006300"
	directory    = "4480ec9cc97bba45fa175a4558495420202064000000a08601000000000001"
	systemStart  = "534f653658deb745fa17"
	statusZCMD   = "4854338cc97bba45fa175a434d442020202020202020"
	liquidity    = "4920338cc97bba45fa175a434d4420202020"
	haltZCZZT    = "4f4efc8dc97bba45fa175a435a5a54202020"
	shortZCZZT   = "5000fc8dc97bba45fa175a435a5a5420202020"
	eventA       = "454f307fca1e4e57fa174120202020202020"
	clearIBKR    = "4300b28fa5a0ab866d1449424b5220202020" // as specified: no capture has one
)

// fixture is a decoder on a queue in memory.
type fixture struct {
	*Decoder
	q   *emittest.Queue
	c   *emit.Counters
	seq uint64
}

func newFixture(feed *Feed) *fixture {
	q, c := &emittest.Queue{}, &emit.Counters{}
	return &fixture{Decoder: NewDecoder(emit.New(q, c, emit.Options{Venue: "iex"}), feed), q: q, c: c}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// say hands over messages given as hexadecimal text, each with the next sequence
// and received at a thousand times that.
func (f *fixture) say(t *testing.T, messages ...string) {
	t.Helper()
	for _, m := range messages {
		f.seq++
		f.Message(int64(f.seq)*1000, f.seq, unhex(t, m))
	}
	if err := f.q.Check(); err != nil {
		t.Fatal(err)
	}
}

// books gives the events of kind KindBook and KindSnapshot.
func (f *fixture) books(t *testing.T) []market.BookEvent {
	t.Helper()
	books, err := f.q.Books()
	if err != nil {
		t.Fatal(err)
	}
	return books
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		message, symbol string
		event           int64
		want            market.Entry
	}{
		{levelBuy, "v", 0x165de23a35137fbe, market.Entry{Price: 2027700, Size: 190, Side: market.Bid, Action: market.Modify}},
		{levelSell, "unh", 0x165de23a62d8b92a, market.Entry{Price: 3441400, Size: 82, Side: market.Ask, Action: market.Modify}},
	} {
		f := newFixture(Deep)
		f.seq = 41
		f.say(t, c.message)
		rec := f.q.Of(market.KindBook)
		if len(rec) != 1 || rec[0].EventTime != c.event || rec[0].Time != 42000 {
			t.Fatalf("%s: records %+v", c.symbol, rec)
		}
		if e := f.books(t)[0]; !slices.Equal(e.Entries, []market.Entry{c.want}) || e.Seq != 42 || e.Flags != market.FlagLast|market.FlagMBP {
			t.Errorf("%s: event %+v, want %+v", c.symbol, e, c.want)
		}
		defs, err := emittest.JSON[market.Definition](f.q)
		want := market.Definition{ID: 1, Venue: "iex", Symbol: c.symbol, Native: string(bytes.ToUpper([]byte(c.symbol))),
			BookType: market.L2, PriceExponent: -4, Channel: "iex-deep", FromEmpty: true, Currency: "USD"}
		if err != nil || len(defs) != 1 || defs[0] != want {
			t.Errorf("definition is %+v, %v, want %+v", defs, err, want)
		}
	}
	f := newFixture(Deep)
	f.say(t, "3801be7f13353ae25d165620202020202020"+"00000000"+"b4f01e0000000000")
	want := market.Entry{Price: 2027700, Side: market.Bid, Action: market.Cancel}
	if e := f.books(t)[0]; !slices.Equal(e.Entries, []market.Entry{want}) {
		t.Errorf("a level of no size: %+v, want %+v", e, want)
	}
}

func TestOrders(t *testing.T) {
	undef, gone := market.UndefPrice, market.UndefSize
	kept := "4d01" + modifyIBKR[4:]
	for _, c := range []struct {
		name, message string
		event         int64
		want          []market.Entry
	}{
		{"a", addIBKR, 0x17fa55611511771e, []market.Entry{{OrderID: 0x6300000000000a, Price: 1365000, Size: 100, Side: market.Ask, Action: market.Add}}},
		{"a buy", "6138" + addIBKR[4:], 0x17fa55611511771e, []market.Entry{{OrderID: 0x6300000000000a, Price: 1365000, Size: 100, Side: market.Bid, Action: market.Add}}},
		{"M", modifyIBKR, 0x17fa55a436848bce, []market.Entry{
			{OrderID: 0x630000000000ae, Price: undef, Size: gone, Side: market.NoSide, Action: market.Cancel},
			{OrderID: 0x630000000000ae, Price: 1383300, Size: 200, Side: market.NoSide, Action: market.Add}}},
		{"M that keeps its priority", kept, 0x17fa55a436848bce, []market.Entry{
			{OrderID: 0x630000000000ae, Price: 1383300, Size: 200, Side: market.NoSide, Action: market.Modify}}},
		{"R", deleteIBKR, 0x17fa5561c2fe974a, []market.Entry{{OrderID: 0x6300000000000a, Price: undef, Size: gone, Side: market.NoSide, Action: market.Cancel}}},
		{"L", executedIBKR, 0x17fa55687c8e379c, []market.Entry{
			{OrderID: 0x6300000000000d, Price: 1380000, Size: 100, Side: market.NoSide, Action: market.Fill},
			{OrderID: 0x63000000000018, Price: 1380000, Size: 100, Count: 0x40, Side: market.NoSide, Action: market.Exec}}},
	} {
		f := newFixture(DeepPlus)
		f.say(t, c.message)
		books := f.books(t)
		if len(books) != 1 || !slices.Equal(books[0].Entries, c.want) || books[0].Seq != 1 || books[0].Flags != market.FlagLast {
			t.Errorf("%s: events %+v, want entries %+v", c.name, books, c.want)
		}
		if rec := f.q.Of(market.KindBook)[0]; rec.EventTime != c.event || rec.Time != 1000 {
			t.Errorf("%s: times %d and %#x", c.name, rec.Time, rec.EventTime)
		}
		if defs, _ := emittest.JSON[market.Definition](f.q); len(defs) != 1 || defs[0].BookType != market.L3 || defs[0].Symbol != "ibkr" || defs[0].Channel != "iex-deepplus" {
			t.Errorf("%s: definitions %+v", c.name, defs)
		}
	}
}

func TestClearBookIsAnEmptySnapshot(t *testing.T) {
	f := newFixture(DeepPlus)
	f.say(t, addIBKR, clearIBKR)
	recs := f.q.Of(market.KindSnapshot)
	if len(recs) != 1 || recs[0].EventTime != 0x146d86aba0a58fb2 {
		t.Fatalf("snapshots are %+v", recs)
	}
	e := f.books(t)[1]
	if len(e.Entries) != 0 || e.Flags != market.FlagSnapshot|market.FlagLast || e.Attr != 0 || e.Seq != 2 || e.AsOfEvent != 0x146d86aba0a58fb2 || e.AsOfRecv != 2000 {
		t.Errorf("snapshot is %+v", e)
	}
}

func TestTrades(t *testing.T) {
	want := market.Trade{Seq: 1, TradeID: 0x63000000000090, Price: 1373300, Size: 100, Side: market.NoSide, Flags: market.FlagLast, Cond: 0x40}
	for _, feed := range []*Feed{Deep, Tops, DeepPlus} {
		f := newFixture(feed)
		f.say(t, tradeIBKR)
		got, err := f.q.Trades()
		if err != nil || len(got) != 1 || got[0] != want || f.q.Of(market.KindTrade)[0].EventTime != 0x17fa558aba4ffdec {
			t.Errorf("%s: %+v, %v, want %+v", feed.Name, got, err, want)
		}
	}
}

func TestQuotes(t *testing.T) {
	empty := quoteATSG[:36] + "0000000000000000000000000000000000000000" + "00000000"
	early := "5140" + quoteATSG[4:]
	f := newFixture(Tops)
	f.say(t, quoteATSG, empty, early, early)
	full := market.Quote{Seq: 1, BidPrice: 241900, BidSize: 18773, AskPrice: 242500, AskSize: 60677, Flags: market.FlagLast}
	none := market.Quote{Seq: 2, BidPrice: market.UndefPrice, BidSize: market.UndefSize, AskPrice: market.UndefPrice, AskSize: market.UndefSize, Flags: market.FlagLast}
	var got []market.Quote
	for _, rec := range f.q.Of(market.KindQuote) {
		var q market.Quote
		if err := q.Decode(rec.Body); err != nil || rec.EventTime != 0x150db3379ce348c0 {
			t.Fatal(rec, err)
		}
		got = append(got, q)
	}
	third, fourth := full, full
	third.Seq, fourth.Seq = 3, 4
	if !slices.Equal(got, []market.Quote{full, none, third, fourth}) {
		t.Errorf("quotes are %+v", got)
	}
	// The flags are kept when they are first seen and when they change.
	want := []market.Kind{market.KindSession, market.KindDefinition, market.KindStatus, market.KindQuote, market.KindQuote, market.KindStatus, market.KindQuote, market.KindQuote}
	if kinds := f.q.Kinds(); !slices.Equal(kinds, want) {
		t.Errorf("records are %v, want %v", kinds, want)
	}
	var s market.Status
	if err := s.Decode(f.q.Of(market.KindStatus)[1].Body); err != nil || s.Code != 'Q' || !bytes.Equal(s.Payload, unhex(t, early)) {
		t.Errorf("status is %+v, %v", s, err)
	}
}

func TestStatusMessagesAreKeptVerbatim(t *testing.T) {
	official := "5851be7f13353ae25d165620202020202020b4f01e0000000000"
	auction := "4143be7f13353ae25d165620202020202020" + hex.EncodeToString(make([]byte, 62))
	all := []string{systemStart, directory, statusZCMD, liquidity, haltZCZZT, shortZCZZT, breakTFC}
	symbols := []string{"_all", "zexit", "zcmd", "zcmd", "zczzt", "zczzt", "tfc", "a", "v", "v"}
	for feed, messages := range map[*Feed][]string{
		Deep:     append(slices.Clone(all), eventA, official, auction),
		Tops:     append(slices.Clone(all), official, auction),
		DeepPlus: append(slices.Clone(all), eventA),
	} {
		f := newFixture(feed)
		f.say(t, messages...)
		names := make(map[uint32]string)
		defs, _ := emittest.JSON[market.Definition](f.q)
		for _, d := range defs {
			names[d.ID] = d.Symbol
		}
		want := symbols
		if feed == Tops {
			want = slices.Delete(slices.Clone(symbols), 7, 8)
		}
		recs := f.q.Of(market.KindStatus)
		if len(recs) != len(messages) {
			t.Fatalf("%s: %d status records of %d messages", feed.Name, len(recs), len(messages))
		}
		for i, rec := range recs {
			var s market.Status
			if err := s.Decode(rec.Body); err != nil {
				t.Fatal(err)
			}
			b := unhex(t, messages[i])
			if !bytes.Equal(s.Payload, b) || s.Code != uint16(b[0]) || s.Seq != uint64(i+1) || names[rec.Tag] != want[i] {
				t.Errorf("%s: status of %s is %+v, want %s of %s", feed.Name, names[rec.Tag], s, messages[i], want[i])
			}
		}
	}
}

func TestDirectoryDefinesAndRefines(t *testing.T) {
	f := newFixture(Deep)
	early := "3801be7f13353ae25d16" + "5a45584954202020" + "be000000b4f01e0000000000" // ZEXIT before its directory message
	f.say(t, early, directory, directory)
	defs, _ := emittest.JSON[market.Definition](f.q)
	if len(defs) != 2 || defs[0].LotSize != "" || defs[1].LotSize != "100" || defs[0].ID != defs[1].ID || defs[1].Symbol != "zexit" {
		t.Errorf("definitions are %+v, want one from the symbol and one from the directory", defs)
	}
	if s := f.c.Stats(); s.Instruments != 1 || s.Messages != 3 {
		t.Errorf("counts are %+v", s)
	}
}
