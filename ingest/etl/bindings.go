package etl

// binding is what an id of the raw queue stands for.
type binding struct {
	inst *instrument // nil: another shard's
	body []byte      // of the definition record
}

// bindings finds them by id. Venues number their instruments densely; ids that
// are far out are kept in a map.
type bindings struct {
	dense  []*binding
	sparse map[uint32]*binding
}

// denseIDs bounds the table of dense ids: 512 KiB.
const denseIDs = 1 << 16

// get gives what an id stands for; nil when it was not defined.
func (b *bindings) get(id uint32) *binding {
	if id < uint32(len(b.dense)) {
		return b.dense[id]
	}
	return b.sparse[id]
}

func (b *bindings) set(id uint32, x binding) {
	if id >= denseIDs {
		if b.sparse == nil {
			b.sparse = map[uint32]*binding{}
		}
		b.sparse[id] = &x
		return
	}
	for uint32(len(b.dense)) <= id {
		b.dense = append(b.dense, nil)
	}
	b.dense[id] = &x
}

// all calls f with each.
func (b *bindings) all(f func(id uint32, x *binding)) {
	for id, x := range b.dense {
		if x != nil {
			f(uint32(id), x)
		}
	}
	for id, x := range b.sparse {
		f(id, x)
	}
}

func (b *bindings) clear() {
	clear(b.dense)
	clear(b.sparse)
}
