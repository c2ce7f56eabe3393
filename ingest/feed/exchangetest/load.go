package exchangetest

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// response is a recorded REST response.
type response struct {
	url  *url.URL
	body []byte
}

// line is one line of recorded traffic.
type line struct {
	T, Conn, URL, Addr, Data string
	TS                       float64
}

// loaded is a recording, and its venue as the recording describes it. Neither
// changes any more.
type loaded struct {
	venue  venue
	frames []frame
	rest   []response
}

// recordings are those that have been loaded, each as func() (*loaded, error):
// many tests replay the same.
var recordings sync.Map

// recording loads a recording, up to so many frames, once.
func recording(venueName, path string, limit int) (*loaded, error) {
	type key struct {
		venue, path string
		limit       int
	}
	once, _ := recordings.LoadOrStore(key{venueName, path, limit}, sync.OnceValues(func() (*loaded, error) {
		v, err := venueOf(venueName)
		if err != nil {
			return nil, err
		}
		frames, rest, err := load(path, v, limit)
		return &loaded{v, frames, rest}, err
	}))
	return once.(func() (*loaded, error))()
}

// load reads a recording, lines of recorded traffic or "<ns> <frame>", up to so
// many frames; 0 is all. Recorded traffic may hold one connection after the
// other: its frames are put in the order of their times.
func load(path string, v venue, limit int) ([]frame, []response, error) {
	lines, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	defer lines.Close()
	l := loader{v: v, addrs: make(map[string]string)}
	if err := l.lines(lines, limit); err != nil {
		return nil, nil, fmt.Errorf("%s, line %d: %w", path, l.n, err)
	}
	if len(l.frames) == 0 {
		return nil, nil, fmt.Errorf("%s has no frame of that venue", path)
	}
	slices.SortStableFunc(l.frames, func(a, b frame) int { return cmp.Compare(a.at, b.at) })
	if limit > 0 {
		l.frames = l.frames[:min(limit, len(l.frames))]
	}
	return l.frames, l.rest, nil
}

// open opens a plain, gzip or zstd file by its first bytes.
func open(path string) (io.ReadCloser, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return gzip.NewReader(bytes.NewReader(data))
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

type loader struct {
	v      venue
	n      int // lines read
	frames []frame
	rest   []response
	addrs  map[string]string // by connection
}

func (l *loader) lines(from io.Reader, limit int) error {
	r := bufio.NewReaderSize(from, 1<<20)
	for l.n = 1; ; l.n++ {
		text, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if err := l.line(text); err != nil {
				return err
			}
		}
		if err != nil || text[0] != '{' && len(l.frames) == limit {
			return nil
		}
	}
}

func (l *loader) line(text []byte) error {
	if text[0] != '{' {
		_, data, _ := bytes.Cut(text, []byte(" "))
		return l.frame("", 0, data)
	}
	var row line
	if err := json.Unmarshal(text, &row); err != nil {
		return err
	}
	switch row.T {
	case "connect":
		l.addrs[row.Conn] = row.Addr
	case "http":
		u, err := url.Parse(row.URL)
		if err != nil {
			return err
		}
		l.rest = append(l.rest, response{u, []byte(row.Data)})
		return l.v.response(u, []byte(row.Data))
	case "recv":
		return l.frame(l.addrs[row.Conn], row.TS, []byte(row.Data))
	}
	return nil
}

func (l *loader) frame(addr string, at float64, data []byte) error {
	f, ok, err := l.v.read(addr, data)
	if err == nil && ok {
		f.at = at
		l.frames = append(l.frames, f)
	}
	return err
}

// serveREST answers with a book of the exchange's own, or with the recorded
// response whose path is the same and whose query agrees best.
func (x *Exchange) serveREST(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	x.mu.Lock()
	body, ok := x.venue.answer(r.URL, x.books)
	if ok && strings.HasSuffix(r.URL.Path, "/depth") {
		x.counts.Snapshots++
	}
	x.mu.Unlock()
	if !ok {
		body, ok = x.recorded(r.URL)
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		body = []byte(`{"code":-1,"msg":"not recorded"}`)
	}
	_, _ = w.Write(body)
}

func (x *Exchange) recorded(u *url.URL) (body []byte, ok bool) {
	most := -1
	for _, r := range x.rest {
		if r.url.Path != u.Path {
			continue
		}
		agree, asked := 0, u.Query()
		for name, value := range r.url.Query() {
			switch {
			case !asked.Has(name):
			case asked.Get(name) == value[0]:
				agree++
			case name != "limit":
				agree = -1 << 20
			}
		}
		if agree > most {
			most, body, ok = agree, r.body, true
		}
	}
	return body, ok
}
