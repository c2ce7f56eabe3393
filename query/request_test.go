package query

import (
	"context"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chronicle/market"
)

// TestRequestsAreValidated: every refusal names the field, what was given and what
// is allowed.
func TestRequestsAreValidated(t *testing.T) {
	a := gapped(t)
	ctx := context.Background()
	for _, req := range []BookRequest{
		{Symbol: "abc", At: 1}, {Symbol: "abc", At: 1, Depth: -1}, {Symbol: "abc", At: 1, Depth: MaxDepth + 1},
		{Symbol: "abc", At: 1, Depth: 1, Clock: "wall"}, {Symbol: "abc", At: 1, Depth: 1, OnGap: "hide"},
	} {
		_, err := a.BookAt(ctx, req)
		wantRefused(t, err)
	}
	good := RangeRequest{Schema: SchemaMBO, Symbols: []string{"abc"}}
	for _, change := range []func(*RangeRequest){
		func(r *RangeRequest) { r.Schema = "mbp-0" }, func(r *RangeRequest) { r.Schema = "mbp-1001" }, func(r *RangeRequest) { r.Schema = "mbp-N" },
		func(r *RangeRequest) { r.Schema = "mbp-01" }, func(r *RangeRequest) { r.Schema = "candles" }, func(r *RangeRequest) { r.Schema = "" },
		func(r *RangeRequest) { r.Symbols = nil }, func(r *RangeRequest) { r.Symbols = make([]string, MaxSymbols+1) },
		func(r *RangeRequest) { r.Start, r.End = 5, 4 }, func(r *RangeRequest) { r.Limit = -1 },
		func(r *RangeRequest) { r.Clock = "wall" }, func(r *RangeRequest) { r.PriceType = "text" }, func(r *RangeRequest) { r.OnGap = "hide" },
	} {
		req := good
		change(&req)
		_, err := a.Range(ctx, req)
		wantRefused(t, err)
		_, err = a.RangeSchema(ctx, req)
		wantRefused(t, err)
	}
	_, err := a.Segments(ctx, SegmentFilter{Stream: "books"})
	wantRefused(t, err)
}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*Error)
	if !ok || e.Code != InvalidArgument || e.Field == "" || e.Allowed == "" || e.Detail == "" {
		t.Errorf("refused with %#v", err)
	}
}

// TestMissingStream: a schema whose stream a symbol does not have says which it has.
func TestMissingStream(t *testing.T) {
	a := gapped(t)
	_, err := a.Range(context.Background(), RangeRequest{Schema: SchemaTrades, Symbols: []string{"abc"}})
	wantError(t, err, NotFound, "symbol", "it has: book")
	if rows := collect(t, a, RangeRequest{Schema: SchemaStatus, Symbols: []string{"abc"}}); len(rows) != 0 {
		t.Errorf("status of a stream that is not there: %q", rows)
	}
}

// TestOutsideTheArchive: a time before the first record names what is covered; one
// long after the last gives the last book and its age.
func TestOutsideTheArchive(t *testing.T) {
	a := gapped(t)
	_, err := a.BookAt(context.Background(), BookRequest{Symbol: "abc", At: 9, Depth: 1})
	wantError(t, err, NotFound, "at", "1970-01-01T00:00:00.000000010Z to 1970-01-01T00:00:00.000000050Z")
	ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "abc", At: math.MaxInt64, Depth: 1})
	check(t, err)
	if ans.TsRecv != 50 || *ans.Proof.StalenessNs != math.MaxInt64-50 {
		t.Errorf("last book of %d, %d old", ans.TsRecv, *ans.Proof.StalenessNs)
	}
	if _, err := Open(context.Background(), Config{Root: t.TempDir() + "/none"}); err == nil {
		t.Error("an archive was opened where none is")
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]int64{
		"1970-01-01T00:00:00Z": 0, "0": 0, "-5": -5, "1700000000000000001": 1_700_000_000_000_000_001,
		"2023-11-14T22:13:20.000000001Z": 1_700_000_000_000_000_001, "2023-11-14t23:13:20.5+01:00": 1_700_000_000_500_000_000,
		"2261-12-31T23:59:59.999999999Z": time.Date(2261, 12, 31, 23, 59, 59, 999_999_999, time.UTC).UnixNano(),
	} {
		if got, err := ParseTime(text); err != nil || got != want {
			t.Errorf("ParseTime(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "now", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20.0000000001Z", "2023-11-14T22:13:20,5Z",
		"1600-01-01T00:00:00Z", "2300-01-01T00:00:00Z", "9223372036854775808", "-9223372036854775808", "1.5",
	} {
		_, err := ParseTime(text)
		wantError(t, err, InvalidArgument, "time", "RFC 3339")
	}
}

func TestTimesRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ns := rapid.Int64Range(-9_000_000_000_000_000_000, 9_000_000_000_000_000_000).Draw(rt, "ns")
		if got, err := ParseTime(FormatTime(ns)); err != nil || got != ns {
			rt.Fatalf("%d is written as %s and read as %d, %v", ns, FormatTime(ns), got, err)
		}
	})
}

// TestFloatsAreNearest: a float is the one nearest to the decimal, for every
// mantissa and exponent.
func TestFloatsAreNearest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, exp := rapid.Int64Min(math.MinInt64+1).Draw(rt, "v"), rapid.Int8Range(-18, 0).Draw(rt, "exp")
		want, err := strconv.ParseFloat(market.FormatFixed(v, exp), 64)
		if got := toFloat(v, exp); err != nil || got != want {
			rt.Fatalf("%d at %d is %v, want %v", v, exp, got, want)
		}
	})
}

// TestDecimalsAreExact: a decimal is the number itself.
func TestDecimalsAreExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, exp := rapid.Int64Min(math.MinInt64+1).Draw(rt, "v"), rapid.Int8Range(-18, 0).Draw(rt, "exp")
		want := new(big.Int).Mul(big.NewInt(v), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimalScale+exp)), nil))
		if got := toDecimal(v, exp).BigInt(); got.Cmp(want) != 0 {
			rt.Fatalf("%d at %d is %v, want %v", v, exp, got, want)
		}
	})
}

// TestRescale: a number is moved to another exponent exactly, or refused.
func TestRescale(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.Int64Min(math.MinInt64+1).Draw(rt, "v")
		from, to := rapid.Int8Range(-18, 0).Draw(rt, "from"), rapid.Int8Range(-18, 0).Draw(rt, "to")
		got, err := rescale(v, from, to)
		if err != nil {
			want := new(big.Rat).Quo(new(big.Rat).SetInt64(v), ratPow10(int(to)-int(from)))
			if want.IsInt() && want.Num().IsInt64() && want.Num().Int64() != math.MinInt64 {
				rt.Fatalf("%d from %d to %d is refused", v, from, to)
			}
			return
		}
		if market.FormatFixed(got, to) != market.FormatFixed(v, from) {
			rt.Fatalf("%d from %d to %d is %d", v, from, to, got)
		}
	})
}

func ratPow10(n int) *big.Rat {
	p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil))
	if n < 0 {
		return p.Inv(p)
	}
	return p
}

// TestBookAnswerJSON: the object that people and programs read.
func TestBookAnswerJSON(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	s.event(market.KindSnapshot, 1_700_000_000_000_000_000, noTime,
		market.Entry{Side: market.Bid, Price: 6180020, Size: 1500, Action: market.Add},
		market.Entry{Side: market.Ask, Price: 6180030, Size: 1, Count: 3, Action: market.Add})
	s.close()
	a := r.open()
	defer a.Close()
	ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "BTCUSDT", At: 1_700_000_000_000_000_005, Depth: 10})
	check(t, err)
	b, err := ans.MarshalJSON()
	check(t, err)
	want := `{"symbol":"sim:abc","at":"2023-11-14T22:13:20.000000005Z","clock":"recv","ts_event":null,"ts_recv":"2023-11-14T22:13:20.000000000Z",` +
		`"sequence":1,"bids":[["61800.2","1.5",0]],"asks":[["61800.3","0.001",3]],"condition":"available",` +
		`"proof":{"snapshot":{"sequence":2,"time":"2023-11-14T22:13:20.000000000Z"},"segments":[{"hash":"","tier":"hot",` +
		`"key":"sim/abc/book.q/00000000000000000001.q","first_seq":1,"last_seq":2,"sealed":false}],"last_seq":2,"last_raw_seq":1,` +
		`"deltas":0,"digest":"` + ans.Proof.Digest + `","staleness_ns":5}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if len(ans.Proof.Digest) != 16 || strings.Trim(ans.Proof.Digest, "0") == "" {
		t.Errorf("digest %q", ans.Proof.Digest)
	}
}
