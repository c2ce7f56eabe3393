// Package recording reads recordings of WebSocket and HTTP traffic: one JSON
// object a line, holding a frame as it came, with the time it came.
//
//	{"t":"header","format":2,"exchange":...}                      first line
//	{"t":"http","conn":C,"ts":S,"url":U,"data":"<body>"}          a response
//	{"t":"connect","conn":C,"ts":S,"addr":A}                      a connection is up
//	{"t":"send","conn":C,"ts":S,"addr":A,"data":"<frame>"}        a frame we sent
//	{"t":"recv","conn":C,"ts":S,"data":"<frame>"}                 a frame we received
//
// S are decimal seconds since the Unix epoch; they are taken digit by digit, so
// that no nanosecond is lost to a float. A [Session] understands the frames; the
// same sessions serve live connections.
package recording

import (
	"bytes"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// Session understands one venue's traffic. Arguments are valid during the call
// only; recv is in ns since the Unix epoch. Calls come in the order of the
// traffic, from one goroutine.
type Session interface {
	// Expect announces a frame that will be sent later, so that an instrument's
	// first definition can already name the connection of its book.
	Expect(conn, frame []byte)
	// Connect tells that a connection is up, perhaps again.
	Connect(recv int64, conn, addr []byte)
	// Request is a frame that was sent to the venue.
	Request(recv int64, conn, frame []byte)
	// Response is the body of an HTTP response.
	Response(recv int64, conn, url, body []byte)
	// Receive is a frame that came from the venue.
	Receive(recv int64, conn, frame []byte)
}

// Decoder decodes lines. It reuses its buffers: one goroutine, one Decoder.
type Decoder struct{ data []byte }

type line struct {
	kind, conn, ts, url, addr, data []byte // raw values, but data: text
}

// Line decodes a line and hands it to s, counting a packet; what cannot be used
// is counted by e.
func (d *Decoder) Line(b []byte, s Session, e *emit.Emitter) {
	e.Packet()
	l, err := d.parse(b)
	if err != nil {
		e.Skip(emit.ReasonOf(err))
		return
	}
	kind := string(scan.Text(l.kind))
	if kind == "header" {
		return
	}
	recv, err := market.ParseFixed(scan.Text(l.ts), -9)
	if err != nil || recv <= 0 {
		e.Skip(emit.BadLine)
		return
	}
	conn := scan.Text(l.conn)
	switch kind {
	case "connect":
		s.Connect(recv, conn, scan.Text(l.addr))
	case "send":
		s.Request(recv, conn, l.data)
	case "http":
		s.Response(recv, conn, scan.Text(l.url), l.data)
	case "recv":
		s.Receive(recv, conn, l.data)
	default:
		e.Skip(emit.UnknownType)
	}
}

var sendPrefix = []byte(`{"t":"send",`)

// Expect hands s the frame of a "send" line, and ignores any other line.
func (d *Decoder) Expect(b []byte, s Session) {
	if !bytes.HasPrefix(b, sendPrefix) {
		return
	}
	if l, err := d.parse(b); err == nil {
		s.Expect(scan.Text(l.conn), l.data)
	}
}

func (d *Decoder) parse(b []byte) (line, error) {
	if !scan.Valid(b) {
		return line{}, emit.BadJSON
	}
	var l line
	var data []byte
	for o := scan.Members(b); o.Next(); {
		switch string(o.Key) {
		case "t":
			l.kind = o.Value
		case "conn":
			l.conn = o.Value
		case "ts":
			l.ts = o.Value
		case "url":
			l.url = o.Value
		case "addr":
			l.addr = o.Value
		case "data":
			data = o.Value
		}
	}
	if l.kind == nil {
		return line{}, emit.BadLine
	}
	if data != nil {
		text, ok := scan.AppendText(d.data[:0], data)
		d.data = text
		if !ok {
			return line{}, emit.BadLine
		}
		l.data = text
	}
	return l, nil
}

// Is tells whether a file whose first line is b is such a recording.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte(`{"t":"`)) }
