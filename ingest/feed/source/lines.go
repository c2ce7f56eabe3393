package source

import (
	"bufio"
	"errors"
	"io"
)

// MaxLine bounds a line in bytes. Venues' whole books and instrument lists are
// a few hundred kilobytes.
const MaxLine = 16 << 20

// ErrLineTooLong is returned for a line of more than MaxLine bytes. The next
// call goes on with the line after it.
var ErrLineTooLong = errors.New("line too long")

// Lines reads lines from a recording.
type Lines struct {
	r    *bufio.Reader
	long []byte // holds a line that does not fit the reader's buffer
	err  error  // damage to report after the last whole line
}

// NewLines reads lines from r.
func NewLines(r *bufio.Reader) *Lines { return &Lines{r: r} }

// Next gives the next line without its end ("\n" or "\r\n"); it is valid until
// the next call. At the end err is io.EOF. Any other error but ErrLineTooLong is
// damage; the line is then what there was of the last one, possibly nothing.
func (l *Lines) Next() (line []byte, err error) {
	if l.err != nil {
		return nil, l.err
	}
	line, err = l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.longLine(line)
	}
	switch {
	case err == nil:
		return trimEnd(line), nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		l.err = io.EOF
		return trimEnd(line), nil
	case errors.Is(err, ErrLineTooLong):
		return nil, err
	}
	l.err = err
	return line, err
}

// longLine goes on with a line that begins with head.
func (l *Lines) longLine(head []byte) ([]byte, error) {
	l.long = append(l.long[:0], head...)
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.long)+len(part) > MaxLine {
			return nil, l.skip(err)
		}
		l.long = append(l.long, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.long, err
		}
	}
}

// skip reads on to the end of a line that is too long.
func (l *Lines) skip(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.r.ReadSlice('\n')
	}
	if err != nil {
		l.err = err
	}
	return ErrLineTooLong
}

func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}
