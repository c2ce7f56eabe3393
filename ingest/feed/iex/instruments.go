package iex

import (
	"strconv"
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

// instrument is what is known of one symbol.
type instrument struct {
	id    uint32
	flags int16 // of its last quote; -1 before the first

	// DEEP only.
	held      []market.Entry // levels of an event that is not complete
	heldFirst uint64         // sequence of the first of them
	heldSeq   uint64         // of the last
	heldEvent int64          // its time
}

// known gives the instrument that a message names, nil when it names none or a new one.
func (d *Decoder) known(b []byte) *instrument {
	if len(b) < namedSize {
		return nil
	}
	return d.symbols[le.Uint64(b[headerSize:])]
}

// instrument gives the instrument that m names, defining it if it is new.
func (d *Decoder) instrument(m *message) (*instrument, error) {
	if in := d.known(m.b); in != nil {
		return in, nil
	}
	native := strings.TrimRight(string(m.b[headerSize:namedSize]), " \x00")
	symbol := market.CanonicalSymbol(native)
	if err := d.e.CheckSymbol(symbol); err != nil {
		return nil, err
	}
	in := &instrument{id: d.define(m, symbol, native), flags: -1}
	d.symbols[le.Uint64(m.b[headerSize:])] = in
	d.instruments = append(d.instruments, in)
	return in, nil
}

func (d *Decoder) define(m *message, symbol, native string) uint32 {
	return d.e.Define(m.recv, m.event, market.Definition{
		Symbol: symbol, Native: native, BookType: d.feed.Book, PriceExponent: PriceExponent,
		Channel: d.feed.Name, FromEmpty: d.feed == Deep, Currency: "USD",
	})
}

// directory brings an instrument's definition up to a directory message.
func (d *Decoder) directory(in *instrument, m *message) {
	def := d.e.Definition(in.id)
	def.LotSize = strconv.FormatUint(uint64(le.Uint32(m.b[18:])), 10)
	d.e.Define(m.recv, m.event, def)
}

// venueWide gives the instrument of messages that concern no single symbol.
func (d *Decoder) venueWide(m *message) (uint32, error) {
	if d.all == 0 {
		if err := d.e.CheckSymbol(market.AllSymbol); err != nil {
			return 0, err
		}
		d.all = d.define(m, market.AllSymbol, market.AllSymbol)
	}
	return d.all, nil
}

// price reads a price, which is never negative.
func price(b []byte) (int64, error) {
	v := int64(le.Uint64(b))
	if v < 0 {
		return 0, emit.OutOfRange
	}
	return v, nil
}

func shares(b []byte) int64 { return int64(le.Uint32(b)) }
