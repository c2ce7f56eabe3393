package tape

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"chronicle/market"
	"chronicle/store/queue"
)

// directory knows the instruments by the ids that records carry. Ids are valid
// for one source: each begins with its source_begin and numbers them anew.
//
// A reader that joins in the middle has not seen the definitions. They are keys
// of the queue's index, so those of a segment are found without reading the
// records between. A live feed repeats an instrument's definition before its
// first message in each segment; in a queue of replayed recordings the directory
// goes back segment by segment until it finds the one it needs.
type directory struct {
	dir  string
	want func(*market.Definition) bool

	ids      []*instrument // by id
	searched uint64        // definitions from this record on are known; 0: nothing was searched yet
	complete bool          // those before it are of no concern: the source's beginning is known
}

type instrument struct {
	def    *market.Definition
	wanted bool
}

// forget drops everything: a source begins with record seq.
func (d *directory) forget(seq uint64) {
	d.ids = d.ids[:0]
	d.searched, d.complete = seq, true
}

// define takes a definition record.
func (d *directory) define(rec *queue.Record) (*instrument, error) {
	in, err := d.parse(rec)
	if err != nil {
		return nil, err
	}
	if known := d.at(rec.Tag); known != nil && known.def != nil && *known.def == *in.def {
		return known, nil // repeated: the pointer stays the same
	}
	d.put(rec.Tag, in)
	return in, nil
}

func (d *directory) parse(rec *queue.Record) (*instrument, error) {
	def, err := market.DecodeJSON[market.Definition](rec.Body)
	if err != nil {
		return nil, err
	}
	return &instrument{def: def, wanted: d.want(def)}, nil
}

// maxID bounds the ids of one source, so that a damaged one costs no memory.
const maxID = 1 << 24

func (d *directory) at(id uint32) *instrument {
	if int(id) < len(d.ids) {
		return d.ids[id]
	}
	return nil
}

func (d *directory) put(id uint32, in *instrument) {
	if id >= maxID {
		return
	}
	for int(id) >= len(d.ids) {
		d.ids = append(d.ids, nil)
	}
	d.ids[id] = in
}

// find gives the instrument of an id that record seq carries. One whose
// definition is no longer there has none, and is wanted.
func (d *directory) find(id uint32, seq uint64) (*instrument, error) {
	if int(id) < len(d.ids) && d.ids[id] != nil {
		return d.ids[id], nil
	}
	if d.searched == 0 {
		d.searched = seq
	}
	for !d.complete && d.at(id) == nil {
		if err := d.searchBack(); err != nil {
			return nil, fmt.Errorf("find the definition of instrument %d: %w", id, err)
		}
	}
	if d.at(id) == nil && id < maxID {
		d.put(id, &instrument{wanted: true})
	}
	return d.at(id), nil
}

// searchBack reads the definitions of the latest segment that begins before
// what has been searched.
func (d *directory) searchBack() error {
	files, err := queue.ListSegments(d.dir)
	if err != nil {
		return err
	}
	for _, f := range slices.Backward(files) {
		if f.FirstSeq >= d.searched {
			continue
		}
		if err := d.read(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		d.searched = f.FirstSeq
		return nil
	}
	d.complete = true
	return nil
}

// read takes the definitions of one segment, up to what has been searched. What
// is known already is newer and stays.
func (d *directory) read(path string) error {
	segment, err := queue.OpenSegment(path)
	if err != nil {
		return err
	}
	defer segment.Close()
	found := make(map[uint32]*instrument)
	for rec, err := range segment.Keys() {
		if err != nil {
			return err
		}
		if rec.Seq >= d.searched {
			break
		}
		if err := d.note(&rec, found); err != nil {
			return fmt.Errorf("record %d: %w", rec.Seq, err)
		}
	}
	for id, in := range found {
		if d.at(id) == nil {
			d.put(id, in)
		}
	}
	return nil
}

// note keeps a definition; a source_begin makes those before it void.
func (d *directory) note(rec *queue.Record, found map[uint32]*instrument) error {
	switch market.Kind(rec.Kind) {
	case market.KindDefinition:
		in, err := d.parse(rec)
		if err != nil {
			return err
		}
		found[rec.Tag] = in
	case market.KindSession:
		s, err := market.DecodeJSON[market.Session](rec.Body)
		if err != nil {
			return err
		}
		if s.Event == market.SessionSourceBegin {
			clear(found)
			d.complete = true
		}
	}
	return nil
}
