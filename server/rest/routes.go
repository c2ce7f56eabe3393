package rest

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"chronicle/server/errmap"
)

// routes is the whole API.
func (s *Server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(s.identify, s.observe, s.bound, middleware.GetHead)

	r.Get("/v1/books/{symbol}", s.answer(s.book))
	r.Get("/v1/trades/{symbol}", s.answer(s.trades))
	r.Get("/v1/records/{schema}/{symbol}", s.answer(s.records))
	r.Get("/v1/symbols", s.answer(s.symbols))
	r.Get("/v1/segments", s.answer(s.segments))

	r.Get("/healthz", s.answer(s.health))
	r.Get("/readyz", s.answer(s.ready))
	r.Get("/openapi.yaml", s.answer(s.document))
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))

	r.NotFound(s.noSuchPath)
	r.MethodNotAllowed(s.methodNotAllowed)
	return r
}

func (s *Server) noSuchPath(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, errmap.New(errmap.NoSuchPath, "there is nothing here: see /openapi.yaml").
		Blame("path", r.URL.Path, s.contract.paths))
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	s.problem(w, r, errmap.New(errmap.MethodNotAllowed, "the archive is read only: use GET").
		Blame("method", r.Method, "GET, HEAD"))
}
