package rest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"chronicle/query"
	"chronicle/server/internal/fake"
	"chronicle/server/request"
)

// TestDocument checks openapi.yaml itself, with its examples.
func TestDocument(t *testing.T) {
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
}

// TestRoutesAreTheContract makes sure that the router and openapi.yaml have the
// same paths.
func TestRoutesAreTheContract(t *testing.T) {
	s := newServer(t, &fake.Archive{}, nil)
	var routes []string
	err := chi.Walk(s.handler.(*chi.Mux), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, item := range s.contract.doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(documented)
	if !slices.Equal(routes, documented) {
		t.Errorf("routes %q\nopenapi.yaml %q", routes, documented)
	}
}

// parameters gives every parameter of the document.
func parameters(s *Server) map[string]*openapi3.Parameter {
	all := make(map[string]*openapi3.Parameter)
	for path, item := range s.contract.doc.Paths.Map() {
		for _, p := range item.Get.Parameters {
			all[path+" "+p.Value.Name] = p.Value
		}
	}
	return all
}

// TestParametersAreBounded makes sure that every parameter has a limit, and a
// text that tells it.
func TestParametersAreBounded(t *testing.T) {
	for name, p := range parameters(newServer(t, &fake.Archive{}, nil)) {
		v := p.Schema.Value
		bounded := v.Enum != nil || v.MaxLength != nil || v.Min != nil && v.Max != nil
		if allowed, _ := p.Extensions["x-allowed"].(string); allowed == "" || p.Description == "" || !bounded {
			t.Errorf("%s: x-allowed %q, description %q, bounded %v", name, allowed, p.Description, bounded)
		}
	}
}

// TestContractAgreesWithQuery makes sure that the document promises what package
// query does.
func TestContractAgreesWithQuery(t *testing.T) {
	p := newServer(t, &fake.Archive{}, nil).contract.doc.Components.Parameters
	depth, limit := p["Depth"].Value.Schema.Value, p["Limit"].Value.Schema.Value
	if *depth.Max != query.MaxDepth || *depth.Min != 1 || depth.Default != float64(query.DefaultDepth) {
		t.Errorf("depth: %v to %v, default %v", *depth.Min, *depth.Max, depth.Default)
	}
	if *limit.Max != request.MaxLimit {
		t.Errorf("limit: %v", *limit.Max)
	}
	for name, parse := range map[string]func(string) error{
		"Clock":     func(s string) error { _, err := query.ParseClock(s); return err },
		"PriceType": func(s string) error { _, err := query.ParsePriceType(s); return err },
		"OnGap":     func(s string) error { _, err := query.ParseOnGap(s); return err },
	} {
		for _, v := range p[name].Value.Schema.Value.Enum {
			if err := parse(v.(string)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	allowed := p["Schema"].Value.Extensions["x-allowed"].(string)
	if want := strings.Replace(strings.Join(query.Schemas, ", "), "mbp-N", "mbp-1 to mbp-"+strconv.Itoa(query.MaxMBPDepth), 1); allowed != want {
		t.Errorf("schemas %q, want %q", allowed, want)
	}
	if time := p["At"].Value.Extensions["x-allowed"]; time != query.TimeAllowed {
		t.Errorf("times %q, want %q", time, query.TimeAllowed)
	}
}

// TestBothValidatorsAgree asks the validator that is used and the one for JSON
// Schema 2020-12 about every request of testdata.
func TestBothValidatorsAgree(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, &fake.Archive{}, nil)
	asked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "---\n")
		r, _ := parseRequest(t, head)
		probe := chi.NewRouter()
		for pattern := range s.contract.doc.Paths.Map() {
			probe.Get(pattern, func(w http.ResponseWriter, r *http.Request) {
				asked++
				_, _, plain := s.contract.checkBy(r, s.contract.plain)
				_, _, full := s.contract.checkBy(r, s.contract.doc)
				if (plain == nil) != (full == nil) || plain != nil && plain.Error() != full.Error() {
					t.Errorf("%s: %v, by JSON Schema 2020-12 %v", file, plain, full)
				}
			})
		}
		probe.ServeHTTP(httptest.NewRecorder(), r)
	}
	if asked < 20 {
		t.Errorf("only %d requests were checked", asked)
	}
}

func BenchmarkCheck(b *testing.B) {
	c, err := loadContract()
	if err != nil {
		b.Fatal(err)
	}
	probe := chi.NewRouter()
	probe.Get("/v1/books/{symbol}", func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := c.check(r); err != nil {
			b.Fatal(err)
		}
	})
	r := httptest.NewRequest(http.MethodGet, "/v1/books/btcusdt?at=2026-01-02T10:00:00Z&depth=10&clock=recv&format=json", nil)
	for b.Loop() {
		probe.ServeHTTP(httptest.NewRecorder(), r)
	}
}
