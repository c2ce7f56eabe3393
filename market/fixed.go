package market

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ErrNotANumber is returned for text that is not a plain decimal number.
var ErrNotANumber = errors.New("not a decimal number")

// ErrPrecision is returned for a number with more decimals than the exponent holds.
var ErrPrecision = errors.New("more decimals than the instrument's exponent holds")

// ErrRange is returned for a number that does not fit int64 at the exponent.
var ErrRange = errors.New("number out of range")

var pow10 = [19]int64{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
	10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
	1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000}

// ParseFixed reads a decimal number such as "61800.20" or "-0.5" into fixed
// point with exponent exp (-18..0): "61800.20" at -2 is 6180020. Nothing is
// rounded: digits that exp cannot hold are an error unless they are zeros.
// An exponent part ("1e-7") is accepted. It does not allocate on success.
func ParseFixed[T ~string | ~[]byte](s T, exp int8) (int64, error) {
	if exp > 0 || exp < -18 {
		return 0, fmt.Errorf("exponent %d: %w (allowed: -18 to 0)", exp, ErrRange)
	}
	start, neg := 0, false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		start, neg = 1, s[0] == '-'
	}
	v, decimals, end, err := digits(s, start)
	shift := -int(exp) - decimals
	if err == nil && end < len(s) { // exponent part
		var e int
		if e, err = strconv.Atoi(string(s[end+1:])); err != nil || e < -64 || e > 64 {
			err = ErrNotANumber
		}
		shift += e
	}
	if err == nil {
		v, err = scale(v, shift)
	}
	if err != nil {
		return 0, fmt.Errorf("%q at exponent %d: %w", string(s), exp, err)
	}
	if neg {
		v = -v
	}
	return v, nil
}

// digits reads s from start to its end or its exponent part: the digits as one
// number, and how many of them are decimals. Zeros at the end of the decimals
// carry no value and are left out, so that they cannot overflow.
func digits[T ~string | ~[]byte](s T, start int) (v int64, decimals, end int, err error) {
	point, zeros, i := -1, 0, start // zeros seen since the last other decimal
loop:
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '0' && point >= 0:
			zeros++
		case c >= '0' && c <= '9':
			for ; zeros > 0 && v > 0; zeros-- {
				if v > math.MaxInt64/10 {
					return 0, 0, 0, ErrRange
				}
				v *= 10
			}
			zeros = 0
			if v > (math.MaxInt64-int64(c-'0'))/10 {
				return 0, 0, 0, ErrRange
			}
			v = v*10 + int64(c-'0')
		case c == '.' && point < 0:
			point = i
		case c == 'e' || c == 'E':
			break loop
		default:
			return 0, 0, 0, ErrNotANumber
		}
	}
	if i == start || i == start+1 && point >= 0 {
		return 0, 0, 0, ErrNotANumber // no digit at all
	}
	if point >= 0 {
		decimals = i - point - 1 - zeros
	}
	return v, decimals, i, nil
}

// scale multiplies v by 10^shift exactly, or says why it cannot.
func scale(v int64, shift int) (int64, error) {
	for ; shift < 0 && v != 0; shift++ {
		if v%10 != 0 {
			return 0, ErrPrecision
		}
		v /= 10
	}
	if shift <= 0 || v == 0 {
		return v, nil
	}
	if shift > 18 || v > math.MaxInt64/pow10[shift] {
		return 0, ErrRange
	}
	return v * pow10[shift], nil
}

// AppendFixed appends v at exponent exp as a plain decimal without trailing
// zeros: 6180020 at -2 is "61800.2". Undefined values are the caller's to handle.
func AppendFixed(dst []byte, v int64, exp int8) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	n := min(max(-int(exp), 0), 18)
	for n > 0 && u%10 == 0 {
		u /= 10
		n--
	}
	if n == 0 {
		return strconv.AppendUint(dst, u, 10)
	}
	dst = strconv.AppendUint(dst, u/uint64(pow10[n]), 10)
	dst = append(dst, '.')
	frac := u % uint64(pow10[n])
	for d := n - 1; d > 0 && frac < uint64(pow10[d]); d-- {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, frac, 10)
}

// FormatFixed is AppendFixed into a new string.
func FormatFixed(v int64, exp int8) string { return string(AppendFixed(nil, v, exp)) }

// FixedToFloat gives v at exponent exp as the nearest float64. Dividing by a
// power of ten, rather than multiplying by its inverse, keeps it correctly
// rounded for |v| < 2^53.
func FixedToFloat(v int64, exp int8) float64 {
	return float64(v) / float64(pow10[min(max(-int(exp), 0), 18)])
}

func itoa(v int64) string { return strconv.FormatInt(v, 10) }
