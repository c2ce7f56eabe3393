// Package request is what a client may ask, in the words of both front doors:
// the parameters of REST, the JSON commands and the paths of Flight. It turns
// them into requests of package query and refuses what cannot be meant, naming
// the field, what was given and what is allowed.
//
// A Request is plain data: values are safe to copy and to share for reading.
package request

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"chronicle/market"
	"chronicle/query"
)

// SchemaBook is the schema of a book at a time; the others are query.Schemas.
const SchemaBook = "book"

// Request is one question. Empty fields were not given. A book needs Symbol and
// At; a range takes Start, End and Limit.
type Request struct {
	Schema    string `json:"schema"`
	Symbol    string `json:"symbol"`
	At        Time   `json:"at,omitempty"`
	Depth     *int64 `json:"depth,omitempty"` // default query.DefaultDepth
	Start     Time   `json:"start,omitempty"` // default: where the data begins
	End       Time   `json:"end,omitempty"`   // default: what is committed when it is read
	Limit     *int64 `json:"limit,omitempty"` // default: none
	Clock     string `json:"clock,omitempty"`
	PriceType string `json:"price_type,omitempty"`
	OnGap     string `json:"on_gap,omitempty"`
}

// Limits of a request.
const (
	MaxLimit  = 1_000_000_000_000 // rows
	maxSymbol = 260               // bytes of a spelling
)

// IsBook tells whether the request is for a book at a time.
func (r *Request) IsBook() bool { return r.Schema == SchemaBook }

// FromValues reads the parameters of a URL. It takes those that it knows; which
// ones an operation has is openapi.yaml's to say.
func FromValues(schema, symbol string, v url.Values) (*Request, error) {
	r := &Request{
		Schema: schema, Symbol: symbol,
		At: Time(v.Get("at")), Start: Time(v.Get("start")), End: Time(v.Get("end")),
		Clock: v.Get("clock"), PriceType: v.Get("price_type"), OnGap: v.Get("on_gap"),
	}
	var err error
	if r.Depth, err = integer("depth", v); err != nil {
		return nil, err
	}
	r.Limit, err = integer("limit", v)
	return r, err
}

func integer(field string, v url.Values) (*int64, error) {
	if !v.Has(field) {
		return nil, nil
	}
	n, err := strconv.ParseInt(v.Get(field), 10, 64)
	if err != nil {
		return nil, refuse(field, v.Get(field), "an integer", "not an integer")
	}
	return &n, nil
}

// Book gives the question for a book, and how its prices are to look.
func (r *Request) Book() (query.BookRequest, query.PriceType, error) {
	q := query.BookRequest{Symbol: r.Symbol, Depth: query.DefaultDepth}
	if err := r.only("at", "depth"); err != nil {
		return q, "", err
	}
	if r.At == "" {
		return q, "", refuse("at", "", query.TimeAllowed, "the time of the book is needed")
	}
	var err error
	if q.At, err = r.At.parse("at"); err != nil {
		return q, "", err
	}
	if r.Depth != nil {
		if *r.Depth < 1 || *r.Depth > query.MaxDepth {
			return q, "", refuse("depth", strconv.FormatInt(*r.Depth, 10), "1 to "+strconv.Itoa(query.MaxDepth), "number of levels a side is out of range")
		}
		q.Depth = int(*r.Depth)
	}
	price, err := r.names(&q.Clock, &q.OnGap)
	return q, price, err
}

// Range gives the question for a range.
func (r *Request) Range() (query.RangeRequest, error) {
	q := query.RangeRequest{Schema: r.Schema, Symbols: []string{r.Symbol}}
	if err := r.only("start", "end", "limit"); err != nil {
		return q, err
	}
	var err error
	if q.Start, q.End, err = r.Bounds(); err != nil {
		return q, err
	}
	if r.Limit != nil {
		if *r.Limit < 1 || *r.Limit > MaxLimit {
			return q, refuse("limit", strconv.FormatInt(*r.Limit, 10), "1 to "+strconv.Itoa(MaxLimit), "number of rows is out of range")
		}
		q.Limit = *r.Limit
	}
	q.PriceType, err = r.names(&q.Clock, &q.OnGap)
	return q, err
}

// Bounds gives the range [start, end) in ns; 0 stands for an end that was not given.
func (r *Request) Bounds() (start, end int64, err error) {
	if start, err = r.bound("start", r.Start); err != nil {
		return 0, 0, err
	}
	if end, err = r.bound("end", r.End); err != nil {
		return 0, 0, err
	}
	if r.End != "" && end < start {
		return 0, 0, refuse("start", string(r.Start), "not after end "+string(r.End), "the range ends before it starts")
	}
	return start, end, nil
}

// bound reads one end of a range. Package query takes 0 for "not given", which
// an explicit 0 must not become.
func (r *Request) bound(field string, t Time) (int64, error) {
	if t == "" {
		return 0, nil
	}
	ns, err := t.parse(field)
	if err != nil {
		return 0, err
	}
	if ns <= 0 {
		return 0, refuse(field, string(t), "a time after 1970-01-01T00:00:00Z", "no record is that old")
	}
	return ns, nil
}

// names reads the fields that take one of a few words, and checks the symbol.
func (r *Request) names(clock *query.Clock, gap *query.OnGap) (query.PriceType, error) {
	if r.Symbol == "" || len(r.Symbol) > maxSymbol {
		return "", refuse("symbol", clip(r.Symbol), "venue:symbol, such as binance-usdm:btc_usdt", "a symbol is needed")
	}
	var err error
	if *clock, err = query.ParseClock(r.Clock); err != nil {
		return "", err
	}
	if *gap, err = query.ParseOnGap(r.OnGap); err != nil {
		return "", err
	}
	return query.ParsePriceType(r.PriceType)
}

// only refuses fields that belong to the other sort of question: left alone,
// they would be ignored in silence.
func (r *Request) only(allowed ...string) error {
	given := map[string]string{"at": string(r.At), "start": string(r.Start), "end": string(r.End), "depth": digits(r.Depth), "limit": digits(r.Limit)}
	for _, field := range allowed {
		delete(given, field)
	}
	for _, field := range []string{"at", "start", "end", "depth", "limit"} {
		if given[field] != "" {
			return refuse(field, given[field], strings.Join(allowed, ", "), "schema "+r.Schema+" takes no "+field)
		}
	}
	return nil
}

func digits(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// Resolver gives the instrument that a spelling means.
type Resolver interface {
	ResolveSymbol(ctx context.Context, spelling string) (market.SymbolID, error)
}

// Resolve checks the whole request and writes its symbol as venue:symbol.
func (r *Request) Resolve(ctx context.Context, res Resolver) error {
	var err error
	if r.IsBook() {
		_, _, err = r.Book()
	} else {
		_, err = r.Range()
	}
	if err != nil {
		return err
	}
	id, err := res.ResolveSymbol(ctx, r.Symbol)
	if err != nil {
		return err
	}
	r.Symbol = id.String()
	return nil
}

// refuse makes the error for a field that cannot be taken.
func refuse(field, given, allowed, detail string) *query.Error {
	return &query.Error{Code: query.InvalidArgument, Field: field, Given: given, Allowed: allowed, Detail: detail}
}

// clip bounds what an error repeats of the client's own text.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
