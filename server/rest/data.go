package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"chronicle/market"
	"chronicle/query"
	"chronicle/query/format"
	"chronicle/server/request"
)

// book answers /v1/books/{symbol}.
func (s *Server) book(p *reply, r *http.Request) error {
	params, values, err := s.contract.check(r)
	if err != nil {
		return err
	}
	asked, err := request.FromValues(request.SchemaBook, params["symbol"], values)
	if err != nil {
		return err
	}
	q, price, err := asked.Book()
	if err != nil {
		return err
	}
	f, err := negotiate(r, values)
	if err != nil {
		return err
	}
	book, err := s.Archive.BookAt(r.Context(), q)
	if err != nil {
		return err
	}
	p.content(f, book.Symbol, string(book.Clock))
	proofHeaders(p.header, book)
	if p.head {
		return nil
	}
	return format.WriteBook(p, book, f.name, price)
}

// proofHeaders tells what a book was made from, for formats that cannot.
func proofHeaders(h http.Header, b *query.BookAnswer) {
	hashes := make([]string, len(b.Proof.Segments))
	for i, seg := range b.Proof.Segments {
		if hashes[i] = seg.Hash; seg.Hash == "" {
			hashes[i] = "open"
		}
	}
	h.Set("Chronicle-Condition", b.Condition)
	h.Set("Chronicle-Digest", b.Proof.Digest)
	h.Set("Chronicle-Last-Sequence", strconv.FormatUint(b.Proof.LastSeq, 10))
	h.Set("Chronicle-Snapshot-Sequence", strconv.FormatUint(b.Proof.Snapshot.Sequence, 10))
	h.Set("Chronicle-Deltas", strconv.Itoa(b.Proof.Deltas))
	h.Set("Chronicle-Segments", strings.Join(hashes, ","))
}

// trades answers /v1/trades/{symbol}.
func (s *Server) trades(p *reply, r *http.Request) error {
	return s.stream(p, r, query.SchemaTrades)
}

// records answers /v1/records/{schema}/{symbol}.
func (s *Server) records(p *reply, r *http.Request) error { return s.stream(p, r, "") }

// stream answers a range of one schema; empty means the one in the path.
func (s *Server) stream(p *reply, r *http.Request, schema string) error {
	q, f, err := s.parseRange(r, schema)
	if err != nil {
		return err
	}
	rows, err := s.Archive.Range(r.Context(), q)
	if err != nil {
		return err
	}
	defer rows.Release()
	first := peek(rows)
	if err := rows.Err(); err != nil {
		return err
	}
	p.content(f, q.Symbols[0], string(q.Clock))
	p.header.Set("Chronicle-Schema", q.Schema)
	switch {
	case p.head:
		return nil
	case f.name == "json":
		return writeRows(p, &q, first)
	}
	return format.Write(p, first, f.name)
}

// parseRange reads a request for a range, and the format that it wants.
func (s *Server) parseRange(r *http.Request, schema string) (q query.RangeRequest, f mediaFormat, err error) {
	params, values, err := s.contract.check(r)
	if err != nil {
		return q, f, err
	}
	if schema == "" {
		schema = params["schema"]
	}
	asked, err := request.FromValues(schema, params["symbol"], values)
	if err != nil {
		return q, f, err
	}
	if f, err = negotiate(r, values); err != nil {
		return q, f, err
	}
	if err := asked.Resolve(r.Context(), s.Archive); err != nil {
		return q, f, err
	}
	q, err = asked.Range()
	return q, f, err
}

// content sets the headers that every answer with data has.
func (p *reply) content(f mediaFormat, symbol, clock string) {
	p.header.Set("Content-Type", f.contentType)
	p.header.Set("Vary", "Accept")
	p.header.Set("Chronicle-Symbol", symbol)
	p.header.Set("Chronicle-Clock", clock)
}

// writeRows writes a range as one JSON object, whose rows are streamed.
func writeRows(p *reply, q *query.RangeRequest, rows *peeked) error {
	head, err := json.Marshal(struct {
		Symbol string      `json:"symbol"`
		Schema string      `json:"schema"`
		Clock  query.Clock `json:"clock"`
		Start  *string     `json:"start"`
		End    *string     `json:"end"`
	}{q.Symbols[0], q.Schema, q.Clock, edge(q.Start), edge(q.End)})
	if err != nil {
		return fmt.Errorf("writing the head of the rows: %w", err)
	}
	if _, err := fmt.Fprintf(p, `%s,"rows":`, head[:len(head)-1]); err != nil {
		return err
	}
	if err := format.Write(p, rows, "json"); err != nil {
		return err
	}
	_, err = p.Write([]byte("}\n"))
	return err
}

// edge gives one end of a range; nil when none was given.
func edge(ns int64) *string {
	if ns == 0 {
		return nil
	}
	return instant(ns)
}

// instant gives a time for JSON; nil when it is not known.
func instant(ns int64) *string {
	if ns == market.UndefTimestamp {
		return nil
	}
	text := query.FormatTime(ns)
	return &text
}
