package fsck

import (
	"context"
	"errors"

	"chronicle/store/blob"
	"chronicle/store/manifest"
)

// checkMoves reports what the log has not ended yet.
func (c *checker) checkMoves() {
	for _, m := range c.state.Moves() {
		c.report.add(Warning, MoveOpen, m.Segment.Ref().String(), "run the tier agent of writer "+m.Writer, "being moved from %v to %v", m.From, m.Segment.Location())
	}
	for _, l := range c.state.Leftovers() {
		c.report.add(Warning, CopyWaiting, l.At.String(), "run the tier agent of writer "+l.Writer, "copied elsewhere, and to be deleted when its grace is over")
	}
}

// checkPlaces looks for files in the tiers that nobody lists.
func (c *checker) checkPlaces(ctx context.Context) error {
	for _, t := range c.opts.Tiers {
		store := c.stores[t.Name]
		if store == nil {
			continue
		}
		if err := c.checkTier(ctx, t.Name, store); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkTier(ctx context.Context, tier string, store blob.Store) error {
	var unlisted []manifest.Location
	listed := c.listed(tier)
	for info, err := range store.List(ctx, "") {
		if err != nil {
			return err
		}
		if !listed[info.Key] {
			unlisted = append(unlisted, manifest.Location{Tier: tier, Key: info.Key})
		}
	}
	if err := c.reportOrphans(ctx, store, unlisted); err != nil {
		return err
	}
	return c.checkTemps(ctx, store)
}

// listed gives the keys of a tier that the log explains.
func (c *checker) listed(tier string) map[string]bool {
	keys := map[string]bool{}
	note := func(at manifest.Location) {
		if at.Tier == tier {
			keys[at.Key] = true
		}
	}
	for _, row := range c.state.Find(manifest.Filter{}) {
		note(row.Location())
	}
	for _, m := range c.state.Moves() {
		note(m.Segment.Location())
		note(m.From)
	}
	for _, l := range c.state.Leftovers() {
		note(l.At)
	}
	return keys
}

// reportOrphans looks once more, at the log and at the store: segments come and
// go while a check runs.
func (c *checker) reportOrphans(ctx context.Context, store blob.Store, unlisted []manifest.Location) error {
	if len(unlisted) == 0 {
		return nil
	}
	c.refresh(ctx)
	listed := c.listed(unlisted[0].Tier)
	for _, at := range unlisted {
		if listed[at.Key] {
			continue
		}
		_, err := store.Stat(ctx, at.Key)
		if errors.Is(err, blob.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.report.add(Error, Orphan, at.String(), "run `chronicle manifest rebuild` if it is a segment, or move it away", "no log lists it")
	}
	return nil
}

// checkTemps reports unfinished copies. One may belong to a copy under way.
func (c *checker) checkTemps(ctx context.Context, store blob.Store) error {
	t, ok := store.(blob.Temporary)
	if !ok {
		return nil
	}
	for path, err := range t.Temps(ctx) {
		if err != nil {
			return err
		}
		c.report.add(Warning, TempFile, path, "run the tier agent; if it stays, delete it while no agent runs", "an unfinished copy")
	}
	return nil
}
