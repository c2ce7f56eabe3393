package tier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronicle/internal/durable"
	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// settle ends what earlier runs have left: open intents first, then leftovers.
// It decides by what is where, never by what a crashed run may have meant.
func (a *Agent) settle(ctx context.Context, r *Result) error {
	var finished []*moving
	var ops []manifest.Op
	for _, m := range a.writer.State().Moves() {
		if m.Writer != a.opts.Writer {
			continue
		}
		arrived, err := a.settleMove(ctx, &m)
		if ends(ctx, err) {
			return err
		}
		ref := m.Segment.Ref()
		switch {
		case err != nil:
			r.problem(ref.String(), fmt.Errorf("interrupted move from %v to %v: %w", m.From, m.Segment.Location(), err))
		case arrived != nil:
			finished = append(finished, arrived)
			ops = append(ops, arrived.arrival()...)
		default:
			ops = append(ops, manifest.Op{Op: manifest.OpAbort, Of: &ref})
			r.Undone++
		}
	}
	if err := a.commit("settle", ops); err != nil {
		return err
	}
	for _, m := range finished {
		a.verified[m.Segment.Ref()] = true
		r.Finished++
	}
	return a.deleteLeftovers(ctx, r)
}

// settleMove looks at both ends of an interrupted move. It gives the move if it is
// to be committed, nil if it is to be taken back.
func (a *Agent) settleMove(ctx context.Context, m *manifest.Move) (*moving, error) {
	to := m.Segment.Location()
	gaps, err := a.verifyAt(ctx, to, &m.Segment)
	switch {
	case err == nil:
		left, err := a.isThere(ctx, m.From)
		return &moving{Move: Move{Segment: m.Segment, From: m.From, Copied: left}, gaps: gaps}, errors.Join(err, a.cleanTemps(ctx, m))
	case errors.Is(err, blob.ErrNotExist):
		return nil, a.takeBack(ctx, m)
	case errors.Is(err, queue.ErrCorrupt) || errors.Is(err, manifest.ErrInvalid) || errors.Is(err, errOther):
		return nil, a.takeBackDamaged(ctx, m, err)
	}
	return nil, err
}

// isThere tells whether there is a file at a location.
func (a *Agent) isThere(ctx context.Context, at manifest.Location) (bool, error) {
	o, err := a.open(ctx, at)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, o.Close()
}

// takeBack undoes a move whose target is not there: the source must be.
func (a *Agent) takeBack(ctx context.Context, m *manifest.Move) error {
	there, err := a.isThere(ctx, m.From)
	if err != nil {
		return err
	}
	if !there {
		return errors.New("the segment is at neither place: restore it to one of them")
	}
	return a.cleanTemps(ctx, m)
}

// cleanTemps removes what an interrupted copy has left in the target tier.
func (a *Agent) cleanTemps(ctx context.Context, m *manifest.Move) error {
	if t, ok := a.stores[m.Segment.Tier].(blob.Temporary); ok {
		return t.CleanTemps(ctx, m.Segment.Key)
	}
	return nil
}

// takeBackDamaged undoes a move whose target is not what it should be. That is
// deleted, but only if the source is whole.
func (a *Agent) takeBackDamaged(ctx context.Context, m *manifest.Move, damage error) error {
	if _, err := a.verifyAt(ctx, m.From, &m.Segment); err != nil {
		return fmt.Errorf("the target is damaged (%w), and of the source: %w; nothing was deleted", damage, err)
	}
	a.log.Warn("tier agent: deleting a damaged target, the source is whole", "target", m.Segment.Location().String(), "error", damage)
	return a.step("delete", func() error { return a.stores[m.Segment.Tier].Delete(ctx, m.Segment.Key) })
}

// deleteLeftovers deletes the sources whose grace is over, and forgets them.
func (a *Agent) deleteLeftovers(ctx context.Context, r *Result) error {
	var ops []manifest.Op
	for _, l := range a.writer.State().Leftovers() {
		if l.Writer != a.opts.Writer || a.now.Sub(time.Unix(0, l.Since)) < a.opts.Grace {
			continue
		}
		err := a.deleteCopy(ctx, l.Of, l.At)
		if ends(ctx, err) {
			return err
		}
		if err != nil {
			r.problem(l.Of.String(), fmt.Errorf("delete the copy at %v: %w", l.At, err))
			continue
		}
		ops = append(ops, manifest.Op{Op: manifest.OpDelete, Of: &l.Of, At: &l.At})
		r.Deleted++
	}
	return a.commit("forget", ops)
}

// deleteCopy deletes a copy after the archive's own has been read in full: in this
// run, when it was written or found, or else now.
func (a *Agent) deleteCopy(ctx context.Context, ref manifest.Ref, at manifest.Location) error {
	row, ok := a.writer.State().Segment(ref)
	if ok && !a.verified[ref] {
		if _, err := a.verifyAt(ctx, row.Location(), &row.Segment); err != nil {
			return fmt.Errorf("the archive's own at %v: %w", row.Location(), err)
		}
		a.verified[ref] = true
	}
	return a.step("delete", func() error { return a.remove(ctx, at) })
}

// remove deletes a file; one that is gone already is no error.
func (a *Agent) remove(ctx context.Context, at manifest.Location) error {
	if at.Tier == manifest.Hot {
		path, err := a.localPath(at)
		if err != nil {
			return err
		}
		return durable.Remove(path)
	}
	store, err := a.store(at.Tier)
	if err != nil {
		return err
	}
	if err := store.Delete(ctx, at.Key); !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	return nil
}

// deleteRedundant deletes hot files of segments that the archive has already. The
// log does not list hot files, so that there is nothing to forget. They come
// about when a log is rebuilt while a source was waiting for its deletion.
func (a *Agent) deleteRedundant(ctx context.Context, copies []Move, r *Result) error {
	for _, c := range copies {
		err := a.deleteCopy(ctx, c.Segment.Ref(), c.From)
		if ends(ctx, err) {
			return err
		}
		if err != nil {
			r.problem(c.Segment.Ref().String(), fmt.Errorf("delete the copy at %v: %w", c.From, err))
			continue
		}
		r.Deleted++
	}
	return nil
}
