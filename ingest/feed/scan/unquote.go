package scan

import (
	"unicode/utf16"
	"unicode/utf8"
)

// AppendText appends the text of a JSON string to dst, escapes resolved; ok is
// false when v is no valid string. Unpaired surrogates become U+FFFD.
func AppendText(dst, v []byte) (out []byte, ok bool) {
	if len(v) < 2 || v[0] != '"' || text(v, 0) != len(v) {
		return dst, false
	}
	b := v[1 : len(v)-1]
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			from := i
			for i < len(b) && b[i] != '\\' {
				i++
			}
			dst = append(dst, b[from:i]...)
			continue
		}
		if b[i+1] != 'u' {
			dst = append(dst, unescaped(b[i+1]))
			i += 2
			continue
		}
		r, n := codePoint(b[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst, true
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// codePoint reads the \uXXXX at the start of b, or a surrogate pair of two.
func codePoint(b []byte) (rune, int) {
	r := hex4(b[2:6])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(b[8:12])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b {
		r = r<<4 | rune(hexDigit(c))
	}
	return r
}

// hexDigit gives the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
