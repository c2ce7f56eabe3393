// Package recordingtest measures the decoders of WebSocket venues over real
// recordings.
package recordingtest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/source"
	"chronicle/internal/testdata"
	"chronicle/store/queue"
)

// maxFrames is how much of a recording is looked at.
const maxFrames = 5000

// frame is a received frame.
type frame struct {
	recv       int64
	conn, data []byte
}

// traffic hands everything but the received frames on, and keeps those.
type traffic struct {
	recording.Session
	frames []frame
	bytes  int64
}

// Receive keeps a frame.
func (t *traffic) Receive(recv int64, conn, data []byte) {
	t.frames = append(t.frames, frame{recv, bytes.Clone(conn), bytes.Clone(data)})
	t.bytes += int64(len(data))
}

// nowhere is a queue that keeps nothing.
type nowhere struct{ body []byte }

func (n *nowhere) Reserve(size int) ([]byte, error) {
	if size > len(n.body) {
		n.body = make([]byte, size)
	}
	return n.body[:size], nil
}

func (n *nowhere) Commit(queue.Record, int) (uint64, error) { return 0, nil }

// load reads a recording, hands all but the received frames to the session, and
// then those frames once, so that every instrument is defined.
func load(tb testing.TB, name string, session func(*emit.Emitter) recording.Session) *traffic {
	tb.Helper()
	e := emit.New(&nowhere{}, &emit.Counters{}, emit.Options{Venue: "v"})
	t := &traffic{Session: session(e)}
	file, err := source.Open(testdata.Path(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	reader, err := file.Reader()
	if err != nil {
		tb.Fatal(err)
	}
	var d recording.Decoder
	for lines := source.NewLines(reader); len(t.frames) < maxFrames; {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		if recording.Is(line) {
			d.Line(line, t, e)
		} else if _, data, ok := bytes.Cut(line, []byte(" ")); ok {
			t.Receive(int64(len(t.frames)+1), nil, data)
		}
	}
	t.round()
	return t
}

// round hands every frame to the session.
func (t *traffic) round() {
	for i := range t.frames {
		t.Session.Receive(t.frames[i].recv, t.frames[i].conn, t.frames[i].data)
	}
}

// Benchmark measures the decoding of a recording's frames, one after the other.
func Benchmark(b *testing.B, name string, session func(*emit.Emitter) recording.Session) {
	t := load(b, name, session)
	b.ReportAllocs()
	b.SetBytes(t.bytes / int64(len(t.frames)))
	i := 0
	for b.Loop() {
		f := &t.frames[i]
		t.Session.Receive(f.recv, f.conn, f.data)
		if i++; i == len(t.frames) {
			i = 0
		}
	}
}

// NoAllocation checks that decoding a recording's frames, once every instrument is
// known, allocates nothing.
func NoAllocation(t *testing.T, name string, session func(*emit.Emitter) recording.Session) {
	t.Helper()
	all := load(t, name, session)
	if n := testing.AllocsPerRun(1, all.round); n != 0 {
		t.Errorf("%v allocations in %d frames, want 0", n, len(all.frames))
	}
}
