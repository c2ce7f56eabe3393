package query

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"chronicle/store/blob"
	"chronicle/store/queue"
)

// errMoved says that no place of a segment has it any more: it was moved after
// the plan was made, and the plan has to be made again.
var errMoved = errors.New("segment has moved")

// open opens a segment at the first of its places that has it. The caller
// releases the handle with a.release. errMoved when no place has it.
func (a *Archive) open(ctx context.Context, id streamID, s *segment) (*handle, error) {
	if s.live != nil {
		return s.live, nil
	}
	missing := error(nil)
	for _, p := range s.places {
		h, err := a.openPlace(ctx, id, p)
		switch {
		case err == nil:
			if err := s.same(h); err != nil {
				a.handles.put(h)
				return nil, err
			}
			return h, nil
		case !isMissing(err):
			return nil, openError(id, s, p, err)
		}
		missing = err
	}
	return nil, fmt.Errorf("%s: %v: %w: %w", id, s, errMoved, missing)
}

// release gives back what open gave.
func (a *Archive) release(s *segment, h *handle) {
	if s.live == nil {
		a.handles.put(h)
	}
}

// same checks that what was opened is what the plan, and so the manifest, says.
func (s *segment) same(h *handle) error {
	info := h.segment.Info()
	if info.FirstSeq != s.first || s.sealed && (!info.Sealed || info.LastSeq != s.last || s.hash != "" && info.Hash != s.hash) {
		return damaged(nil, "%v: the file holds records %d to %d with hash %s, the manifest says %s", s, info.FirstSeq, info.LastSeq, info.Hash, s.hash)
	}
	return nil
}

func (a *Archive) openPlace(ctx context.Context, id streamID, p place) (*handle, error) {
	if p.tier == tierHot {
		return a.openFile(id, p)
	}
	store, ok := a.tiers[p.tier]
	if !ok {
		return nil, unavailable(nil, "%s: tier %q is not configured: name its folder (--cold-dir for the cold tier)", id, p.tier)
	}
	return a.handles.get(p.String(), func() (*handle, error) {
		object, err := store.Open(ctx, p.key)
		if err != nil {
			return nil, err
		}
		s, err := queue.OpenSegmentAt(object, object.Size(), p.String())
		if err != nil {
			return nil, errors.Join(err, object.Close())
		}
		return newHandle(id, s, p, object)
	})
}

// openFile opens a segment of a clean queue by its path. The file's identity is
// part of the key: a stream that was made anew has other files of the same names.
func (a *Archive) openFile(id streamID, p place) (*handle, error) {
	st, err := os.Stat(p.path)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %d %d", p.path, st.Size(), st.ModTime().UnixNano())
	return a.handles.get(key, func() (*handle, error) { return openLive(id, p) })
}

// openLive opens a segment file that may still be written.
func openLive(id streamID, p place) (*handle, error) {
	s, err := queue.OpenSegment(p.path)
	if err != nil {
		return nil, err
	}
	return newHandle(id, s, p, nil)
}

func isMissing(err error) bool {
	return errors.Is(err, blob.ErrNotExist) || errors.Is(err, fs.ErrNotExist) && !errors.Is(err, blob.ErrNoTier)
}

// openError says what is wrong with a segment that could not be opened.
func openError(id streamID, s *segment, p place, err error) error {
	var e *Error
	switch {
	case errors.As(err, &e), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, queue.ErrCorrupt):
		return damaged(err, "%s: %v is corrupt", id, s)
	}
	return unavailable(err, "%s: %v cannot be opened: check that tier %q is there", id, s, p.tier)
}

// readError says what is wrong with a segment that could not be read on.
func readError(id streamID, s *segment, next uint64, err error) error {
	if errors.Is(err, queue.ErrCorrupt) {
		return damaged(err, "%s: %v is corrupt at record %d", id, s, next)
	}
	return unavailable(err, "%s: %v cannot be read at record %d: check that tier %q is there", id, s, next, s.places[0].tier)
}
