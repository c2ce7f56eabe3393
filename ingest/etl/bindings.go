package etl

// foreign stands for every instrument of another shard.
var foreign = new(instrument)

// bindings tell what the ids of the raw queue stand for: an instrument, or
// foreign. Venues number their instruments densely; ids that are far out are kept
// in a map. The table is looked into for each record and holds nothing else.
type bindings struct {
	dense  []*instrument // by id; nil where none was defined
	sparse map[uint32]*instrument
	bodies map[uint32][]byte // of the definition records
}

// denseIDs bounds the table of dense ids: 512 KiB.
const denseIDs = 1 << 16

// get gives what an id stands for; nil when it was not defined.
func (b *bindings) get(id uint32) *instrument {
	if id < uint32(len(b.dense)) {
		return b.dense[id]
	}
	return b.sparse[id]
}

func (b *bindings) set(id uint32, inst *instrument, body []byte) {
	if b.bodies == nil {
		b.sparse, b.bodies = map[uint32]*instrument{}, map[uint32][]byte{}
	}
	b.bodies[id] = body
	if id >= denseIDs {
		b.sparse[id] = inst
		return
	}
	for uint32(len(b.dense)) <= id {
		b.dense = append(b.dense, nil)
	}
	b.dense[id] = inst
}

func (b *bindings) clear() {
	clear(b.dense)
	clear(b.sparse)
	clear(b.bodies)
}
