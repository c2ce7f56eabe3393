package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"chronicle/query"
	"chronicle/server"
)

const books = 2000

// serving is the archive that the pipeline benchmark made, with both servers over it.
type serving struct {
	archive *query.Archive
	server  *server.Server
	client  flight.Client
	stop    context.CancelFunc
	ended   chan error
}

func serve(ctx context.Context, dir string) (*serving, error) {
	a, err := query.Open(ctx, query.Config{Root: filepath.Join(dir, "root")})
	if err != nil {
		return nil, err
	}
	s, err := server.Listen(server.Config{Archive: a, REST: "127.0.0.1:0", Flight: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	sv := &serving{archive: a, server: s, stop: stop, ended: make(chan error, 1)}
	go func() { sv.ended <- s.Serve(running) }()
	sv.client, err = connect(s.FlightAddr())
	return sv, err
}

func (s *serving) close() error {
	s.client.Close()
	s.stop()
	if err := <-s.ended; err != nil {
		return err
	}
	return s.archive.Close()
}

// bookLatency asks for the book at random moments, through the library and both servers.
func bookLatency(ctx context.Context, dir string) ([]row, error) {
	s, err := serve(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	hello, err := roundTrip()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, way := range []struct {
		name string
		ask  func(context.Context, string, int64) error
	}{{"library", s.askLibrary}, {"REST, JSON", s.askREST}, {"Flight", s.askFlight}} {
		rng := rand.New(rand.NewPCG(5, 6))
		took := make([]time.Duration, books)
		for i := range took {
			symbol := fmt.Sprintf("%s:s%02d", venue, 1+rng.IntN(symbols))
			at := firstMoment + int64(time.Second) + rng.Int64N(28*int64(time.Second))
			start := time.Now()
			if err := way.ask(ctx, symbol, at); err != nil {
				return nil, err
			}
			took[i] = time.Since(start)
		}
		p50, p99 := percentiles(took)
		rows = append(rows, row{"book at T, depth 10, " + way.name, fmt.Sprintf("p50 %v, p99 %v", p50.Round(time.Microsecond), p99.Round(time.Microsecond)),
			fmt.Sprintf("%v (TCP round trip on loopback, p50)", hello.Round(time.Microsecond)), fmt.Sprintf("%.1fx", float64(p50)/float64(hello))})
	}
	return rows, nil
}

func (s *serving) askLibrary(ctx context.Context, symbol string, at int64) error {
	_, err := s.archive.BookAt(ctx, query.BookRequest{Symbol: symbol, At: at, Depth: 10, Clock: query.ClockRecv})
	return err
}

func (s *serving) askREST(_ context.Context, symbol string, at int64) error {
	u := fmt.Sprintf("http://%s/v1/books/%s?at=%s&depth=10", s.server.RESTAddr(), url.PathEscape(symbol), strconv.FormatInt(at, 10))
	resp, err := http.Get(u)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", u, resp.Status)
	}
	return nil
}

func (s *serving) askFlight(ctx context.Context, symbol string, at int64) error {
	_, _, err := s.get(ctx, map[string]any{"schema": "book", "symbol": symbol, "at": strconv.FormatInt(at, 10), "depth": 10})
	return err
}

// get runs one Flight request to its end and gives the rows and the bytes of their columns.
func (s *serving) get(ctx context.Context, ask map[string]any) (rows, bytes int64, err error) {
	cmd, err := json.Marshal(ask)
	if err != nil {
		return 0, 0, err
	}
	info, err := s.client.GetFlightInfo(ctx, &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: cmd})
	if err != nil {
		return 0, 0, err
	}
	for _, ep := range info.Endpoint {
		stream, err := s.client.DoGet(ctx, ep.Ticket)
		if err != nil {
			return 0, 0, err
		}
		r, err := flight.NewRecordReader(stream, ipc.WithDelayReadSchema(true))
		if err != nil {
			return 0, 0, err
		}
		for r.Next() {
			rows += r.RecordBatch().NumRows()
			for _, col := range r.RecordBatch().Columns() {
				bytes += int64(col.Data().SizeInBytes())
			}
		}
		err = r.Err()
		r.Release()
		if err != nil {
			return 0, 0, err
		}
	}
	return rows, bytes, nil
}

// flightScan reads all order events of all symbols over Flight, against the same
// number of bytes through a bare TCP connection.
func flightScan(ctx context.Context, dir string) ([]row, error) {
	s, err := serve(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var rows, bytes int64
	start := time.Now()
	for i := range symbols {
		r, b, err := s.get(ctx, map[string]any{
			"schema": "mbo", "symbol": fmt.Sprintf("%s:s%02d", venue, i+1),
			"start": strconv.FormatInt(firstMoment, 10), "end": strconv.FormatInt(firstMoment+int64(time.Minute), 10),
		})
		if err != nil {
			return nil, err
		}
		rows, bytes = rows+r, bytes+b
	}
	took := time.Since(start).Seconds()
	limit, err := bareTCP(bytes)
	if err != nil {
		return nil, err
	}
	r := ratioRow("Flight, mbo from segments", "B/s", float64(bytes)/took, "bare TCP copy on loopback", limit)
	r.value += ", " + quantity(float64(rows)/took) + " rows/s"
	return []row{r}, nil
}

// pair gives two ends of a TCP connection on loopback.
func pair() (a, b net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	return a, b, err
}

// bareTCP gives bytes per second of a plain copy.
func bareTCP(n int64) (float64, error) {
	a, b, err := pair()
	if err != nil {
		return 0, err
	}
	go func() {
		defer a.Close()
		chunk := make([]byte, 1<<20)
		for left := n; left > 0; left -= int64(len(chunk)) {
			if _, err := a.Write(chunk[:min(left, int64(len(chunk)))]); err != nil {
				return
			}
		}
	}()
	defer b.Close()
	start := time.Now()
	got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, b, make([]byte, 1<<20))
	if err == nil && got != n {
		err = fmt.Errorf("bare TCP copy: %d of %d bytes", got, n)
	}
	return float64(n) / time.Since(start).Seconds(), err
}

// roundTrip gives the median time of one byte there and back.
func roundTrip() (time.Duration, error) {
	a, b, err := pair()
	if err != nil {
		return 0, err
	}
	defer a.Close()
	go func() {
		defer b.Close()
		_, _ = io.Copy(b, b) // ends when a is closed
	}()
	took := make([]time.Duration, books)
	one := []byte{1}
	for i := range took {
		start := time.Now()
		if _, err := a.Write(one); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(a, one); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	p50, _ := percentiles(took)
	return p50, nil
}
