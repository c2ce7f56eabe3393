package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"chronicle/query"
)

// maxCommand bounds a JSON command, in bytes.
const maxCommand = 64 << 10

// commandFields are what a JSON command may hold, for errors.
const commandFields = "schema, symbol, at, depth, start, end, limit, clock, price_type, on_gap"

// ParseCommand reads a request written as one JSON object. Unknown fields and
// text after the object are refused.
func ParseCommand(b []byte) (*Request, error) {
	r := new(Request)
	if err := strict(b, r, "command", commandFields); err != nil {
		return nil, err
	}
	return r, r.checkSchema()
}

// strict decodes one JSON object into v, blaming what for anything else.
func strict(b []byte, v any, what, fields string) error {
	allowed := "a JSON object with " + fields
	if len(b) > maxCommand {
		return refuse(what, strconv.Itoa(len(b))+" bytes", strconv.Itoa(maxCommand)+" bytes", "too long")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		return refuse(what, clip(string(b)), allowed, "there is more after the JSON object")
	}
	return explain(err, what, clip(string(b)), allowed)
}

// explain turns an error of the JSON decoder into one that names the field.
func explain(err error, what, given, allowed string) error {
	var q *query.Error
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &q):
		return q
	case errors.As(err, &mistyped) && mistyped.Field != "":
		return refuse(mistyped.Field, mistyped.Value, mistyped.Type.String(), "not of the type that the field has")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if bare, err := strconv.Unquote(name); err == nil {
			name = bare
		}
		return refuse(clip(name), "", allowed, "there is no such field")
	}
	return refuse(what, given, allowed, "not a JSON object: "+err.Error())
}

func (r *Request) checkSchema() error {
	if r.Schema == "" {
		return refuse("schema", "", schemasAllowed(), "a schema is needed")
	}
	return nil
}

func schemasAllowed() string { return SchemaBook + ", " + strings.Join(query.Schemas, ", ") }

// pathAllowed says what a path may be.
const pathAllowed = `["book", venue, symbol, time] or [..., depth]; [schema, venue, symbol] for all there is, [..., day] such as 2026-01-02, or [..., start, end]`

// FromPath reads a Flight path:
//
//	book   venue symbol time [depth]
//	schema venue symbol [day | start end]
func FromPath(path []string) (*Request, error) {
	if len(path) < 3 || len(path) > 5 {
		return nil, refuse("path", clip(strings.Join(path, "/")), pathAllowed, "a path has 3 to 5 elements")
	}
	if path[1] == "" || path[2] == "" {
		return nil, refuse("path", clip(strings.Join(path, "/")), pathAllowed, "venue and symbol must not be empty")
	}
	r := &Request{Schema: path[0], Symbol: path[1] + ":" + path[2]}
	if err := r.checkSchema(); err != nil {
		return nil, err
	}
	if r.IsBook() {
		return r, r.bookPath(path[3:])
	}
	return r, r.rangePath(path[3:])
}

func (r *Request) bookPath(rest []string) error {
	if len(rest) == 0 {
		return refuse("path", clip(SchemaBook+"/"+r.Symbol), pathAllowed, "a book needs a time as the fourth element")
	}
	r.At = Time(rest[0])
	if len(rest) == 1 {
		return nil
	}
	depth, err := strconv.ParseInt(rest[1], 10, 64)
	if err != nil {
		return refuse("depth", clip(rest[1]), "1 to "+strconv.Itoa(query.MaxDepth), "not an integer")
	}
	r.Depth = &depth
	return nil
}

func (r *Request) rangePath(rest []string) error {
	switch len(rest) {
	case 1:
		var ok bool
		if r.Start, r.End, ok = day(rest[0]); !ok {
			return refuse("path", clip(rest[0]), pathAllowed, "the fourth element is not a day; a range needs both start and end")
		}
	case 2:
		r.Start, r.End = Time(rest[0]), Time(rest[1])
		if r.Start == "" || r.End == "" {
			return refuse("path", "", pathAllowed, "start and end must not be empty")
		}
	}
	return nil
}
