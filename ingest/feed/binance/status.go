package binance

import (
	"bytes"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// statusCodes are the events that change no book and are kept verbatim. The
// values are part of what is stored.
var statusCodes = map[string]uint16{
	"aggTrade":         1,
	"kline":            2,
	"markPriceUpdate":  3,
	"24hrTicker":       4,
	"24hrMiniTicker":   5,
	"forceOrder":       6,
	"continuous_kline": 7,
	"indexPriceUpdate": 8,
	"compositeIndex":   9,
	"contractInfo":     10,
	"avgPrice":         11,
	"depthUpdate":      topLevels, // of a stream that sends the top levels only
}

// topLevels is the code of a frame that holds the top levels of a book.
const topLevels = 12

// status keeps a frame verbatim, under its instrument.
func (s *Session) status(recv int64, f *fields, payload []byte) error {
	code, ok := statusCodes[string(scan.Text(f.e))]
	if f.e == nil && f.lastUpdateID != nil {
		code, ok = topLevels, true
	}
	if !ok {
		return emit.UnknownType
	}
	event, err := millis(f.eventTime)
	if err != nil {
		return err
	}
	native := scan.Text(f.s)
	if native == nil {
		native = streamSymbol(f.stream)
	}
	in, err := s.instrument(recv, native)
	if err != nil {
		return err
	}
	st := market.Status{Code: code, Flags: market.FlagLast, Payload: payload}
	s.e.Status(in.id, recv, event, &st)
	return nil
}

// streamSymbol gives the symbol in a stream's name: "btcusdt@kline_1m" is BTCUSDT.
func streamSymbol(stream []byte) []byte {
	name, _, ok := bytes.Cut(scan.Text(stream), []byte("@"))
	if !ok || bytes.HasPrefix(name, []byte("!")) {
		return nil
	}
	return bytes.ToUpper(name)
}
