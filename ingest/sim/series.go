package sim

import (
	"fmt"
	"time"
)

// Ending is how one session of a Series gives way to the next.
type Ending byte

// The ends of a session.
const (
	// EndOrderly closes the market and ends the session; the next one has another name.
	EndOrderly Ending = iota
	// EndBreak breaks off in the middle of the day: no message closes the market, no
	// packet ends the session. The venue is back under another session name.
	EndBreak
	// EndReset breaks off as EndBreak does, and the venue numbers its messages from
	// 1 again under the same session name, with empty books.
	EndReset
)

// String names the end.
func (e Ending) String() string {
	switch e {
	case EndOrderly:
		return "orderly"
	case EndBreak:
		return "break"
	case EndReset:
		return "reset"
	}
	return fmt.Sprintf("ending %d", byte(e))
}

// SeriesOptions describe a venue's day of several sessions. Options are those of
// every session, but for the seed and the name, which each has of its own, and
// Messages, which Least and Most bound.
type SeriesOptions struct {
	Options
	Sessions int      // default 4
	Least    uint64   // messages of a session; default 1000
	Most     uint64   // default 2000
	Ends     []Ending // that sessions but the last have, drawn at random; default all three
	// Least and longest silence of the venue between two sessions; default 200 ms to
	// 2 s. A receiver takes what comes at once after a reset for late copies.
	LeastPause, MostPause time.Duration
}

// Epoch is one session of a Series. Epochs count from 0, as those of a [Report]:
// they tell sessions of one name apart.
type Epoch struct {
	Options               // of New and NewTruth; Messages is 0 where the session breaks off
	Length  uint64        // messages that are sent
	End     Ending        // of the last epoch: EndOrderly
	Pause   time.Duration // silence after it
}

// Series is a venue's day of several sessions, one after the other, with the ends
// that a day can have: reproducible by its seed, and with the true book of every
// symbol after any message of any session. It belongs to one goroutine.
type Series struct {
	epochs []Epoch
	truths []*Truth
}

// NewSeries draws a series.
func NewSeries(opts SeriesOptions) (*Series, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	d, name := newDice(opts.Seed, 0xda11), opts.Session
	s := &Series{}
	for i := range opts.Sessions {
		e := Epoch{Options: opts.Options, End: opts.Ends[d.n(len(opts.Ends))]}
		e.Seed, e.Session = opts.Seed+uint64(i)*0x9e3779b97f4a7c15, name
		e.Length = opts.Least + uint64(d.n(int(opts.Most-opts.Least)+1))
		e.Pause = opts.LeastPause + time.Duration(d.n(int((opts.MostPause-opts.LeastPause)/time.Microsecond)+1))*time.Microsecond
		if i == opts.Sessions-1 {
			e.End = EndOrderly
		}
		if e.Messages = e.Length; e.End != EndOrderly {
			e.Messages = 0
		}
		if e.End != EndReset {
			name = fmt.Sprintf("S%09d", d.n(1_000_000_000))
		}
		s.epochs = append(s.epochs, e)
	}
	s.truths = make([]*Truth, len(s.epochs))
	return s, nil
}

func (o *SeriesOptions) fill() error {
	if err := o.Options.fill(); err != nil {
		return err
	}
	if o.Sessions == 0 {
		o.Sessions = 4
	}
	if o.Least == 0 {
		o.Least = 1000
	}
	if o.Most == 0 {
		o.Most = max(2*o.Least, 2000)
	}
	if len(o.Ends) == 0 {
		o.Ends = []Ending{EndOrderly, EndBreak, EndReset}
	}
	if o.MostPause == 0 {
		o.LeastPause, o.MostPause = 200*time.Millisecond, 2*time.Second
	}
	if o.Sessions < 1 || o.Most < o.Least || o.Most > 1<<31 || o.LeastPause < 0 || o.MostPause < o.LeastPause || o.MostPause > time.Hour {
		return fmt.Errorf("sim: %d sessions of %d to %d messages with pauses of %v to %v: at least one session, each least at most its most, up to 2^31 messages and an hour",
			o.Sessions, o.Least, o.Most, o.LeastPause, o.MostPause)
	}
	return nil
}

// Epochs gives the sessions in their order.
func (s *Series) Epochs() []Epoch { return s.epochs }

// Session makes the session of an epoch anew. It is to send Length messages.
func (s *Series) Session(epoch int) (*Sim, error) { return New(s.epochs[epoch].Options) }

// Book gives a symbol's true book after message seq of an epoch; see [Truth.Book].
// It is false too for a message that the session did not come to.
func (s *Series) Book(epoch int, symbol string, seq uint64) (Book, bool) {
	if epoch < 0 || epoch >= len(s.epochs) || seq > s.epochs[epoch].Length {
		return Book{}, false
	}
	if s.truths[epoch] == nil {
		t, err := NewTruth(s.epochs[epoch].Options)
		if err != nil {
			return Book{}, false // cannot be: the same options made a session
		}
		s.truths[epoch] = t
	}
	return s.truths[epoch].Book(symbol, seq)
}
