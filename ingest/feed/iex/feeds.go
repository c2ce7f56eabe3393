package iex

import (
	"chronicle/ingest/feed/iextp"
	"chronicle/market"
)

// Feed is one of the feeds of IEX.
type Feed struct {
	Name     string // the format's name, and the channel of its instruments
	Protocol iextp.Protocol
	Book     market.BookType

	lengths *[256]uint8 // the least size of each type; 0 for an unknown type
	books   string      // the types that change a book
}

// The feeds.
var (
	Deep = &Feed{Name: "iex-deep", Protocol: 0x8004, Book: market.L2, books: "85",
		lengths: lengths(map[byte]uint8{'8': 30, '5': 30, 'E': 18, 'X': 26, 'A': 80})}
	// Tops has no books; its quotes are levels.
	Tops = &Feed{Name: "iex-tops", Protocol: 0x8003, Book: market.L2,
		lengths: lengths(map[byte]uint8{'Q': 42, 'X': 26, 'A': 80})}
	DeepPlus = &Feed{Name: "iex-deepplus", Protocol: 0x8005, Book: market.L3, books: "aMRLC",
		lengths: lengths(map[byte]uint8{'a': 38, 'M': 38, 'R': 26, 'L': 46, 'C': 18, 'E': 18})}
)

// lengths adds the types that all feeds have.
func lengths(own map[byte]uint8) *[256]uint8 {
	all := &[256]uint8{'S': 10, 'D': 31, 'H': 22, 'I': 18, 'O': 18, 'P': 19, 'T': 38, 'B': 38}
	for typ, n := range own {
		all[typ] = n
	}
	return all
}

// ByName finds a feed by its format's name; nil for another format.
func ByName(name string) *Feed {
	return find(func(f *Feed) bool { return f.Name == name })
}

// Carrying finds the feed of a message protocol; nil for one that is not known.
func Carrying(p iextp.Protocol) *Feed {
	return find(func(f *Feed) bool { return f.Protocol == p })
}

func find(match func(*Feed) bool) *Feed {
	for _, f := range []*Feed{Deep, Tops, DeepPlus} {
		if match(f) {
			return f
		}
	}
	return nil
}
