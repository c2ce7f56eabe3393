package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"chronicle/ingest/feed/itch"
	"chronicle/ingest/feed/moldudp"
	"chronicle/ingest/feed/source"
	"chronicle/market"
)

// itch replays an ITCH recording: captured packets or a BinaryFILE.
func (r *replay) itch(ctx context.Context) error {
	reader, err := r.file.Reader()
	if err != nil {
		return err
	}
	date, dated, err := r.date()
	if err != nil {
		return err
	}
	clock := itch.ReceiptClock()
	if dated {
		clock = itch.FixedClock(date)
	}
	if source.IsCapture(reader) {
		return r.capture(ctx, reader, itch.NewDecoder(r.e, clock, 0))
	}
	if !dated {
		return fmt.Errorf("%w: give the date (YYYY-MM-DD), neither the name %q nor the file tells it", ErrNoDate, r.file.Name())
	}
	err = itch.ReadBinaryFile(ctx, reader, itch.NewDecoder(r.e, clock, market.FlagBadTsRecv), func() {
		r.opts.Progress(r.file.Done(), r.file.Size())
	})
	if err != nil && ctx.Err() == nil {
		return r.broken(err)
	}
	return err
}

// date gives the date that the options or the file's name tell.
func (r *replay) date() (date time.Time, ok bool, err error) {
	if r.opts.Date != "" {
		date, err = itch.ParseDate(r.opts.Date)
		return date, err == nil, err
	}
	date, ok = dateInName(r.file.Name())
	return date, ok, nil
}

// dateInName finds exactly eight digits in a row that are a date: 20101224 or,
// as NASDAQ names its own files, 12242010.
func dateInName(name string) (time.Time, bool) {
	notDigit := func(c rune) bool { return c < '0' || c > '9' }
	for _, digits := range strings.FieldsFunc(name, notDigit) {
		if len(digits) != 8 {
			continue
		}
		for _, layout := range []string{"20060102", "01022006"} {
			if t, err := time.Parse(layout, digits); err == nil && t.Year() >= 1990 && t.Year() < 2100 {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// capture replays captured packets through the live path's receiver.
func (r *replay) capture(ctx context.Context, reader *bufio.Reader, d *itch.Decoder) error {
	packets, err := source.NewPackets(reader)
	if err != nil {
		return r.broken(err)
	}
	lines := newCaptureLines(r.e, moldudp.Protocol{}, itch.Channel, d)
	for n := uint64(1); ; n++ {
		if n%checkEvery == 0 {
			r.opts.Progress(r.file.Done(), r.file.Size())
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		p, err := packets.Next()
		r.e.At(n)
		switch {
		case errors.Is(err, io.EOF):
			lines.finish()
			return nil
		case err != nil:
			lines.finish()
			return r.broken(err)
		}
		lines.packet(p)
		if r.e.Err() != nil {
			return r.e.Err()
		}
	}
}
