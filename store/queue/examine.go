package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// examine opens one segment file. An unsealed one is mapped and walked.
func (w *Writer) examine(file SegmentFile, last bool) (*found, error) {
	f, err := os.Open(file.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, sealed, err := readTrailer(f, file.Size)
	if err == nil && sealed {
		var foot *footer
		if foot, err = readFooter(f, file.Size, t); err == nil && foot.first != file.FirstSeq {
			err = fmt.Errorf("its first record is %d: %w", foot.first, ErrCorrupt)
		}
		if err == nil {
			return &found{path: file.Path, summary: &foot.summary, sealed: true}, nil
		}
	}
	var seg *found
	if err == nil {
		seg, err = w.examineUnsealed(file, last)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", file.Path, err)
	}
	return seg, nil
}

func (w *Writer) examineUnsealed(file SegmentFile, last bool) (*found, error) {
	f := &found{path: file.Path, summary: newSummary(file.FirstSeq)}
	if file.Size < headerPage+endSize && last {
		return f, nil // its blocks never reached the disk: it has no record
	}
	seg, err := w.maker.reopen(file)
	if err != nil {
		return nil, err
	}
	f.seg = seg
	if seg.head, err = parseHeader(seg.mem[:min(file.Size, headerPage)]); err == nil && seg.head.first != file.FirstSeq {
		err = fmt.Errorf("its first record is %d: %w", seg.head.first, ErrCorrupt)
	}
	if err == nil || last && isZero(seg.mem[:headerPage]) {
		f.damage = walk(memory{seg.mem[:file.Size]}, f.summary)
		if err != nil && f.records() > 0 {
			w.rebuildHeader(f)
		}
		return f, nil
	}
	return nil, errors.Join(err, f.close())
}

// reopen maps a segment that an earlier writer left unsealed.
func (m *segmentMaker) reopen(file SegmentFile) (*active, error) {
	grow := growth{reserve: m.options.reserve, first: minStep}
	capacity := m.options.SegmentBytes
	if m.options.ManualRoll {
		capacity = max(capacity, mapBytes)
	} else {
		grow.planned = capacity
	}
	g, err := openRegion(file.Path, capacity, grow)
	if err != nil {
		return nil, err
	}
	s := newActive(g)
	s.first = file.FirstSeq
	return s, nil
}

// rebuildHeader writes the header page of a segment that has records but lost
// its header in a crash of the machine.
func (w *Writer) rebuildHeader(f *found) {
	f.seg.head = header{first: f.first, capacity: w.options.SegmentBytes, meta: w.options.Meta}
	f.seg.head.put(f.seg.mem)
	w.recovery.HeaderRebuilt = true
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
