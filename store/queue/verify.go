package queue

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
)

// Count walks the segment and gives its Info with every number counted anew,
// Kinds included. Of a sealed segment this says the same as Info, or fails.
func (s *Segment) Count() (SegmentInfo, error) {
	sum := newSummary(s.head.first)
	if err := walk(s.source(), sum); err != nil {
		return SegmentInfo{}, fmt.Errorf("segment %s: %w", s.name, err)
	}
	info := infoOf(sum, s.head.meta)
	info.Kinds = maps.Clone(sum.kinds)
	info.Sealed, info.Hash = s.info.Sealed, s.info.Hash
	if s.Sealed() {
		info.Bytes = s.size
	}
	return info, nil
}

// Verify reads the whole segment and checks every record's checksum and
// sequence; of a sealed one also the footer against the records, and the hash.
func (s *Segment) Verify() error {
	sum := newSummary(s.head.first)
	if err := walk(s.source(), sum); err != nil {
		return fmt.Errorf("verify segment %s: %w", s.name, err)
	}
	if s.footer == nil {
		return nil
	}
	if !sum.equal(&s.footer.summary) {
		return fmt.Errorf("verify segment %s: the footer does not describe the records: %w", s.name, ErrCorrupt)
	}
	h := sha256.New()
	covered := s.footer.end + endSize
	if _, err := io.Copy(h, io.NewSectionReader(s.reader, 0, covered)); err != nil {
		return fmt.Errorf("verify segment %s: %w", s.name, err)
	}
	if got := h.Sum(nil); [sha256.Size]byte(got) != s.footer.hash {
		return fmt.Errorf("verify segment %s: hash is sha256:%x, its footer says %s: %w", s.name, got, s.footer.hashString(), ErrCorrupt)
	}
	return nil
}
