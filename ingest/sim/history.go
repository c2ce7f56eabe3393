package sim

// kept is the history of one session's messages: the latest of them, in a ring of
// bytes and a ring of their places in it.
type kept struct {
	session     [10]byte
	first, next uint64   // the messages from first to before next are here
	places      []uint64 // by sequence; places count all bytes ever written
	data        []byte
	end         uint64 // place after the last message
}

func newKept(session [10]byte, seq uint64, messages, bytes int) *kept {
	return &kept{session: session, first: seq, next: seq, places: make([]uint64, messages), data: make([]byte, bytes)}
}

// restart forgets everything: the sequence goes on elsewhere.
func (h *kept) restart(seq uint64) { h.first, h.next = seq, seq }

// keep adds the next message, its length first; it is not longer than data.
func (h *kept) keep(block []byte) {
	size := uint64(len(h.data))
	if at := h.end % size; at+uint64(len(block)) > size {
		h.end += size - at // a message is in one piece
	}
	copy(h.data[h.end%size:], block)
	*h.place(h.next) = h.end
	h.end += uint64(len(block))
	h.next++
	for h.next-h.first > uint64(len(h.places)) || *h.place(h.first)+size < h.end {
		h.first++
	}
}

func (h *kept) place(seq uint64) *uint64 { return &h.places[seq%uint64(len(h.places))] }

// packet appends the packet of up to count messages from seq on, which is here.
func (h *kept) packet(dst []byte, seq uint64, count int) (packet []byte, messages int) {
	from := len(dst)
	dst = append(dst, h.session[:]...)
	dst = be.AppendUint64(dst, seq)
	dst = append(dst, 0, 0)
	for ; messages < count && seq < h.next; seq++ {
		b := h.data[*h.place(seq)%uint64(len(h.data)):]
		b = b[:2+be.Uint16(b)]
		if len(dst)-from+len(b) > MaxPacket {
			break
		}
		dst = append(dst, b...)
		messages++
	}
	be.PutUint16(dst[from+18:], uint16(messages))
	return dst, messages
}
