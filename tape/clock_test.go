package tape_test

import (
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/tape"
)

// A follower keeps its book over the feed's clock records, and over session events
// that it does not know.
func TestClockLeavesTheBook(t *testing.T) {
	q := newRaw(t, queue.Options{})
	q.Session(1, market.Session{Event: market.SessionNew, Channel: "c"})
	id := q.Define(1, 1, market.Definition{Symbol: "a", BookType: market.L3, Channel: "c"})
	q.Book(market.KindBook, id, 2, 2, &market.BookEvent{Seq: 1, Entries: []market.Entry{{OrderID: 1, Side: market.Bid, Action: market.Add, Price: 5, Size: 7}}})
	q.Session(3, market.Session{Event: market.SessionClock})
	q.Session(4, market.Session{Event: "no_such_event", Channel: "c"})
	r := open(t, q.dir, tape.Oldest(), tape.Options{})
	f := tape.NewFollower(market.SymbolID{Venue: "sim", Symbol: "a"})
	messages := 0
	for m, err := r.Next(); m != nil || err != nil; m, err = r.Next() {
		if err != nil {
			t.Fatal(err)
		}
		if messages++; f.Apply(m) && m.TsRecv > 2 {
			t.Errorf("%v at %d changed the book", m.Kind, m.TsRecv)
		}
	}
	if !f.Good() || len(f.Book().Levels(market.Bid, 5, nil)) != 1 || messages != 6 {
		t.Errorf("after %d messages: good %v, %v", messages, f.Good(), f.Book().Levels(market.Bid, 5, nil))
	}
}
