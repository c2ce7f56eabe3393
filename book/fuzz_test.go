package book

import (
	"encoding/binary"
	"testing"

	"chronicle/market"
)

// FuzzApply feeds entries with anything in them: nothing panics, the invariants
// hold, and the book survives a round trip.
func FuzzApply(f *testing.F) {
	f.Add(true, []byte("AB0102030405 CA"))
	f.Add(false, []byte("MB\x01\x01\x05AA\x02\x02\x00RN\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, l3 bool, data []byte) {
		data = data[:min(len(data), 2000)] // every event is checked in full
		bt := market.L2
		if l3 {
			bt = market.L3
		}
		b := New(bt)
		for len(data) > 0 {
			var ev market.BookEvent
			kind := market.KindBook
			if data[0] == 0xFF {
				kind = market.KindSnapshot
			}
			n := int(data[0]%16) + 1
			for range n {
				var e market.Entry
				e, data = fuzzEntry(data)
				ev.Entries = append(ev.Entries, e)
			}
			r := b.Apply(&ev, kind)
			if bad := r.Unknown + r.Duplicate + r.Invalid; bad > n {
				t.Fatalf("%d bad entries among %d", bad, n)
			}
			if err := b.check(); err != nil {
				t.Fatal(err)
			}
		}
		roundTrip(t, b)
		b.Truncate(market.Bid, 2, nil)
		if err := b.check(); err != nil {
			t.Fatal(err)
		}
	})
}

// fuzzEntry makes an entry of the first bytes of data: small numbers mostly,
// wide ones where the first byte has its highest bit set.
func fuzzEntry(data []byte) (market.Entry, []byte) {
	var b [32]byte
	n := copy(b[:], data)
	e := market.Entry{
		Action: market.Action(b[0] & 0x7F), Side: market.Side(b[1]),
		OrderID: uint64(b[2]), Price: int64(int8(b[3])), Size: int64(int8(b[4])), Count: uint32(b[5]),
	}
	if b[0] < 0x80 {
		return e, data[min(n, 6):]
	}
	e.OrderID = binary.LittleEndian.Uint64(b[8:])
	e.Price = int64(binary.LittleEndian.Uint64(b[16:]))
	e.Size = int64(binary.LittleEndian.Uint64(b[24:]))
	return e, data[n:]
}
