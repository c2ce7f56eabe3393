package query

import (
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"chronicle/market"
)

// decimalScale is the scale of decimal results: 18 decimals hold every exponent.
const decimalScale = 18

// exactFloat is the first integer beyond which float64 skips some.
const exactFloat = 1 << 53

var pow10 = [19]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// toFloat gives v at exponent exp (-18 to 0) as the nearest float64. A mantissa
// and a power of ten that are both exact make one correctly rounded division;
// a longer mantissa goes through the decimal text, which is rounded once too.
func toFloat(v int64, exp int8) float64 {
	if v > -exactFloat && v < exactFloat {
		return float64(v) / float64(pow10[-exp])
	}
	var buf [32]byte
	b := strconv.AppendInt(buf[:0], v, 10)
	b = append(b, 'e')
	f, _ := strconv.ParseFloat(string(strconv.AppendInt(b, int64(exp), 10)), 64) // digits and an exponent always parse
	return f
}

// toDecimal gives v at exponent exp as a decimal128 of scale decimalScale.
func toDecimal(v int64, exp int8) decimal128.Num {
	return decimal128.FromI64(v).Mul(decimal128.FromI64(pow10[decimalScale+int(exp)]))
}

// rescale moves v from one exponent to another, or says that the other cannot
// hold it.
func rescale(v int64, from, to int8) (int64, error) {
	switch shift := int(from) - int(to); {
	case shift == 0 || v == 0:
		return v, nil
	case shift > 0 && v <= math.MaxInt64/pow10[shift] && v >= math.MinInt64/pow10[shift]+1:
		return v * pow10[shift], nil
	case shift < 0 && v%pow10[-shift] == 0:
		return v / pow10[-shift], nil
	}
	return 0, invalid("price_type", string(PriceFixed), string(PriceDecimal)+", "+string(PriceFloat),
		fmt.Sprintf("%s does not fit int64 at the column's exponent %d", market.FormatFixed(v, from), to))
}

// checkExponents refuses a definition that no arithmetic here can serve.
func checkExponents(def *market.Definition) error {
	for _, e := range [...]int8{def.PriceExponent, def.SizeExponent} {
		if e > 0 || e < -18 {
			return damaged(nil, "definition of %s has exponent %d, outside -18 to 0", def.SymbolID(), e)
		}
	}
	return nil
}
