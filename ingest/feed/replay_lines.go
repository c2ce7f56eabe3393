package feed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"chronicle/ingest/feed/binance"
	"chronicle/ingest/feed/bybit"
	"chronicle/ingest/feed/coinbase"
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/kraken"
	"chronicle/ingest/feed/okx"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/scan"
	"chronicle/ingest/feed/source"
)

// checkEvery is how many lines or packets pass between looks at the context.
const checkEvery = 1 << 10

// session makes the session of a WebSocket venue.
func (r *replay) session() recording.Session {
	switch r.format.Venue {
	case "kraken":
		return kraken.New(r.e)
	case "okx":
		return okx.New(r.e)
	case "coinbase":
		return coinbase.New(r.e)
	case "bybit":
		return bybit.New(r.e)
	}
	return binance.New(r.e)
}

// lines replays a file of lines: recorded traffic, or Binance's frames with a
// time before each.
func (r *replay) lines(ctx context.Context) error {
	session := r.session()
	first, err := r.firstLine()
	if err != nil {
		return err
	}
	read := func(line []byte) { stamped(line, session, r.e) }
	if recording.Is(first) || !strings.HasPrefix(r.format.Venue, "binance-") {
		var decoder recording.Decoder
		ignore := func(error) error { return nil } // the second pass counts what is wrong
		if err := r.eachLine(ctx, func(line []byte) { decoder.Expect(line, session) }, ignore); err != nil {
			return err
		}
		read = func(line []byte) { decoder.Line(line, session, r.e) }
	}
	err = r.eachLine(ctx, read, r.unreadable)
	if f, ok := session.(interface{ Finish() }); ok && err == nil {
		f.Finish()
	}
	return err
}

// firstLine gives a copy of the file's first line.
func (r *replay) firstLine() ([]byte, error) {
	reader, err := r.file.Reader()
	if err != nil {
		return nil, err
	}
	line, _ := source.NewLines(reader).Next()
	return bytes.Clone(line), r.file.Fault()
}

// unreadable counts a line that is too long; any other error ends the file.
func (r *replay) unreadable(err error) error {
	if errors.Is(err, source.ErrLineTooLong) {
		r.e.Packet()
		r.e.Skip(emit.LineTooLong)
		return nil
	}
	return r.broken(err)
}

// eachLine hands every line of the file to read, and what cannot be read as a
// line to wrong, whose error ends it. Empty lines hold nothing and are passed over.
func (r *replay) eachLine(ctx context.Context, read func([]byte), wrong func(error) error) error {
	reader, err := r.file.Reader()
	if err != nil {
		return err
	}
	lines := source.NewLines(reader)
	for n := uint64(1); ; n++ {
		if n%checkEvery == 0 {
			r.opts.Progress(r.file.Done(), r.file.Size())
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		line, err := lines.Next()
		r.e.At(n)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			if wrong(err) != nil || !errors.Is(err, source.ErrLineTooLong) {
				return r.file.Fault()
			}
		case len(line) > 0:
			read(line)
		}
		if r.e.Err() != nil {
			return r.e.Err()
		}
	}
}

// stamped reads "<ts_recv ns> <frame>".
func stamped(line []byte, s recording.Session, e *emit.Emitter) {
	e.Packet()
	stamp, frame, ok := bytes.Cut(line, []byte(" "))
	recv, number := scan.Uint(stamp)
	if !ok || !number || recv == 0 || recv > 1<<63-1 {
		e.Skip(emit.BadLine)
		return
	}
	s.Receive(int64(recv), nil, frame)
}
