package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"chronicle/server/errmap"
)

// replyBuffer is how much of an answer is held back before it begins: a failure
// up to there is still a status.
const replyBuffer = 64 << 10

// reply is an answer under way. It is owned by its handler.
type reply struct {
	header http.Header // sent with the first byte

	w       http.ResponseWriter
	control *http.ResponseController
	buf     *bufio.Writer
	begun   func()
	stall   time.Duration
	now     func() time.Time
	head    bool // only the header is wanted
	started bool
}

// Write appends to the answer.
func (p *reply) Write(b []byte) (int, error) { return p.buf.Write(b) }

// pipe is where a reply's buffer goes: it sends the header before the first byte.
type pipe struct{ *reply }

func (p pipe) Write(b []byte) (int, error) {
	p.start()
	_ = p.control.SetWriteDeadline(p.now().Add(p.stall)) // a test's recorder has no deadlines
	return p.w.Write(b)
}

func (p *reply) start() {
	if p.started {
		return
	}
	p.started = true
	p.begun()
	maps.Copy(p.w.Header(), p.header)
	p.w.WriteHeader(http.StatusOK)
}

// finish sends what is left. An answer that is all in the buffer tells its length.
func (p *reply) finish() error {
	if !p.started && !p.head {
		p.header.Set("Content-Length", strconv.Itoa(p.buf.Buffered()))
	}
	p.start()
	return p.buf.Flush()
}

// answer makes a handler of a function that returns its error. An error, or a
// panic, before the first byte becomes a problem; after it the connection is
// broken off.
func (s *Server) answer(h func(*reply, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, begun, cancel := s.firstByte(r.Context())
		defer cancel()
		p := &reply{header: make(http.Header), w: w, control: http.NewResponseController(w), begun: begun, stall: s.Stall, now: s.Now, head: r.Method == http.MethodHead}
		p.buf = bufio.NewWriterSize(pipe{p}, replyBuffer)
		err := s.safely(h, p, r.WithContext(ctx))
		if err == nil {
			err = p.finish()
		}
		if err == nil {
			return
		}
		if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errSlow) {
			err = errSlow
		}
		if !p.started {
			s.problem(w, r, err)
			return
		}
		s.Log.Warn("answer broken off", "id", w.Header().Get(requestIDHeader), "err", err)
		panic(http.ErrAbortHandler)
	}
}

// safely runs h and turns a panic into an error.
func (s *Server) safely(h func(*reply, *http.Request) error, p *reply, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.Log.Error("panic", "id", p.w.Header().Get(requestIDHeader), "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return h(p, r)
}

// problem sends an error as RFC 9457 problem+json.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := *errmap.From(err)
	p.RequestID = w.Header().Get(requestIDHeader)
	if p.ServerFault() {
		s.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("id", p.RequestID), slog.Any("err", err))
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(&p) // text and numbers always encode
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_, _ = body.WriteTo(w) // the client has gone: nobody is left to tell
}
