package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// ticker shows what a simulated market has sent, on a terminal only.
type ticker struct{ to io.Writer }

func newTicker(cfg *Config, stderr io.Writer) *ticker {
	f, ok := stderr.(*os.File)
	if cfg.JSON || !ok || !term.IsTerminal(int(f.Fd())) {
		return &ticker{}
	}
	return &ticker{stderr}
}

// run draws the line anew twice a second until ctx is done, and takes it away.
func (t *ticker) run(ctx context.Context, v *venue) {
	if t.to == nil {
		return
	}
	every := time.NewTicker(500 * time.Millisecond)
	defer every.Stop()
	width := 0
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-every.C:
			line := v.state(time.Since(v.started))
			fmt.Fprintf(t.to, "\r%-*s", width, line)
			width = len(line)
		}
	}
	fmt.Fprintf(t.to, "\r%s\r", strings.Repeat(" ", width))
}

// state tells in one line what was sent so far.
func (v *venue) state(took time.Duration) string {
	r := v.lines.Report()
	text := fmt.Sprintf("%d messages in %.1f s (%.0f/s)", r.Messages, took.Seconds(), float64(r.Messages)/took.Seconds())
	if r.B == nil {
		text += fmt.Sprintf(", lost %d", r.A.LostMessages)
	} else {
		text += fmt.Sprintf(", lost on A %d, on B %d, on both %d", r.A.LostMessages, r.B.LostMessages, r.LostBoth)
	}
	if v.recovery != nil {
		n := v.recovery.Report()
		text += fmt.Sprintf(", %d of %d requests answered", n.Answered, n.Requests)
	}
	return text
}
