package sim_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chronicle/ingest/feed"
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/itch"
	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/store/queue"
)

// decoder makes the records of messages that came without any loss.
type decoder struct {
	*itch.Decoder
	queue   *emittest.Queue
	counts  *emit.Counters
	packets int
	types   map[byte]int
	clock   time.Time
}

func newDecoder(now time.Time) *decoder {
	d := &decoder{queue: &emittest.Queue{}, counts: &emit.Counters{}, types: map[byte]int{}, clock: now}
	d.Decoder = itch.NewDecoder(emit.New(d.queue, d.counts, emit.Options{Venue: "sim"}), itch.ReceiptClock(), 0)
	return d
}

// Write decodes a packet as it was sent.
func (d *decoder) Write(p []byte) (int, error) {
	seq, count := uint64(0), int(p[18])<<8|int(p[19])
	for _, b := range p[10:18] {
		seq = seq<<8 | uint64(b)
	}
	if count == 0xffff {
		count = 0
	}
	d.packets++
	b := p[20:]
	for i := range count {
		n := int(b[0])<<8 | int(b[1])
		d.types[b[2]]++
		d.Message(d.clock.UnixNano(), seq+uint64(i), bytes.Clone(b[2:2+n]))
		b = b[2+n:]
	}
	return len(p), nil
}

// TestFeedDecodesEveryType hands a whole day to the feed's decoder.
func TestFeedDecodesEveryType(t *testing.T) {
	const messages = 150_000
	now := time.Date(2024, 3, 5, 15, 0, 0, 0, time.UTC)
	s, err := sim.New(sim.Options{Seed: 1, Symbols: sim.Symbols(20), Messages: messages})
	if err != nil {
		t.Fatal(err)
	}
	d := newDecoder(now)
	for !s.Done() {
		_, _ = d.Write(s.FullPacket(now))
		d.queue.Records = d.queue.Records[:0] // the counts are enough
	}
	if st := d.counts.Stats(); st.Messages != messages || st.Skipped != 0 || st.Gaps != 0 || st.Instruments != 21 || len(d.types) != 23 {
		t.Errorf("%d types, counts %+v", len(d.types), st)
	}
}

// TestFeedReceivesAllOverLossyLines sends a day over two lines that each lose, repeat
// and reorder packets, to a feed that may ask for what is missing. Its raw queue
// must hold what a feed without any loss makes of the same messages.
func TestFeedReceivesAllOverLossyLines(t *testing.T) {
	const messages = 40_000
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	recovery, err := sim.NewRecovery(sim.RecoveryOptions{Seed: 5, Loss: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sim.ListenRecovery("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- recovery.Serve(ctx, server) }()

	packets := feed.PacketOptions{
		Lines: []feed.Line{{Address: "127.0.0.1:0"}, {Address: "127.0.0.1:0"}}, Recovery: []string{server.LocalAddr().String()}, JoinFromStart: true,
	}
	sockets, err := feed.ListenUDP(packets, nil)
	if err != nil {
		t.Fatal(err)
	}
	var addrs [2]string
	for i := range addrs {
		addr, err := sockets.Addr(i)
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = addr.String()
	}
	packets.Sockets = sockets
	dir := filepath.Join(t.TempDir(), "raw_main.q")
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 16 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	var counts feed.Counters
	lived := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() {
		lived <- errors.Join(feed.Live(running, w, feed.LiveOptions{Format: "itch", Venue: "sim", Packets: packets}, &counts), w.Close())
	}()

	faults := sim.Faults{Loss: 0.01, Burst: 0.0005, Duplicate: 0.01, Reorder: 0.01}
	lines, err := sim.NewLines(sim.LinesOptions{
		A: sim.LineOptions{To: addrs[0], Faults: faults}, B: &sim.LineOptions{To: addrs[1], Delay: time.Millisecond, Faults: faults}, Seed: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := sim.Options{Seed: 11, Symbols: sim.Symbols(30), Messages: messages, Rate: 40_000}
	s, err := sim.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	want := newDecoder(time.Now())
	out := io.MultiWriter(want, recovery, lines)
	if err := sim.Send(ctx, out, s, sim.SendOptions{KeepOpen: true}); err != nil {
		t.Fatal(err)
	}
	ending, ended := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- sim.End(ending, out, s, time.Minute) }()
	got := follow(t, ctx, dir)
	ended()
	stop()
	for _, c := range []chan error{over, lived} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := errors.Join(<-served, lines.Close()); err != nil {
		t.Error(err)
	}

	report := lines.Report()
	if report.LostBoth == 0 || report.A.LostMessages < 300 || report.B.LostMessages < 300 || recovery.Report().Answered == 0 {
		t.Errorf("too little was lost to prove anything: %+v, %+v", report, recovery.Report())
	}
	if st := counts.Stats(); st.Messages != messages || st.Gaps != 0 {
		t.Errorf("the feed counts %+v", st)
	}
	compare(t, got, want.queue.Records)
}

// follow reads the queue until the session ends, and gives the records of messages.
func follow(t *testing.T, ctx context.Context, dir string) (out []queue.Record) {
	t.Helper()
	tail, err := queue.OpenTailer(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	for {
		rec, ok, err := tail.Next()
		switch {
		case err != nil:
			t.Fatal(err)
		case !ok:
			if err := tail.Wait(ctx); err != nil {
				t.Fatalf("after %d records: %v", len(out), err)
			}
		case market.Kind(rec.Kind) == market.KindGap:
			t.Fatalf("gap: %s", rec.Body)
		case market.Kind(rec.Kind) != market.KindSession:
			rec.Body = bytes.Clone(rec.Body)
			out = append(out, rec)
		case bytes.Contains(rec.Body, []byte(market.SessionEnd)):
			return out
		}
	}
}

// compare compares records but for their times, which are the clock's.
func compare(t *testing.T, got, want []queue.Record) {
	t.Helper()
	want = slices.DeleteFunc(want, func(r queue.Record) bool { return market.Kind(r.Kind) == market.KindSession })
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.Kind != w.Kind || g.Tag != w.Tag || g.Flags != w.Flags || !bytes.Equal(g.Body, w.Body) {
			t.Fatalf("record %d is\n%+v\nwant\n%+v", i, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
}
