package audit

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chronicle/market"
)

func testRow() Row {
	return NewRow("sim", "a_usd", &Finding{
		Kind: Differs, At: Mark{200, 9_000, 2_000}, Since: Mark{100, 8_000, 1_000}, Want: "a book", Got: "another",
	})
}

// TestRowLine pins the line, which is part of the archive's format.
func TestRowLine(t *testing.T) {
	r := testRow()
	want := `{"venue":"sim","symbol":"a_usd","stream":"book","first_seq":100,"last_seq":200,"first_raw_seq":8000,"last_raw_seq":9000,` +
		`"start":1000,"end":2000,"cause":"audit","finding":"differs","detail":"expected a book; found another"}` + "\n"
	if got := string(r.Line()); got != want {
		t.Errorf("line is\n%s", got)
	}
	r.ProvedSeq, r.ProvedRawSeq, r.ProvedTime = 300, 9_500, 3_000
	want = strings.Replace(want, "}\n", `,"proved_seq":300,"proved_raw_seq":9500,"proved_time":3000}`+"\n", 1)
	if got := string(r.Line()); got != want {
		t.Errorf("line is\n%s", got)
	}
}

func TestRowOfStreamBegin(t *testing.T) {
	r := NewRow("v", "s", &Finding{At: Mark{Seq: 5, RawSeq: 6, Time: 7}})
	if r.FirstSeq != 5 || r.LastSeq != 5 || r.Start != 7 || r.End != 7 || r.Cause != market.GapAudit {
		t.Errorf("row %+v", r)
	}
}

func TestRowCovers(t *testing.T) {
	open := testRow()
	proved := open
	proved.ProvedSeq, proved.ProvedTime = 300, 3_000
	for seq, want := range map[uint64][2]bool{99: {false, false}, 100: {true, true}, 200: {true, true}, 299: {true, true}, 300: {true, false}, math.MaxUint64: {true, false}} {
		if got := [2]bool{open.Covers(seq), proved.Covers(seq)}; got != want {
			t.Errorf("record %d: covered %v, want %v", seq, got, want)
		}
	}
	for _, c := range []struct {
		start, end   int64
		open, proved bool
	}{{0, 1000, false, false}, {0, 1001, true, true}, {3000, 4000, true, true}, {3001, 4000, true, false}, {math.MinInt64, math.MaxInt64, true, true}} {
		if open.Touches(c.start, c.end) != c.open || proved.Touches(c.start, c.end) != c.proved {
			t.Errorf("[%d, %d): touches %v %v", c.start, c.end, open.Touches(c.start, c.end), proved.Touches(c.start, c.end))
		}
	}
}

// TestReadRows: later lines of a key count, and a line that was broken off does not.
func TestReadRows(t *testing.T) {
	first, second := testRow(), testRow()
	second.LastSeq = 500
	proved := first
	proved.ProvedSeq = 300
	text := string(first.Line()) + string(second.Line()) + string(proved.Line())
	rows, whole, err := ReadRows([]byte(text + `{"venue":"si`))
	if err != nil || whole != len(text) || len(rows) != 2 || rows[0] != proved || rows[1] != second {
		t.Errorf("%d bytes, %+v, %v", whole, rows, err)
	}
	for _, bad := range []string{"\n", "{}\n", "no json\n", `{"venue":"v","symbol":"s","stream":"book","first_seq":2,"last_seq":1}` + "\n"} {
		if rows, whole, err := ReadRows([]byte(text + bad + "x")); err != nil || whole != len(text) || len(rows) != 2 {
			t.Errorf("%q at the end: %d bytes, %v, %v", bad, whole, rows, err)
		}
		if _, _, err := ReadRows([]byte(text + bad + string(first.Line()))); err == nil || !strings.Contains(err.Error(), "line 4") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if rows, whole, err := ReadRows(nil); len(rows)+whole != 0 || err != nil {
		t.Errorf("of nothing: %v %d %v", rows, whole, err)
	}
}

func TestRowsSurviveTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := map[Key]Row{}
		var file []byte
		for range rapid.IntRange(0, 8).Draw(t, "rows") {
			r := Row{
				Venue: rapid.StringN(1, 4, -1).Draw(t, "venue"), Symbol: "s", Stream: "book", FirstSeq: rapid.Uint64Range(1, 4).Draw(t, "first"),
				LastSeq: rapid.Uint64Range(4, 6).Draw(t, "last"), Start: rapid.Int64().Draw(t, "start"), End: rapid.Int64().Draw(t, "end"),
				Detail: rapid.String().Draw(t, "detail"), ProvedSeq: rapid.Uint64().Draw(t, "proved"),
			}
			rows[r.Key()] = r
			file = append(file, r.Line()...)
		}
		got, whole, err := ReadRows(file)
		if err != nil || whole != len(file) || len(got) != len(rows) {
			t.Fatalf("%d of %d bytes, %d of %d rows, %v", whole, len(file), len(got), len(rows), err)
		}
		for _, r := range got {
			if r != rows[r.Key()] {
				t.Fatalf("row %+v, want %+v", r, rows[r.Key()])
			}
		}
	})
}
