package scan

import (
	"encoding/json"
	"strings"
	"testing"
)

var samples = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `-1.5e+7`, `01`, `1.`, `.5`, `+1`, `1e`, `true`, `tru`, `null`, `nul`,
	`{"a":1}`, `{"a":1,}`, `{"a" : [1, 2, {"b":"c"}] , "d":null}`, `{"a":1}{`, `[1,2`, `[1,,2]`, `[,1]`, `{,"a":1}`,
	`"\u00e9\ud83d\ude00\n\/\\"`, `"\ud83d"`, `"\ud83dx"`, `"\u12"`, `"\q"`, "\"a\nb\"", ` { "x" : "y" } `, `{"a"1}`, `{1:2}`, ``, ` `,
	`{"stream":"btcusdt@trade","data":{"e":"trade","p":"61800.30","m":false}}`,
}

func TestValidAgreesWithEncodingJSON(t *testing.T) {
	for _, s := range samples {
		if got, want := Valid([]byte(s)), json.Valid([]byte(s)); got != want {
			t.Errorf("Valid(%q) = %v, encoding/json says %v", s, got, want)
		}
	}
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	if Valid([]byte(deep)) {
		t.Error("nesting beyond the bound was accepted")
	}
}

func TestMembersAndElements(t *testing.T) {
	var got []string
	for o := Members([]byte(` {"a":1, "b" : [true,"x"] ,"c":{}}`)); o.Next(); {
		got = append(got, string(o.Key)+"="+string(o.Value))
		for a := Elements(o.Value); a.Next(); {
			got = append(got, string(a.Value))
		}
	}
	if s := strings.Join(got, " "); s != `a=1 b=[true,"x"] true "x" c={}` {
		t.Errorf("walked %s", s)
	}
	n := 0
	for a := Elements([]byte(`[1 2]`)); a.Next(); {
		n++
	}
	for o := Members([]byte(`{"a":1 "b":2}`)); o.Next(); {
		n++
	}
	if n != 2 {
		t.Errorf("walked %d values past missing commas, want to stop at the first of each", n)
	}
	for o := Members([]byte(`[1]`)); o.Next(); {
		t.Error("an array has no members")
	}
	for a := Elements([]byte(`{"a":1}`)); a.Next(); {
		t.Error("an object has no elements")
	}
}

func TestTextAndUint(t *testing.T) {
	for v, want := range map[string]string{`"abc"`: "abc", `12.5`: "12.5", `-3`: "-3", `"a\n"`: "", `true`: "", `null`: "", ``: ""} {
		if got := string(Text([]byte(v))); got != want {
			t.Errorf("Text(%s) = %q, want %q", v, got, want)
		}
	}
	for v, want := range map[string]uint64{`18446744073709551615`: 1<<64 - 1, `"7"`: 7, `0`: 0} {
		if got, ok := Uint([]byte(v)); !ok || got != want {
			t.Errorf("Uint(%s) = %d, %v", v, got, ok)
		}
	}
	for _, v := range []string{`18446744073709551616`, `-1`, `1.5`, `""`, `"x"`, `null`} {
		if n, ok := Uint([]byte(v)); ok {
			t.Errorf("Uint(%s) = %d, want a refusal", v, n)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		valid := Valid(b)
		if valid != json.Valid(b) && !tooDeep(b) {
			t.Fatalf("Valid(%q) = %v", b, valid)
		}
		n := 0
		for o := Members(b); o.Next(); {
			n++
		}
		for a := Elements(b); a.Next(); {
			n++
		}
		if valid {
			checkAgainstJSON(t, b, n)
		}
		AppendText(nil, b)
		Text(b)
		Uint(b)
	})
}

// tooDeep tells whether b may nest more than the scanner allows.
func tooDeep(b []byte) bool {
	return strings.Count(string(b), "[")+strings.Count(string(b), "{") > maxDepth
}

func checkAgainstJSON(t *testing.T, b []byte, n int) {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return // a number out of float range: valid JSON all the same
	}
	switch v := v.(type) {
	case string:
		got, ok := AppendText(nil, []byte(strings.TrimSpace(string(b))))
		if want := strings.ToValidUTF8(v, "\ufffd"); !ok || strings.ToValidUTF8(string(got), "\ufffd") != want && !strings.Contains(v, "\ufffd") {
			t.Fatalf("AppendText(%q) = %q, %v, want %q", b, got, ok, want)
		}
	case []any:
		if n != len(v) {
			t.Fatalf("%q: walked %d elements of %d", b, n, len(v))
		}
	case map[string]any:
		if n < len(v) {
			t.Fatalf("%q: walked %d members of %d", b, n, len(v))
		}
	}
}

func BenchmarkValid(b *testing.B) {
	line := []byte(`{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}`)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if !Valid(line) {
			b.Fatal("invalid")
		}
	}
}
