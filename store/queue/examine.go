package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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
	f := &found{path: file.Path, summary: newSummary(file.FirstSeq), torn: true}
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
	if err == nil || tornHeader(seg.mem[:headerPage]) {
		f.damage = walk(memory{seg.mem[:file.Size]}, f.summary)
		f.torn = f.damage == nil || tornRecord(seg.mem[:file.Size], f.end)
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

// tornRecord tells whether sectors of the record at off, which is not valid, or the
// file's length, never reached the disk.
func tornRecord(mem []byte, off int64) bool {
	length := int64(le.Uint32(mem[off:]))
	if length-1 > MaxBody {
		return false
	}
	end := off + recordHeader + length - 1
	if end > int64(len(mem)) {
		return true
	}
	for at := off; at < end; at = alignUp(at+1, sector) {
		if isZero(mem[at:min(alignUp(at+1, sector), end)]) {
			return true
		}
	}
	return false
}

// sector is the least that a disk writes at once.
const sector = 512

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
