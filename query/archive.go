package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/manifest"
)

// TierWarm is the tier that every archive has: <root>/archive.
const TierWarm = "warm"

// Config says where an archive is.
type Config struct {
	// Root is the archive's folder, with queues/, archive/ and manifest/ below.
	Root string

	// IndexPath is the file of the manifest's DuckDB index. Default: the index
	// is kept in memory.
	IndexPath string

	// Tiers are folders of further tiers, by name; "warm" may be given to
	// replace the default, <Root>/archive.
	Tiers map[string]string

	// Stores are further tiers that are not folders, by name.
	Stores map[string]blob.Store

	// OpenSegments bounds the sealed segments that stay open between requests
	// (one file each). Default 256.
	OpenSegments int

	// Memory is where the buffers of ranges come from. Default: Go's own.
	Memory memory.Allocator

	// Log takes what is worth knowing besides the answers. Default: discards.
	Log *slog.Logger
}

// withDefaults fills and checks the configuration.
func (c Config) withDefaults() (Config, error) {
	if st, err := os.Stat(c.Root); err != nil || !st.IsDir() {
		return c, &Error{Code: NotFound, Field: "root", Given: c.Root, Allowed: "the folder of an archive", Detail: "no archive there: make one with `chronicle run` or `chronicle replay`, or correct the path", Err: err}
	}
	if c.OpenSegments < 0 {
		return c, invalid("open_segments", fmt.Sprint(c.OpenSegments), "0 (default) or more", "number of open segments is negative")
	}
	if c.OpenSegments == 0 {
		c.OpenSegments = 256
	}
	if c.Memory == nil {
		c.Memory = memory.DefaultAllocator
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Archive answers questions about what is stored below one root, in all tiers
// and in the live queues. It is read-only, needs no lock, and is safe for
// concurrent use by any number of goroutines.
type Archive struct {
	cfg       Config
	clean     string // the folder of the clean queues
	tiers     map[string]blob.Store
	index     *manifest.Index
	handles   *handles
	replayers sync.Pool // of *replayer

	catalog catalog
	ledgers ledgers
}

// Open opens an archive for reading. Nothing below the root is changed.
func Open(ctx context.Context, cfg Config) (*Archive, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	index, err := manifest.OpenIndex(ctx, filepath.Join(cfg.Root, "manifest"), cfg.IndexPath, manifest.IndexOptions{Log: cfg.Log})
	if err != nil {
		return nil, asError(manifestError(err))
	}
	a := &Archive{
		cfg: cfg, clean: filepath.Join(cfg.Root, "queues", "clean"), index: index,
		tiers: map[string]blob.Store{}, handles: newHandles(cfg.OpenSegments),
		replayers: sync.Pool{New: func() any { return new(replayer) }},
	}
	a.catalog.init()
	a.tiers[TierWarm] = blob.NewDir(filepath.Join(cfg.Root, "archive"), TierWarm)
	for name, dir := range cfg.Tiers {
		a.tiers[name] = blob.NewDir(dir, name)
	}
	maps.Copy(a.tiers, cfg.Stores)
	return a, nil
}

// Close gives back files and the index. No request may be running, and every
// Stream must have been released.
func (a *Archive) Close() error {
	a.handles.close()
	if err := a.index.Close(); err != nil {
		return fmt.Errorf("close archive: %w", err)
	}
	return nil
}

// streamDir gives the folder of a clean queue.
func (a *Archive) streamDir(id streamID) string {
	return filepath.Join(a.clean, filepath.FromSlash(market.StreamPath(id.Venue, id.Symbol, id.Stream)))
}

// hotPlace gives the place of a file of a clean queue.
func (a *Archive) hotPlace(path string) place {
	key := strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(a.clean)+"/")
	return place{tier: tierHot, key: key, path: path}
}

// placeOf gives the place of a location in the manifest.
func (a *Archive) placeOf(l manifest.Location) place {
	if l.Tier == manifest.Hot {
		return place{tier: tierHot, key: l.Key, path: filepath.Join(a.clean, filepath.FromSlash(l.Key))}
	}
	return place{tier: l.Tier, key: l.Key}
}

// manifestError says what is wrong with the manifest.
func manifestError(err error) error {
	switch {
	case errors.Is(err, manifest.ErrCorrupt), errors.Is(err, manifest.ErrInvalid):
		return damaged(err, "the manifest is damaged")
	case errors.Is(err, manifest.ErrRebuilding), errors.Is(err, manifest.ErrIndexLocked):
		return unavailable(err, "the manifest cannot be read now")
	}
	return err
}
