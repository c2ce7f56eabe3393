package flight

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

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

func TestClientGoesAway(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{}), Released: make(chan struct{})}
	r := start(t, archive, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ticket := r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	go func() {
		archive.Stall <- struct{}{}
		cancel()
	}()
	if _, _, err := r.fetch(ctx, ticket); status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	<-archive.Released
}

func TestLargeRequestIsRefused(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	_, err := r.client.GetFlightInfo(t.Context(), commandOf(strings.Repeat("x", 2<<20)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}

func TestHealth(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	got, err := healthpb.NewHealthClient(r.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v %v", got, err)
	}
}

func TestShutdownLetsStreamsEnd(t *testing.T) {
	archive := &fake.Archive{Rows: 40, Stall: make(chan struct{})}
	r := start(t, archive, nil)
	ticket := r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	go func() {
		archive.Stall <- struct{}{}
		r.stop()
		close(archive.Stall)
	}()
	if _, batches, err := r.fetch(t.Context(), ticket); err != nil || rowsOf(batches) != 40 {
		t.Errorf("%d rows, %v", rowsOf(batches), err)
	}
	if err := <-r.served; err != nil {
		t.Error(err)
	}
}

func TestShutdownBreaksOffAfterGrace(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{})}
	r := start(t, archive, func(c *Config) { c.Grace = time.Millisecond })
	ticket := r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	go func() {
		archive.Stall <- struct{}{} // and never again
		r.stop()
	}()
	if _, _, err := r.fetch(t.Context(), ticket); err == nil {
		t.Error("a stream that never ended was whole")
	}
	if err := <-r.served; err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"no archive": {},
		"short key":  {Archive: &fake.Archive{}, TicketKey: []byte("short")},
		"no URI":     {Archive: &fake.Archive{}, Advertise: "somewhere"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: a server was made", name)
		}
	}
	r := start(t, &fake.Archive{}, func(c *Config) { c.Advertise = "grpc+tls://ticks.example.com:8815" })
	info, err := r.client.GetFlightInfo(t.Context(), pathOf("trades", "binance-usdm", "btc_usdt"))
	if err != nil || info.Endpoint[0].Location[0].Uri != "grpc+tls://ticks.example.com:8815" {
		t.Errorf("%v %v", info, err)
	}
}

// TestNoBatchIsTooLarge asks for more than a batch may hold in one piece.
func TestNoBatchIsTooLarge(t *testing.T) {
	r := start(t, &fake.Archive{Rows: 100_000, BatchRows: 100_000}, nil)
	stream, err := r.client.DoGet(t.Context(), r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt")))
	if err != nil {
		t.Fatal(err)
	}
	batches := 0
	for {
		data, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if batches++; len(data.DataBody) > 2<<20+4096 {
			t.Errorf("a message of %d bytes", len(data.DataBody))
		}
	}
	if batches < 4 {
		t.Errorf("%d messages", batches)
	}
}

func BenchmarkDoGet(b *testing.B) {
	const rows = 1 << 20
	archive := &fake.Archive{Rows: rows, BatchRows: 1 << 14, Cache: true}
	s, err := New(Config{Archive: archive, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	defer func() { stop(); <-served }()
	client, err := flight.NewClientWithMiddleware(l.Addr().String(), nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	info, err := client.GetFlightInfo(ctx, pathOf("trades", "binance-usdm", "btc_usdt"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		stream, err := client.DoGet(ctx, info.Endpoint[0].Ticket)
		if err != nil {
			b.Fatal(err)
		}
		in, err := flight.NewRecordReader(stream, ipc.WithAllocator(memory.DefaultAllocator))
		if err != nil {
			b.Fatal(err)
		}
		var bytes int64
		for in.Next() {
			bytes += batchBytes(in.RecordBatch())
		}
		if in.Err() != nil {
			b.Fatal(in.Err())
		}
		in.Release()
		b.SetBytes(bytes)
	}
}
