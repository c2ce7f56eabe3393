package ws

import (
	"testing"
	"time"

	"github.com/coder/websocket"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// A connection over which nothing comes that is worth a record still tells the time.
func TestQuietFeedTellsTheTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := serve(t, accept(func(_ int, ws *websocket.Conn) {
			write(ws, "book 1 0")
			hang(ws)
		}))
		r := newRig(t, Options{Quiet: time.Hour}, client, &fake{conns: plan(Connection{})})
		begin := time.Now()
		r.start(t)
		after(150 * time.Second)
		r.stop(t)
		sessions, err := emittest.JSON[market.Session](r.q)
		if err != nil {
			t.Fatal(err)
		}
		var clocks []time.Duration
		for i, rec := range r.q.Of(market.KindSession) {
			if sessions[i].Event == market.SessionClock {
				clocks = append(clocks, time.Unix(0, rec.Time).Sub(begin))
			}
		}
		if len(clocks) != 2 || clocks[0] < time.Minute || clocks[0] > 62*time.Second || clocks[1]-clocks[0] > 62*time.Second {
			t.Errorf("clock records after %v, want one a minute", clocks)
		}
	})
}
