package ws

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The channels that can be asked for, whatever the venue calls them.
const (
	Book   = "book"
	Trades = "trades"
	Quotes = "quotes" // the venue's own best bid and offer
)

// Channels lists them.
var Channels = []string{Book, Trades, Quotes}

// Options say what to ask of a venue. Venues read the first group, the feed the second.
type Options struct {
	// Symbols are the instruments to subscribe, in any of the venue's or
	// Chronicle's spellings. Required.
	Symbols []string
	// Channels to subscribe: "book", "trades", "quotes". Default: all.
	Channels []string
	// Depth is the number of levels a side of the book, where the venue offers a
	// choice. Default: the venue's package says.
	Depth int
	// Interval is the time between two book updates, where the venue offers a
	// choice. Default: the venue's package says.
	Interval time.Duration
	// URL replaces the venue's WebSocket address, "wss://host[/path]".
	URL string
	// RESTURL replaces the venue's HTTP address, "https://host".
	RESTURL string

	// MinBackoff and MaxBackoff bound the time before a connection is tried again
	// and between two requests for the same snapshot. Nothing else that the feed
	// spaces out waits longer than MinBackoff. Default: 500 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// Patience is how long the snapshot that a subscription brings is waited for
	// before it is asked for again. Default: 10 s.
	Patience time.Duration
	// Quiet overrides Connection.Quiet.
	Quiet time.Duration
	// MaxFrame is the size in bytes of the largest frame that is taken. Default: 32 MiB.
	MaxFrame int64
	// HTTPTimeout bounds one HTTP request. Default: 20 s.
	HTTPTimeout time.Duration
}

// Check tells what is wrong with the options and fills in the channels; depths are
// the depths that the venue offers, none when there is no choice.
func (o *Options) Check(depths ...int) error {
	if len(o.Symbols) == 0 {
		return fmt.Errorf("symbols is empty: name the instruments to subscribe, such as btc_usdt")
	}
	if len(o.Channels) == 0 {
		o.Channels = Channels
	}
	for _, c := range o.Channels {
		if !slices.Contains(Channels, c) {
			return fmt.Errorf("channel %q: there are %s", c, strings.Join(Channels, ", "))
		}
	}
	if o.Depth != 0 && !slices.Contains(depths, o.Depth) {
		if len(depths) == 0 {
			return fmt.Errorf("depth %d: this venue has no choice of depth, leave it out", o.Depth)
		}
		return fmt.Errorf("depth %d: one of %v", o.Depth, depths)
	}
	if err := checkURL("url", o.URL, "ws", "wss"); err != nil {
		return err
	}
	return checkURL("rest_url", o.RESTURL, "http", "https")
}

// Wants tells whether a channel is asked for.
func (o *Options) Wants(channel string) bool { return slices.Contains(o.Channels, channel) }

func checkURL(field, s string, schemes ...string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("%s %q: write %s://host[:port][/path]", field, s, schemes[len(schemes)-1])
	}
	return nil
}

// withDefaults fills in what the feed needs.
func (o Options) withDefaults() Options {
	if o.MinBackoff <= 0 {
		o.MinBackoff = 500 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 30 * time.Second
	}
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
	if o.MaxFrame <= 0 {
		o.MaxFrame = 32 << 20
	}
	if o.HTTPTimeout <= 0 {
		o.HTTPTimeout = 20 * time.Second
	}
	return o
}
