package feed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/udp"
	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/store/queue"
)

// liveFeed is a feed that receives on a port of its own.
type liveFeed struct {
	dir    string
	addr   string
	lines  []string // addresses
	counts *Counters
	stop   func() // ends the feed and waits for it
	tail   *queue.Tailer
	read   []queue.Record
}

// loopback is a line on a free port.
var loopback = Line{Address: "127.0.0.1:0"}

func startLive(t *testing.T, opts PacketOptions) *liveFeed {
	t.Helper()
	w, dir := openRaw(t)
	if opts.Lines == nil {
		opts.Lines = []Line{loopback}
	}
	sockets, err := ListenUDP(opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	opts.Sockets = sockets
	f := &liveFeed{dir: dir, addr: sockets.Name(0), counts: &Counters{}}
	for i := range opts.Lines {
		f.lines = append(f.lines, sockets.Name(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Live(ctx, w, LiveOptions{Format: "itch", Packets: opts, Venue: "sim"}, f.counts)
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("live feed: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// follow reads the queue while it is written, until a record satisfies last, and
// gives what it has read in all.
func (f *liveFeed) follow(t *testing.T, last func(market.Kind, queue.Record) bool) []queue.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if f.tail == nil {
		tail, err := queue.OpenTailer(f.dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.tail = tail
		t.Cleanup(func() { _ = tail.Close() })
	}
	for {
		rec, ok, err := f.tail.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if err := f.tail.Wait(ctx); err != nil {
				t.Fatalf("after %d records: %v (%+v)", len(f.read), err, f.counts.Stats())
			}
			continue
		}
		rec.Body = bytes.Clone(rec.Body)
		f.read = append(f.read, rec)
		if last(market.Kind(rec.Kind), rec) {
			return f.read
		}
	}
}

// carries tells whether a record is of the message with that sequence.
func carries(seq uint64) func(market.Kind, queue.Record) bool {
	return func(kind market.Kind, rec queue.Record) bool {
		switch kind {
		case market.KindBook, market.KindTrade, market.KindStatus:
			return binary.LittleEndian.Uint64(rec.Body[8:]) == seq
		}
		return false
	}
}

func endOfSession(kind market.Kind, rec queue.Record) bool {
	return kind == market.KindSession && bytes.Contains(rec.Body, []byte(market.SessionEnd))
}

// quiet keeps the end of the session to itself.
type quiet struct{ net.Conn }

func (q quiet) Write(p []byte) (int, error) {
	if binary.BigEndian.Uint16(p[18:]) == 0xffff {
		return len(p), nil
	}
	return q.Conn.Write(p)
}

// rawOrder and rawBooks rebuild L3 books from raw records.
type rawOrder struct {
	tag         uint32
	side        market.Side
	price, size int64
}

type rawBooks map[uint64]*rawOrder

func (b rawBooks) apply(t *testing.T, tag uint32, e *market.BookEvent) {
	t.Helper()
	var replaced *rawOrder
	for _, x := range e.Entries {
		o := b[x.OrderID]
		switch x.Action {
		case market.Add:
			side := x.Side
			if side == market.NoSide {
				side = replaced.side
			}
			b[x.OrderID] = &rawOrder{tag, side, x.Price, x.Size}
		case market.Cancel, market.Fill:
			if o == nil {
				t.Fatalf("order %d is not known", x.OrderID)
			}
			replaced = o
			if o.size -= x.Size; x.Size == market.UndefSize || o.size <= 0 {
				delete(b, x.OrderID)
			}
		}
	}
}

func (b rawBooks) levels(tag uint32, side market.Side) []sim.Level {
	byPrice := make(map[int64]sim.Level)
	for _, o := range b {
		if o.tag == tag && o.side == side {
			l := byPrice[o.price]
			byPrice[o.price] = sim.Level{Price: o.price, Size: l.Size + o.size, Count: l.Count + 1}
		}
	}
	var out []sim.Level
	for _, l := range byPrice {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b sim.Level) int {
		if side == market.Bid {
			return int(b.Price - a.Price)
		}
		return int(a.Price - b.Price)
	})
	return out
}

func TestLiveFeedKeepsTheTrueBooks(t *testing.T) {
	f := startLive(t, PacketOptions{})
	conn, err := net.Dial("udp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := sim.New(sim.Options{Seed: 3, Symbols: []string{"AAPL", "MSFT"}})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixNano()
	for range 100 { // a round at a time, so that the socket's buffer never overflows
		if err := sim.Send(context.Background(), quiet{conn}, s, sim.SendOptions{Messages: 100, Unpaced: true}); err != nil {
			t.Fatal(err)
		}
		f.follow(t, carries(s.Seq()))
	}
	if _, err := conn.Write(s.EndOfSession()); err != nil {
		t.Fatal(err)
	}
	records := f.follow(t, endOfSession)
	after := time.Now().UnixNano()
	f.stop()
	checkOrder(t, records)
	got := replayed{f.counts.Stats(), records}
	if st := got.stats; st.Messages != s.Seq() || st.Gaps != 0 || st.Skipped != 0 || st.Instruments != 3 || st.Records != uint64(len(records)) {
		t.Errorf("counts are %+v for %d messages and %d records", st, s.Seq(), len(records))
	}
	books := make(rawBooks)
	for _, rec := range records {
		if market.Kind(rec.Kind) == market.KindBook {
			var e market.BookEvent
			if err := e.Decode(rec.Body, market.KindBook); err != nil {
				t.Fatal(err)
			}
			books.apply(t, rec.Tag, &e)
		}
		if rec.Time < before || rec.Time > after || rec.EventTime != market.UndefTimestamp && (rec.EventTime > rec.Time || rec.EventTime < before) {
			t.Fatalf("record %d has times %d and %d outside of %d to %d", rec.Seq, rec.EventTime, rec.Time, before, after)
		}
	}
	for symbol, d := range got.definitions(t) {
		for _, side := range []market.Side{market.Bid, market.Ask} {
			if want := s.Levels(strings.ToUpper(symbol), side, 0); !slices.Equal(books.levels(d.ID, side), want) {
				t.Errorf("%s %c: %v, want %v", symbol, side, books.levels(d.ID, side), want)
			}
		}
		if d.Venue != "sim" {
			t.Errorf("venue of %s is %s", symbol, d.Venue)
		}
	}
	if got := got.sessions(t); !slices.Equal(got, []string{"source_begin", "new_session", "end_session"}) {
		t.Errorf("sessions are %v", got)
	}
}

func TestLiveFeedReportsWhatWasLost(t *testing.T) {
	f := startLive(t, PacketOptions{})
	conn, err := net.Dial("udp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := sim.New(sim.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	var first, last uint64
	for i := range 20 {
		from := s.Seq() + 1
		p := s.NextPacket(time.Now())
		if i == 10 { // lost on the way
			first, last = from, s.Seq()
			continue
		}
		for range 1 + i%2 { // some come twice
			if _, err := conn.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := conn.Write(s.EndOfSession()); err != nil {
		t.Fatal(err)
	}
	got := replayed{records: f.follow(t, endOfSession)}
	gaps := got.gaps(t)
	if len(gaps) != 1 || gaps[0].FirstSeq != first || gaps[0].LastSeq != last || gaps[0].Cause != market.GapSequence || gaps[0].Channel != "itch" || gaps[0].Venue != "sim" {
		t.Errorf("gaps are %+v, want one of %d to %d", gaps, first, last)
	}
	if st := f.counts.Stats(); st.Messages != s.Seq()-(last-first+1) || st.SkippedBy["duplicate"] == 0 {
		t.Errorf("counts are %+v for %d messages", st, s.Seq())
	}
}

func TestLiveOptionsAreChecked(t *testing.T) {
	w, _ := openRaw(t)
	defer w.Close()
	for text, opts := range map[string]LiveOptions{
		"there are":    {Format: "morse"},
		"0 lines":      {Format: "itch"},
		"3 lines":      {Format: "itch", Packets: PacketOptions{Lines: []Line{loopback, loopback, loopback}}},
		"address:port": {Format: "itch", Packets: PacketOptions{Lines: []Line{{Address: "localhost"}}}},
		"nosuchif":     {Format: "itch", Packets: PacketOptions{Lines: []Line{{Address: "239.1.2.3:26477", Interface: "nosuchif"}}}},
		"window":       {Format: "itch", Packets: PacketOptions{Lines: []Line{loopback}, Recovery: []string{"127.0.0.1:9"}, ReorderWindow: -1}},
	} {
		if err := Live(context.Background(), w, opts, &Counters{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: error %v, want one that mentions %q", opts, err, text)
		}
	}
}

// script is a source of given datagrams, each in a batch of its own.
type script struct {
	datagrams []udp.Datagram
	closed    int
}

func (s *script) Receive(time.Duration) ([]udp.Datagram, int64, error) {
	if len(s.datagrams) == 0 {
		return nil, 0, io.EOF
	}
	d := s.datagrams[:1]
	s.datagrams = s.datagrams[1:]
	return d, d[0].Recv, nil
}

func (s *script) Send(int, []byte) error { return nil }
func (s *script) Name(line int) string   { return string(rune('a' + line)) }
func (s *script) Dropped(int) uint64     { return 7 }
func (s *script) Wake()                  {}
func (s *script) Close() error           { s.closed++; return nil }

// scripted makes a pump with the options of a live feed.
func scripted(t testing.TB, q emit.Queue, c *Counters, from PacketSource, opts PacketOptions) *pump {
	t.Helper()
	format, ok := packetFormatOf("itch")
	stream, err := opts.stream(format.channel, from)
	if err != nil || !ok {
		t.Fatal(err)
	}
	return newPump(from, emit.New(q, c, emit.Options{Venue: "sim"}), format, stream, time.Now)
}

func TestPumpEndsWithTheQueueOrTheSource(t *testing.T) {
	s, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var datagrams []udp.Datagram
	for range 2 {
		datagrams = append(datagrams, udp.Datagram{Recv: 1_700_000_000_000000000, Data: bytes.Clone(s.NextPacket(time.Now()))})
	}
	for failAt, want := range map[int]error{3: emittest.ErrFull, 0: io.EOF} {
		q, c := &emittest.Queue{FailAt: failAt}, &Counters{}
		if err := scripted(t, q, c, &script{datagrams: datagrams}, PacketOptions{}).run(context.Background()); !errors.Is(err, want) {
			t.Errorf("pump ended with %v, want %v", err, want)
		}
		if failAt == 3 && len(q.Records) != 2 {
			t.Errorf("%d records before the queue failed, want 2", len(q.Records))
		}
		if l := c.Stats().Lines[0]; l.Dropped != 7 || l.Name != "A a" {
			t.Errorf("line is %+v", l)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := scripted(t, &emittest.Queue{}, &Counters{}, &script{}, PacketOptions{}).run(ctx); err != nil {
		t.Errorf("a cancelled feed ended with %v, want no error", err)
	}
}

// What waits for a missing message when the feed stops is kept.
func TestPumpKeepsWhatWaits(t *testing.T) {
	s, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from := &script{}
	var last uint64
	for i := range 3 {
		if p := s.NextPacket(time.Now()); i != 1 {
			from.datagrams = append(from.datagrams, udp.Datagram{Recv: 1_700_000_000_000000000, Data: bytes.Clone(p)})
		}
		last = s.Seq()
	}
	q, c := &emittest.Queue{}, &Counters{}
	_ = scripted(t, q, c, from, PacketOptions{}).run(context.Background())
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 1 || c.Stats().Messages != last-(gaps[0].LastSeq-gaps[0].FirstSeq+1) || gaps[0].Detail != "the feed stopped" {
		t.Errorf("gaps are %+v, %v, counts %+v", gaps, err, c.Stats())
	}
}

// sleeper is a source where nothing comes, and that waits until it is woken.
type sleeper struct {
	script
	asleep, woken chan struct{}
}

func (s *sleeper) Receive(time.Duration) ([]udp.Datagram, int64, error) {
	close(s.asleep)
	<-s.woken
	return nil, 0, nil
}

func (s *sleeper) Wake() { close(s.woken) }

func TestLiveIsWokenToEnd(t *testing.T) {
	w, _ := openRaw(t)
	defer w.Close()
	ctx, cancel := context.WithCancel(context.Background())
	from := &sleeper{asleep: make(chan struct{}), woken: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- Live(ctx, w, LiveOptions{Format: "itch", Packets: PacketOptions{Sockets: from}}, &Counters{})
	}()
	<-from.asleep
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it sleeps on")
	}
}

func TestLiveClosesItsSource(t *testing.T) {
	w, _ := openRaw(t)
	defer w.Close()
	from := &script{}
	if err := Live(context.Background(), w, LiveOptions{Format: "itch", Packets: PacketOptions{Sockets: from}}, &Counters{}); !errors.Is(err, io.EOF) || from.closed != 1 {
		t.Errorf("live ended with %v, closed %d times", err, from.closed)
	}
}
