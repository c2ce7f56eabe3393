package flight

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chronicle/server/internal/fake"
)

func TestErrors(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	for name, c := range map[string]struct {
		d    *flight.FlightDescriptor
		code codes.Code
		text string
	}{
		"unknown symbol":  {pathOf("trades", "kraken", "doge_gbp"), codes.NotFound, "symbol: no such symbol in the archive (given: kraken:doge_gbp) (allowed: binance-usdm:btc_usdt, xnas:aapl)"},
		"malformed time":  {pathOf("book", "binance-usdm", "btc_usdt", "noon"), codes.InvalidArgument, "at: not a time (given: noon) (allowed: RFC 3339"},
		"depth 0":         {pathOf("book", "binance-usdm", "btc_usdt", "1", "0"), codes.InvalidArgument, "depth: number of levels a side is out of range (given: 0) (allowed: 1 to 5000)"},
		"short path":      {pathOf("trades"), codes.InvalidArgument, "path: a path has 3 to 5 elements (given: trades)"},
		"empty path":      {pathOf(), codes.InvalidArgument, "path: a path has 3 to 5 elements"},
		"unknown field":   {commandOf(`{"schema":"trades","symbol":"btcusdt","from":1}`), codes.InvalidArgument, "from: there is no such field"},
		"no JSON":         {commandOf(`trades`), codes.InvalidArgument, "command: not a JSON object"},
		"backwards":       {pathOf("trades", "binance-usdm", "btc_usdt", "2", "1"), codes.InvalidArgument, "start: the range ends before it starts"},
		"neither":         {&flight.FlightDescriptor{}, codes.InvalidArgument, "descriptor: the descriptor is of no known type (given: UNKNOWN) (allowed: PATH or CMD)"},
		"book of a range": {commandOf(`{"schema":"book","symbol":"btcusdt","at":1,"end":2}`), codes.InvalidArgument, "end: schema book takes no end"},
	} {
		_, err := r.client.GetFlightInfo(t.Context(), c.d)
		if st := status.Convert(err); st.Code() != c.code || !strings.HasPrefix(st.Message(), c.text) {
			t.Errorf("%s: %s %q, want %s %q", name, st.Code(), st.Message(), c.code, c.text)
		}
		if _, other := r.client.GetSchema(t.Context(), c.d); status.Code(other) != c.code {
			t.Errorf("%s: GetSchema says %v", name, other)
		}
	}
}

func TestErrorWhileStreaming(t *testing.T) {
	r := start(t, &fake.Archive{Rows: 1000, BatchRows: 10, FailAfter: 100}, nil)
	_, batches, err := r.fetch(t.Context(), r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt")))
	if st := status.Convert(err); st.Code() != codes.DataLoss || rowsOf(batches) != 100 || st.Message() != "segment 7 is damaged" {
		t.Errorf("%d rows, %v", rowsOf(batches), err)
	}
	if n := r.Archive.(*fake.Archive).Open.Load(); n != 0 {
		t.Errorf("%d ranges are still open", n)
	}
}

func TestPanic(t *testing.T) {
	r := start(t, &fake.Archive{Panic: true}, nil)
	_, _, err := r.fetch(t.Context(), r.ticket(t, pathOf("book", "binance-usdm", "btc_usdt", "2026-01-02T10:00:00Z")))
	if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "fake") {
		t.Errorf("%v", err)
	}
	if _, err := r.client.GetSchema(t.Context(), pathOf("trades", "binance-usdm", "btc_usdt")); err != nil {
		t.Errorf("the server is gone: %v", err)
	}
}

func TestLargeRequestIsRefused(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	_, err := r.client.GetFlightInfo(t.Context(), commandOf(strings.Repeat("x", 2<<20)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}
