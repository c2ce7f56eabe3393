package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"chronicle/internal/durable"
	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// moving is a move on its way, and what is to be said about it in the log.
type moving struct {
	Move
	gaps []manifest.Gap
}

// moveBatch takes a batch of segments from verified to deleted. What fails for
// one segment is a problem of that segment; its intent is settled later.
func (a *Agent) moveBatch(ctx context.Context, batch []Move, r *Result) error {
	ready, err := a.verifyBatch(ctx, batch, r)
	if err != nil || len(ready) == 0 {
		return err
	}
	intents := make([]manifest.Op, len(ready))
	for i := range ready {
		intents[i] = manifest.Op{Op: manifest.OpIntent, Segment: &ready[i].Segment, From: &ready[i].From}
	}
	if err := a.commit("intent", intents); err != nil {
		return err
	}
	var done []*moving
	for _, m := range ready {
		err := a.step("transfer", func() error { return a.transfer(ctx, m) })
		if ends(ctx, err) {
			return err
		}
		if err != nil {
			r.problem(m.Segment.Ref().String(), fmt.Errorf("move to %v: %w", m.Segment.Location(), err))
			continue
		}
		done = append(done, m)
	}
	if err := a.commitMoved(done, r); err != nil {
		return err
	}
	return a.deleteLeftovers(ctx, r)
}

// commit writes operations to the log, in as many commits as they need.
func (a *Agent) commit(step string, ops []manifest.Op) error {
	for _, chunk := range manifest.Chunks(ops) {
		err := a.step(step, func() error {
			_, err := a.writer.Commit(chunk...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

// verifyBatch reads the sources in full and leaves out the damaged ones.
func (a *Agent) verifyBatch(ctx context.Context, batch []Move, r *Result) ([]*moving, error) {
	var ready []*moving
	for _, m := range batch {
		gaps, err := a.verifySource(ctx, &m)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			r.problem(m.From.String(), fmt.Errorf("not moved: %w", err))
			continue
		}
		ready = append(ready, &moving{Move: m, gaps: gaps})
	}
	return ready, nil
}

// verifySource reads a source in full. A hot file that was found damaged before
// and has not changed since is not read again.
func (a *Agent) verifySource(ctx context.Context, m *Move) ([]manifest.Gap, error) {
	if m.From.Tier != manifest.Hot {
		return a.verifyAt(ctx, m.From, &m.Segment)
	}
	path := a.hotPath(m.Segment.Ref())
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if b, ok := a.bad[path]; ok && b.size == st.Size() && b.modTime.Equal(st.ModTime()) {
		return nil, b.err
	}
	gaps, err := a.verifyAt(ctx, m.From, &m.Segment)
	if errors.Is(err, queue.ErrCorrupt) {
		a.bad[path] = badFile{st.Size(), st.ModTime(), err}
	}
	return gaps, err
}

// verifyAt reads a segment in full, wherever it is, and compares it with its row.
func (a *Agent) verifyAt(ctx context.Context, at manifest.Location, row *manifest.Segment) ([]manifest.Gap, error) {
	o, err := a.open(ctx, at)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	seg, err := queue.OpenSegmentAt(o, o.Size(), at.String())
	if err != nil {
		return nil, err
	}
	defer seg.Close()
	return gapsAndRow(seg, row)
}

// open opens a segment for reading, in a tier or in its queue.
func (a *Agent) open(ctx context.Context, at manifest.Location) (blob.Object, error) {
	if at.Tier != manifest.Hot {
		store, err := a.store(at.Tier)
		if err != nil {
			return nil, err
		}
		return store.Open(ctx, at.Key)
	}
	path, err := a.localPath(at)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", err, blob.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &hotFile{f, st.Size()}, nil
}

// store gives the store of a tier that a log names.
func (a *Agent) store(tier string) (blob.Store, error) {
	store := a.stores[tier]
	if store == nil {
		return nil, fmt.Errorf("tier %s is not configured: add it", tier)
	}
	return store, nil
}

// hotFile is a file of the queues as an object.
type hotFile struct {
	*os.File
	size int64
}

func (f *hotFile) Size() int64 { return f.size }

// errNotLocal is the answer for a place that is not a local file.
var errNotLocal = errors.New("not a local file")

// localPath gives the file of a location.
func (a *Agent) localPath(at manifest.Location) (string, error) {
	if at.Tier == manifest.Hot {
		return blob.NewDir(a.opts.Clean, manifest.Hot).LocalPath(at.Key)
	}
	local, ok := a.stores[at.Tier].(blob.Local)
	if !ok {
		return "", errNotLocal
	}
	return local.LocalPath(at.Key)
}

// transfer brings the bytes to their new place: by a rename if that is possible.
func (a *Agent) transfer(ctx context.Context, m *moving) error {
	err := a.rename(ctx, m)
	if !errors.Is(err, blob.ErrCrossDevice) && !errors.Is(err, errNotLocal) {
		return err
	}
	m.Copied = true
	return a.copy(ctx, m)
}

// rename moves within one file system. The content is fsynced first: the seal has
// done so, but that may not be over when the trailer becomes visible.
func (a *Agent) rename(ctx context.Context, m *moving) error {
	to := m.Segment.Location()
	mover, ok := a.stores[to.Tier].(blob.Mover)
	if !ok {
		return errNotLocal
	}
	path, err := a.localPath(m.From)
	if err != nil {
		return err
	}
	if err := durable.SyncFile(path); err != nil {
		return err
	}
	if err := mover.MoveIn(ctx, path, to.Key); err != nil {
		return err
	}
	info, err := a.stores[to.Tier].Stat(ctx, to.Key)
	if err == nil && info.Size != m.Segment.Bytes {
		err = fmt.Errorf("%v has %d bytes, not %d: %w", to, info.Size, m.Segment.Bytes, blob.ErrMismatch)
	}
	if err == nil {
		err = a.tidy(ctx, m.From)
	}
	return err
}

// tidy lets a tier remove the folders that a rename out of it has left empty.
func (a *Agent) tidy(ctx context.Context, from manifest.Location) error {
	if from.Tier == manifest.Hot {
		return nil
	}
	if err := a.stores[from.Tier].Delete(ctx, from.Key); !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	return nil
}

// copy reads the source twice, for its sum and for its bytes; the store reads back
// what it has and compares.
func (a *Agent) copy(ctx context.Context, m *moving) error {
	source, err := a.open(ctx, m.From)
	if err != nil {
		return err
	}
	defer source.Close()
	whole := func() io.Reader { return io.NewSectionReader(source, 0, source.Size()) }
	sum, err := blob.SumOf(whole())
	if err != nil {
		return err
	}
	to := m.Segment.Location()
	return a.stores[to.Tier].Put(ctx, to.Key, whole(), sum)
}

// commitMoved lists segments at their new places: the commit point of their moves.
func (a *Agent) commitMoved(done []*moving, r *Result) error {
	var ops []manifest.Op
	for _, m := range done {
		ops = append(ops, m.arrival()...)
	}
	if err := a.commit("add", ops); err != nil {
		return err
	}
	for _, m := range done {
		a.verified[m.Segment.Ref()] = true
		r.Moved = append(r.Moved, m.Move)
		r.Bytes += m.Segment.Bytes
	}
	return nil
}

// arrival gives the operations that end a move: the segment's gaps, if it is new
// to the archive, and its row. After a copy the source is named as a leftover.
func (m *moving) arrival() []manifest.Op {
	op := manifest.Op{Op: manifest.OpMove, Segment: &m.Segment}
	var ops []manifest.Op
	if m.From.Tier == manifest.Hot {
		op.Op = manifest.OpAdd
		for i := range m.gaps {
			ops = append(ops, manifest.Op{Op: manifest.OpGap, Gap: &m.gaps[i]})
		}
	}
	if m.Copied {
		op.From = &m.From
	}
	return append(ops, op)
}
