// Package checksum computes the checksums that venues send with their books, so
// that a book kept from their messages can be proved right.
//
// Both known kinds are a CRC-32 (IEEE) over text made of the best levels:
//
//	kraken  the 10 best asks, best first, then the 10 best bids, best first; of
//	        each level the digits of the price, then those of the size, without
//	        point and leading zeros: 0.042990 and 364630.28272081 give
//	        "4299036463028272081". The digits are those of the fixed-point numbers, so the
//	        instrument's exponents must be the decimals that the venue writes.
//	okx     the 25 best levels, bid and ask in turn, "price:size" each, joined by
//	        ":"; where one side has fewer levels it is left out. Numbers are plain
//	        decimals without trailing zeros. The venue writes the result as a
//	        signed number; take it as uint32.
//
// A Checker has one owner; the package holds no state.
package checksum

import (
	"hash/crc32"
	"strconv"

	"chronicle/book"
	"chronicle/market"
)

// The names of the kinds, as in market.Definition.Checksum.
const (
	Kraken = "kraken"
	OKX    = "okx"
)

// Levels of each side that a checksum covers.
const (
	krakenLevels = 10
	okxLevels    = 25
)

// Known tells whether name is a kind of checksum that Compute can make.
func Known(name string) bool { return name == Kraken || name == OKX }

// Compute is Checker.Compute with a Checker of its own.
func Compute(name string, b *book.Book, priceExp, sizeExp int8) (uint32, bool) {
	var c Checker
	return c.Compute(name, b, priceExp, sizeExp)
}

// Checker computes checksums with buffers that it keeps, so that it allocates
// nothing after its first use. The zero Checker is ready.
type Checker struct {
	text       []byte
	bids, asks []book.Level
}

// Compute gives the checksum called name of b, whose prices and sizes have the
// given exponents; false when the name is not known.
func (c *Checker) Compute(name string, b *book.Book, priceExp, sizeExp int8) (uint32, bool) {
	c.text = c.text[:0]
	switch name {
	case Kraken:
		c.load(b, krakenLevels)
		c.kraken()
	case OKX:
		c.load(b, okxLevels)
		c.okx(priceExp, sizeExp)
	default:
		return 0, false
	}
	return crc32.ChecksumIEEE(c.text), true
}

func (c *Checker) load(b *book.Book, n int) {
	c.bids = b.Levels(market.Bid, n, c.bids[:0])
	c.asks = b.Levels(market.Ask, n, c.asks[:0])
}

func (c *Checker) kraken() {
	for _, side := range [2][]book.Level{c.asks, c.bids} {
		for _, l := range side {
			c.text = strconv.AppendInt(c.text, l.Price, 10)
			c.text = strconv.AppendInt(c.text, l.Size, 10)
		}
	}
}

func (c *Checker) okx(priceExp, sizeExp int8) {
	for i := range max(len(c.bids), len(c.asks)) {
		if i < len(c.bids) {
			c.pair(c.bids[i], priceExp, sizeExp)
		}
		if i < len(c.asks) {
			c.pair(c.asks[i], priceExp, sizeExp)
		}
	}
}

func (c *Checker) pair(l book.Level, priceExp, sizeExp int8) {
	if len(c.text) > 0 {
		c.text = append(c.text, ':')
	}
	c.text = market.AppendFixed(c.text, l.Price, priceExp)
	c.text = append(c.text, ':')
	c.text = market.AppendFixed(c.text, l.Size, sizeExp)
}
