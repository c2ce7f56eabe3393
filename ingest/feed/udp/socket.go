package udp

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize    = 64 // datagrams read at once
	controlWords = 10 // room for the receive time (32 bytes) and the count of drops (24)
)

// socket reads datagrams in batches. All its memory is given at the start.
type socket struct {
	fd      int
	buf     []byte // MaxDatagram for each of a batch
	iovs    [batchSize]unix.Iovec
	headers [batchSize]unix.Mmsghdr
	control [batchSize][controlWords]uint64
	recv    [batchSize]int64

	n, at int  // datagrams read, and the next to be given
	more  bool // the last read filled the batch: there may be more

	drops   uint32 // the kernel's count
	dropped uint64 // all of them: the kernel's wraps
}

func newSocket(fd int) *socket {
	s := &socket{fd: fd, buf: make([]byte, batchSize*MaxDatagram)}
	for i := range batchSize {
		s.iovs[i].Base = &s.buf[i*MaxDatagram]
		s.iovs[i].SetLen(MaxDatagram)
		s.headers[i].Hdr.Iov = &s.iovs[i]
		s.headers[i].Hdr.SetIovlen(1)
		s.headers[i].Hdr.Control = (*byte)(unsafe.Pointer(&s.control[i]))
	}
	return s
}

// read takes what has come, without waiting. Everything read before must have
// been given.
func (s *socket) read(now func() time.Time) error {
	for i := range s.headers {
		s.headers[i].Hdr.SetControllen(controlWords * 8)
	}
	s.n, s.at, s.more = 0, 0, false
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.headers)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR, unix.ECONNREFUSED: // the last: a server is not there now
		return nil
	default:
		return fmt.Errorf("recvmmsg: %w", errno)
	}
	s.n, s.more = int(n), n == batchSize
	for i := range s.n {
		if s.recv[i] = s.ancillary(i); s.recv[i] == 0 {
			s.recv[i] = now().UnixNano()
		}
	}
	return nil
}

// data gives datagram i of the batch.
func (s *socket) data(i int) []byte {
	at := i * MaxDatagram
	return s.buf[at : at+int(s.headers[i].Len) : at+MaxDatagram]
}

// ancillary reads what the kernel says of datagram i: when it came, 0 when it does
// not say, and how many were dropped before it.
func (s *socket) ancillary(i int) (recv int64) {
	const header = unix.SizeofCmsghdr
	size := int(s.headers[i].Hdr.Controllen)
	base := unsafe.Pointer(&s.control[i])
	for at := 0; at+header <= min(size, controlWords*8); {
		h := (*unix.Cmsghdr)(unsafe.Add(base, at))
		n := int(h.Len)
		if n < header || at+n > size {
			break
		}
		data := unsafe.Add(base, at+header)
		switch {
		case h.Level != unix.SOL_SOCKET:
		case h.Type == unix.SCM_TIMESTAMPNS && n >= header+int(unsafe.Sizeof(unix.Timespec{})):
			recv = (*unix.Timespec)(data).Nano()
		case h.Type == unix.SO_RXQ_OVFL && n >= header+4:
			total := *(*uint32)(data)
			s.dropped += uint64(total - s.drops)
			s.drops = total
		}
		at += (n + 7) &^ 7
	}
	return recv
}
