package query

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"chronicle/market"
)

// The Arrow types of results.
var (
	timestampType = &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	wordType      = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	decimalType   = &arrow.Decimal128Type{Precision: 38, Scale: decimalScale}
)

// Keys of the metadata of result schemas and, for the last one, of their price
// and size fields.
const (
	MetaSchema    = "chronicle.schema"     // the schema's name
	MetaClock     = "chronicle.clock"      // recv or event
	MetaPriceType = "chronicle.price_type" // float, fixed or decimal
	MetaProof     = "chronicle.proof"      // JSON of Proof, or of RangeProof as planned
	MetaExponent  = "exponent"             // fixed only: value = mantissa * 10^exponent
)

// exponents are those of a whole column where the price type is fixed: the
// finest among the instruments that share it.
type exponents struct{ price, size int8 }

func exponentsOf(d *market.Definition) exponents { return exponents{d.PriceExponent, d.SizeExponent} }

// finer gives the exponents that hold what either of two holds.
func (e exponents) finer(o exponents) exponents {
	return exponents{min(e.price, o.price), min(e.size, o.size)}
}

// fieldMaker makes fields of one result.
type fieldMaker struct {
	kind PriceType
	exp  *exponents // nil: not known, no metadata
}

func (m fieldMaker) price(name string) arrow.Field {
	if m.exp == nil {
		return m.number(name, nil)
	}
	return m.number(name, &m.exp.price)
}

func (m fieldMaker) size(name string) arrow.Field {
	if m.exp == nil {
		return m.number(name, nil)
	}
	return m.number(name, &m.exp.size)
}

func (m fieldMaker) number(name string, exp *int8) arrow.Field {
	f := arrow.Field{Name: name, Nullable: true}
	switch m.kind {
	case PriceFixed:
		f.Type = arrow.PrimitiveTypes.Int64
		if exp != nil {
			f.Metadata = arrow.NewMetadata([]string{MetaExponent}, []string{strconv.Itoa(int(*exp))})
		}
	case PriceDecimal:
		f.Type = decimalType
	default:
		f.Type = arrow.PrimitiveTypes.Float64
	}
	return f
}

func field(name string, t arrow.DataType) arrow.Field { return arrow.Field{Name: name, Type: t} }

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// levelFields gives the book columns: bid_px_00, bid_sz_00, bid_ct_00,
// ask_px_00, ask_sz_00, ask_ct_00, bid_px_01 and so on.
func (m fieldMaker) levelFields(depth int) []arrow.Field {
	fields := make([]arrow.Field, 0, 6*depth)
	for i := range depth {
		for _, side := range [...]string{"bid", "ask"} {
			fields = append(fields,
				m.price(fmt.Sprintf("%s_px_%02d", side, i)),
				m.size(fmt.Sprintf("%s_sz_%02d", side, i)),
				nullable(fmt.Sprintf("%s_ct_%02d", side, i), arrow.PrimitiveTypes.Uint32))
		}
	}
	return fields
}

// rangeFields gives the columns of a range.
func (m fieldMaker) rangeFields(s schemaName) []arrow.Field {
	u64, u8, text := arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Uint8, arrow.BinaryTypes.String
	head := []arrow.Field{field("ts_recv", timestampType), nullable("ts_event", timestampType), field("symbol", wordType)}
	add := func(f ...arrow.Field) []arrow.Field { return append(head, f...) }
	switch s.name {
	case SchemaTrades:
		return add(field("sequence", u64), field("trade_id", u64), field("side", wordType), m.price("price"), m.size("size"),
			field("flags", u8), nullable("condition", text), field("raw_sequence", u64), field("printable", arrow.FixedWidthTypes.Boolean))
	case SchemaMBO:
		return add(field("action", wordType), field("side", wordType), m.price("price"), m.size("size"), field("order_id", u64),
			field("count", arrow.PrimitiveTypes.Uint32), field("flags", u8), field("sequence", u64), field("raw_sequence", u64))
	case SchemaMBP:
		return append(add(field("action", wordType), field("side", wordType), m.price("price"), m.size("size"),
			field("flags", u8), field("sequence", u64), field("raw_sequence", u64)), m.levelFields(s.depth)...)
	case SchemaQuotes:
		return add(field("sequence", u64), m.price("bid_px_00"), m.size("bid_sz_00"), m.price("ask_px_00"), m.size("ask_sz_00"),
			field("flags", u8), field("raw_sequence", u64))
	case SchemaStatus:
		return add(field("kind", text), field("code", arrow.PrimitiveTypes.Uint32), field("flags", u8), field("sequence", u64),
			field("payload", arrow.BinaryTypes.Binary), field("raw_sequence", u64))
	case SchemaGap:
		return add(field("channel", text), nullable("start", timestampType), nullable("end", timestampType),
			field("first_sequence", u64), field("last_sequence", u64), field("cause", text),
			field("recovered", arrow.FixedWidthTypes.Boolean), nullable("detail", text), field("raw_sequence", u64))
	}
	i8 := arrow.PrimitiveTypes.Int8
	return add(field("native", text), field("book_type", text), field("price_exponent", i8), field("size_exponent", i8),
		nullable("tick_size", text), nullable("lot_size", text), nullable("currency", text), field("channel", text), field("definition", text))
}

// rangeSchema gives the Arrow schema of a range. extra is further metadata.
func rangeSchema(spec *rangeSpec, exp exponents, proof string) *arrow.Schema {
	keys := []string{MetaSchema, MetaClock, MetaPriceType}
	values := []string{spec.Schema, string(spec.Clock), string(spec.PriceType)}
	if proof != "" {
		keys, values = append(keys, MetaProof), append(values, proof)
	}
	meta := arrow.NewMetadata(keys, values)
	return arrow.NewSchema(fieldMaker{spec.PriceType, &exp}.rangeFields(spec.schema), &meta)
}

// bookFields gives the columns of a book.
func (m fieldMaker) bookFields(depth int) []arrow.Field {
	fields := []arrow.Field{
		field("symbol", wordType), field("at", timestampType), nullable("ts_event", timestampType), nullable("ts_recv", timestampType),
		field("sequence", arrow.PrimitiveTypes.Uint64),
	}
	return append(append(fields, m.levelFields(depth)...), field("condition", arrow.BinaryTypes.String))
}

// BookSchema gives the schema of BookAnswer.Record for a depth and price type.
// The answer's own schema has more metadata: clock, proof and exponents.
func (a *Archive) BookSchema(depth int, kind PriceType) *arrow.Schema {
	meta := arrow.NewMetadata([]string{MetaSchema, MetaPriceType}, []string{"book", string(kind)})
	return arrow.NewSchema(fieldMaker{kind: kind}.bookFields(depth), &meta)
}
