// Package errmap is the one table from what went wrong to what a client is
// told: an HTTP status and an RFC 9457 problem over REST, a gRPC code and a line
// of text over Flight. Both servers use it, so that they cannot disagree.
//
// # Invariants
//
//   - Every error has a row; one that no row names is [Internal].
//   - A client is told the field, what it gave and what is allowed, where there
//     are such. The cause of an internal error stays in the server's log.
//
// All functions are safe for concurrent use.
package errmap

import (
	"context"
	"errors"
	"strings"

	"chronicle/query"
)

// Kind names a row of the table. It is the last part of a problem's type URI.
type Kind string

// The kinds of problem.
const (
	InvalidArgument   Kind = "invalid-argument"
	Unauthenticated   Kind = "unauthenticated"
	NotFound          Kind = "not-found"
	Incomplete        Kind = "incomplete" // records are missing, and the client asked not to be answered then
	NoSuchPath        Kind = "no-such-path"
	MethodNotAllowed  Kind = "method-not-allowed"
	NotAcceptable     Kind = "not-acceptable"
	URITooLong        Kind = "uri-too-long"
	ResourceExhausted Kind = "resource-exhausted"
	Canceled          Kind = "canceled"
	Timeout           Kind = "timeout"
	Unavailable       Kind = "unavailable"
	DataLoss          Kind = "data-loss"
	Internal          Kind = "internal"
)

// typePrefix makes a kind the URI that RFC 9457 asks for.
const typePrefix = "urn:chronicle:problem:"

// row is what a kind becomes on either wire. The gRPC code is its number, since
// gRPC itself belongs to server/flight alone.
type row struct {
	title string
	http  int
	grpc  uint32
}

var table = map[Kind]row{
	InvalidArgument:   {"The request is not valid", 400, 3},
	Unauthenticated:   {"The ticket is not valid", 401, 16},
	NotFound:          {"Not in the archive", 404, 5},
	NoSuchPath:        {"There is no such path", 404, 12},
	MethodNotAllowed:  {"The method is not allowed", 405, 12},
	NotAcceptable:     {"No such format", 406, 3},
	URITooLong:        {"The URL is too long", 414, 3},
	Incomplete:        {"Records are missing", 409, 15},
	ResourceExhausted: {"Beyond a limit of this server", 429, 8},
	Canceled:          {"The client went away", 499, 1},
	Timeout:           {"No answer in time", 504, 4},
	Unavailable:       {"Part of the archive cannot be reached", 503, 14},
	DataLoss:          {"Stored data is damaged", 500, 15},
	Internal:          {"Internal error", 500, 13},
}

// kinds gives the kind of each code of package query.
var kinds = map[query.Code]Kind{
	query.InvalidArgument:   InvalidArgument,
	query.NotFound:          NotFound,
	query.DataLoss:          DataLoss,
	query.Unavailable:       Unavailable,
	query.ResourceExhausted: ResourceExhausted,
	query.Internal:          Internal,
}

// Problem is an error as a client sees it, in the form of RFC 9457. Field, Given
// and Allowed are null where no field is to blame.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Field     *string `json:"field"`
	Given     *string `json:"given"`
	Allowed   *string `json:"allowed"`
	RequestID string  `json:"request_id,omitempty"` // the line of the server's log that tells more

	grpc  uint32
	cause error
}

// New makes a problem of the given kind, blaming no field.
func New(kind Kind, detail string) *Problem {
	r, ok := table[kind]
	if !ok {
		kind, r = Internal, table[Internal]
	}
	return &Problem{Type: typePrefix + string(kind), Title: r.title, Status: r.http, Detail: detail, grpc: r.grpc}
}

// Blame names the field at fault, what the client gave (empty: nothing) and
// what is allowed.
func (p *Problem) Blame(field, given, allowed string) *Problem {
	p.Field, p.Given, p.Allowed = orNil(field), orNil(given), orNil(allowed)
	return p
}

// Invalid refuses a field of a request.
func Invalid(field, given, allowed, detail string) *Problem {
	return New(InvalidArgument, detail).Blame(field, given, allowed)
}

// From gives the problem that err is. It never returns nil.
func From(err error) *Problem {
	var p *Problem
	var q *query.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &q):
		return fromQuery(q, err)
	case errors.Is(err, context.DeadlineExceeded):
		p = New(Timeout, "the time allowed for the request is over: ask for less, or allow more time")
	case errors.Is(err, context.Canceled):
		p = New(Canceled, "the client canceled the request")
	default:
		p = New(Internal, "the server failed to answer: its log tells why")
	}
	p.cause = err
	return p
}

func fromQuery(q *query.Error, err error) *Problem {
	kind, ok := kinds[q.Code]
	if !ok {
		kind = Internal
	}
	if kind == DataLoss && q.Field == "on_gap" {
		kind = Incomplete // nothing is damaged: on_gap=error asked for this
	}
	detail := q.Detail
	if q.Err != nil && kind != Internal {
		detail += ": " + q.Err.Error()
	}
	p := New(kind, detail).Blame(q.Field, q.Given, q.Allowed)
	p.cause = err
	return p
}

// Kind gives the problem's row.
func (p *Problem) Kind() Kind { return Kind(strings.TrimPrefix(p.Type, typePrefix)) }

// GRPC gives the number of the gRPC code.
func (p *Problem) GRPC() uint32 { return p.grpc }

// Error gives the problem in one line, as Flight clients see it.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Field != nil {
		b.WriteString(*p.Field + ": ")
	}
	b.WriteString(p.Detail)
	if p.Given != nil {
		b.WriteString(" (given: " + *p.Given + ")")
	}
	if p.Allowed != nil {
		b.WriteString(" (allowed: " + *p.Allowed + ")")
	}
	return b.String()
}

// Unwrap gives the error that the problem was made from, for the log.
func (p *Problem) Unwrap() error { return p.cause }

// ServerFault tells whether the server, not the client, has to do something.
func (p *Problem) ServerFault() bool { return p.Status >= 500 }

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
