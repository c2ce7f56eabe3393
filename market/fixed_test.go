package market

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseFixed(t *testing.T) {
	cases := []struct {
		text string
		exp  int8
		want int64
		err  error
	}{
		{"61800.20", -2, 6180020, nil},
		{"61800.2", -2, 6180020, nil},
		{"61800.200000000000000000000000", -2, 6180020, nil},
		{"-0.5", -1, -5, nil},
		{"+7", 0, 7, nil},
		{".5", -1, 5, nil},
		{"5.", -1, 50, nil},
		{"007", 0, 7, nil},
		{"-0", -9, 0, nil},
		{"0.000000000000000000000000", 0, 0, nil},
		{"1e-7", -9, 100, nil},
		{"1.25E3", 0, 1250, nil},
		{"1200e-2", 0, 12, nil},
		{"1.50e1", 0, 15, nil},
		{"1e+2", 0, 100, nil},
		{"0e64", -18, 0, nil},
		{"9223372036854775807", 0, math.MaxInt64, nil},
		{"9.223372036854775807", -18, math.MaxInt64, nil},
		{"-9223372036854775807", 0, -math.MaxInt64, nil},

		{"9223372036854775808", 0, 0, ErrRange},
		{"-9223372036854775808", 0, 0, ErrRange}, // stands for undefined
		{"9.223372036854775808", -18, 0, ErrRange},
		{"10", -18, 0, ErrRange},
		{"1e19", 0, 0, ErrRange},
		{"1.00000000000000000000001", -9, 0, ErrRange},
		{"1", 1, 0, ErrRange},
		{"1", -19, 0, ErrRange},
		{"0.001", -2, 0, ErrPrecision},
		{"1e-3", -2, 0, ErrPrecision},
		{"0." + strings.Repeat("0", 1_000_000) + "1", -9, 0, ErrPrecision},
	}
	for _, bad := range []string{"", "-", ".", "-.", "+", "e5", ".e5", "1e", "1e5x", "1e999", "1e-65", "1.2.3", "1,5", " 1", "1 ", "0x10", "NaN", "Inf", "1_0", "--1", "1-"} {
		cases = append(cases, struct {
			text string
			exp  int8
			want int64
			err  error
		}{bad, -9, 0, ErrNotANumber})
	}
	for _, c := range cases {
		got, err := ParseFixed(c.text, c.exp)
		fromBytes, _ := ParseFixed([]byte(c.text), c.exp)
		if got != c.want || fromBytes != got || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%.40q at %d: %d, %v; want %d, %v", c.text, c.exp, got, err, c.want, c.err)
		}
	}
}

func genExp(t *rapid.T) int8 { return int8(rapid.IntRange(-18, 0).Draw(t, "exp")) }

func TestFormatThenParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, exp := rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "v"), genExp(t)
		text := FormatFixed(v, exp)
		if got, err := ParseFixed(text, exp); err != nil || got != v {
			t.Fatalf("%d at %d is %q, which is %d, %v", v, exp, text, got, err)
		}
		if strings.Contains(text, ".") && strings.HasSuffix(text, "0") {
			t.Fatalf("%d at %d is %q, with zeros at the end", v, exp, text)
		}
	})
}

// Whatever ParseFixed gives is exactly the number; what it refuses does not fit.
func TestParseIsExact(t *testing.T) {
	number := rapid.StringMatching(`-?[0-9]{1,21}(\.[0-9]{0,21})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		text, exp := number.Draw(t, "text"), genExp(t)
		got, err := ParseFixed(text, exp)
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number to math/big", text)
		}
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(-int64(exp)), nil)))
		if err == nil && want.Cmp(new(big.Rat).SetInt64(got)) != 0 {
			t.Fatalf("%q at %d: %d, want %v", text, exp, got, want)
		}
		plain := !strings.ContainsAny(text, "eE")
		if fits := want.IsInt() && want.Num().IsInt64() && want.Num().Int64() != math.MinInt64; err != nil && plain && fits {
			t.Fatalf("%q at %d: %v, but it is %v", text, exp, err, want)
		}
	})
}

func TestFormatFixed(t *testing.T) {
	for _, c := range []struct {
		v    int64
		exp  int8
		want string
	}{
		{6180020, -2, "61800.2"}, {6180000, -2, "61800"}, {5, -9, "0.000000005"}, {0, -9, "0"}, {-5, -1, "-0.5"},
		{100, 0, "100"}, {math.MaxInt64, -18, "9.223372036854775807"}, {math.MinInt64, 0, "-9223372036854775808"},
		{1, -18, "0.000000000000000001"}, {1234567890, -9, "1.23456789"},
	} {
		if got := FormatFixed(c.v, c.exp); got != c.want {
			t.Errorf("%d at %d: %q, want %q", c.v, c.exp, got, c.want)
		}
	}
}

// Up to 2^53 the float is the one nearest to the decimal number.
func TestFixedToFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, exp := rapid.Int64Range(-1<<53, 1<<53).Draw(t, "v"), genExp(t)
		want, err := strconv.ParseFloat(FormatFixed(v, exp), 64)
		if got := FixedToFloat(v, exp); err != nil || got != want {
			t.Fatalf("%d at %d: %v, want %v", v, exp, got, want)
		}
	})
}

func TestFixedDoesNotAllocate(t *testing.T) {
	raw, dst := []byte("364630.28272081"), make([]byte, 0, 32)
	allocs := testing.AllocsPerRun(100, func() {
		v, err := ParseFixed(raw, -8)
		w, err2 := ParseFixed("1.5e-7", -8)
		if err != nil || err2 != nil || w != 15 {
			t.Fatal(err, err2)
		}
		dst = AppendFixed(dst[:0], v, -8)
	})
	if allocs != 0 || string(dst) != string(raw) {
		t.Errorf("%v allocations, %q; want 0, %q", allocs, dst, raw)
	}
}
