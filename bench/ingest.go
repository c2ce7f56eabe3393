package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"chronicle/ingest/etl"
	"chronicle/market"
	"chronicle/store/queue"

	"golang.org/x/sys/unix"
)

const (
	appends    = 4_000_000
	rawRecords = 3_000_000
	symbols    = 20
)

// appendCost measures one append of a 64-byte body against a copy of as many
// bytes and an atomic store into a file that is mapped and touched as a segment
// is: same file system, same size, each byte written once.
func appendCost(_ context.Context, dir string) ([]row, error) {
	shm, err := hotDir(dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(shm)
	w, err := queue.OpenWriter(filepath.Join(shm, "append.q"), queue.Options{SegmentBytes: 512 << 20, Precreate: true, NoSync: true})
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // the first segment is made and touched meanwhile, as before a feed's first message
	body := make([]byte, 64)
	start := time.Now()
	for i := range appends {
		if _, err := w.Append(queue.Record{Time: int64(i), Kind: 2, Body: body}); err != nil {
			return nil, err
		}
	}
	took := float64(time.Since(start).Nanoseconds()) / appends
	if err := w.Close(); err != nil {
		return nil, err
	}
	bare, err := bareCopy(filepath.Join(shm, "bare"), body)
	if err != nil {
		return nil, err
	}
	return []row{{"append, 64-byte body", fmt.Sprintf("%.1f ns", took), fmt.Sprintf("%.1f ns (copy + atomic store)", bare), fmt.Sprintf("%.1fx", took/bare)}}, nil
}

func bareCopy(path string, body []byte) (float64, error) {
	const size, slot = 512 << 20, 104 // a record of the same size
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return 0, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(mem)
	if err := unix.Madvise(mem, unix.MADV_POPULATE_WRITE); err != nil {
		return 0, err
	}
	start := time.Now()
	at := 0
	for range appends {
		if at+slot > size {
			at = 0
		}
		copy(mem[at+40:], body)
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&mem[at])), 65)
		at += slot
	}
	return float64(time.Since(start).Nanoseconds()) / appends, nil
}

// pipeline measures raw records per second through the whole ETL, against only
// reading and decoding the same raw queue.
func pipeline(ctx context.Context, dir string) ([]row, error) {
	raw := filepath.Join(dir, "root", "queues", "raw_main.q")
	if err := writeRaw(raw); err != nil {
		return nil, err
	}
	limit, err := decodeOnly(raw)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	e, err := etl.Open(ctx, etl.Config{
		RawDir: raw, CleanDir: filepath.Join(dir, "root", "queues", "clean"), StateDir: filepath.Join(dir, "root", "queues", "etl"),
		CheckpointEvery: 1 << 62,
	})
	if err != nil {
		return nil, err
	}
	if err := e.CatchUp(ctx); err != nil {
		return nil, err
	}
	rate := float64(e.Stats().Records) / time.Since(start).Seconds()
	if err := e.Close(); err != nil {
		return nil, err
	}
	return []row{ratioRow(fmt.Sprintf("ETL, L3, %d symbols, one core", symbols), " records/s", rate, "read + decode only", limit)}, nil
}

func decodeOnly(raw string) (float64, error) {
	t, err := queue.OpenTailer(raw, 1)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	var ev market.BookEvent
	start, n := time.Now(), 0
	for {
		r, ok, err := t.Next()
		if err != nil {
			return 0, err
		}
		if !ok {
			return float64(n) / time.Since(start).Seconds(), nil
		}
		if market.Kind(r.Kind) == market.KindBook {
			if err := ev.Decode(r.Body, market.KindBook); err != nil {
				return 0, err
			}
		}
		n++
	}
}

// writeRaw makes a raw queue of L3 flow: adds, cancels and executions near a
// wandering mid, 30 seconds of it.
func writeRaw(dir string) error {
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 256 << 20, NoSync: true})
	if err != nil {
		return err
	}
	g := generator{w: w, rng: rand.New(rand.NewPCG(1, 2)), now: firstMoment}
	g.session(market.SessionSourceBegin)
	g.session(market.SessionNew)
	for id := range uint32(symbols) {
		g.define(id + 1)
	}
	for i := range rawRecords {
		g.now += 30 * int64(time.Second) / rawRecords
		g.message(uint64(i) + 1)
	}
	g.session(market.SessionSourceEnd)
	if g.err != nil {
		return g.err
	}
	return w.Close()
}

const (
	firstMoment = int64(1_700_000_000) * int64(time.Second)
	venue       = "xnas"
)

type generator struct {
	w    *queue.Writer
	rng  *rand.Rand
	now  int64
	open [symbols + 1][]uint64 // resting orders by instrument
	mid  [symbols + 1]int64
	err  error
}

func (g *generator) append(kind market.Kind, tag uint32, body []byte) {
	if g.err == nil {
		_, g.err = g.w.Append(queue.Record{Time: g.now, EventTime: g.now - 1000, Kind: uint16(kind), Tag: tag, Body: body})
	}
}

func (g *generator) session(event market.SessionEvent) {
	g.append(market.KindSession, 0, market.EncodeJSON(&market.Session{Event: event, Venue: venue, Channel: "itch"}))
}

func (g *generator) define(id uint32) {
	symbol := fmt.Sprintf("s%02d", id)
	g.append(market.KindDefinition, id, market.EncodeJSON(&market.Definition{
		ID: id, Venue: venue, Symbol: symbol, Native: symbol, BookType: market.L3, PriceExponent: -4, Channel: "itch",
	}))
	g.mid[id] = 1_000_000
}

func (g *generator) message(seq uint64) {
	id := uint32(g.rng.IntN(symbols)) + 1
	resting := g.open[id]
	entry := market.Entry{Side: market.NoSide, Price: market.UndefPrice, Size: market.UndefSize, Action: market.Cancel}
	entries := []market.Entry{entry}
	switch k := g.rng.IntN(100); {
	case len(resting) < 50 || len(resting) < 2000 && k < 52:
		g.mid[id] += 100 * (g.rng.Int64N(3) - 1)
		offset := 100 * (1 + g.rng.Int64N(20))
		e := market.Entry{OrderID: seq, Side: market.Bid, Price: g.mid[id] - offset, Size: 1000 + g.rng.Int64N(500), Action: market.Add}
		if g.rng.IntN(2) == 0 {
			e.Side, e.Price = market.Ask, g.mid[id]+offset
		}
		entries[0] = e
		g.open[id] = append(resting, seq)
	case k < 92:
		entries[0].OrderID = g.take(id)
	default:
		entries[0] = market.Entry{OrderID: resting[len(resting)-1], Side: market.NoSide, Price: market.UndefPrice, Size: 1, Action: market.Fill}
		entries = append(entries, market.Entry{OrderID: seq, Side: market.NoSide, Price: market.UndefPrice, Size: 1, Action: market.Exec})
	}
	ev := market.BookEvent{Seq: seq, Flags: market.FlagLast, Entries: entries}
	body := make([]byte, ev.Size(market.KindBook))
	ev.Put(body, market.KindBook)
	g.append(market.KindBook, id, body)
}

// take removes a random resting order and gives its id.
func (g *generator) take(id uint32) uint64 {
	resting := g.open[id]
	i := g.rng.IntN(len(resting))
	order := resting[i]
	resting[i] = resting[len(resting)-1]
	g.open[id] = resting[:len(resting)-1]
	return order
}
