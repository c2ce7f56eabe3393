package tests

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/query"
)

// unknownPrice stands for a price that nobody can know: that of an execution of an
// order which the feed never announced.
const unknownPrice = -1

type trade struct {
	id          uint64
	price, size float64
	side        string
	event       int64
}

// column gives a column by name, or fails.
func column[T arrow.Array](t *testing.T, rec arrow.RecordBatch, name string) T {
	t.Helper()
	i := rec.Schema().FieldIndices(name)
	if len(i) != 1 {
		t.Fatalf("no column %q in %v", name, rec.Schema())
	}
	col, ok := rec.Column(i[0]).(T)
	if !ok {
		t.Fatalf("column %q is %T", name, rec.Column(i[0]))
	}
	return col
}

func eachBatch(t *testing.T, a *query.Archive, req query.RangeRequest, use func(arrow.RecordBatch)) {
	t.Helper()
	if req.End == 0 {
		req.End = math.MaxInt64
	}
	stream, err := a.Range(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Release()
	for stream.Next() {
		use(stream.RecordBatch())
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
}

func archivedTrades(t *testing.T, a *query.Archive, symbol string) (all []trade) {
	t.Helper()
	eachBatch(t, a, query.RangeRequest{Schema: "trades", Symbols: []string{symbol}}, func(rec arrow.RecordBatch) {
		id, price, size := column[*array.Uint64](t, rec, "trade_id"), column[*array.Float64](t, rec, "price"), column[*array.Float64](t, rec, "size")
		event := column[*array.Timestamp](t, rec, "ts_event")
		side := rec.Column(rec.Schema().FieldIndices("side")[0])
		for i := range int(rec.NumRows()) {
			px := float64(unknownPrice)
			if !price.IsNull(i) {
				px = price.Value(i)
			}
			all = append(all, trade{id.Value(i), px, size.Value(i), side.ValueStr(i), int64(event.Value(i))})
		}
	})
	return all
}

func compareTrades(t *testing.T, got, want []trade) {
	t.Helper()
	if len(want) == 0 || len(got) != len(want) {
		t.Fatalf("%d trades out, %d in", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("trade %d: %+v out, %+v in", i, got[i], want[i])
		}
	}
}

// seconds reads "1618678142.557535" as nanoseconds, exactly.
func seconds(t *testing.T, s string) int64 {
	t.Helper()
	whole, frac, _ := strings.Cut(s, ".")
	ns, err := strconv.ParseInt(whole+(frac + "000000000")[:9], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func krakenTrades(t *testing.T) map[string][]trade {
	t.Helper()
	out := map[string][]trade{}
	frames(t, kraken, func(data []byte) {
		var f []json.RawMessage
		if json.Unmarshal(data, &f) != nil || len(f) != 4 || string(f[2]) != `"trade"` {
			return
		}
		var rows [][]string
		if err := json.Unmarshal(f[1], &rows); err != nil {
			t.Fatal(err)
		}
		symbol := krakenSymbol(text(f[3]))
		for _, r := range rows {
			side := map[string]string{"b": "B", "s": "A"}[r[3]]
			out[symbol] = append(out[symbol], trade{0, number(t, r[0]), number(t, r[1]), side, seconds(t, r[2])})
		}
	})
	return out
}

func krakenSymbol(pair string) string {
	pair = strings.ReplaceAll(strings.ReplaceAll(pair, `\/`, "/"), "XBT", "BTC")
	return "kraken:" + strings.ToLower(strings.ReplaceAll(pair, "/", "_"))
}

func okxSymbol(id string) string {
	return "okx:" + strings.ToLower(strings.ReplaceAll(id, "-", "_"))
}

type okxFrame struct {
	Arg    struct{ Channel, InstID string }
	Action string
	Data   []struct {
		TradeID, Px, Sz, Side, Ts string
		Checksum                  *int32
	}
}

func okxFrames(t *testing.T, use func(okxFrame)) {
	t.Helper()
	frames(t, okx, func(data []byte) {
		var f okxFrame
		if err := json.Unmarshal(data, &f); err == nil && f.Data != nil {
			use(f)
		}
	})
}

func okxTrades(t *testing.T) map[string][]trade {
	t.Helper()
	out := map[string][]trade{}
	okxFrames(t, func(f okxFrame) {
		if f.Arg.Channel != "trades" {
			return
		}
		for _, d := range f.Data {
			id, err := strconv.ParseUint(d.TradeID, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			symbol := okxSymbol(f.Arg.InstID)
			side := map[string]string{"buy": "B", "sell": "A"}[d.Side]
			out[symbol] = append(out[symbol], trade{id, number(t, d.Px), number(t, d.Sz), side, int64(number(t, d.Ts)) * 1e6})
		}
	})
	return out
}
