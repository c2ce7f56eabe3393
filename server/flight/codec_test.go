package flight

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// kept keeps the messages of a stream, as frames in the wire format.
type kept struct{ frames [][]byte }

func (k *kept) Start() error { return nil }
func (k *kept) Close() error { return nil }

func (k *kept) WritePayload(p ipc.Payload) error {
	f, err := newFrame(&p)
	if err != nil {
		return err
	}
	parts, err := newCodec().Marshal(f)
	if err != nil {
		return err
	}
	k.frames = append(k.frames, parts.Materialize())
	return nil
}

// sent keeps the messages that arrow's own writer makes.
type sent struct{ messages []*flight.FlightData }

func (s *sent) Send(d *flight.FlightData) error {
	s.messages = append(s.messages, proto.Clone(d).(*flight.FlightData))
	return nil
}

// TestFramesAreFlightData compares frames, byte for byte, with the messages that
// arrow's own writer makes of the same batches.
func TestFramesAreFlightData(t *testing.T) {
	texts := make([]string, 3000)
	for i := range texts {
		texts[i] = string(rune('a' + i%26))
	}
	for name, b := range map[string]arrow.RecordBatch{
		"large": batchOf(memory.DefaultAllocator, texts), "small": batchOf(memory.DefaultAllocator, texts[:3]), "empty": batchOf(memory.DefaultAllocator, nil),
	} {
		var mine kept
		var theirs sent
		for _, w := range []interface {
			Write(arrow.RecordBatch) error
			Close() error
		}{ipc.NewWriterWithPayloadWriter(&mine, ipc.WithSchema(b.Schema())), flight.NewRecordWriter(&theirs, ipc.WithSchema(b.Schema()))} {
			if err := w.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(mine.frames) != len(theirs.messages) {
			t.Fatalf("%s: %d frames, %d messages", name, len(mine.frames), len(theirs.messages))
		}
		for i, frame := range mine.frames {
			got := new(flight.FlightData)
			if err := proto.Unmarshal(frame, got); err != nil {
				t.Fatal(err)
			}
			want := theirs.messages[i]
			if !bytes.Equal(got.DataHeader, want.DataHeader) || !bytes.Equal(got.DataBody, want.DataBody) {
				t.Errorf("%s: message %d differs", name, i)
			}
		}
	}
}

func TestLargeColumnsAreNotCopied(t *testing.T) {
	column := make([]byte, 1<<20)
	f := new(frame)
	for range 3 {
		if _, err := f.Write(column); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	f.seal()
	if len(f.parts) != 6 || f.bytes != 3*(1<<20+8) {
		t.Fatalf("%d parts, %d bytes", len(f.parts), f.bytes)
	}
	if own := f.parts[2].(mem.SliceBuffer); &own[0] != &column[0] {
		t.Error("the column was copied")
	}
}

func TestOtherMessagesAreProtobuf(t *testing.T) {
	want := &flight.Ticket{Ticket: []byte("t")}
	parts, err := newCodec().Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(flight.Ticket)
	if err := newCodec().Unmarshal(parts, got); err != nil || !proto.Equal(got, want) || newCodec().Name() != "proto" {
		t.Errorf("%v %v", got, err)
	}
}
