package exchangetest

import (
	"fmt"
	"net/url"
)

// venue is what differs from venue to venue. Its methods are called under the
// exchange's lock, or before it runs.
type venue interface {
	// read takes one recorded frame; ok is false when it is no part of the timeline.
	read(addr string, data []byte) (f frame, ok bool, err error)
	// response takes a recorded REST response.
	response(u *url.URL, body []byte) error
	// prepare sets what the recording says of a book besides its frames.
	prepare(b *book)
	// greet answers a new connection.
	greet(c *conn) reply
	// request answers a client's frame.
	request(c *conn, data []byte) reply
	// render gives a frame as it goes to a connection.
	render(c *conn, f *frame) []byte
	// stamp numbers what goes to a connection, where the venue does so.
	stamp(c *conn, data []byte) []byte
	// snapshot gives a book's snapshot as it goes to a connection; nil where
	// the venue sends none.
	snapshot(c *conn, b *book) []byte
	// recap gives what else a subscription begins with, or nil: passed are the
	// frames so far.
	recap(k key, passed []frame) []byte
	// heartbeat gives what the venue sends unasked, or nil.
	heartbeat() []byte
	// answer gives the body for a REST request that the venue answers from its
	// own state; false when a recorded response must do.
	answer(u *url.URL, books map[key]*book) (body []byte, ok bool)
}

func venueOf(name string) (venue, error) {
	switch name {
	case "kraken":
		return newKraken(), nil
	case "okx":
		return newOKX(), nil
	case "binance-spot", "binance-usdm", "binance-coinm":
		return newBinance(), nil
	case "coinbase":
		return newCoinbase(), nil
	case "bybit":
		return newBybit(), nil
	}
	return nil, fmt.Errorf("venue %q has no exchange: there are kraken, okx, binance-spot, binance-usdm, binance-coinm, coinbase and bybit", name)
}

// common is what most venues do alike.
type common struct {
	symbols map[string]bool // that the timeline has
}

func (*common) response(*url.URL, []byte) error                       { return nil }
func (*common) prepare(*book)                                         {}
func (*common) greet(*conn) reply                                     { return reply{} }
func (*common) render(_ *conn, f *frame) []byte                       { return f.data }
func (*common) stamp(_ *conn, data []byte) []byte                     { return data }
func (*common) recap(key, []frame) []byte                             { return nil }
func (*common) heartbeat() []byte                                     { return nil }
func (*common) answer(*url.URL, map[key]*book) (body []byte, ok bool) { return nil, false }

func (v *common) seen(symbol string) {
	if v.symbols == nil {
		v.symbols = make(map[string]bool)
	}
	v.symbols[symbol] = true
}
