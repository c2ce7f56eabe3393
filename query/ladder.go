package query

import (
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/book"
)

// ladderColumns are the book columns of wide rows.
type ladderColumns struct {
	bids, asks []levelColumns
}

type levelColumns struct {
	price, size *numberColumn
	count       *uint32Column
}

// addLadder adds the columns of fieldMaker.levelFields.
func addLadder(b *batch, mem memory.Allocator, kind PriceType, exp exponents, depth int) ladderColumns {
	var l ladderColumns
	for range depth {
		l.bids = append(l.bids, addLevel(b, mem, kind, exp))
		l.asks = append(l.asks, addLevel(b, mem, kind, exp))
	}
	return l
}

func addLevel(b *batch, mem memory.Allocator, kind PriceType, exp exponents) levelColumns {
	return levelColumns{
		price: add(b, newNumberColumn(b, mem, kind, exp.price)),
		size:  add(b, newNumberColumn(b, mem, kind, exp.size)),
		count: add(b, newUint32Column(mem)),
	}
}

// append appends one row, with nulls for the levels that are not there.
func (l *ladderColumns) append(bids, asks []book.Level, exp exponents) {
	appendLevels(l.bids, bids, exp)
	appendLevels(l.asks, asks, exp)
}

func appendLevels(columns []levelColumns, levels []book.Level, exp exponents) {
	levels = levels[:min(len(levels), len(columns))]
	for i := range levels {
		c, v := &columns[i], &levels[i]
		c.price.append(v.Price, exp.price)
		c.size.append(v.Size, exp.size)
		c.count.append(v.Count)
	}
	for i := len(levels); i < len(columns); i++ {
		columns[i].price.appendNull()
		columns[i].size.appendNull()
		columns[i].count.appendNull()
	}
}
