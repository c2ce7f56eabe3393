package itch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

var testDay = time.Date(2023, 8, 22, 0, 0, 0, 0, time.UTC)

// midnight is 2023-08-22 00:00 in New York, which is then four hours behind UTC.
const midnight = int64(1692676800_000000000)

// fixture is a decoder on a queue in memory.
type fixture struct {
	*Decoder
	q *emittest.Queue
	c *emit.Counters
}

func newFixture(flags market.Flags) fixture {
	q, c := &emittest.Queue{}, &emit.Counters{}
	return fixture{NewDecoder(emit.New(q, c, emit.Options{Venue: "xnas"}), FixedClock(testDay), flags), q, c}
}

// say hands over messages given as hexadecimal text, from sequence 1.
func (f fixture) say(t *testing.T, messages ...string) {
	t.Helper()
	for i, m := range messages {
		b, err := hex.DecodeString(m)
		if err != nil {
			t.Fatal(err)
		}
		f.Message(midnight+34200_000000000, uint64(i+1), b)
	}
	if err := f.q.Check(); err != nil {
		t.Fatal(err)
	}
}

// Messages as NASDAQ sent them, read by hand: after the type are two bytes
// of stock locate, two of tracking number, six of time.
const (
	addOVOO      = "41159800001f1aced85306000000000166b53e420000064049564f4f20202020000d55ac"
	addCASY      = "4606ca00001f1aced99936000000000120be75530000006443415359202020200026fd40464c5455"
	executed     = "45092900021f1aced8f061000000000166929a00000019000000000003e63b"
	withPrice    = "4313e400011f1aceebb03b00000000013113de0000133e000000000003e65d4e00036e20"
	cancelled    = "5824c500001f1acefe785d0000000002041a0000000064"
	deleted      = "440d1900001f1aced840ed000000000165b51a"
	replaced     = "551db300001f1aced771e90000000000e6897f000000000145f2c700000064001036c8"
	hiddenGOOGL  = "50119300021f1acee462a900000000000000004200000064474f4f474c202020001399f8000000000003e642"
	crossBAC     = "5103d700011f1acee1500300000000000000004241432d5120202000000000000000000003e63e4f"
	crossPTGX    = "51202700021f1acee5dc8700000000000015c950544758202020200002fc10000000000003e6494f"
	haltZXZZT    = "482c3d00001f1e7036e4655a585a5a5420202050204c554450"
	positionFDLS = "4c0e4000001f208142f8464d41584d46444c5320202020594e41"
	collarZXZZT  = "4a2c3d00001f1e703b4f955a585a5a5420202000020918000223440001aa9000000000"
	imbalPFTAW   = "491ead00001f1acedb43f1000000000000000000000000000000004f50465441572020200000000000000000000000004f20"
	systemStart  = "53000000001f1acedb02f051"
)

func TestBookMessages(t *testing.T) {
	undef, gone := market.UndefPrice, market.UndefSize
	for _, c := range []struct {
		name, message string
		nanos         int64
		want          []market.Entry
	}{
		{"A", addOVOO, 0x1f1aced85306, []market.Entry{{OrderID: 0x166b53e, Price: 873900, Size: 1600, Side: market.Bid, Action: market.Add}}},
		{"F", addCASY, 0x1f1aced99936, []market.Entry{{OrderID: 0x120be75, Price: 2555200, Size: 100, Side: market.Ask, Action: market.Add}}},
		{"E", executed, 0x1f1aced8f061, []market.Entry{
			{OrderID: 0x166929a, Price: undef, Size: 25, Side: market.NoSide, Action: market.Fill},
			{OrderID: 0x3e63b, Price: undef, Size: 25, Side: market.NoSide, Action: market.Exec}}},
		{"C", withPrice, 0x1f1aceebb03b, []market.Entry{
			{OrderID: 0x13113de, Price: 224800, Size: 4926, Side: market.NoSide, Action: market.Fill, Flags: market.EntryNonPrintable},
			{OrderID: 0x3e65d, Price: 224800, Size: 4926, Side: market.NoSide, Action: market.Exec, Flags: market.EntryNonPrintable}}},
		{"X", cancelled, 0x1f1acefe785d, []market.Entry{{OrderID: 0x2041a00, Price: undef, Size: 100, Side: market.NoSide, Action: market.Cancel}}},
		{"D", deleted, 0x1f1aced840ed, []market.Entry{{OrderID: 0x165b51a, Price: undef, Size: gone, Side: market.NoSide, Action: market.Cancel}}},
		{"U", replaced, 0x1f1aced771e9, []market.Entry{
			{OrderID: 0xe6897f, Price: undef, Size: gone, Side: market.NoSide, Action: market.Cancel},
			{OrderID: 0x145f2c7, Price: 1062600, Size: 100, Side: market.NoSide, Action: market.Add}}},
	} {
		f := newFixture(0)
		f.say(t, c.message)
		books, err := f.q.Books()
		if err != nil || len(books) != 1 {
			t.Fatalf("%s: %d events, %v", c.name, len(books), err)
		}
		if !slices.Equal(books[0].Entries, c.want) || books[0].Seq != 1 || books[0].Flags != market.FlagLast {
			t.Errorf("%s: event %+v, want entries %+v", c.name, books[0], c.want)
		}
		rec := f.q.Of(market.KindBook)[0]
		if rec.EventTime != midnight+c.nanos || rec.Time != midnight+34200_000000000 {
			t.Errorf("%s: times %d and %d, want the event at %d", c.name, rec.Time, rec.EventTime, midnight+c.nanos)
		}
	}
}

func TestTradeMessages(t *testing.T) {
	f := newFixture(0)
	f.say(t, hiddenGOOGL, crossBAC, crossPTGX)
	want := []market.Trade{
		{Seq: 1, TradeID: 0x3e642, Price: 1284600, Size: 100, Side: market.Ask, Flags: market.FlagLast, Cond: 'P'},
		{Seq: 2, TradeID: 0x3e63e, Price: market.UndefPrice, Side: market.NoSide, Flags: market.FlagLast, Cond: 'Q'},
		{Seq: 3, TradeID: 0x3e649, Price: 195600, Size: 0x15c9, Side: market.NoSide, Flags: market.FlagLast, Cond: 'Q'},
	}
	got, err := f.q.Trades()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("trades are %+v, %v, want %+v", got, err, want)
	}
	defs, _ := emittest.JSON[market.Definition](f.q)
	if len(defs) != 3 || defs[0].Symbol != "googl" || defs[1].Symbol != "bac-q" || defs[2].Native != "PTGX" {
		t.Errorf("definitions are %+v", defs)
	}
}

func TestStatusMessagesAreKeptVerbatim(t *testing.T) {
	f := newFixture(0)
	messages := []string{haltZXZZT, positionFDLS, collarZXZZT, imbalPFTAW, systemStart}
	f.say(t, messages...)
	symbols := make(map[uint32]string)
	defs, _ := emittest.JSON[market.Definition](f.q)
	for _, d := range defs {
		symbols[d.ID] = d.Symbol
	}
	for i, rec := range f.q.Of(market.KindStatus) {
		var s market.Status
		if err := s.Decode(rec.Body); err != nil {
			t.Fatal(err)
		}
		want, _ := hex.DecodeString(messages[i])
		symbol := []string{"zxzzt", "fdls", "zxzzt", "pftaw", "_all"}[i]
		if !bytes.Equal(s.Payload, want) || s.Code != uint16(want[0]) || s.Seq != uint64(i+1) || symbols[rec.Tag] != symbol {
			t.Errorf("status %d of %s is %+v, want %s of %s", i, symbols[rec.Tag], s, messages[i], symbol)
		}
	}
}

func TestInstrumentsComeFromLocates(t *testing.T) {
	directory := append([]byte("R\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01AAPL    "), make([]byte, 20)...)
	f := newFixture(0)
	add := func(locate byte, name string) string {
		b, _ := hex.DecodeString(addOVOO)
		b[1], b[2] = 0, locate
		copy(b[24:], name)
		return hex.EncodeToString(b)
	}
	del := func(locate byte) string {
		return hex.EncodeToString(append([]byte{'D', 0, locate}, make([]byte, 16)...))
	}
	f.say(t, hex.EncodeToString(directory), del(5), add(6, "MSFT    "), del(6), del(7), add(7, "BRK.A   "), del(7), add(5, "GOOG    "), del(5), add(0, "        "))
	defs, _ := emittest.JSON[market.Definition](f.q)
	names := make(map[uint32]string)
	for _, d := range defs {
		names[d.ID] = d.Symbol
	}
	var got []string
	for _, rec := range f.q.Of(market.KindBook) {
		got = append(got, names[rec.Tag])
	}
	want := []string{"aapl", "msft", "msft", "locate-7", "brk.a", "brk.a", "goog", "goog", "locate-0"}
	if !slices.Equal(got, want) {
		t.Errorf("events are of %v, want %v", got, want)
	}
	if kinds := f.q.Kinds(); kinds[1] != market.KindDefinition || kinds[2] != market.KindStatus {
		t.Errorf("the directory message gave %v, want a definition and a status", kinds[:3])
	}
	d := defs[0]
	if d.BookType != market.L3 || d.PriceExponent != -4 || d.SizeExponent != 0 || d.Channel != "itch" || d.Venue != "xnas" || d.Native != "AAPL" {
		t.Errorf("definition is %+v", d)
	}
	f.NewSession()
	f.say(t, del(5), add(9, "AAPL    "))
	recs := f.q.Of(market.KindBook)
	if a, b := recs[len(recs)-2], recs[len(recs)-1]; names[a.Tag] == "aapl" || names[b.Tag] != "aapl" {
		t.Errorf("after a new session a locate of the old one still counts: %q, %q", names[a.Tag], names[b.Tag])
	}
}

func TestUnusableMessages(t *testing.T) {
	short := addOVOO[:len(addOVOO)-2]
	badSide := "41159800001f1aced85306000000000166b53e" + "5a" + "0000064049564f4f20202020000d55ac"
	hugeCross := "51202700021f1acee5dc87" + "ffffffffffffffff" + "50544758202020200002fc10000000000003e6494f"
	f := newFixture(0)
	f.say(t, addOVOO, short, badSide, "7a00", "", haltZXZZT[:40], hugeCross)
	want := map[string]uint64{"bad_length": 3, "bad_field": 1, "unknown_type": 1, "number_out_of_range": 1}
	s := f.c.Stats()
	for reason, n := range want {
		if s.SkippedBy[reason] != n {
			t.Errorf("skipped by %s: %d, want %d", reason, s.SkippedBy[reason], n)
		}
	}
	// Those that may have changed a book leave a gap of their own sequence.
	gaps, _ := emittest.JSON[market.Gap](f.q)
	var seqs []uint64
	for _, g := range gaps {
		seqs = append(seqs, g.FirstSeq)
	}
	if s.Messages != 1 || !slices.Equal(seqs, []uint64{2, 3, 5}) {
		t.Errorf("%d messages, gaps at %v, want 1 and 2, 3, 5", s.Messages, seqs)
	}
}

func TestEveryTypeDecodesAtItsLength(t *testing.T) {
	for typ, n := range lengths {
		if n == 0 {
			continue
		}
		f := newFixture(0)
		b := make([]byte, n)
		b[0], b[2] = byte(typ), 1
		if typ == 'A' || typ == 'F' || typ == 'P' {
			b[19] = 'B'
		}
		f.Message(1, 1, b)
		f.Message(1, 2, b[:n-1])
		f.Message(1, 3, append(b, 0))
		if s := f.c.Stats(); s.Messages != 1 || s.SkippedBy["bad_length"] != 2 {
			t.Errorf("type %c: counts are %+v, want one message and two of a bad length", typ, s)
		}
	}
}

func TestReceiptClock(t *testing.T) {
	hour := int64(time.Hour)
	at := func(s string) int64 {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", s, newYork())
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixNano()
	}
	c := ReceiptClock()
	for _, k := range []struct {
		recv  string
		nanos int64
		want  string
	}{
		{"2023-08-22 09:30:00", 9*hour + hour/2, "2023-08-22 09:30:00"},
		{"2023-08-23 00:00:01", 24*hour - int64(time.Second), "2023-08-22 23:59:59"}, // received after midnight
		{"2023-08-23 00:00:02", int64(time.Second), "2023-08-23 00:00:01"},
		{"2023-12-01 15:00:00", 9 * hour, "2023-12-01 09:00:00"},  // winter time
		{"2023-08-22 12:00:00", 12 * hour, "2023-08-22 12:00:00"}, // and back again
	} {
		if got := c.Event(at(k.recv), uint64(k.nanos)); got != at(k.want) {
			t.Errorf("received %s: event at %d, want %s (%d)", k.recv, got, k.want, at(k.want))
		}
	}
	if Midnight(midnight+5) != midnight || FixedClock(testDay).Event(0, 5) != midnight+5 {
		t.Error("midnight in New York is wrong")
	}
}

// file frames messages as BinaryFILE does.
func file(t *testing.T, withLength bool, messages ...string) []byte {
	t.Helper()
	var out []byte
	for _, m := range messages {
		b, err := hex.DecodeString(m)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if withLength {
			n = len(b)
		}
		out = append(binary.BigEndian.AppendUint16(out, uint16(n)), b...)
	}
	return out
}

func TestReadBinaryFile(t *testing.T) {
	for _, c := range []struct {
		name     string
		content  []byte
		messages uint64
		skipped  uint64
		err      error
	}{
		{"with lengths", file(t, true, systemStart, addOVOO, deleted), 3, 0, nil},
		{"without lengths", file(t, false, systemStart, addOVOO, deleted), 3, 0, nil},
		{"end mark", append(file(t, true, systemStart), 0, 0), 1, 0, nil},
		{"empty", nil, 0, 0, nil},
		{"unknown type with a length", file(t, true, systemStart, "7a0102", deleted), 2, 1, nil},
		{"unknown type without", file(t, false, systemStart, "7a0102", deleted), 1, 0, errNoLength},
		{"cut in a message", file(t, true, systemStart, addOVOO)[:30], 1, 0, io.ErrUnexpectedEOF},
		{"cut in a length", append(file(t, true, systemStart), 0), 1, 0, io.ErrUnexpectedEOF},
		{"cut after a length", append(file(t, true, systemStart), 0, 19), 1, 0, io.ErrUnexpectedEOF},
	} {
		f := newFixture(market.FlagBadTsRecv)
		err := ReadBinaryFile(context.Background(), bufio.NewReaderSize(bytes.NewReader(c.content), 128<<10), f.Decoder, nil)
		s := f.c.Stats()
		if !errors.Is(err, c.err) || s.Messages != c.messages || s.Skipped != c.skipped {
			t.Errorf("%s: %v and %+v, want %v, %d messages, %d skipped", c.name, err, s, c.err, c.messages, c.skipped)
		}
		if c.messages == 0 {
			continue
		}
		if sessions, _ := emittest.JSON[market.Session](f.q); len(sessions) != 2 || sessions[1].Event != market.SessionNew || f.q.Records[0].Time != midnight+0x1f1acedb02f0 {
			t.Errorf("%s: sessions are %+v, the first record is of %d", c.name, sessions, f.q.Records[0].Time)
		}
		for _, rec := range f.q.Of(market.KindBook) {
			var e market.BookEvent
			if err := e.Decode(rec.Body, market.KindBook); err != nil || e.Flags&market.FlagBadTsRecv == 0 || rec.Time != rec.EventTime {
				t.Errorf("%s: event %+v at %d and %d, %v", c.name, e, rec.Time, rec.EventTime, err)
			}
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for _, m := range []string{addOVOO, addCASY, executed, withPrice, cancelled, deleted, replaced, hiddenGOOGL, crossPTGX, haltZXZZT, systemStart} {
		b, _ := hex.DecodeString(m)
		f.Add(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
		f.Add(append([]byte{0, 0}, b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := newFixture(0)
		_ = ReadBinaryFile(context.Background(), bufio.NewReaderSize(bytes.NewReader(b), 128<<10), x.Decoder, nil)
		if err := x.q.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	add, _ := hex.DecodeString(addOVOO)
	del, _ := hex.DecodeString(deleted)
	d := NewDecoder(emit.New(&nowhere{}, &emit.Counters{}, emit.Options{Venue: "xnas"}), FixedClock(testDay), 0)
	b.ReportAllocs()
	for seq := uint64(1); b.Loop(); seq += 2 {
		d.Message(midnight, seq, add)
		d.Message(midnight, seq+1, del)
	}
}
