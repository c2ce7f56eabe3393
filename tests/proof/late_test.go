package proof

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/market"
	"chronicle/store/queue"
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

// TestETLBeforeTheFeed: after a power failure the ETL may be there before the feed,
// whose recovery of the raw queue then throws away a segment of which the header alone
// was on disk, and makes another of the same name. The ETL must follow the new one.
func TestETLBeforeTheFeed(t *testing.T) {
	s := site{fastDir(t)}
	w := s.openRaw(t, queue.Options{SegmentBytes: 64 << 10, NoSync: true})
	_, err := w.Append(queue.Record{Time: 1, Kind: uint16(market.KindSession), Body: market.EncodeJSON(&market.Session{Event: market.SessionSourceBegin, Venue: "sim"})})
	must(t, err)
	must(t, w.Close())
	const headerPage = 4096
	path := filepath.Join(s.raw(), queue.SegmentName(1))
	must(t, os.Truncate(path, headerPage))
	must(t, os.Truncate(path, 64<<10)) // the page of records reads as zero
	must(t, os.Remove(filepath.Join(s.raw(), "index.meta")))

	e, err := etl.Open(t.Context(), s.config())
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	sc := newScript(t, s)
	sc.session(market.SessionSourceBegin, "")
	sc.session(market.SessionNew, "ch")
	for deadline := time.Now().Add(10 * time.Second); e.Stats().RawSeq != 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	must(t, <-ended)
	if at := e.Stats().RawSeq; at != 2 {
		t.Errorf("the ETL stands at raw record %d of 2", at)
	}
	must(t, e.Close())
}
