package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"chronicle/internal/durable"
)

// examine opens one segment file. An unsealed one is mapped and walked.
func (w *Writer) examine(file SegmentFile) (*found, error) {
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
		seg, err = w.examineUnsealed(file)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", file.Path, err)
	}
	return seg, nil
}

// examineUnsealed maps a segment without a trailer and walks it.
func (w *Writer) examineUnsealed(file SegmentFile) (*found, error) {
	f := &found{path: file.Path, summary: newSummary(file.FirstSeq)}
	if file.Size < headerPage+endSize {
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
	torn := err != nil && tornHeader(seg.mem[:headerPage])
	if err != nil && !torn {
		return nil, errors.Join(err, f.close())
	}
	f.damage = walk(memory{seg.mem[:file.Size]}, f.summary)
	if torn && f.records() > 0 {
		if err := w.rebuildHeader(f); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

// reopen maps a segment that an earlier writer left unsealed.
func (m *segmentMaker) reopen(file SegmentFile) (*active, error) {
	grow, mapped := m.growth(m.options.SegmentBytes)
	g, err := openRegion(file.Path, mapped, grow)
	if err != nil {
		return nil, err
	}
	s := newActive(g)
	s.first = file.FirstSeq
	return s, nil
}

// rebuildHeader writes the header page of a segment that has records but lost
// its header in a crash of the machine. What is left of the old one is made zero on
// disk first: after another crash the page must not be of two headers.
func (w *Writer) rebuildHeader(f *found) error {
	page := f.seg.mem[:headerPage]
	sync := func() error { return durable.SyncRange(f.path, page) }
	clear(page)
	if err := w.sealer.sync(sync); err != nil {
		return err
	}
	f.seg.head = header{first: f.first, capacity: w.options.SegmentBytes, meta: w.options.Meta}
	f.seg.head.put(page)
	w.recovery.HeaderRebuilt = true
	return w.sealer.sync(sync)
}

// tornHeader tells whether sectors of a header page that is not valid never
// reached the disk: the first, or one that metadata begins or goes on in.
func tornHeader(page []byte) bool {
	if isZero(page[:sector]) {
		return true
	}
	end := headerMeta + int(min(le.Uint32(page[32:]), MaxMeta))
	for at := sector; at < end && string(page[:8]) == headerMagic; at += sector {
		if isZero(page[at : at+sector]) {
			return true
		}
	}
	return false
}

// sector is the least that a disk writes at once.
const sector = 512

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
