package flight

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is wrapped here
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// frame is a FlightData message in its wire format, whose body is the columns'
// own memory. gRPC may still be sending it after SendMsg has returned: the
// memory must be the garbage collector's, as that of memory.DefaultAllocator is,
// and nobody may write to it again, as nobody does to a finished batch.
type frame struct {
	parts mem.BufferSlice
	small []byte // what is gathered for the next part
	bytes int    // of the body
}

// A column below this size is copied: that is cheaper than one more part.
const smallColumn = 1 << 10

// Numbers of the fields of FlightData.
const (
	fieldDataHeader = 2
	fieldDataBody   = 1000
)

// newFrame makes the message of one IPC payload.
func newFrame(p *ipc.Payload) (*frame, error) {
	meta := p.Meta()
	defer meta.Release()
	body := new(frame)
	if err := p.SerializeBody(body); err != nil {
		return nil, err
	}
	body.seal()
	f := new(frame)
	f.small = protowire.AppendTag(f.small, fieldDataHeader, protowire.BytesType)
	f.small = protowire.AppendBytes(f.small, meta.Bytes())
	if body.bytes > 0 {
		f.small = protowire.AppendTag(f.small, fieldDataBody, protowire.BytesType)
		f.small = protowire.AppendVarint(f.small, uint64(body.bytes))
	}
	f.seal()
	f.parts = append(f.parts, body.parts...)
	return f, nil
}

// Write adds a column, or padding, to the body. It keeps b.
func (f *frame) Write(b []byte) (int, error) {
	f.bytes += len(b)
	if len(b) < smallColumn {
		f.small = append(f.small, b...)
		return len(b), nil
	}
	f.seal()
	f.parts = append(f.parts, mem.SliceBuffer(b))
	return len(b), nil
}

// seal makes a part of what has been gathered.
func (f *frame) seal() {
	if len(f.small) > 0 {
		f.parts = append(f.parts, mem.SliceBuffer(f.small))
		f.small = nil
	}
}

// codec hands frames to gRPC as they are; everything else is protobuf as usual.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Marshal gives the wire format of v.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return f.parts, nil
	}
	return c.CodecV2.Marshal(v)
}

// framer sends IPC payloads as frames.
type framer struct {
	stream flight.FlightService_DoGetServer
}

var _ ipc.PayloadWriter = framer{}

// Start implements ipc.PayloadWriter.
func (framer) Start() error { return nil }

// WritePayload sends one payload. It blocks while the client does not keep up.
func (f framer) WritePayload(p ipc.Payload) error {
	m, err := newFrame(&p)
	if err != nil {
		return fmt.Errorf("encoding a batch: %w", err)
	}
	return f.stream.SendMsg(m)
}

// Close implements ipc.PayloadWriter.
func (framer) Close() error { return nil }
