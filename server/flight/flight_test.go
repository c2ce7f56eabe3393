package flight

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"chronicle/query"
	"chronicle/server/backend"
	"chronicle/server/internal/fake"
)

var quiet = slog.New(slog.DiscardHandler)

// running is a server, and a client of it.
type running struct {
	*Server
	client flight.Client
	conn   *grpc.ClientConn
	stop   context.CancelFunc
	served chan error
}

// start serves an archive until the test ends.
func start(t *testing.T, a backend.Archive, edit func(*Config)) *running {
	t.Helper()
	cfg := Config{Archive: a, Log: quiet}
	if edit != nil {
		edit(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, stop: stop, served: make(chan error, 1)}
	go func() { r.served <- s.Serve(ctx, l); close(r.served) }()
	r.conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	r.client = flight.NewClientFromConn(r.conn, nil)
	t.Cleanup(func() {
		r.conn.Close()
		stop()
		<-r.served
	})
	return r
}

func pathOf(p ...string) *flight.FlightDescriptor {
	return &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: p}
}

func commandOf(c string) *flight.FlightDescriptor {
	return &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: []byte(c)}
}

// ticket asks for a ticket.
func (r *running) ticket(t *testing.T, d *flight.FlightDescriptor) *flight.Ticket {
	t.Helper()
	info, err := r.client.GetFlightInfo(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return info.Endpoint[0].Ticket
}

// fetch streams what a ticket stands for.
func (r *running) fetch(ctx context.Context, ticket *flight.Ticket) (*arrow.Schema, []arrow.RecordBatch, error) {
	stream, err := r.client.DoGet(ctx, ticket)
	if err != nil {
		return nil, nil, err
	}
	in, err := flight.NewRecordReader(stream)
	if err != nil {
		return nil, nil, err
	}
	defer in.Release()
	var out []arrow.RecordBatch
	for in.Next() {
		in.RecordBatch().Retain()
		out = append(out, in.RecordBatch())
	}
	return in.Schema(), out, in.Err()
}

func rowsOf(batches []arrow.RecordBatch) (n int64) {
	for _, b := range batches {
		n += b.NumRows()
	}
	return n
}

func TestTrades(t *testing.T) {
	r := start(t, &fake.Archive{Rows: 20}, nil)
	for name, c := range map[string]struct {
		d    *flight.FlightDescriptor
		rows int64
	}{
		"all":     {pathOf("trades", "binance-usdm", "btc_usdt"), 20},
		"day":     {pathOf("trades", "binance-usdm", "btc_usdt", "2026-01-02"), 20},
		"no day":  {pathOf("trades", "binance-usdm", "btc_usdt", "2026-01-03"), 0},
		"range":   {pathOf("trades", "binance-usdm", "BTCUSDT", "2026-01-02T10:00:00.001Z", "1767348000005000005"), 4},
		"command": {commandOf(`{"schema":"trades","symbol":"BTC-USDT","start":"2026-01-02T10:00:00Z","end":"2026-01-02T11:00:00Z","limit":7,"clock":"recv","price_type":"float"}`), 7},
	} {
		info, err := r.client.GetFlightInfo(t.Context(), c.d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		promised, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		schema, batches, err := r.fetch(t.Context(), info.Endpoint[0].Ticket)
		if err != nil || rowsOf(batches) != c.rows || !schema.Equal(promised) {
			t.Errorf("%s: %d rows of %s, %v", name, rowsOf(batches), schema, err)
		}
		if uri := info.Endpoint[0].Location[0].Uri; uri != "arrow-flight-reuse-connection://?" {
			t.Errorf("%s: location %q", name, uri)
		}
	}
}

func TestTradesValues(t *testing.T) {
	r := start(t, &fake.Archive{Rows: 6, BatchRows: 6}, nil)
	_, batches, err := r.fetch(t.Context(), r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt")))
	if err != nil || len(batches) != 1 {
		t.Fatalf("%d batches, %v", len(batches), err)
	}
	b := batches[0]
	times := b.Column(0).(*array.Timestamp)
	if times.Value(5) != arrow.Timestamp(fake.Base+5*fake.Step) || times.DataType().String() != "timestamp[ns, tz=UTC]" {
		t.Errorf("time %d of %s", times.Value(5), times.DataType())
	}
	symbols := b.Column(2).(*array.Dictionary)
	if v := symbols.Dictionary().(*array.String).Value(symbols.GetValueIndex(5)); v != fake.BTC {
		t.Errorf("symbol %q", v)
	}
	if id := b.Column(4).(*array.Uint64).Value(0); id != 1<<53+1 {
		t.Errorf("trade id %d", id)
	}
	if !b.Column(1).IsNull(2) || !b.Column(6).IsNull(3) || b.Column(6).(*array.Float64).Value(1) != 61790.8 {
		t.Errorf("nulls or prices differ: %v", b)
	}
}

func TestBook(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	for name, c := range map[string]struct {
		d     *flight.FlightDescriptor
		depth int64
	}{
		"path":    {pathOf("book", "binance-usdm", "btc_usdt", "2026-01-02T10:00:00Z"), query.DefaultDepth},
		"depth":   {pathOf("book", "binance-usdm", "btc_usdt", "2026-01-02T10:00:00Z", "3"), 3},
		"command": {commandOf(`{"schema":"book","symbol":"btcusdt","at":1767348000000000000,"depth":2,"price_type":"decimal"}`), 2},
	} {
		info, err := r.client.GetFlightInfo(t.Context(), c.d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		promised, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		schema, batches, err := r.fetch(t.Context(), info.Endpoint[0].Ticket)
		if err != nil || rowsOf(batches) != 1 || info.TotalRecords != 1 {
			t.Errorf("%s: %d rows, %v", name, rowsOf(batches), err)
			continue
		}
		if n := int64(batches[0].NumCols()); n != 6+6*c.depth || promised.NumFields() != int(n) || !slices.EqualFunc(promised.Fields(), schema.Fields(), arrow.Field.Equal) {
			t.Errorf("%s: %d columns, %d promised", name, n, promised.NumFields())
		}
		proof, _ := schema.Metadata().GetValue(query.MetaProof)
		var p struct {
			Digest   string
			Segments []query.SegmentProof
		}
		if err := json.Unmarshal([]byte(proof), &p); err != nil || p.Digest != "8a4bb1c1a2d0e4f3" || len(p.Segments) != 2 {
			t.Errorf("%s: proof %q %v", name, proof, err)
		}
	}
}

func TestGetSchema(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	got, err := r.client.GetSchema(t.Context(), pathOf("trades", "binance-usdm", "btc_usdt"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := flight.DeserializeSchema(got.Schema, memory.DefaultAllocator)
	if err != nil || !schema.HasField("trade_id") {
		t.Errorf("%s %v", schema, err)
	}
}
