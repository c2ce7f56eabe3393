package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code classes an [Error], so that a transport can map it in one table.
type Code string

// The codes.
const (
	InvalidArgument   Code = "invalid_argument"   // the request is wrong: see Field, Given and Allowed
	NotFound          Code = "not_found"          // no such symbol, stream, or time in the archive
	DataLoss          Code = "data_loss"          // stored data is damaged, missing or contradicts itself
	Unavailable       Code = "unavailable"        // a tier cannot be reached now; the same request may work later
	ResourceExhausted Code = "resource_exhausted" // the request is beyond a limit of this server
	Internal          Code = "internal"           // anything else
)

// Error is what every function of this package returns for a request that has
// no answer. Cancellation is not one: it is the context's own error, wrapped.
type Error struct {
	Code    Code   `json:"code"`
	Field   string `json:"field,omitempty"`   // the request's field, such as "depth"; empty when none is to blame
	Given   string `json:"given,omitempty"`   // what the request said
	Allowed string `json:"allowed,omitempty"` // what it may say
	Detail  string `json:"detail"`            // for people: what is wrong, the cause, the remedy
	Err     error  `json:"-"`                 // the cause, for errors.Is; its text is in Detail
}

// Error gives field, detail, what was given and what is allowed in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Field != "" {
		fmt.Fprintf(&b, "%s: ", e.Field)
	}
	b.WriteString(e.Detail)
	if e.Given != "" {
		fmt.Fprintf(&b, " (given: %s)", e.Given)
	}
	if e.Allowed != "" {
		fmt.Fprintf(&b, " (allowed: %s)", e.Allowed)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// invalid refuses a request's field.
func invalid(field, given, allowed, detail string) *Error {
	return &Error{Code: InvalidArgument, Field: field, Given: given, Allowed: allowed, Detail: detail}
}

// damaged reports stored data that cannot be trusted.
func damaged(err error, format string, args ...any) *Error {
	return &Error{Code: DataLoss, Detail: because(err, format, args...) + ": run `chronicle fsck`", Err: err}
}

// unavailable reports stored data that cannot be reached.
func unavailable(err error, format string, args ...any) *Error {
	return &Error{Code: Unavailable, Detail: because(err, format, args...), Err: err}
}

// because formats a text and adds the cause, if there is one.
func because(err error, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}

// asError makes sure that what leaves the package is an *Error or a
// cancellation.
func asError(err error) error {
	var e *Error
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &Error{Code: Internal, Detail: because(err, "query failed"), Err: err}
}
