package errmap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"chronicle/query"
)

func TestFrom(t *testing.T) {
	cause := errors.New("crc differs")
	for _, c := range []struct {
		name   string
		err    error
		kind   Kind
		http   int
		grpc   uint32
		detail string
	}{
		{"bad field", &query.Error{Code: query.InvalidArgument, Detail: "too many"}, InvalidArgument, 400, 3, "too many"},
		{"unknown symbol", &query.Error{Code: query.NotFound, Detail: "no such symbol"}, NotFound, 404, 5, "no such symbol"},
		{"damage", &query.Error{Code: query.DataLoss, Detail: "segment 7", Err: cause}, DataLoss, 500, 15, "segment 7: crc differs"},
		{"on_gap=error", &query.Error{Code: query.DataLoss, Field: "on_gap", Detail: "a gap"}, Incomplete, 409, 15, "a gap"},
		{"tier away", &query.Error{Code: query.Unavailable, Detail: "cold tier"}, Unavailable, 503, 14, "cold tier"},
		{"too much", &query.Error{Code: query.ResourceExhausted, Detail: "too many symbols"}, ResourceExhausted, 429, 8, "too many symbols"},
		{"internal hides its cause", &query.Error{Code: query.Internal, Detail: "query failed", Err: cause}, Internal, 500, 13, "query failed"},
		{"unknown code", &query.Error{Code: "new", Detail: "what"}, Internal, 500, 13, "what"},
		{"wrapped", fmt.Errorf("book: %w", &query.Error{Code: query.NotFound, Detail: "none"}), NotFound, 404, 5, "none"},
		{"canceled", fmt.Errorf("reading: %w", context.Canceled), Canceled, 499, 1, "the client canceled the request"},
		{"deadline", context.DeadlineExceeded, Timeout, 504, 4, "the time allowed for the request is over: ask for less, or allow more time"},
		{"anything", cause, Internal, 500, 13, "the server failed to answer: its log tells why"},
		{"itself", New(MethodNotAllowed, "use GET"), MethodNotAllowed, 405, 12, "use GET"},
		{"unknown kind", New("odd", "odd"), Internal, 500, 13, "odd"},
	} {
		p := From(c.err)
		if p.Kind() != c.kind || p.Status != c.http || p.GRPC() != c.grpc || p.Detail != c.detail {
			t.Errorf("%s: %s %d %d %q, want %s %d %d %q", c.name, p.Kind(), p.Status, p.GRPC(), p.Detail, c.kind, c.http, c.grpc, c.detail)
		}
	}
}

func TestCauseIsKept(t *testing.T) {
	cause := errors.New("disk on fire")
	if p := From(&query.Error{Code: query.Internal, Detail: "query failed", Err: cause}); !errors.Is(p, cause) {
		t.Errorf("%v does not lead to its cause", p)
	}
}

func TestEveryCodeHasARow(t *testing.T) {
	for code, kind := range kinds {
		if _, ok := table[kind]; !ok {
			t.Errorf("code %s has kind %s, which has no row", code, kind)
		}
	}
}

func TestProblemShape(t *testing.T) {
	b, err := json.Marshal(Invalid("depth", "0", "1 to 5000", "out of range"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"urn:chronicle:problem:invalid-argument","title":"The request is not valid","status":400,` +
		`"detail":"out of range","field":"depth","given":"0","allowed":"1 to 5000"}`
	if string(b) != want {
		t.Errorf("%s\nwant %s", b, want)
	}
	missing := Invalid("at", "", "a time", "a time is needed")
	if got := missing.Error(); missing.Given != nil || got != "at: a time is needed (allowed: a time)" {
		t.Errorf("%q given %v", got, missing.Given)
	}
}
