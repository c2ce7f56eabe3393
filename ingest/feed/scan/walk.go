package scan

// Object walks the members of a JSON object:
//
//	for o := scan.Members(b); o.Next(); {
//		switch string(o.Key) { ... o.Value ... }
//	}
type Object struct {
	Key   []byte // between the quotes, escapes not resolved
	Value []byte // the raw value

	b []byte
	i int // at a key, or at what follows a value; < 0 at the end
}

// Members starts a walk. Text that is no object has no members.
func Members(b []byte) Object {
	i := space(b, 0)
	if i >= len(b) || b[i] != '{' {
		return Object{i: -1}
	}
	return Object{b: b, i: i + 1}
}

// Next goes to the next member and tells whether there is one.
func (o *Object) Next() bool {
	if o.i < 0 {
		return false
	}
	key := next(o.b, o.i, o.Value != nil)
	if key < 0 || key >= len(o.b) || o.b[key] != '"' {
		return o.stop()
	}
	end := text(o.b, key)
	if end < 0 {
		return o.stop()
	}
	colon := space(o.b, end)
	if colon >= len(o.b) || o.b[colon] != ':' {
		return o.stop()
	}
	from := space(o.b, colon+1)
	to := value(o.b, from, 0)
	if to < 0 {
		return o.stop()
	}
	o.Key, o.Value, o.i = o.b[key+1:end-1], o.b[from:to], to
	return true
}

// next gives the index of the next member or element at or after i, past the
// comma that must separate it from the one before; -1 when there is none.
func next(b []byte, i int, comma bool) int {
	i = space(b, i)
	if !comma {
		return i
	}
	if i >= len(b) || b[i] != ',' {
		return -1
	}
	return space(b, i+1)
}

func (o *Object) stop() bool {
	o.Key, o.Value, o.i = nil, nil, -1
	return false
}

// Array walks the elements of a JSON array:
//
//	for a := scan.Elements(b); a.Next(); { ... a.Value ... }
type Array struct {
	Value []byte // the raw value

	b []byte
	i int
}

// Elements starts a walk. Text that is no array has no elements.
func Elements(b []byte) Array {
	i := space(b, 0)
	if i >= len(b) || b[i] != '[' {
		return Array{i: -1}
	}
	return Array{b: b, i: i + 1}
}

// Next goes to the next element and tells whether there is one.
func (a *Array) Next() bool {
	if a.i < 0 {
		return false
	}
	from := next(a.b, a.i, a.Value != nil)
	to := -1
	if from >= 0 {
		to = value(a.b, from, 0)
	}
	if to < 0 {
		a.Value, a.i = nil, -1
		return false
	}
	a.Value, a.i = a.b[from:to], to
	return true
}

// IsObject tells whether a raw value is an object.
func IsObject(v []byte) bool { return len(v) > 0 && v[0] == '{' }

// IsArray tells whether a raw value is an array.
func IsArray(v []byte) bool { return len(v) > 0 && v[0] == '[' }

// Text gives the bytes of a string without escapes, or of a number; nil for
// anything else. It aliases v.
func Text(v []byte) []byte {
	switch {
	case len(v) >= 2 && v[0] == '"':
		for _, c := range v {
			if c == '\\' {
				return nil
			}
		}
		return v[1 : len(v)-1]
	case len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9'):
		return v
	}
	return nil
}

// Uint reads an unsigned integer, written as a number or as a string of digits.
func Uint(v []byte) (uint64, bool) {
	t := Text(v)
	if len(t) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range t {
		d := uint64(c - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// Tuple puts the raw values of an array's first elements into dst and gives how
// many there were, at most len(dst).
func Tuple(v []byte, dst [][]byte) int {
	n := 0
	for a := Elements(v); n < len(dst) && a.Next(); n++ {
		dst[n] = a.Value
	}
	return n
}
