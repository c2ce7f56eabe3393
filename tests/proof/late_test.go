package proof

import (
	"testing"

	"chronicle/market"
)

// TestReceiveTimesStepBack: behind a message that came late the receive times step
// back. That does not make the source older than the stream, whatever was written
// to the stream first: an execution's trade, a gap marker, the end of an outage.
func TestReceiveTimesStepBack(t *testing.T) {
	for name, first := range map[string]func(s *script, late int64){
		"an execution": func(s *script, late int64) {
			s.appendAt(late, market.KindBook, 1, encoded(market.KindBook, &market.BookEvent{Seq: 2, Flags: market.FlagLast, Entries: fill(7, 1, 99)}))
		},
		"a gap": func(s *script, late int64) {
			s.appendAt(late, market.KindGap, 0, market.EncodeJSON(&market.Gap{Venue: "sim", Channel: "ch", FirstSeq: 5, LastSeq: 6, Start: s.now, End: late, Cause: market.GapSequence}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, site{fastDir(t)})
			trade := func(at int64, id uint64) {
				s.appendAt(at, market.KindTrade, 1, tradeBody(market.Trade{TradeID: id, Price: 100, Size: 1, Side: market.Bid}))
			}
			begin := func() {
				s.session(market.SessionSourceBegin, "")
				s.session(market.SessionNew, "ch")
				s.define(1, market.Definition{Symbol: "a", BookType: market.L3, Channel: "ch"})
				s.appendAt(s.now, market.KindBook, 1, encoded(market.KindBook, &market.BookEvent{Seq: 1, Flags: market.FlagLast, Entries: []market.Entry{add(7, market.Bid, 100, 10)}}))
			}
			begin()
			trade(s.now, 1)
			s.now += second
			begin() // the feed has been started again
			first(s, s.now+5*millisecond)
			trade(s.now+3*millisecond, 2) // it waited for the one before
			trade(s.now+9*millisecond, 3)
			stats := refine(t, s.site.config())
			var ids []uint64
			for _, r := range s.site.streams(t)["sim/a/trade"] {
				if market.Kind(r.Kind) == market.KindTrade {
					var tr market.Trade
					must(t, tr.Decode(r.Body))
					ids = append(ids, tr.TradeID)
				}
			}
			if stats.Behind != 0 || len(ids) < 3 || ids[len(ids)-2] != 2 || ids[len(ids)-1] != 3 {
				t.Errorf("%d records were left out as of an older source; trades are %v, want 1 to 3 among them", stats.Behind, ids)
			}
		})
	}
}
