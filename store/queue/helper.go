package queue

import (
	"sync"
	"time"
)

// helper is the goroutines of a writer with Options.Precreate: one keeps a
// segment ready, the other seals what the writer has rolled. Their owner is the
// writer.
type helper struct {
	maker *segmentMaker
	quit  chan struct{}
	done  sync.WaitGroup

	taken  chan struct{} // capacity 1: a segment has been taken
	rolled chan struct{} // capacity 1: a segment has been rolled

	mu    sync.Mutex
	ready *active // guarded by mu; nil while there is none
}

func startHelper(maker *segmentMaker, sealer *sealer) *helper {
	h := &helper{
		maker: maker, quit: make(chan struct{}),
		taken: make(chan struct{}, 1), rolled: make(chan struct{}, 1),
	}
	h.prepare()
	h.loop(h.taken, h.prepare)
	h.loop(h.rolled, func() {
		// What cannot be sealed stays pending: the next roll tries again, and
		// Sync, Roll and Close return the error if it still stands.
		_ = sealer.run()
	})
	return h
}

// loop starts a goroutine that works each time it is woken.
func (h *helper) loop(wake <-chan struct{}, work func()) {
	h.done.Go(func() {
		for {
			select {
			case <-h.quit:
				return
			case <-wake:
				work()
			}
		}
	})
}

// poke makes the helper look for work. It never blocks.
func (h *helper) poke() {
	for _, wake := range []chan struct{}{h.taken, h.rolled} {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// prepare makes the next segment if there is none. It is done ahead of need, so
// failing is no error: the writer makes the segment itself, or says why not.
func (h *helper) prepare() {
	h.mu.Lock()
	have := h.ready != nil
	h.mu.Unlock()
	if have {
		return
	}
	s, err := h.maker.prepare()
	if err != nil {
		return
	}
	h.mu.Lock()
	h.ready = s
	h.mu.Unlock()
}

// take gives the prepared segment to the writer; nil if there is none.
func (h *helper) take() *active {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.ready
	h.ready = nil
	return s
}

// stop ends the goroutines, waits for them and removes what was prepared.
func (h *helper) stop() error {
	close(h.quit)
	h.done.Wait()
	if s := h.take(); s != nil {
		return s.discard()
	}
	return nil
}

// prepare makes a segment with all of its capacity and its live index reserved
// and in memory.
func (m *segmentMaker) prepare() (*active, error) {
	capacity := m.options.SegmentBytes
	s, err := m.create(capacity, capacity)
	if err != nil {
		return nil, err
	}
	room := sidecarHeader + (capacity/indexStride+spareEntries)*entrySize
	side, err := createSidecar(m.temp(sidecarExt), m.options.reserve, 0, room)
	if err != nil {
		return nil, joinDiscard(err, s)
	}
	s.side = side
	_ = s.populate() // if not now, then at the first append to each page
	_ = side.populate()
	return s, nil
}

// spareEntries is room in a prepared live index for Key records.
const spareEntries = 1024

// syncer is the goroutine of a writer with Options.SyncInterval.
type syncer struct {
	quit chan struct{}
	done chan struct{}

	mu  sync.Mutex
	err error // guarded by mu: of the latest run
}

// startSyncer calls sync every interval until stop.
func startSyncer(interval time.Duration, sync func() error) *syncer {
	y := &syncer{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(y.done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-y.quit:
				return
			case <-ticker.C:
				y.note(sync())
			}
		}
	}()
	return y
}

func (y *syncer) note(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.err = err
}

// failure gives the error of the latest background sync, nil if it went well.
func (y *syncer) failure() error {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.err
}

// stop ends the goroutine and waits for it.
func (y *syncer) stop() {
	close(y.quit)
	<-y.done
}
