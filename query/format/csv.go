package format

import (
	"bufio"
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
)

// csvSink writes RFC 4180 with a line of names first; lines end in \n.
type csvSink struct {
	w      *bufio.Writer
	schema *arrow.Schema
	named  bool
	line   []byte
	text   []byte
}

func newCSVSink(w *bufio.Writer, schema *arrow.Schema) *csvSink {
	return &csvSink{w: w, schema: schema}
}

func (s *csvSink) write(rec arrow.RecordBatch) error {
	if err := s.names(); err != nil {
		return err
	}
	all := cells(rec)
	for i := range int(rec.NumRows()) {
		s.line = s.line[:0]
		for j := range all {
			if j > 0 {
				s.line = append(s.line, ',')
			}
			s.value(&all[j], i)
		}
		if _, err := s.w.Write(append(s.line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (s *csvSink) value(c *cell, i int) {
	switch {
	case c.column.IsNull(i):
	case !c.text || c.safe:
		s.line = c.append(s.line, i)
	default:
		s.text = c.append(s.text[:0], i)
		s.line = appendCSV(s.line, s.text)
	}
}

// appendCSV appends a field, in quotes where it needs them.
func appendCSV(dst, text []byte) []byte {
	if !bytes.ContainsAny(text, ",\"\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = append(dst, bytes.ReplaceAll(text, []byte(`"`), []byte(`""`))...)
	return append(dst, '"')
}

// names writes the first line, once.
func (s *csvSink) names() error {
	if s.named {
		return nil
	}
	s.named = true
	s.line = s.line[:0]
	for i, f := range s.schema.Fields() {
		if i > 0 {
			s.line = append(s.line, ',')
		}
		s.line = appendCSV(s.line, []byte(f.Name))
	}
	_, err := s.w.Write(append(s.line, '\n'))
	return err
}

func (s *csvSink) finish() error { return s.names() }
