package sequence

// window holds messages that came before their turn. Its memory is given once:
// a ring of slots, found by sequence, and the messages' bytes.
//
// Bytes are appended to one of two arenas of twice the limit. When it is full,
// what is still held moves to the other one; at least half of it is then free,
// so that each byte is moved once more at most, on average.
type window struct {
	slots  []slot
	mask   uint64
	arenas [2][]byte
	cur    int // the arena in use
	used   int // bytes of it
	max    int // bytes held at most
	bytes  int // bytes held
	held   int // messages held
}

// slot is one message; seq 0 is free.
type slot struct {
	seq      uint64
	recv     int64
	at, size uint32
}

// newWindow makes a window for at least the given messages and bytes.
func newWindow(messages, bytes int) window {
	n := 1
	for n < messages {
		n *= 2
	}
	return window{
		slots: make([]slot, n), mask: uint64(n - 1),
		arenas: [2][]byte{make([]byte, 2*bytes), make([]byte, 2*bytes)}, max: bytes,
	}
}

// has tells whether message seq is held.
func (w *window) has(seq uint64) bool {
	return w.held > 0 && w.slots[seq&w.mask].seq == seq
}

// put copies a message. It is false when there is no room for it.
func (w *window) put(seq uint64, recv int64, msg []byte) bool {
	if len(w.slots) == 0 || w.bytes+len(msg) > w.max {
		return false
	}
	s := &w.slots[seq&w.mask]
	if s.seq != 0 {
		return false
	}
	if w.used+len(msg) > len(w.arenas[w.cur]) {
		w.move()
	}
	*s = slot{seq: seq, recv: recv, at: uint32(w.used), size: uint32(len(msg))}
	w.used += copy(w.arenas[w.cur][w.used:], msg)
	w.bytes += len(msg)
	w.held++
	return true
}

// move brings what is held to the other arena.
func (w *window) move() {
	from, to := w.arenas[w.cur], w.arenas[1-w.cur]
	w.used = 0
	for i := range w.slots {
		if s := &w.slots[i]; s.seq != 0 {
			n := copy(to[w.used:], from[s.at:s.at+s.size])
			s.at = uint32(w.used)
			w.used += n
		}
	}
	w.cur = 1 - w.cur
}

// take removes message seq, which is held. Its bytes are valid until the next put.
func (w *window) take(seq uint64) (recv int64, msg []byte) {
	s := &w.slots[seq&w.mask]
	recv, msg = s.recv, w.arenas[w.cur][s.at:s.at+s.size]
	w.bytes -= int(s.size)
	w.held--
	*s = slot{}
	if w.held == 0 {
		w.used = 0
	}
	return recv, msg
}

// recv gives the receive time of message seq, which is held.
func (w *window) recv(seq uint64) int64 { return w.slots[seq&w.mask].recv }
