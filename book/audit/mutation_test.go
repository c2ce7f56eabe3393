package audit

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chronicle/book"
	"chronicle/market"
)

// mutation changes one thing of record i of a stream, in place, and tells whether
// that must be found. ok is false where it cannot be made there.
type mutation func(t *rapid.T, items []item, i int) (out []item, must, ok bool)

var mutations = map[string]mutation{
	"size of a change":       onEntry(market.KindBook, func(e *market.Entry) { e.Size++ }),
	"price of a change":      onEntry(market.KindBook, func(e *market.Entry) { e.Price++ }),
	"side of a change":       onEntry(market.KindBook, func(e *market.Entry) { e.Side = e.Side.Opposite() }),
	"action of a change":     onEntry(market.KindBook, func(e *market.Entry) { e.Action = otherAction[e.Action] }),
	"order of a change":      onEntry(market.KindBook, func(e *market.Entry) { e.OrderID++ }),
	"count of a change":      onEntry(market.KindBook, func(e *market.Entry) { e.Count++ }),
	"change left out":        onEntries(market.KindBook, func(e []market.Entry, at int) []market.Entry { return slices.Delete(e, at, at+1) }),
	"changes in other order": onEntries(market.KindBook, swapNext),
	"size in a snapshot":     onEntry(market.KindSnapshot, func(e *market.Entry) { e.Size++ }),
	"price in a snapshot":    onEntry(market.KindSnapshot, func(e *market.Entry) { e.Price++ }),
	"level left out":         onEntries(market.KindSnapshot, func(e []market.Entry, at int) []market.Entry { return slices.Delete(e, at, at+1) }),
	"levels in other order":  onEntries(market.KindSnapshot, swapNext),
	"event left out":         dropEvent,
	"sequence left out":      dropRecord,
	"book called otherwise":  toggleBad,
	"marker left out":        dropMarker,
	"marker says otherwise":  toggleRecovered,
	"raw sequence back":      rawBack,
	"raw sequence of a snapshot": onSynthetic(func(it *item) { it.ev.RawSeq++ }, func(items []item, i int) bool {
		return i+1 < len(items)
	}),
	"time of a snapshot": onSynthetic(func(it *item) { it.Time++ }, func(items []item, i int) bool { return i+1 < len(items) }),
	"as_of_recv":         onSynthetic(func(it *item) { it.ev.AsOfRecv++ }, func(items []item, i int) bool { return i > 0 }),
	"as_of_event":        onSynthetic(func(it *item) { it.ev.AsOfEvent++ }, func(items []item, i int) bool { return i > 0 }),
	"venue sequence of a snapshot": onSynthetic(func(it *item) { it.ev.Seq++ }, func(items []item, i int) bool {
		return slices.ContainsFunc(items[:i], func(it item) bool { return it.synthetic() || it.ev.Seq != 0 })
	}),
	"flags of a snapshot": onSynthetic(func(it *item) { it.ev.Flags ^= market.FlagLast }, func([]item, int) bool { return true }),
	"chain":               breakChain,
	"checksum":            breakChecksum,
	"execution":           breakExecution,
}

var otherAction = map[market.Action]market.Action{market.Add: market.Cancel, market.Modify: market.Cancel, market.Cancel: market.Modify, market.Fill: market.Cancel, market.Exec: market.Fill}

// TestMutations: one changed value is found wherever it changes what can be
// proved; doc.go says what cannot.
func TestMutations(t *testing.T) {
	musts := map[string]int{}
	names := []string{}
	for name := range mutations {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		items := drawStream(t)
		if len(items) == 0 {
			return
		}
		first := rapid.IntRange(0, len(items)-1).Draw(t, "record")
		for _, name := range names {
			for i := first; i < min(first+15, len(items)); i++ {
				out, must, ok := mutations[name](t, clone(items), i)
				if !ok || !must {
					continue
				}
				musts[name]++
				if found, _ := collect(out); len(found) == 0 {
					t.Fatalf("%s, record %d: nothing was found", name, i+1)
				}
			}
		}
	})
	for _, name := range names {
		if musts[name] == 0 && !t.Failed() {
			t.Errorf("%s: never tried where it must be found", name)
		}
	}
}

// differs replays a stream as simply as can be, and tells whether a synthetic
// snapshot is not the book.
func differs(items []item) bool {
	var b *book.Book
	exp := int8(0)
	for i := range items {
		it := &items[i]
		if it.def != nil && (b == nil || it.def.PriceExponent != exp) {
			fresh := b == nil
			b, exp = book.New(it.def.BookType), it.def.PriceExponent
			if fresh {
				b.Apply(&it.ev, it.Kind)
				continue
			}
		}
		if it.synthetic() {
			shown := book.New(b.Type())
			shown.Apply(&it.ev, it.Kind)
			if shown.Digest() != b.Digest() {
				return true
			}
		}
		if it.Kind != market.KindGap {
			b.Apply(&it.ev, it.Kind)
		}
	}
	return false
}

// onEntry changes one entry of an event, or of a synthetic snapshot.
func onEntry(kind market.Kind, change func(*market.Entry)) mutation {
	return onEntries(kind, func(e []market.Entry, at int) []market.Entry {
		change(&e[at])
		return e
	})
}

func onEntries(kind market.Kind, change func([]market.Entry, int) []market.Entry) mutation {
	return func(t *rapid.T, items []item, i int) ([]item, bool, bool) {
		it := &items[i]
		if it.Kind != kind || it.proof() || len(it.ev.Entries) == 0 {
			return nil, false, false
		}
		old := slices.Clone(it.ev.Entries)
		it.ev.Entries = change(it.ev.Entries, rapid.IntRange(0, len(old)-1).Draw(t, "entry"))
		if slices.Equal(old, it.ev.Entries) {
			return nil, false, false
		}
		return items, differs(items) || kind == market.KindSnapshot && i > 0, true
	}
}

func swapNext(e []market.Entry, at int) []market.Entry {
	if at+1 < len(e) {
		e[at], e[at+1] = e[at+1], e[at]
	}
	return e
}

func dropEvent(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	if items[i].Kind != market.KindBook || items[i].def != nil {
		return nil, false, false
	}
	items = renumber(slices.Delete(items, i, i+1))
	return items, differs(items), true
}

func renumber(items []item) []item {
	for i := range items {
		items[i].Seq = uint64(i + 1)
	}
	return items
}

func dropRecord(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	if i == 0 || i == len(items)-1 || items[i].def != nil {
		return nil, false, false
	}
	return slices.Delete(items, i, i+1), true, true
}

// toggleBad calls a book bad that is called good, or the other way round. Where
// the record itself may say either, what follows shows it.
func toggleBad(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	it := &items[i]
	if it.Kind == market.KindGap {
		return nil, false, false
	}
	it.ev.Flags ^= market.FlagMaybeBadBook
	free := i == 0 || it.proof() && (it.ev.Flags&market.FlagMaybeBadBook == 0 || badBefore(items, i))
	return items, !free || shows(items, i), true
}

// badBefore tells whether a book is called bad, or has to be, before record i.
func badBefore(items []item, i int) bool {
	bad, exp := false, items[0].def.PriceExponent
	for j := range items[:i] {
		it := &items[j]
		if it.def != nil && it.def.PriceExponent != exp {
			exp = it.def.PriceExponent
		}
		switch {
		case it.lost():
			bad = true
		case it.Kind != market.KindGap:
			bad = it.ev.Flags&market.FlagMaybeBadBook != 0
		}
	}
	if def := items[i].def; def != nil && def.PriceExponent != exp {
		return true
	}
	return bad
}

// shows tells whether the record after i depends on what i has said of the book.
func shows(items []item, i int) bool {
	def := lastDef(items, i)
	for j := i + 1; j < len(items); j++ {
		it := &items[j]
		if it.def != nil && it.def.PriceExponent != def.PriceExponent {
			return false
		}
		if it.Kind == market.KindGap && !it.lost() {
			continue
		}
		return !it.proof() && !it.lost()
	}
	return false
}

func lastDef(items []item, i int) *market.Definition {
	for ; items[i].def == nil; i-- {
	}
	return items[i].def
}

func dropMarker(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	if !items[i].lost() {
		return nil, false, false
	}
	must := !badBefore(items, i) && shows(items, i)
	return renumber(slices.Delete(items, i, i+1)), must, true
}

func toggleRecovered(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	if items[i].Kind != market.KindGap || items[i].gap.Session != "" {
		return nil, false, false
	}
	items[i].gap.Recovered = !items[i].gap.Recovered
	return items, !badBefore(items, i) && shows(items, i), true
}

// rawBack gives an event the raw sequence of the one before it, and a venue
// snapshot an earlier one.
func rawBack(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	if items[i].Kind != market.KindBook && !items[i].proof() {
		return nil, false, false
	}
	for j := i - 1; j >= 0; j-- {
		if items[j].gap.Cause == market.GapRawLost {
			break
		}
		if items[j].Kind == market.KindBook {
			items[i].ev.RawSeq = items[j].ev.RawSeq
			if items[i].proof() {
				items[i].ev.RawSeq--
			}
			return items, true, true
		}
	}
	return nil, false, false
}

// onSynthetic changes a synthetic snapshot. What follows a loss of raw records is
// not compared with what was before it.
func onSynthetic(change func(*item), must func([]item, int) bool) mutation {
	return func(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
		loss := func(it item) bool { return it.gap.Cause == market.GapRawLost }
		if !items[i].synthetic() || slices.ContainsFunc(items, loss) {
			return nil, false, false
		}
		change(&items[i])
		return items, must(items, i), true
	}
}

func breakChain(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	it := &items[i]
	if it.Kind != market.KindBook || !lastDef(items, i).Chained || it.ev.Flags&market.FlagMaybeBadBook != 0 {
		return nil, false, false
	}
	it.ev.PrevSeq += 1000
	it.ev.Seq += 1000
	known := false
	for j := i - 1; j >= 0 && items[j].gap.Cause != market.GapRawLost; j-- {
		known = known || items[j].synthetic() || items[j].ev.Seq != 0
	}
	return items, known, true
}

func breakChecksum(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	it := &items[i]
	if it.ev.Attr&market.AttrChecksum == 0 {
		return nil, false, false
	}
	it.ev.Checksum ^= 1
	return items, it.ev.Flags&market.FlagMaybeBadBook == 0, true
}

// breakExecution changes one part of an execution.
func breakExecution(_ *rapid.T, items []item, i int) ([]item, bool, bool) {
	for j := range items[i].ev.Entries {
		if e := &items[i].ev.Entries[j]; e.Action == market.Exec {
			e.Size++
			return items, true, true
		}
	}
	return nil, false, false
}
