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
	i, neg := 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	var v int64
	decimals, digits, point := 0, 0, false
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c == 'e' || c == 'E' {
			break
		}
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q: %w", string(s), ErrNotANumber)
		}
		digits++
		if point && c == '0' && zerosOnly(s[i:]) {
			continue // trailing zeros carry no value and must not overflow
		}
		if v > (math.MaxInt64-int64(c-'0'))/10 {
			return 0, fmt.Errorf("%q: %w", string(s), ErrRange)
		}
		v = v*10 + int64(c-'0')
		if point {
			decimals++
		}
	}
	if digits == 0 {
		return 0, fmt.Errorf("%q: %w", string(s), ErrNotANumber)
	}
	shift := -int(exp) - decimals
	if i < len(s) { // exponent part
		e, err := strconv.Atoi(string(s[i+1:]))
		if err != nil || e < -64 || e > 64 {
			return 0, fmt.Errorf("%q: %w", string(s), ErrNotANumber)
		}
		shift += e
	}
	v, err := scale(v, shift)
	if err != nil {
		return 0, fmt.Errorf("%q at exponent %d: %w", string(s), exp, err)
	}
	if neg {
		v = -v
	}
	return v, nil
}

// zerosOnly tells whether s is zeros up to its end or its exponent part.
func zerosOnly[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '0':
		case 'e', 'E':
			return true
		default:
			return false
		}
	}
	return true
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
