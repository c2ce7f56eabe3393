package recording

import (
	"fmt"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
)

// spoken notes what a session is told.
type spoken struct{ lines []string }

func (s *spoken) note(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *spoken) Expect(conn, frame []byte)             { s.note("expect %s %s", conn, frame) }
func (s *spoken) Connect(recv int64, conn, addr []byte) { s.note("connect %d %s %s", recv, conn, addr) }
func (s *spoken) Request(recv int64, conn, frame []byte) {
	s.note("request %d %s %s", recv, conn, frame)
}
func (s *spoken) Receive(recv int64, conn, frame []byte) {
	s.note("receive %d %s %s", recv, conn, frame)
}
func (s *spoken) Response(recv int64, conn, url, b []byte) {
	s.note("response %d %s %s %s", recv, conn, url, b)
}

func decode(lines ...string) (*spoken, emit.Stats) {
	s, c := &spoken{}, &emit.Counters{}
	e := emit.New(&emittest.Queue{}, c, emit.Options{})
	var d Decoder
	for _, line := range lines {
		d.Line([]byte(line), s, e)
	}
	return s, c.Stats()
}

func TestLinesReachTheSession(t *testing.T) {
	s, stats := decode(
		`{"t":"header","format":2,"exchange":"X"}`,
		`{"t":"http","conn":"h","ts":1618678132.358447,"url":"https://x/y","data":"{\"a\":\"\u00e9\"}"}`,
		`{"t":"connect","conn":"w","ts":1618678132.3684631,"addr":"wss://x"}`,
		`{"t":"send","conn":"w","ts":1618678133,"data":"{\"op\":1}"}`,
		`{"t":"recv","conn":"w","ts":1618678133.000000001,"data":"[1,\"x\\/y\"]"}`,
	)
	want := []string{
		`response 1618678132358447000 h https://x/y {"a":"é"}`,
		`connect 1618678132368463100 w wss://x`,
		`request 1618678133000000000 w {"op":1}`,
		`receive 1618678133000000001 w [1,"x\/y"]`,
	}
	if got := strings.Join(s.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the session was told\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if stats.Packets != 5 || stats.Skipped != 0 {
		t.Errorf("counts are %+v", stats)
	}
}

func TestUnusableLines(t *testing.T) {
	s, stats := decode(
		`{"t":"recv","conn":"w","ts":1,"data":"tru`,
		`{"conn":"w"}`,
		`{"t":"recv","conn":"w","ts":"soon","data":"x"}`,
		`{"t":"recv","conn":"w","ts":-1,"data":"x"}`,
		`{"t":"recv","conn":"w","ts":1,"data":{}}`,
		`{"t":"wave","conn":"w","ts":1,"data":"x"}`,
		`[]`,
	)
	if len(s.lines) != 0 || stats.SkippedBy["bad_json"] != 1 || stats.SkippedBy["bad_line"] != 5 || stats.SkippedBy["unknown_type"] != 1 {
		t.Errorf("told %v, counts %+v", s.lines, stats)
	}
}

func TestExpectSeesOnlyWhatIsSent(t *testing.T) {
	s := &spoken{}
	var d Decoder
	for _, line := range []string{
		`{"t":"send","conn":"w","ts":1,"data":"{\"op\":1}"}`,
		`{"t":"recv","conn":"w","ts":1,"data":"x"}`,
		`{"t":"send","conn":"w","ts":1,"data":"cut`,
	} {
		d.Expect([]byte(line), s)
	}
	if len(s.lines) != 1 || s.lines[0] != `expect w {"op":1}` {
		t.Errorf("told %v", s.lines)
	}
	if !Is([]byte(`{"t":"header"}`)) || Is([]byte(`1723161255000000001 {"t":1}`)) {
		t.Error("recordings are not told apart")
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"t":"recv","conn":"w","ts":1618678133.000000001,"data":"[1,\"x\\/y\"]"}`))
	f.Add([]byte(`{"t":"http","conn":"h","ts":1e3,"url":"https://x/y","data":"\u00e9"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, stats := decode(string(line))
		if stats.Packets != 1 || len(s.lines)+int(stats.Skipped) > 1 {
			t.Fatalf("told %v, counts %+v", s.lines, stats)
		}
		(&Decoder{}).Expect(line, s)
	})
}
