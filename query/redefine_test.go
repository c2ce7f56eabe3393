package query

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/book"
	"chronicle/market"
)

// redefine gives the stream another definition from the next segment on. Where
// numbers change their meaning the book is begun anew, as the ETL does.
func (s *stream) redefine(price, size int8) {
	s.t.Helper()
	s.roll()
	s.def.PriceExponent, s.def.SizeExponent = price, size
	s.book, s.bad = book.New(s.def.BookType), true
	check(s.t, s.w.SetMeta(marshalMeta(s.id, s.def)))
}

func redefined(t *testing.T) *Archive {
	t.Helper()
	r := newRoot(t, tempDir(t))
	for _, name := range []string{market.StreamBook, market.StreamTrade} {
		id := bookID("sim", "abc")
		id.Stream = name
		s := r.stream(id, l2Def) // -2 and -3
		write := func(now, price, size int64) {
			if name == market.StreamTrade {
				s.trade(now, now, price, size)
			} else {
				s.event(market.KindBook, now, now, market.Entry{Side: market.Bid, Price: price, Size: size, Action: market.Add})
			}
		}
		write(10, 6180020, 1500)
		s.redefine(-4, 0)
		write(20, 618002000, 2)
		s.redefine(-1, 0)
		write(30, 618003, 3)
		s.close()
	}
	a := r.open()
	t.Cleanup(func() { a.Close() })
	return a
}

// TestRedefinedInstrument: prices are right before and after an instrument's
// exponents change, in every price type.
func TestRedefinedInstrument(t *testing.T) {
	a := redefined(t)
	for kind, want := range map[PriceType][]string{
		PriceFloat:   {"61800.2 1.5", "61800.2 2", "61800.3 3"},
		PriceFixed:   {"618002000 1500", "618002000 2000", "618003000 3000"},
		PriceDecimal: {"61800.200000000000000000 1.500000000000000000", "61800.200000000000000000 2.000000000000000000", "61800.300000000000000000 3.000000000000000000"},
	} {
		st, err := a.Range(context.Background(), RangeRequest{Schema: SchemaTrades, Symbols: []string{"abc"}, PriceType: kind})
		check(t, err)
		var got []string
		for st.Next() {
			rec := st.RecordBatch()
			price, size := rec.Column(rec.Schema().FieldIndices("price")[0]), rec.Column(rec.Schema().FieldIndices("size")[0])
			for i := range int(rec.NumRows()) {
				got = append(got, numberText(price, i)+" "+numberText(size, i))
			}
		}
		check(t, st.Err())
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
		if f := st.Schema().Field(st.Schema().FieldIndices("price")[0]); kind == PriceFixed && f.Metadata.ToMap()[MetaExponent] != "-4" {
			t.Errorf("metadata of fixed prices: %v", f.Metadata)
		}
		st.Release()
	}
}

func numberText(c interface{ ValueStr(int) string }, i int) string {
	if d, ok := c.(*array.Decimal128); ok {
		return d.Value(i).ToString(decimalScale)
	}
	return c.ValueStr(i)
}

// TestBookOfRedefinedInstrument: the book begins anew where numbers change their
// meaning, in ranges that pass there as in books at a time.
func TestBookOfRedefinedInstrument(t *testing.T) {
	a := redefined(t)
	rows := collect(t, a, RangeRequest{Schema: "mbp-2", Symbols: []string{"abc"}})
	if len(rows) != 3 || !strings.HasSuffix(rows[1], " 61800.2 2 0 - - - - - - - - -") {
		t.Errorf("rows %q", rows)
	}
	for at, want := range map[int64]string{15: `[["61800.2","1.5",0]]`, 25: `[["61800.2","2",0]]`, 30: `[["61800.3","3",0]]`} {
		ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "abc", At: at, Depth: 5})
		check(t, err)
		b, err := jsonLevels{&ans.Definition, ans.Bids}.MarshalJSON()
		check(t, err)
		if string(b) != want || (ans.Condition == ConditionDegraded) != (at > 15) {
			t.Errorf("at %d: %s %s, want %s", at, ans.Condition, b, want)
		}
	}
}
