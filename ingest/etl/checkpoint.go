package etl

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"chronicle/book"
	"chronicle/internal/durable"
	"chronicle/market"
)

// checkpointMagic begins the file; then a CRC-32C of the rest, then the state in
// gob. The last digit is the version: an unknown one is not read.
const checkpointMagic = "CHRETL01"

// state is the pipeline after raw record RawSeq: everything that decides what
// comes next.
type state struct {
	RawSeq      uint64
	RollMark    int64
	RollReset   bool
	Policy      Policy
	IDs         map[uint32]market.SymbolID
	Channels    map[string]channel
	Instruments []instrumentState
}

type instrumentState struct {
	Def                        market.Definition
	Bad, Waiting, Fresh, Clear bool
	Seq                        uint64
	LastEvent, LastRecv        int64
	Pending                    []pendingEvent
	Book                       []market.Entry
	Streams                    [streamCount]streamState
}

// streamState has Next 0 for a stream that does not exist.
type streamState struct {
	Next, Records uint64
	Bytes         int64
	Deltas        int
	SnapshotTime  int64
	SnapshotSize  int
	LastTime      int64
	Begun, Behind bool
}

// Checkpoint makes all streams durable and then replaces the checkpoint. When it
// returns without error a restart begins here, and the raw queue may forget what
// came before. It is refused after a failure inside a record, whose effects are neither all there nor all absent.
func (e *ETL) Checkpoint() error {
	if e.failed != nil {
		return fmt.Errorf("checkpoint: %w", e.failed)
	}
	for _, inst := range e.instruments {
		for _, s := range inst.streams {
			if s == nil || s.w == nil {
				continue
			}
			if err := s.w.Sync(); err != nil {
				return fmt.Errorf("checkpoint: sync %s of %s: %w", s.name, inst.def.SymbolID(), err)
			}
		}
	}
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(e.state()); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	head := binary.LittleEndian.AppendUint32([]byte(checkpointMagic), crc32.Checksum(body.Bytes(), castagnoli))
	if err := durable.WriteFile(e.checkpointPath(), append(head, body.Bytes()...), 0o644); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.sinceCheckpoint, e.checkpointed = 0, time.Now()
	e.passed.Passed(e.rawSeq)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (e *ETL) checkpointPath() string { return filepath.Join(e.cfg.StateDir, "checkpoint") }

func (e *ETL) state() *state {
	st := &state{
		RawSeq: e.rawSeq, RollMark: e.rollMark, RollReset: e.rollReset, Policy: e.policy,
		IDs: map[uint32]market.SymbolID{}, Channels: map[string]channel{},
	}
	for id, inst := range e.ids {
		st.IDs[id] = inst.def.SymbolID()
	}
	for key, ch := range e.channels {
		st.Channels[key] = *ch
	}
	for _, inst := range e.instruments {
		st.Instruments = append(st.Instruments, inst.state())
	}
	return st
}

func (inst *instrument) state() instrumentState {
	st := instrumentState{
		Def: inst.def, Bad: inst.bad, Waiting: inst.waiting, Fresh: inst.fresh, Clear: inst.clear, Seq: inst.seq,
		LastEvent: inst.lastEvent, LastRecv: inst.lastRecv,
		Pending: inst.pending, Book: inst.book.AppendSnapshot(nil),
	}
	for i, s := range inst.streams {
		if s != nil {
			st.Streams[i] = streamState{Next: s.next, Records: s.records, Bytes: s.bytes, Deltas: s.deltas, SnapshotTime: s.snapshotTime, SnapshotSize: s.snapshotSize,
				LastTime: s.lastTime, Begun: s.begun, Behind: s.behind}
		}
	}
	return st
}

// loadCheckpoint restores the pipeline and reports whether there was anything to
// restore. A damaged checkpoint is an error: it can be deleted, and then the raw
// queue is processed again from its start.
func (e *ETL) loadCheckpoint() (bool, error) {
	b, err := os.ReadFile(e.checkpointPath())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	st, err := decodeCheckpoint(b)
	if err != nil {
		return false, fmt.Errorf("checkpoint %s: %w: delete it to process the raw queue again from its start", e.checkpointPath(), err)
	}
	e.restore(st)
	return true, nil
}

func decodeCheckpoint(b []byte) (*state, error) {
	rest, ok := bytes.CutPrefix(b, []byte(checkpointMagic))
	if !ok || len(rest) < 4 {
		return nil, errors.New("not a checkpoint of this version")
	}
	body := rest[4:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest) {
		return nil, errors.New("checksum does not match")
	}
	st := new(state)
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(st); err != nil {
		return nil, err
	}
	return st, nil
}

func (e *ETL) restore(st *state) {
	e.rawSeq, e.rollMark, e.rollReset, e.policy = st.RawSeq, st.RollMark, st.RollReset, st.Policy
	e.counters.rawSeq.Store(st.RawSeq)
	for key, ch := range st.Channels {
		e.channels[key] = &channel{Bad: ch.Bad}
	}
	for i := range st.Instruments {
		e.restoreInstrument(&st.Instruments[i])
	}
	for id, sym := range st.IDs {
		if inst := e.bySymbol[sym]; inst != nil {
			e.ids[id] = inst
		}
	}
}

func (e *ETL) restoreInstrument(st *instrumentState) {
	inst := e.newInstrument(st.Def)
	inst.bad, inst.waiting, inst.fresh, inst.clear, inst.seq = st.Bad, st.Waiting, st.Fresh, st.Clear, st.Seq
	inst.lastEvent, inst.lastRecv, inst.pending = st.LastEvent, st.LastRecv, st.Pending
	inst.book = book.New(st.Def.BookType)
	inst.book.Apply(&market.BookEvent{Entries: st.Book}, market.KindSnapshot)
	for i, ss := range st.Streams {
		if ss.Next == 0 {
			continue
		}
		s := e.stream(inst, i)
		s.next, s.records, s.bytes, s.deltas, s.snapshotTime = ss.Next, ss.Records, ss.Bytes, ss.Deltas, ss.SnapshotTime
		s.snapshotSize = ss.SnapshotSize
		s.lastTime, s.begun, s.behind = ss.LastTime, ss.Begun, ss.Behind
	}
}
