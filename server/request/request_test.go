package request

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"chronicle/market"
	"chronicle/query"
)

// blamed gives the field, what was given and the detail of an error.
func blamed(t *testing.T, err error) (field, given, detail string) {
	t.Helper()
	var q *query.Error
	if !errors.As(err, &q) {
		t.Fatalf("%v is no query.Error", err)
	}
	if q.Code != query.InvalidArgument || q.Allowed == "" {
		t.Errorf("%v: code %s, allowed %q", err, q.Code, q.Allowed)
	}
	return q.Field, q.Given, q.Detail
}

func TestBook(t *testing.T) {
	r, err := FromValues(SchemaBook, "BTC/USDT", url.Values{"at": {"2026-01-02T10:00:00.000000001Z"}, "clock": {"event"}, "price_type": {"decimal"}, "on_gap": {"null"}})
	if err != nil {
		t.Fatal(err)
	}
	q, price, err := r.Book()
	want := query.BookRequest{Symbol: "BTC/USDT", At: 1_767_348_000_000_000_001, Depth: query.DefaultDepth, Clock: query.ClockEvent, OnGap: query.GapNull}
	if err != nil || q != want || price != query.PriceDecimal {
		t.Errorf("%+v %s %v, want %+v", q, price, err, want)
	}
}

func TestBookRefuses(t *testing.T) {
	for name, c := range map[string]struct{ query, field, given, detail string }{
		"no time":         {"", "at", "", "the time of the book is needed"},
		"bad time":        {"at=yesterday", "at", "yesterday", "not a time"},
		"ten decimals":    {"at=2026-01-02T10:00:00.0000000001Z", "at", "2026-01-02T10:00:00.0000000001Z", "more than nanoseconds cannot be told apart"},
		"depth 0":         {"at=1&depth=0", "depth", "0", "number of levels a side is out of range"},
		"depth too large": {"at=1&depth=1000000000", "depth", "1000000000", "number of levels a side is out of range"},
		"depth no number": {"at=1&depth=ten", "depth", "ten", "not an integer"},
		"clock":           {"at=1&clock=wall", "clock", "wall", "not a known value"},
		"a range's field": {"at=1&limit=3", "limit", "3", "schema book takes no limit"},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		r, err := FromValues(SchemaBook, "btcusdt", v)
		if err == nil {
			_, _, err = r.Book()
		}
		if field, given, detail := blamed(t, err); field != c.field || given != c.given || detail != c.detail {
			t.Errorf("%s: %q %q %q, want %q %q %q", name, field, given, detail, c.field, c.given, c.detail)
		}
	}
}

func TestRange(t *testing.T) {
	r, err := FromValues("trades", "btcusdt", url.Values{"start": {"1700000000000000000"}, "end": {"2026-01-02T10:00:00+01:00"}, "limit": {"7"}})
	if err != nil {
		t.Fatal(err)
	}
	q, err := r.Range()
	if err != nil || q.Start != 1_700_000_000_000_000_000 || q.End != 1_767_344_400_000_000_000 || q.Limit != 7 ||
		q.Clock != query.ClockRecv || q.PriceType != query.PriceFloat || q.OnGap != query.GapMark || q.Symbols[0] != "btcusdt" {
		t.Errorf("%+v %v", q, err)
	}
	open, err := (&Request{Schema: "trades", Symbol: "btcusdt"}).Range()
	if err != nil || open.Start != 0 || open.End != 0 || open.Limit != 0 {
		t.Errorf("open range: %+v %v", open, err)
	}
}

func TestRangeRefuses(t *testing.T) {
	zero, many := int64(0), int64(MaxLimit+1)
	for name, c := range map[string]struct {
		r            Request
		field, given string
	}{
		"backwards":      {Request{Start: "200", End: "100"}, "start", "200"},
		"explicit 0 end": {Request{Start: "1", End: "0"}, "end", "0"},
		"before 1970":    {Request{Start: "-5"}, "start", "-5"},
		"limit 0":        {Request{Limit: &zero}, "limit", "0"},
		"limit too high": {Request{Limit: &many}, "limit", "1000000000001"},
		"a book's field": {Request{At: "5"}, "at", "5"},
		"price type":     {Request{PriceType: "int"}, "price_type", "int"},
		"on gap":         {Request{OnGap: "skip"}, "on_gap", "skip"},
	} {
		c.r.Schema, c.r.Symbol = "trades", "btcusdt"
		_, err := c.r.Range()
		if field, given, _ := blamed(t, err); field != c.field || given != c.given {
			t.Errorf("%s: %q %q, want %q %q", name, field, given, c.field, c.given)
		}
	}
	_, err := (&Request{Schema: "trades", Symbol: strings.Repeat("x", 300)}).Range()
	if field, given, _ := blamed(t, err); field != "symbol" || len(given) > 210 {
		t.Errorf("long symbol: %q %q", field, given)
	}
}

func TestParseCommand(t *testing.T) {
	r, err := ParseCommand([]byte(`{"schema":"trades","symbol":"binance-usdm:btc_usdt","start":1767348000000000001,"end":"2026-01-03T00:00:00Z","limit":5}`))
	if err != nil {
		t.Fatal(err)
	}
	if q, err := r.Range(); err != nil || q.Start != 1_767_348_000_000_000_001 || q.Limit != 5 {
		t.Errorf("%+v %v", q, err)
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for command, want := range map[string][2]string{ // field and given
		`{"schema":"trades","symbol":"a","from":1}`: {"from", ""},
		`{"schema":"trades","symbol":"a"} {}`:       {"command", `{"schema":"trades","symbol":"a"} {}`},
		`{"schema":"trades"`:                        {"command", `{"schema":"trades"`},
		`["trades"]`:                                {"command", `["trades"]`},
		``:                                          {"command", ""},
		`{"symbol":"a"}`:                            {"schema", ""},
		`{"schema":"book","symbol":"a","depth":"ten"}`:               {"depth", "string"},
		`{"schema":"book","symbol":"a","at":1.5}`:                    {"time", "1.5"},
		`{"schema":"book","symbol":"a","at":{"x":1}}`:                {"time", `{"x":1}`},
		`{"schema":"` + strings.Repeat("x", 70_000) + `"}`:           {"command", "70013 bytes"},
		`{"schema":"book","symbol":"a","limit":9999999999999999999}`: {"limit", "number 9999999999999999999"},
	} {
		_, err := ParseCommand([]byte(command))
		if field, given, _ := blamed(t, err); field != want[0] || given != want[1] {
			t.Errorf("%.60s: %q %q, want %q", command, field, given, want)
		}
	}
}

func TestFromPath(t *testing.T) {
	depth := int64(5)
	for path, want := range map[string]Request{
		"book binance-usdm btc_usdt 2026-01-02T10:00:00Z":     {Schema: "book", At: "2026-01-02T10:00:00Z"},
		"book binance-usdm btc_usdt 1767348000000000000 5":    {Schema: "book", At: "1767348000000000000", Depth: &depth},
		"trades binance-usdm btc_usdt":                        {Schema: "trades"},
		"trades binance-usdm btc_usdt 2026-01-02":             {Schema: "trades", Start: "2026-01-02T00:00:00Z", End: "2026-01-03T00:00:00Z"},
		"mbp-10 binance-usdm btc_usdt 1 2026-01-02T00:00:00Z": {Schema: "mbp-10", Start: "1", End: "2026-01-02T00:00:00Z"},
	} {
		want.Symbol = "binance-usdm:btc_usdt"
		got, err := FromPath(strings.Fields(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s: %s, want %s", path, a, b)
		}
	}
}

func TestFromPathRefuses(t *testing.T) {
	for path, want := range map[string]string{ // the field
		"trades|binance-usdm":                     "path",
		"":                                        "path",
		"trades||btc_usdt":                        "path",
		"|binance-usdm|btc_usdt":                  "schema",
		"book|binance-usdm|btc_usdt":              "path",
		"book|binance-usdm|btc_usdt|1|deep":       "depth",
		"trades|binance-usdm|btc_usdt|1":          "path",
		"trades|binance-usdm|btc_usdt||2":         "path",
		"trades|binance-usdm|btc_usdt|1|2|3":      "path",
		"trades|binance-usdm|btc_usdt|2026-13-01": "path",
	} {
		_, err := FromPath(strings.Split(path, "|"))
		if field, _, _ := blamed(t, err); field != want {
			t.Errorf("%s: blames %q, want %q", path, field, want)
		}
	}
}

func TestDaysEnd(t *testing.T) {
	for in, want := range map[string][2]Time{
		"2024-02-28": {"2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"},
		"2025-12-31": {"2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z"},
	} {
		if start, end, ok := day(in); !ok || start != want[0] || end != want[1] {
			t.Errorf("%s: %s %s %v", in, start, end, ok)
		}
	}
}

func TestFilter(t *testing.T) {
	id := market.SymbolID{Venue: "binance-usdm", Symbol: "btc_usdt"}
	for criteria, want := range map[string]bool{
		"": true, "{}": true, `{"venue":"binance-*"}`: true, `{"symbol":"btc_usd?"}`: true,
		`{"venue":"kraken"}`: false, `{"venue":"binance-*","symbol":"eth*"}`: false,
	} {
		f, err := ParseCriteria([]byte(criteria))
		if err != nil || f.Match(id) != want {
			t.Errorf("%s: %v %v", criteria, f.Match(id), err)
		}
	}
	for criteria, field := range map[string]string{
		`{"venues":"x"}`: "venues", `{"symbol":"["}`: "symbol", `x`: "criteria", `{"venue":"` + strings.Repeat("*", 200) + `"}`: "venue",
	} {
		_, err := ParseCriteria([]byte(criteria))
		if got, _, _ := blamed(t, err); got != field {
			t.Errorf("%s: blames %q, want %q", criteria, got, field)
		}
	}
}

type resolver struct{}

func (resolver) ResolveSymbol(context.Context, string) (market.SymbolID, error) {
	return market.SymbolID{Venue: "okx", Symbol: "btc_usdt"}, nil
}

func TestResolve(t *testing.T) {
	r := &Request{Schema: "trades", Symbol: "BTC-USDT"}
	if err := r.Resolve(t.Context(), resolver{}); err != nil || r.Symbol != "okx:btc_usdt" {
		t.Errorf("%s %v", r.Symbol, err)
	}
	bad := &Request{Schema: SchemaBook, Symbol: "BTC-USDT"}
	if field, _, _ := blamed(t, bad.Resolve(t.Context(), resolver{})); field != "at" {
		t.Errorf("blames %q", field)
	}
}

// FuzzParseCommand makes sure that a command is taken or refused, never more.
func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`{"schema":"trades","symbol":"a:b","start":1,"end":"2026-01-03T00:00:00Z","limit":5}`))
	f.Add([]byte(`{"schema":"book","symbol":"a:b","at":-9223372036854775808,"depth":0}`))
	f.Add([]byte(`{"schema":"book","at":null}`))
	f.Fuzz(func(t *testing.T, command []byte) {
		r, err := ParseCommand(command)
		if err == nil {
			err = r.Resolve(t.Context(), resolver{})
		}
		var q *query.Error
		if err != nil && !errors.As(err, &q) {
			t.Errorf("%q: %v is no query.Error", command, err)
		}
	})
}
