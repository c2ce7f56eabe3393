package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/source"
	"chronicle/store/queue"
)

// ReplayOptions say what to replay.
type ReplayOptions struct {
	// Format is the recording's format; see Formats. Required.
	Format string
	// Path is the recording: plain, gzip or zstd, told apart by its first bytes. Required.
	Path string
	// Date is the recording's day in New York, YYYY-MM-DD, for itch. Default: eight
	// digits in the file's name, else the packets' own time, else an error.
	Date string
	// Abandon lets the replay begin although an earlier replay of another
	// recording was interrupted and can then no longer be finished. Default: ErrInterrupted.
	Abandon bool
	// Progress, when not nil, is called now and then with the bytes of the file
	// read so far and in all.
	Progress func(doneBytes, totalBytes int64)
	// Log takes what a person may want to know. Default: discard.
	Log *slog.Logger
}

func (o *ReplayOptions) fill() (Format, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Path == "" {
		return Format{}, errors.New("replay: Path is empty: name the recorded file")
	}
	return formatOf(o.Format)
}

// replay is one run of Replay.
type replay struct {
	opts   ReplayOptions
	format Format
	file   *source.File
	e      *emit.Emitter
}

// Replay reads a recorded file to its end and appends its records to the queue
// that w writes and that lies in rawDir: a source_begin, the records, a
// source_end. Stats count the whole file, whatever of it was in the queue before.
//
// It can be killed at any point: a second call goes on after the last record
// that is in the queue, and compares all that are there with what the file
// gives; ErrMismatch when they differ. When the queue holds the whole recording
// already the error is ErrAlreadyReplayed. A damaged file is no error: what it
// gives up to the damage is kept, and the damage is counted and is a gap.
//
// On return without error every record is durable.
func Replay(ctx context.Context, w *queue.Writer, rawDir string, opts ReplayOptions) (Stats, error) {
	format, err := opts.fill()
	if err != nil {
		return Stats{}, err
	}
	file, err := source.Open(opts.Path)
	if err != nil {
		return Stats{}, err
	}
	defer file.Close()
	input, err := file.Hash(ctx)
	if err != nil {
		return Stats{}, err
	}
	out, err := resume(ctx, w, rawDir, opts, input)
	if err != nil {
		return Stats{}, fmt.Errorf("replay %s: %w", file.Name(), err)
	}
	defer out.Close()
	var c emit.Counters
	r := &replay{opts: opts, format: format, file: file}
	r.e = emit.New(out, &c, emit.Options{
		Source: format.Name, Venue: format.Venue, Input: input, Name: file.Name(), Unit: unitOf(format), Log: opts.Log,
	})
	if err := r.run(ctx, &c); err != nil {
		return c.Stats(), fmt.Errorf("replay %s: %w", file.Name(), err)
	}
	if err := w.Sync(); err != nil {
		return c.Stats(), fmt.Errorf("replay %s: sync the raw queue: %w", file.Name(), err)
	}
	return c.Stats(), nil
}

func unitOf(f Format) string {
	switch f.Venue {
	case "xnas":
		return "unit"
	case "iex":
		return "packet"
	}
	return "line"
}

// run decodes the file and ends the source.
func (r *replay) run(ctx context.Context, c *emit.Counters) error {
	var err error
	switch r.format.Venue {
	case "xnas":
		err = r.itch(ctx)
	case "iex":
		err = r.iex(ctx)
	default:
		err = r.lines(ctx)
	}
	if err == nil {
		err = r.e.Err()
	}
	if err != nil {
		return err
	}
	if s := c.Stats(); s.Messages == 0 && s.Skipped > 0 {
		return fmt.Errorf("%w: is it a %s recording? (skipped: %v)", ErrNothingUsable, r.format.Name, s.SkippedBy)
	}
	r.e.End()
	r.opts.Progress(r.file.Size(), r.file.Size())
	return r.e.Err()
}

// broken tells what the end of a stream means: nil when the recording is
// damaged, which the emitter has then been told, an error when reading failed.
func (r *replay) broken(err error) error {
	if fault := r.file.Fault(); fault != nil {
		return fault
	}
	r.e.Damage(err)
	return nil
}
