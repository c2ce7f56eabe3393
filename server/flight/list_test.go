package flight

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chronicle/server/internal/fake"
)

func TestListFlights(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	for criteria, want := range map[string]string{
		"":                         "mbp-10/binance-usdm/btc_usdt trades/binance-usdm/btc_usdt mbo/xnas/aapl",
		`{"venue":"xn*"}`:          "mbo/xnas/aapl",
		`{"symbol":"btc_*"}`:       "mbp-10/binance-usdm/btc_usdt trades/binance-usdm/btc_usdt",
		`{"venue":"nowhere"}`:      "",
		`{"symbol":"?apl"}`:        "mbo/xnas/aapl",
		`{"venue":"","symbol":""}`: "mbp-10/binance-usdm/btc_usdt trades/binance-usdm/btc_usdt mbo/xnas/aapl",
	} {
		stream, err := r.client.ListFlights(t.Context(), &flight.Criteria{Expression: []byte(criteria)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			info, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.Join(info.FlightDescriptor.Path, "/"))
			if len(info.Schema) == 0 || !json.Valid(info.AppMetadata) || len(info.Endpoint) != 1 {
				t.Errorf("%s: schema of %d bytes, metadata %q", got, len(info.Schema), info.AppMetadata)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", criteria, got, want)
		}
	}
	stream, err := r.client.ListFlights(t.Context(), &flight.Criteria{Expression: []byte("{")})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("broken criteria: %v", err)
	}
}

// TestListedFlightsCanBeFetched asks for what is listed by its own descriptor.
func TestListedFlightsCanBeFetched(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	stream, err := r.client.ListFlights(t.Context(), &flight.Criteria{Expression: []byte(`{"venue":"binance-usdm"}`)})
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	_, batches, err := r.fetch(t.Context(), r.ticket(t, info.FlightDescriptor))
	if err != nil || rowsOf(batches) != 10 {
		t.Errorf("%d rows, %v", rowsOf(batches), err)
	}
	if _, batches, err = r.fetch(t.Context(), info.Endpoint[0].Ticket); err != nil || rowsOf(batches) != 10 {
		t.Errorf("by the listed ticket: %d rows, %v", rowsOf(batches), err)
	}
}
