package rest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"chronicle/query"
	"chronicle/server/internal/fake"
)

var update = flag.Bool("update", false, "write the answers into testdata/*.http")

// archives are what the requests of testdata are asked of: a request may name
// one in a line "@ name" before it.
var archives = map[string]*fake.Archive{
	"":        {},
	"damaged": {FailAfter: 4},
	"away":    {Err: &query.Error{Code: query.Unavailable, Detail: "the cold tier does not answer"}},
	"broken":  {Err: errors.New("secret path /var/lib/x")},
	"panics":  {Panic: true},
}

// TestGolden asks each request of testdata and compares the answer with what is
// written below it. A file is a request as it goes over the wire, a line "---",
// and the answer. -update writes the answers anew.
//
// Every answer is also checked against openapi.yaml.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files in testdata: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, want, _ := strings.Cut(string(text), "---\n")
	r, archive := parseRequest(t, head)
	s := newServer(t, archive, stopped)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	got := render(w)
	if *update {
		if err := os.WriteFile(file, []byte(head+"---\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("answer:\n%s\nwant:\n%s", got, want)
	}
	conforms(t, s, r, w)
}

func parseRequest(t *testing.T, head string) (*http.Request, *fake.Archive) {
	t.Helper()
	name := ""
	if rest, ok := strings.CutPrefix(head, "@ "); ok {
		name, head, _ = strings.Cut(rest, "\n")
	}
	archive, ok := archives[name]
	if !ok {
		t.Fatalf("no archive %q", name)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r, archive
}

// render writes an answer with its headers sorted.
func render(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	var names []string
	for name := range w.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(w.Header()[name], ", "))
	}
	b.WriteString("\n" + w.Body.String())
	if !strings.HasSuffix(b.String(), "\n") {
		b.WriteString("\n")
	}
	return b.String()
}

// conforms checks an answer against openapi.yaml.
func conforms(t *testing.T, s *Server, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	router := s.handler.(*chi.Mux)
	pattern := router.Find(chi.NewRouteContext(), http.MethodGet, r.URL.EscapedPath())
	item := s.contract.doc.Paths.Value(pattern)
	if item == nil { // no such path: the problem must have the form of all problems
		item = s.contract.doc.Paths.Value("/healthz")
	}
	if r.Method == http.MethodHead {
		return
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: s.contract.doc, PathItem: item, Method: "GET", Operation: item.Get},
		},
		Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("the answer does not conform to openapi.yaml: %v", err)
	}
}
