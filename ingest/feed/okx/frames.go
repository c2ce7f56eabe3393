package okx

import (
	"bytes"
	"log/slog"
	"math"
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// statusCodes are the channels that are kept verbatim. The values are part of
// what is stored.
var statusCodes = map[string]uint16{
	"books5": 1, "bbo-tbt": 2, "candle": 3, "funding-rate": 4, "mark-price": 5, "price-limit": 6, "open-interest": 7,
	"index-tickers": 8, "instruments": 9, "estimated-price": 10, "opt-summary": 11, "status": 12, "liquidation-orders": 13,
}

// fields are the raw values of one data element; nil where absent.
type fields struct {
	asks, bids, ts, checksum, seq, prevSeq []byte
	tradeID, price, size, side             []byte
	askPrice, askSize, bidPrice, bidSize   []byte
}

// Receive reads one frame. One that cannot be read may have changed any book of
// the connection: it is a gap, since not all events are numbered.
func (s *Session) Receive(recv int64, conn, frame []byte) {
	frame = bytes.TrimSpace(frame)
	if string(frame) == "pong" || string(frame) == "ping" {
		s.e.Message()
		return
	}
	if !scan.Valid(frame) {
		s.e.Skip(emit.BadJSON)
		s.e.Gap(recv, market.Gap{Channel: string(conn), Cause: market.GapSource, Detail: "a frame that cannot be read"})
		return
	}
	if err := s.frame(recv, conn, frame); err != nil {
		s.e.Skip(emit.ReasonOf(err), slog.String("frame", string(frame[:min(len(frame), 200)])))
		return
	}
	s.e.Message()
}

func (s *Session) frame(recv int64, conn, frame []byte) error {
	var a arg
	var event, action, data []byte
	for o := scan.Members(frame); o.Next(); {
		switch string(o.Key) {
		case "event":
			event = scan.Text(o.Value)
		case "arg":
			a = parseArg(o.Value)
		case "action":
			action = scan.Text(o.Value)
		case "data":
			data = o.Value
		}
	}
	switch {
	case event != nil:
		return s.connection(event, frame)
	case !scan.IsArray(data):
		return emit.UnknownType
	case isBook(a.channel):
		return s.bookFrame(recv, conn, a.inst, action, data)
	case string(a.channel) == "trades" || string(a.channel) == "trades-all" || string(a.channel) == "tickers":
		return s.elements(recv, a, data)
	}
	return s.status(recv, a, frame)
}

// connection reads a frame of the connection itself: it changes nothing.
func (s *Session) connection(event, frame []byte) error {
	switch string(event) {
	case "error":
		s.e.Log().Warn("okx refused a request", "frame", string(frame))
		return nil
	case "subscribe", "unsubscribe", "login", "notice", "channel-conn-count":
		return nil
	}
	return emit.UnknownType
}

// elements reads the trades or tickers of a frame.
func (s *Session) elements(recv int64, a arg, data []byte) error {
	for e := scan.Elements(data); e.Next(); {
		f := parse(e.Value)
		var err error
		if string(a.channel) == "tickers" {
			err = s.ticker(recv, a.inst, &f)
		} else {
			err = s.trade(recv, a.inst, &f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) status(recv int64, a arg, frame []byte) error {
	channel := string(a.channel)
	if strings.HasPrefix(channel, "candle") {
		channel = "candle"
	}
	code, ok := statusCodes[channel]
	if !ok {
		return emit.UnknownType
	}
	in, err := s.instrument(recv, market.UndefTimestamp, a.inst)
	if err == nil {
		s.e.Status(in.id, recv, market.UndefTimestamp, &market.Status{Code: code, Flags: market.FlagLast, Payload: frame})
	}
	return err
}

func parse(b []byte) (f fields) {
	for o := scan.Members(b); o.Next(); {
		switch string(o.Key) {
		case "asks":
			f.asks = o.Value
		case "bids":
			f.bids = o.Value
		case "ts":
			f.ts = o.Value
		case "checksum":
			f.checksum = o.Value
		case "seqId":
			f.seq = o.Value
		case "prevSeqId":
			f.prevSeq = o.Value
		case "tradeId":
			f.tradeID = o.Value
		case "px":
			f.price = o.Value
		case "sz":
			f.size = o.Value
		case "side":
			f.side = o.Value
		case "askPx":
			f.askPrice = o.Value
		case "askSz":
			f.askSize = o.Value
		case "bidPx":
			f.bidPrice = o.Value
		case "bidSz":
			f.bidSize = o.Value
		}
	}
	return f
}

// millis reads a time in ms as ns; an absent one is undefined.
func millis(v []byte) (int64, error) {
	if v == nil {
		return market.UndefTimestamp, nil
	}
	n, ok := scan.Uint(v)
	switch {
	case !ok:
		return 0, emit.BadNumber
	case n > math.MaxInt64/1_000_000:
		return 0, emit.OutOfRange
	}
	return int64(n) * 1_000_000, nil
}
