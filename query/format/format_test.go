package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"chronicle/book"
	"chronicle/market"
	"chronicle/query"
)

const at = 1_700_000_000_000_000_001

// sample makes a batch with a column of each type; the second row is null where
// it may be.
func sample(t *testing.T) arrow.RecordBatch {
	t.Helper()
	word := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	ts := &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	meta := arrow.NewMetadata([]string{query.MetaClock}, []string{"recv"})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "ts_recv", Type: ts}, {Name: "ts_event", Type: ts, Nullable: true}, {Name: "symbol", Type: word},
		{Name: "price", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "fixed", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "exact", Type: &arrow.Decimal128Type{Precision: 38, Scale: 18}, Nullable: true}, {Name: "sequence", Type: arrow.PrimitiveTypes.Uint64},
		{Name: "flags", Type: arrow.PrimitiveTypes.Uint8}, {Name: "ok", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "payload", Type: arrow.BinaryTypes.Binary},
	}, &meta)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{at, at + 1}, nil)
	b.Field(1).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{at - 5, 0}, []bool{true, false})
	for range 2 {
		if err := b.Field(2).(*array.BinaryDictionaryBuilder).AppendString("sim:abc"); err != nil {
			t.Fatal(err)
		}
	}
	b.Field(3).(*array.Float64Builder).AppendValues([]float64{61800.2, 0}, []bool{true, false})
	b.Field(4).(*array.Int64Builder).AppendValues([]int64{-6180020, 0}, []bool{true, false})
	b.Field(5).(*array.Decimal128Builder).AppendValues([]decimal128.Num{decimal128.FromBigInt(bigInt("-61800200000000000000000")), {}}, []bool{true, false})
	b.Field(6).(*array.Uint64Builder).AppendValues([]uint64{18446744073709551615, 2}, nil)
	b.Field(7).(*array.Uint8Builder).AppendValues([]uint8{128, 0}, nil)
	b.Field(8).(*array.BooleanBuilder).AppendValues([]bool{true, false}, nil)
	b.Field(9).(*array.StringBuilder).AppendValues([]string{"a \"b\", ü", ""}, []bool{true, false})
	b.Field(10).(*array.BinaryBuilder).AppendValues([][]byte{{1, 2, 255}, {}}, nil)
	return b.NewRecordBatch()
}

func bigInt(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

func write(t *testing.T, format string, batches ...arrow.RecordBatch) string {
	t.Helper()
	r, err := array.NewRecordReader(sample(t).Schema(), batches)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, r, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const row1 = `{"ts_recv":"2023-11-14T22:13:20.000000001Z","ts_event":"2023-11-14T22:13:19.999999996Z","symbol":"sim:abc","price":61800.2,"fixed":-6180020,` +
	`"exact":"-61800.2","sequence":18446744073709551615,"flags":128,"ok":true,"text":"a \"b\", ü","payload":"AQL/"}`

const row2 = `{"ts_recv":"2023-11-14T22:13:20.000000002Z","ts_event":null,"symbol":"sim:abc","price":null,"fixed":null,"exact":null,"sequence":2,` +
	`"flags":0,"ok":false,"text":null,"payload":""}`

func TestTextFormats(t *testing.T) {
	for format, want := range map[string]string{
		JSON:   "[\n" + row1 + ",\n" + row2 + "\n]\n",
		NDJSON: row1 + "\n" + row2 + "\n",
		CSV: "ts_recv,ts_event,symbol,price,fixed,exact,sequence,flags,ok,text,payload\n" +
			"2023-11-14T22:13:20.000000001Z,2023-11-14T22:13:19.999999996Z,sim:abc,61800.2,-6180020,-61800.2,18446744073709551615,128,true,\"a \"\"b\"\", ü\",AQL/\n" +
			"2023-11-14T22:13:20.000000002Z,,sim:abc,,,,2,0,false,,\n",
		Table: "" +
			"ts_recv                         ts_event                        symbol     price     fixed     exact              sequence  flags     ok  text      payload\n" +
			"2023-11-14T22:13:20.000000001Z  2023-11-14T22:13:19.999999996Z  sim:abc  61800.2  -6180020  -61800.2  18446744073709551615    128   true  a \"b\", ü  AQL/\n" +
			"2023-11-14T22:13:20.000000002Z  -                               sim:abc        -         -         -                     2      0  false  -\n",
	} {
		if got := write(t, format, sample(t)); got != want {
			t.Errorf("%s:\n%swant\n%s", format, got, want)
		}
	}
	if !json.Valid([]byte(write(t, JSON, sample(t), sample(t)))) || !json.Valid([]byte(write(t, JSON))) {
		t.Error("JSON of several batches or of none is not JSON")
	}
}

func TestEmptyAnswers(t *testing.T) {
	for format, want := range map[string]string{
		JSON: "[]\n", NDJSON: "", CSV: "ts_recv,ts_event,symbol,price,fixed,exact,sequence,flags,ok,text,payload\n",
		Table: "ts_recv  ts_event  symbol  price  fixed  exact  sequence  flags  ok  text  payload\n",
	} {
		if got := write(t, format); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

func TestArrowRoundTrip(t *testing.T) {
	for _, n := range []int{0, 2} {
		batches := []arrow.RecordBatch{sample(t), sample(t)}[:n]
		r, err := ipc.NewReader(strings.NewReader(write(t, Arrow, batches...)))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range batches {
			if !r.Next() || !array.RecordEqual(r.RecordBatch(), want) {
				t.Errorf("read %v, want %v", r.RecordBatch(), want)
			}
		}
		if r.Next() || r.Err() != nil || !r.Schema().Equal(sample(t).Schema()) {
			t.Errorf("after %d batches: %v", n, r.Err())
		}
		r.Release()
	}
}

func TestParquetRoundTrip(t *testing.T) {
	for _, n := range []int{0, 2} {
		batches := []arrow.RecordBatch{sample(t), sample(t)}[:n]
		pf, err := file.NewParquetReader(bytes.NewReader([]byte(write(t, Parquet, batches...))))
		if err != nil {
			t.Fatal(err)
		}
		if v := pf.MetaData().Version(); v != parquet.V2_6 || *pf.MetaData().KeyValueMetadata().FindValue(query.MetaClock) != "recv" {
			t.Errorf("version %v, metadata %v", v, pf.MetaData().KeyValueMetadata())
		}
		fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		table, err := fr.ReadTable(t.Context())
		if err != nil || table.NumRows() != int64(2*n) {
			t.Fatalf("%v rows, %v", table.NumRows(), err)
		}
		if n > 0 {
			checkParquet(t, pf, table)
		}
	}
}

// checkParquet checks that nothing was cut to microseconds, and how it is encoded.
func checkParquet(t *testing.T, pf *file.Reader, table arrow.Table) {
	t.Helper()
	ts := table.Column(0).Data().Chunk(0).(*array.Timestamp)
	if unit := ts.DataType().(*arrow.TimestampType).Unit; unit != arrow.Nanosecond || ts.Value(0) != at || ts.Value(3) != at+1 {
		t.Errorf("times %v in %v", ts, unit)
	}
	if exact := table.Column(5).Data().Chunk(0).(*array.Decimal128); exact.Value(0).BigInt().Cmp(bigInt("-61800200000000000000000")) != 0 {
		t.Errorf("decimals %v", exact)
	}
	for i, want := range map[int]parquet.Encoding{0: parquet.Encodings.DeltaBinaryPacked, 3: parquet.Encodings.RLEDict, 6: parquet.Encodings.RLEDict} {
		c, err := pf.MetaData().RowGroup(0).ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, e := range c.Encodings() {
			found = found || e == want
		}
		if !found {
			t.Errorf("column %d is encoded as %v, want %v", i, c.Encodings(), want)
		}
	}
}

// broken gives one batch and then an error.
type broken struct {
	array.RecordReader
	n int
}

func (b *broken) Next() bool { b.n++; return b.n == 1 && b.RecordReader.Next() }
func (b *broken) Err() error { return errBroken }

var errBroken = errors.New("broken")

// TestErrorLeavesNothingWhole: after an error in the middle nobody can take the
// output of a format that has an end for a whole answer.
func TestErrorLeavesNothingWhole(t *testing.T) {
	for _, format := range Formats {
		r, err := array.NewRecordReader(sample(t).Schema(), []arrow.RecordBatch{sample(t)})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(&b, &broken{RecordReader: r}, format); !errors.Is(err, errBroken) {
			t.Errorf("%s: error %v", format, err)
		}
		switch format {
		case JSON:
			if json.Valid(b.Bytes()) {
				t.Errorf("JSON is whole: %s", b.Bytes())
			}
		case Parquet:
			if _, err := file.NewParquetReader(bytes.NewReader(b.Bytes())); err == nil {
				t.Error("Parquet is whole")
			}
		case Arrow:
			if bytes.HasSuffix(b.Bytes(), []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}) {
				t.Error("Arrow stream has an end")
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	var e *query.Error
	err := WriteBook(&bytes.Buffer{}, &query.BookAnswer{}, "xml", query.PriceFloat)
	if !errors.As(err, &e) || e.Field != "format" || e.Given != "xml" || !strings.Contains(e.Allowed, "ndjson") {
		t.Errorf("refused with %v", err)
	}
	if err := Write(&bytes.Buffer{}, nil, "xml"); !errors.As(err, &e) {
		t.Errorf("refused with %v", err)
	}
	if err := WriteBook(&bytes.Buffer{}, answer(), CSV, "text"); !errors.As(err, &e) || e.Field != "price_type" {
		t.Errorf("refused with %v", err)
	}
}

// TestDecimalText: a decimal is written as the number it is.
func TestDecimalText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, scale := rapid.Int64().Draw(rt, "v"), rapid.IntRange(0, 18).Draw(rt, "scale")
		n := decimal128.FromI64(v).Mul(decimal128.FromI64(rapid.SampledFrom([]int64{1, 10, 1e9, 1e18}).Draw(rt, "times")))
		got, ok := new(big.Rat).SetString(string(appendDecimal(nil, n, scale)))
		want := new(big.Rat).SetFrac(n.BigInt(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		if !ok || got.Cmp(want) != 0 {
			rt.Fatalf("%v at scale %d is written as %s", n.BigInt(), scale, appendDecimal(nil, n, scale))
		}
	})
	if got := string(appendDecimal(nil, decimal128.FromI64(-5), 3)); got != "-0.005" {
		t.Errorf("-0.005 is written as %s", got)
	}
}

func answer() *query.BookAnswer {
	age := int64(1_500)
	return &query.BookAnswer{
		Symbol: "sim:abc", Definition: market.Definition{PriceExponent: -2, SizeExponent: -3}, Depth: 2,
		At: at, Clock: query.ClockRecv, TsRecv: at - 1500, TsEvent: market.UndefTimestamp, Sequence: 7, Condition: query.ConditionAvailable,
		Bids:  []book.Level{{Price: 6180020, Size: 1500, Count: 3}, {Price: 6180000, Size: 20000}},
		Asks:  []book.Level{{Price: 6180030, Size: 1}},
		Proof: query.Proof{Digest: "00", StalenessNs: &age},
	}
}

func TestBookFormats(t *testing.T) {
	for format, want := range map[string]string{
		Table: `sim:abc  available
at        2023-11-14T22:13:20.000000001Z (recv)
ts_event  -
ts_recv   2023-11-14T22:13:19.999998501Z
age       1.5µs
sequence  7

        price   size  count
asks  61800.3  0.001
      --- 0.1
bids  61800.2    1.5      3
        61800     20
`,
		CSV: "symbol,at,ts_event,ts_recv,sequence,bid_px_00,bid_sz_00,bid_ct_00,ask_px_00,ask_sz_00,ask_ct_00,bid_px_01,bid_sz_01,bid_ct_01,ask_px_01,ask_sz_01,ask_ct_01,condition\n" +
			"sim:abc,2023-11-14T22:13:20.000000001Z,,2023-11-14T22:13:19.999998501Z,7,61800.2,1.5,3,61800.3,0.001,0,61800,20,0,,,,available\n",
	} {
		var b bytes.Buffer
		if err := WriteBook(&b, answer(), format, query.PriceFloat); err != nil || b.String() != want {
			t.Errorf("%s: %v\n%swant\n%s", format, err, b.String(), want)
		}
	}
	for _, format := range []string{JSON, NDJSON, Arrow, Parquet} {
		var b bytes.Buffer
		if err := WriteBook(&b, answer(), format, query.PriceDecimal); err != nil || b.Len() == 0 {
			t.Errorf("%s: %v", format, err)
		}
	}
}
