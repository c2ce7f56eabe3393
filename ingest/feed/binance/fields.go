package binance

import "chronicle/ingest/feed/scan"

// fields are the raw values of one object's members; nil where absent.
type fields struct {
	stream, data          []byte // combined stream
	e, s, eventTime, time []byte // event type, symbol, E, T
	first, last, prev     []byte // U, u, pu
	bid, ask              []byte // b, a: levels in depthUpdate, prices in bookTicker
	bidSize, askSize      []byte // B, A
	id, price, qty        []byte // t, p, q
	exec, maker           []byte // X, m
	lastUpdateID          []byte
	bids, asks            []byte
	symbol                []byte // of a COIN-M snapshot
	symbols               []byte // the instrument list
	result                bool   // an answer to a request of ours
}

// parse collects the members of an object; of equal keys the last one counts.
func parse(b []byte) (f fields) {
	for o := scan.Members(b); o.Next(); {
		if len(o.Key) == 1 {
			f.letter(o.Key[0], o.Value)
			continue
		}
		switch string(o.Key) {
		case "stream":
			f.stream = o.Value
		case "data":
			f.data = o.Value
		case "pu":
			f.prev = o.Value
		case "lastUpdateId":
			f.lastUpdateID = o.Value
		case "bids":
			f.bids = o.Value
		case "asks":
			f.asks = o.Value
		case "symbol":
			f.symbol = o.Value
		case "symbols":
			f.symbols = o.Value
		case "result", "error":
			f.result = true
		}
	}
	return f
}

func (f *fields) letter(key byte, v []byte) {
	switch key {
	case 'e':
		f.e = v
	case 's':
		f.s = v
	case 'E':
		f.eventTime = v
	case 'T':
		f.time = v
	case 'U':
		f.first = v
	case 'u':
		f.last = v
	case 'b':
		f.bid = v
	case 'a':
		f.ask = v
	case 'B':
		f.bidSize = v
	case 'A':
		f.askSize = v
	case 't':
		f.id = v
	case 'p':
		f.price = v
	case 'q':
		f.qty = v
	case 'X':
		f.exec = v
	case 'm':
		f.maker = v
	}
}
