package etl

import (
	"chronicle/market"
	"chronicle/store/queue"
)

// ahead reads a few raw records before their turn and touches what they will
// need. With thousands of instruments each record finds its instrument, its stream
// and its order out of the processor's caches, one after the other; those of several
// records can be fetched at the same time.
type ahead struct {
	records [lookAhead]queue.Record
	n, at   int
	bodies  []byte // of the records; Next's are valid until the one after it only

	touching bool
	touched  uint64 // keeps the touching from being optimised away
}

// outgrown is how many resting orders no longer fit into the caches: below it
// touching costs more than it brings. They are counted every lookEvery raw records.
const (
	outgrown  = 100_000
	lookEvery = 1 << 20
)

// look decides whether to touch.
func (a *ahead) look(instruments []*instrument) {
	orders := 0
	for _, inst := range instruments {
		if inst.book != nil {
			orders += inst.book.OrderCount()
		}
	}
	a.touching = orders > outgrown
}

// lookAhead is how many records are read at a time, and lookAheadBytes how many
// bytes of them at most but for the last.
const (
	lookAhead      = 16
	lookAheadBytes = 16 << 10
)

// next gives the next raw record, whose body is valid until the following call; nil
// when there is none yet. An error comes after all records before it.
func (a *ahead) next(e *ETL) (*queue.Record, error) {
	if a.at == a.n {
		if err := a.fill(e.raw); err != nil && a.n == 0 {
			return nil, err
		}
		if a.n == 0 {
			return nil, nil
		}
		if a.touching {
			a.touch(e)
		}
	}
	a.at++
	return &a.records[a.at-1], nil
}

// fill reads what there is. An error that follows records comes again with the next call.
func (a *ahead) fill(raw *queue.Tailer) error {
	a.n, a.at, a.bodies = 0, 0, a.bodies[:0]
	for a.n < lookAhead && len(a.bodies) < lookAheadBytes {
		r, ok, err := raw.Next()
		if err != nil || !ok {
			return err
		}
		from := len(a.bodies)
		a.bodies = append(a.bodies, r.Body...)
		r.Body = a.bodies[from:len(a.bodies):len(a.bodies)]
		a.records[a.n] = r
		a.n++
	}
	return nil
}

// touch reads one word of each thing that the records will need: in rounds, so
// that none waits for another record's.
func (a *ahead) touch(e *ETL) {
	var insts [lookAhead]*instrument
	sum := a.touched
	for i := range a.records[:a.n] {
		if inst := e.ids.get(a.records[i].Tag); inst != nil && inst != foreign && inst.book != nil {
			insts[i] = inst
			sum += inst.seq
		}
	}
	for i, inst := range insts[:a.n] {
		if inst == nil || inst.streams[bookStream] == nil {
			continue
		}
		sum += inst.space[bookStream].next
		if inst.kind.l3 && market.Kind(a.records[i].Kind) == market.KindBook {
			o, _ := inst.book.Order(market.FirstOrder(a.records[i].Body))
			sum += uint64(o.Size)
		}
	}
	a.touched = sum
}
