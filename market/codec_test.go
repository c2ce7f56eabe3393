package market

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// form is one kind of record: its sample, encoded, and how to read it again.
type form struct {
	name   string
	body   []byte
	sample any
	decode func([]byte) (any, error)
}

func forms() []form {
	event, snapshot := encodeEvent(sampleEvent(), KindBook), encodeEvent(sampleSnapshot(), KindSnapshot)
	trade, quote, status := make([]byte, TradeSize), make([]byte, QuoteSize), make([]byte, sampleStatus().Size())
	sampleTrade().Put(trade)
	sampleQuote().Put(quote)
	sampleStatus().Put(status)
	return []form{
		{"definition", EncodeJSON(sampleDefinition()), sampleDefinition(), func(b []byte) (any, error) { return DecodeJSON[Definition](b) }},
		{"book", event, sampleEvent(), func(b []byte) (any, error) { return decodeEvent(b, KindBook) }},
		{"snapshot", snapshot, sampleSnapshot(), func(b []byte) (any, error) { return decodeEvent(b, KindSnapshot) }},
		{"trade", trade, sampleTrade(), func(b []byte) (any, error) { var v Trade; err := v.Decode(b); return &v, err }},
		{"quote", quote, sampleQuote(), func(b []byte) (any, error) { var v Quote; err := v.Decode(b); return &v, err }},
		{"status", status, sampleStatus(), func(b []byte) (any, error) { var v Status; err := v.Decode(b); return &v, err }},
		{"gap", EncodeJSON(sampleGap()), sampleGap(), func(b []byte) (any, error) { return DecodeJSON[Gap](b) }},
		{"session", EncodeJSON(sampleSession()), sampleSession(), func(b []byte) (any, error) { return DecodeJSON[Session](b) }},
	}
}

// encodeEvent encodes into memory that is not zero, as a mapped file may not be.
func encodeEvent(e *BookEvent, kind Kind) []byte {
	b := bytes.Repeat([]byte{0xEE}, e.Size(kind))
	e.Put(b, kind)
	return b
}

func decodeEvent(b []byte, kind Kind) (*BookEvent, error) {
	var e BookEvent
	err := e.Decode(b, kind)
	return &e, err
}

// The bytes of every kind are part of the on-disk format: they never change.
func TestGolden(t *testing.T) {
	for _, f := range forms() {
		path := filepath.Join("testdata", f.name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(goldenText(f.body)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := goldenText(f.body); got != string(text) {
			t.Errorf("%s: encoded as\n%swant\n%s", f.name, got, text)
		}
		got, err := f.decode(goldenBytes(t, string(text)))
		if err != nil || !reflect.DeepEqual(got, f.sample) {
			t.Errorf("%s: decoded as %+v, %v; want %+v", f.name, got, err, f.sample)
		}
	}
}

// goldenText shows JSON as it is and anything else in hex, eight bytes a line.
func goldenText(body []byte) string {
	if body[0] == '{' {
		return string(body) + "\n"
	}
	var out strings.Builder
	for at := 0; at < len(body); at += 8 {
		out.WriteString(hex.EncodeToString(body[at:min(at+8, len(body))]) + "\n")
	}
	return out.String()
}

func goldenBytes(t *testing.T, text string) []byte {
	t.Helper()
	if text[0] == '{' {
		return []byte(text)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The JSON in the header of every clean segment is an on-disk format too.
func TestStreamMeta(t *testing.T) {
	const want = `{"venue":"kraken","symbol":"btc_usdt","stream":"book","definition":{"venue":"kraken","symbol":"btc_usdt",` +
		`"native":"XBT/USDT","book_type":"l2","price_exponent":-2,"size_exponent":-8}}`
	def := Definition{Venue: "kraken", Symbol: "btc_usdt", Native: "XBT/USDT", BookType: L2, PriceExponent: -2, SizeExponent: -8}
	meta := StreamMeta{Venue: "kraken", Symbol: "btc_usdt", Stream: StreamBook, Definition: def}
	if got, err := json.Marshal(meta); err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if id := def.SymbolID().String(); id != "kraken:btc_usdt" {
		t.Errorf("its symbol is %s", id)
	}
}

// The JSON bodies keep every field: a field that is added to a struct must be
// added to its sample, and is then pinned by the golden file.
func TestSamplesAreComplete(t *testing.T) {
	for _, f := range forms() {
		v := reflect.ValueOf(f.sample).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).IsZero() && !(f.name == "book" && strings.HasPrefix(name, "AsOf")) && !(f.name == "snapshot" && (name == "PrevSeq" || name == "Checksum")) {
				t.Errorf("the sample of %s leaves %s empty", f.name, name)
			}
		}
	}
}

func TestCutAndLongBodies(t *testing.T) {
	for _, f := range forms() {
		for n := range f.body {
			if _, err := f.decode(f.body[:n:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut to %d of %d bytes: %v, want ErrCorrupt", f.name, n, len(f.body), err)
			}
		}
		if _, err := f.decode(append(bytes.Clone(f.body), 'x')); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s with a byte too many: %v, want ErrCorrupt", f.name, err)
		}
	}
}

func TestDecodeChecksSidesAndActions(t *testing.T) {
	for _, at := range []int{bookHeaderSize + 28, bookHeaderSize + 29, bookHeaderSize + EntrySize + 28} {
		b := encodeEvent(sampleEvent(), KindBook)
		b[at] = 'x'
		if _, err := decodeEvent(b, KindBook); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d is 'x': %v, want ErrCorrupt", at, err)
		}
	}
	b := make([]byte, TradeSize)
	var v Trade
	if err := v.Decode(b); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "side") {
		t.Errorf("trade of side 0: %v, want ErrCorrupt, naming the side", err)
	}
}

func TestJSONBodyIsAnObject(t *testing.T) {
	for _, body := range []string{"", "null", "[]", "1", `"x"`, `{"venue":1}`} {
		if _, err := DecodeJSON[Gap]([]byte(body)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v, want ErrCorrupt", body, err)
		}
	}
}

// A huge count of entries in a short body is refused before memory is taken.
func TestEntryCountIsChecked(t *testing.T) {
	b := encodeEvent(sampleEvent(), KindBook)
	le.PutUint32(b[32:], 0xFFFFFFFF)
	if _, err := decodeEvent(b, KindBook); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
}

func TestRoundTrip(t *testing.T) {
	entry := rapid.Custom(func(t *rapid.T) Entry {
		e := rapid.Make[Entry]().Draw(t, "entry")
		e.Side = rapid.SampledFrom([]Side{Bid, Ask, NoSide}).Draw(t, "side")
		e.Action = rapid.SampledFrom([]Action{Add, Cancel, Modify, Clear, Exec, Fill}).Draw(t, "action")
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.Make[BookEvent]().Draw(t, "event")
		e.Entries = rapid.SliceOf(entry).Draw(t, "entries")
		kind := rapid.SampledFrom([]Kind{KindBook, KindSnapshot}).Draw(t, "kind")
		if kind == KindBook {
			e.AsOfEvent, e.AsOfRecv = 0, 0
		}
		got := BookEvent{AsOfEvent: 1, AsOfRecv: 2, Entries: make([]Entry, 3, 50)} // what an earlier event left
		if err := got.Decode(encodeEvent(&e, kind), kind); err != nil {
			t.Fatal(err)
		}
		entries := got.Entries
		if got.Entries = e.Entries; !slices.Equal(entries, e.Entries) || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v: %+v with %v, want %+v", kind, got, entries, e)
		}
		roundTripTrade(t)
		roundTripQuote(t)
	})
}

func roundTripTrade(t *rapid.T) {
	want, got, b := rapid.Make[Trade]().Draw(t, "trade"), Trade{}, make([]byte, TradeSize)
	want.Side = rapid.SampledFrom([]Side{Bid, Ask, NoSide}).Draw(t, "side")
	want.Put(b)
	if err := got.Decode(b); err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func roundTripQuote(t *rapid.T) {
	want, got, b := rapid.Make[Quote]().Draw(t, "quote"), Quote{}, make([]byte, QuoteSize)
	want.Put(b)
	if err := got.Decode(b); err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func TestCodecDoesNotAllocate(t *testing.T) {
	e, q, tr := sampleSnapshot(), sampleQuote(), sampleTrade()
	b := make([]byte, e.Size(KindSnapshot))
	allocs := testing.AllocsPerRun(100, func() {
		e.Put(b, KindSnapshot)
		err := e.Decode(b, KindSnapshot)
		q.Put(b[:QuoteSize])
		err2 := q.Decode(b[:QuoteSize])
		tr.Put(b[:TradeSize])
		if err3 := tr.Decode(b[:TradeSize]); err != nil || err2 != nil || err3 != nil {
			t.Fatal(err, err2, err3)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// FuzzDecode: whatever the bytes, no decoder panics; and what a binary one
// accepts, it encodes and decodes again to the same.
func FuzzDecode(f *testing.F) {
	for _, form := range forms() {
		f.Add(form.body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range forms() {
			v, err := form.decode(b)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%s: %v is not ErrCorrupt", form.name, err)
				}
				continue
			}
			again, err := form.decode(encodeAny(v, form.name))
			if err != nil || !reflect.DeepEqual(v, again) {
				t.Fatalf("%s: %+v became %+v, %v", form.name, v, again, err)
			}
		}
	})
}

func encodeAny(v any, name string) []byte {
	switch v := v.(type) {
	case *BookEvent:
		if name == "snapshot" {
			return encodeEvent(v, KindSnapshot)
		}
		return encodeEvent(v, KindBook)
	case *Trade:
		b := make([]byte, TradeSize)
		v.Put(b)
		return b
	case *Quote:
		b := make([]byte, QuoteSize)
		v.Put(b)
		return b
	case *Status:
		b := make([]byte, v.Size())
		v.Put(b)
		return b
	case *Definition:
		return EncodeJSON(v)
	case *Gap:
		return EncodeJSON(v)
	}
	return EncodeJSON(v.(*Session))
}
