package flight

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"chronicle/server/internal/fake"
)

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
