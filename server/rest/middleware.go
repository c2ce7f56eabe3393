package rest

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"chronicle/server/errmap"
)

const requestIDHeader = "X-Request-Id"

// identify gives every request an id: the client's own where it is a sensible
// one, else a new one. Answers carry it, and the log.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !sensibleID(id) {
			id = s.NewID()
		}
		w.Header().Set(requestIDHeader, id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// sensibleID tells whether a client's id can go into a log and a header.
func sensibleID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// observe counts the request and writes its line of the access log, also when
// the answer is broken off.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := s.Now()
		seen := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		// The deferred call runs when the answer is broken off by a panic, too,
		// which it lets pass.
		whole := false
		defer func() { s.record(r, seen, s.Now().Sub(begin), whole) }()
		next.ServeHTTP(seen, r)
		whole = true
	})
}

func (s *Server) record(r *http.Request, w middleware.WrapResponseWriter, took time.Duration, whole bool) {
	route := chi.RouteContext(r.Context()).RoutePattern()
	if s.contract.doc.Paths.Value(route) == nil {
		route = "none" // what clients make up must not become label values
	}
	code := "aborted"
	if whole {
		code = strconv.Itoa(max(w.Status(), http.StatusOK))
	}
	s.metrics.count(r.Method, route, code, took, w.BytesWritten())
	level := slog.LevelInfo
	if !whole || w.Status() >= 500 {
		level = slog.LevelWarn
	}
	s.Log.LogAttrs(r.Context(), level, "request",
		slog.String("id", w.Header().Get(requestIDHeader)), slog.String("method", r.Method), slog.String("url", clip(r.URL.RequestURI())),
		slog.String("route", route), slog.String("status", code), slog.Int("bytes", w.BytesWritten()),
		slog.Duration("took", took), slog.String("remote", r.RemoteAddr), slog.String("agent", clip(r.UserAgent())))
}

// bound refuses requests that are too long or bring a body, and bounds how long
// the answer to one may stay unread.
func (s *Server) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(s.Now().Add(s.FirstByte + s.Stall)) // a test's recorder has no deadlines
		if r.ContentLength != 0 {
			_ = control.SetReadDeadline(s.Now().Add(time.Second)) // the body is not waited for
			w.Header().Set("Connection", "close")
		}
		if r.ContentLength != 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			s.problem(w, r, errmap.Invalid("body", "a body", "no body", "the request takes no body"))
			return
		}
		if n := len(r.URL.RequestURI()); n > s.MaxURL {
			s.problem(w, r, errmap.New(errmap.URITooLong, "the URL is too long").
				Blame("url", strconv.Itoa(n)+" bytes", "up to "+strconv.Itoa(s.MaxURL)+" bytes"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// errSlow is the cause of a context that ended before the first byte was there.
var errSlow = errmap.New(errmap.Timeout, "no answer in the time that the server allows: ask for a shorter range or a lesser depth")

// firstByte bounds the time until the answer begins. The caller calls begun when
// it does, and cancel at the end.
func (s *Server) firstByte(ctx context.Context) (_ context.Context, begun func(), cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	timer := time.AfterFunc(s.FirstByte, func() { end(errSlow) })
	return ctx, func() { timer.Stop() }, func() { timer.Stop(); end(nil) }
}
