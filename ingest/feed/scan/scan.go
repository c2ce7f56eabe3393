// Package scan reads JSON text in place: it walks objects and arrays and hands
// out the raw bytes of their values, without copying and without allocation.
// The feed decoders need it because a venue's numbers must be taken digit by
// digit (never through a float) and because a busy venue sends tens of
// thousands of frames a second.
//
// Use: check a frame once with [Valid], then walk it with [Object] and [Array].
// The walkers trust nothing either: on text that is not JSON they stop early
// and never read outside the given bytes.
//
// The package holds no state. Walkers are values owned by their caller.
package scan

// maxDepth bounds nesting, so that hostile text cannot exhaust the stack.
const maxDepth = 100

// Valid tells whether b is exactly one JSON value with nothing but space around it.
func Valid(b []byte) bool {
	end := value(b, space(b, 0), 0)
	return end >= 0 && space(b, end) == len(b)
}

// space gives the index of the first byte at or after i that is not white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// value gives the index after the JSON value at b[i], or -1.
func value(b []byte, i, depth int) int {
	if i >= len(b) || depth > maxDepth {
		return -1
	}
	switch c := b[i]; {
	case c == '"':
		return text(b, i)
	case c == '{':
		return members(b, i+1, depth+1)
	case c == '[':
		return elements(b, i+1, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return number(b, i)
	case c == 't':
		return literal(b, i, "true")
	case c == 'f':
		return literal(b, i, "false")
	case c == 'n':
		return literal(b, i, "null")
	}
	return -1
}

func literal(b []byte, i int, want string) int {
	if len(b)-i < len(want) || string(b[i:i+len(want)]) != want {
		return -1
	}
	return i + len(want)
}

// text gives the index after the string that opens at b[i].
func text(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return -1
		case c == '\\':
			if i = escape(b, i+1); i < 0 {
				return -1
			}
		}
	}
	return -1
}

// escape gives the index of the last byte of the escape whose letter is b[i], or -1.
func escape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		if i+4 >= len(b) {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if hexDigit(c) < 0 {
				return -1
			}
		}
		return i + 4
	}
	return -1
}

// number gives the index after the number that begins at b[i], by JSON's grammar.
func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	first := i
	if i = digits(b, i); i < 0 || b[first] == '0' && i > first+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i
}

// digits gives the index after one or more digits at b[i], or -1.
func digits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

// members gives the index after the object whose opening brace is before b[i].
func members(b []byte, i, depth int) int {
	if i = space(b, i); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i = space(b, i); i >= len(b) || b[i] != '"' {
			return -1
		}
		if i = text(b, i); i < 0 {
			return -1
		}
		if i = space(b, i); i >= len(b) || b[i] != ':' {
			return -1
		}
		if i = value(b, space(b, i+1), depth); i < 0 {
			return -1
		}
		if i = space(b, i); i >= len(b) {
			return -1
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i++
	}
}

// elements gives the index after the array whose opening bracket is before b[i].
func elements(b []byte, i, depth int) int {
	if i = space(b, i); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = value(b, space(b, i), depth); i < 0 {
			return -1
		}
		if i = space(b, i); i >= len(b) {
			return -1
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i++
	}
}
