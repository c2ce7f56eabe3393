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
	"slices"
	"time"

	"chronicle/internal/durable"
	"chronicle/market"
	"chronicle/store/queue"
)

// checkpointMagic begins the file; then a CRC-32C of the rest, then the state in
// gob. The last digit is the version: an unknown one is not read.
const checkpointMagic = "CHRETL02"

// state is the pipeline after raw record RawSeq: everything that decides what
// comes next, but for the books, which are in the clean streams (restore.go) or,
// between two segments, in the carry (carry.go).
type state struct {
	RawSeq      uint64
	RawID       string
	Rolled      int64
	RollReset   bool
	Source      sourceMark
	Remake      uint64
	Policy      Policy
	Groups      []PolicyGroup
	Shards      []Shard
	Shard       string
	Bindings    []bindingState
	Channels    map[string]channel
	Instruments []instrumentState
}

type bindingState struct {
	ID         uint32
	Instrument int // place in Instruments; -1 for another shard's
	Body       []byte
}

type instrumentState struct {
	Def                        market.Definition
	Bad, Waiting, Fresh, Clear bool
	Seq                        uint64
	LastEvent, LastRecv        int64
	Pending                    []pendingEvent
	Carried                    uint64
	Streams                    [streamCount]streamState
}

// streamState has Next 0 for a stream that does not exist.
type streamState struct {
	Next, Records uint64
	Bytes         int64
	Deltas        int
	SnapshotSeq   uint64
	SnapshotTime  int64
	SnapshotSize  int
	LastTime      int64
	OldTime       int64
	Begun, Behind bool
}

// Checkpoint makes the raw queue up to here and all streams durable and then
// replaces the checkpoint. When it returns without error a restart begins here,
// and the raw queue may forget what came before; the segments that were cut
// before it are now sealed in the background. It is refused after a failure inside
// a record, whose effects are neither all there nor all absent.
func (e *ETL) Checkpoint() error {
	if e.failed != nil {
		return fmt.Errorf("checkpoint: %w", e.failed)
	}
	began := time.Now()
	if err := e.checkpoint(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.sinceCheckpoint, e.checkpointed = 0, time.Now()
	e.n.Checkpoint, e.n.CheckpointTime, e.n.CheckpointTook = e.rawSeq, e.checkpointed.UnixNano(), e.checkpointed.Sub(began)
	e.passed.Passed(e.rawSeq)
	e.ahead.look(e.instruments)
	e.publish()
	return nil
}

// checkpoint does, in this order: raw queue, streams and carried books durable;
// the checkpoint, its commit point; the sealing of what was cut before it.
func (e *ETL) checkpoint() error {
	if !e.cfg.NoSync {
		if err := queue.SyncTo(e.cfg.RawDir, e.rawSeq); err != nil {
			return fmt.Errorf("sync the raw queue: %w", err)
		}
	}
	if err := e.carryBooks(); err != nil {
		return err
	}
	if err := e.group.Sync(); err != nil {
		return fmt.Errorf("sync the clean streams: %w", err)
	}
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(e.state()); err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32([]byte(checkpointMagic), crc32.Checksum(body.Bytes(), castagnoli))
	if err := durable.WriteFile(e.checkpointPath(), append(head, body.Bytes()...), 0o644); err != nil {
		return err
	}
	if err := e.group.Seal(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return e.carry.forget(e.oldestCarried())
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (e *ETL) checkpointPath() string { return filepath.Join(e.cfg.StateDir, "checkpoint") }

func (e *ETL) state() *state {
	st := &state{
		RawSeq: e.rawSeq, RawID: e.rawID, Rolled: e.rolled, RollReset: e.rollReset, Source: e.source, Remake: e.remake,
		Policy: e.policies.base, Groups: e.policies.groups, Shards: e.cfg.Shards, Shard: e.cfg.Shard,
		Channels: map[string]channel{},
	}
	places := make(map[*instrument]int, len(e.instruments))
	for i, inst := range e.instruments {
		places[inst] = i
		st.Instruments = append(st.Instruments, inst.state())
	}
	places[foreign] = -1
	for id, body := range e.ids.bodies {
		st.Bindings = append(st.Bindings, bindingState{ID: id, Instrument: places[e.ids.get(id)], Body: body})
	}
	for key, ch := range e.channels {
		st.Channels[key] = *ch
	}
	return st
}

func (inst *instrument) state() instrumentState {
	st := instrumentState{
		Def: inst.def, Bad: inst.bad, Waiting: inst.waiting, Fresh: inst.fresh, Clear: inst.clear, Seq: inst.seq,
		LastEvent: inst.lastEvent, LastRecv: inst.lastRecv, Pending: inst.pending, Carried: inst.carried,
	}
	for i, s := range inst.streams {
		if s != nil {
			st.Streams[i] = streamState{Next: s.next, Records: s.records, Bytes: s.bytes, Deltas: s.deltas,
				SnapshotSeq: s.snapshotSeq, SnapshotTime: s.snapshotTime, SnapshotSize: s.snapshotSize,
				LastTime: s.lastTime, OldTime: s.oldTime, Begun: s.begun, Behind: s.behind}
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
	if err := e.sameShards(st); err != nil {
		return false, fmt.Errorf("checkpoint %s: %w", e.checkpointPath(), err)
	}
	return true, e.resume(st)
}

// sameShards refuses the state of another division of the instruments: what was
// in another shard would be missing here.
func (e *ETL) sameShards(st *state) error {
	same := st.Shard == e.cfg.Shard && slices.EqualFunc(st.Shards, e.cfg.Shards, func(a, b Shard) bool {
		return a.Name == b.Name && slices.Equal(a.Symbols, b.Symbols)
	})
	if same {
		return nil
	}
	return fmt.Errorf("it was made with the shards %v as shard %q, now they are %v and %q: go back to the old ones, or begin anew in another root: %w",
		st.Shards, st.Shard, e.cfg.Shards, e.cfg.Shard, ErrShards)
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

// resume makes the pipeline what it was at the checkpoint.
func (e *ETL) resume(st *state) error {
	p, err := newPolicies(st.Policy, st.Groups)
	if err != nil {
		return err
	}
	e.enforce(p)
	e.rawSeq, e.rawID, e.rollReset, e.source, e.remake = st.RawSeq, st.RawID, st.RollReset, st.Source, st.Remake
	if e.rolled = st.Rolled; e.rolled > 0 {
		e.rollAt = p.nextRoll(e.rolled)
	}
	for key, ch := range st.Channels {
		e.channels[key] = &channel{Bad: ch.Bad}
	}
	for i := range st.Instruments {
		e.resumeInstrument(&st.Instruments[i])
	}
	for _, b := range st.Bindings {
		inst := foreign
		if b.Instrument >= 0 {
			inst = e.instruments[b.Instrument]
		}
		e.ids.set(b.ID, inst, b.Body)
	}
	return nil
}

func (e *ETL) resumeInstrument(st *instrumentState) {
	inst := e.newInstrument(st.Def)
	inst.bad, inst.waiting, inst.fresh, inst.clear, inst.seq = st.Bad, st.Waiting, st.Fresh, st.Clear, st.Seq
	inst.lastEvent, inst.lastRecv, inst.pending = st.LastEvent, st.LastRecv, st.Pending
	inst.book, inst.carried = nil, st.Carried
	for i, ss := range st.Streams {
		if ss.Next == 0 {
			continue
		}
		s := e.stream(inst, i)
		s.next, s.records, s.bytes, s.deltas = ss.Next, ss.Records, ss.Bytes, ss.Deltas
		s.snapshotSeq, s.snapshotTime, s.snapshotSize = ss.SnapshotSeq, ss.SnapshotTime, ss.SnapshotSize
		s.lastTime, s.oldTime, s.begun, s.behind = ss.LastTime, ss.OldTime, ss.Begun, ss.Behind
	}
}
