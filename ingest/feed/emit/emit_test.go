package emit

import (
	"errors"
	"io"
	"testing"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

func TestSourceBeginComesFirstAndTakesTheFirstTime(t *testing.T) {
	q, c := &emittest.Queue{}, &Counters{}
	e := New(q, c, Options{Source: "binance-usdm", Venue: "binance-usdm", Input: "sha256:00", Name: "x.gz"})
	e.End() // nothing was read: nothing to end
	id := e.Define(100, 50, market.Definition{Symbol: "btc_usdt", Channel: "c"})
	e.Trade(id, 101, 51, &market.Trade{Price: 1, Size: 2, Side: market.Bid})
	e.Trade(id, 99, 52, &market.Trade{Price: 1, Size: 2, Side: market.Bid})
	e.End()
	want := []market.Kind{market.KindSession, market.KindDefinition, market.KindTrade, market.KindTrade, market.KindSession}
	if got := q.Kinds(); len(got) != len(want) {
		t.Fatalf("records are %v, want %v", got, want)
	}
	begin, _ := market.DecodeJSON[market.Session](q.Records[0].Body)
	if begin.Event != market.SessionSourceBegin || begin.Source != "binance-usdm" || begin.Input != "sha256:00" || q.Records[0].Time != 100 {
		t.Errorf("source_begin is %+v at %d", begin, q.Records[0].Time)
	}
	end, _ := market.DecodeJSON[market.Session](q.Records[4].Body)
	if end.Event != market.SessionSourceEnd || q.Records[4].Time != 101 {
		t.Errorf("source_end is %+v at %d, want the highest receive time 101", end, q.Records[4].Time)
	}
	if s := c.Stats(); s.Records != 5 || s.Instruments != 1 {
		t.Errorf("counts are %+v", s)
	}
}

func TestDefineAgainWritesOnlyChanges(t *testing.T) {
	q := &emittest.Queue{}
	e := New(q, &Counters{}, Options{Venue: "kraken"})
	d := market.Definition{Symbol: "xmr_usd", PriceExponent: -8}
	d.ID = e.Define(1, 1, d)
	e.Define(2, 2, d)
	if len(q.Records) != 2 {
		t.Fatalf("%d records after defining the same twice, want source_begin and one definition", len(q.Records))
	}
	d.PriceExponent = -5
	if id := e.Define(3, 3, d); id != d.ID || len(q.Records) != 3 || e.Definition(id).PriceExponent != -5 {
		t.Errorf("a changed definition: id %d, %d records", id, len(q.Records))
	}
}

func TestDamageLeavesOneGapForEachChannel(t *testing.T) {
	q, c := &emittest.Queue{}, &Counters{}
	e := New(q, c, Options{Venue: "kraken"})
	e.Define(5, 1, market.Definition{Symbol: "a", Channel: "ws.1"})
	e.Define(6, 1, market.Definition{Symbol: "b", Channel: "ws.2"})
	e.Define(7, 1, market.Definition{Symbol: "c", Channel: "ws.1"})
	e.Damage(io.ErrUnexpectedEOF)
	s := c.Stats()
	if s.Gaps != 2 || s.Skipped != 1 || s.SkippedBy[string(Damaged)] != 1 {
		t.Fatalf("counts are %+v", s)
	}
	gap, err := market.DecodeJSON[market.Gap](q.Records[len(q.Records)-1].Body)
	if err != nil || gap.Channel != "ws.2" || gap.Cause != market.GapSource || gap.Start != 7 {
		t.Errorf("gap is %+v, %v", gap, err)
	}
}

func TestFailedQueueStopsEverything(t *testing.T) {
	q := &emittest.Queue{FailAt: 3}
	e := New(q, &Counters{}, Options{})
	for range 5 {
		e.Trade(1, 1, 1, &market.Trade{Side: market.Bid})
	}
	if !errors.Is(e.Err(), emittest.ErrFull) || len(q.Records) != 2 {
		t.Errorf("error %v after %d records", e.Err(), len(q.Records))
	}
}

func TestReasonOf(t *testing.T) {
	_, tooBig := market.ParseFixed("99999999999999999999", -9)
	_, tooFine := market.ParseFixed("1.001", -2)
	_, noNumber := market.ParseFixed("abc", -2)
	for err, want := range map[error]Reason{tooBig: OutOfRange, tooFine: Precision, noNumber: BadNumber, NoSymbol: NoSymbol} {
		if got := ReasonOf(err); got != want {
			t.Errorf("ReasonOf(%v) = %s, want %s", err, got, want)
		}
	}
}
