package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// A consumer file, consumers/<name>, little endian, 4096 bytes:
//
//	 0 8 bytes  magic "CHRQCON1"
//	 8 8 bytes  zero
//	16 u64      the next sequence that the consumer still needs
//	24 u64      the same, every bit inverted
//	32 u64      pid of the process that registered it last
//	40 u64      the record it has processed last, 0: not told
//	48 i64      the time of that record
//	56 i64      when it told so, nanoseconds since 1970
//	64          zero
//
// It is whole and on disk before it has its name. From then on the position is
// stored into a mapping, without a system call: after a crash of the machine it is
// that of some earlier moment, which is safe, because lower. Where the two words
// disagree, the lower position counts. What is behind the pid is for people who look
// at how far it is: nothing goes by it, and files of older programs have zeros there.
const (
	consumersDir  = "consumers"
	consumerMagic = "CHRQCON1"
	consumerSize  = pageSize
	consumerHead  = 64

	consumerNext     = 16
	consumerCheck    = 24
	consumerPID      = 32
	consumerSeen     = 40
	consumerSeenTime = 48
	consumerUpdated  = 56
)

// Consumer is a registered consumer of a queue: [Retain] removes no segment that
// it still needs, however old. It belongs to one goroutine. One process at a time
// holds a consumer, by a lock that ends with the process; being registered does
// not end.
type Consumer struct {
	name string
	mem  []byte
	next uint64
}

// ConsumerInfo is what a queue knows of a consumer.
type ConsumerInfo struct {
	Name string
	Next uint64 // the next sequence it still needs; every one before it may go
	PID  int    // the process that registered it last, which may have ended

	// How far it has come with processing, by Consumer.Progress; zero if it has not told.
	// It may be ahead of Next, and behind it after a restart; a crash of the machine
	// leaves any earlier state of it.
	Seen     uint64 // the last record processed
	SeenTime int64  // of that record, as it was given; nanoseconds
	Updated  int64  // when it told so, nanoseconds since 1970
}

// RegisterConsumer registers the consumer of that name at the queue in dir, or
// takes it up again where it was left. A new one needs everything from the oldest
// record on. The name is a file name of a to z, 0 to 9, '-', '_' and '.', at most
// 64 bytes, not beginning with '.'. The queue's directory must be there.
//
// [ErrLocked]: another process holds the consumer. [ErrFull]: no space to register
// it. [ErrCorrupt]: its file is damaged; RemoveConsumer lets it begin anew.
func RegisterConsumer(dir, name string) (*Consumer, error) {
	if err := checkConsumerName(name); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("register consumer %s: %w", name, err)
	}
	if err := durable.MkdirAll(filepath.Join(dir, consumersDir), 0o755); err != nil {
		return nil, fmt.Errorf("register consumer %s of queue %s: %w", name, dir, asFull(err))
	}
	for {
		c, err := holdConsumer(dir, name)
		if err == nil {
			return c, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = durable.Create(consumerPath(dir, name), newConsumerFile(), 0o644)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) { // that one was made just now
			return nil, fmt.Errorf("register consumer %s of queue %s: %w", name, dir, asFull(err))
		}
	}
}

func consumerPath(dir, name string) string { return filepath.Join(dir, consumersDir, name) }

func checkConsumerName(name string) error {
	other := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
	if name == "" || len(name) > 64 || name[0] == '.' || other >= 0 {
		return fmt.Errorf("consumer name %q: give 1 to 64 of a-z, 0-9, '-', '_', '.', not beginning with '.'", name)
	}
	return nil
}

func newConsumerFile() []byte {
	b := make([]byte, consumerSize)
	copy(b, consumerMagic)
	putPosition(b, 1)
	return b
}

func putPosition(b []byte, next uint64) {
	le.PutUint64(b[consumerNext:], next)
	le.PutUint64(b[consumerCheck:], ^next)
}

// parseConsumer reads the beginning of a consumer file.
func parseConsumer(b []byte) (ConsumerInfo, error) {
	if len(b) < consumerHead || string(b[:8]) != consumerMagic {
		return ConsumerInfo{}, fmt.Errorf("no consumer file, or damaged: remove the consumer and register it again: %w", ErrCorrupt)
	}
	return ConsumerInfo{
		Next: max(1, min(le.Uint64(b[consumerNext:]), ^le.Uint64(b[consumerCheck:]))),
		PID:  int(int32(le.Uint64(b[consumerPID:]))),

		Seen:     le.Uint64(b[consumerSeen:]),
		SeenTime: int64(le.Uint64(b[consumerSeenTime:])),
		Updated:  int64(le.Uint64(b[consumerUpdated:])),
	}, nil
}

func readConsumer(r io.ReaderAt) (ConsumerInfo, error) {
	b := make([]byte, consumerHead)
	n, err := r.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return ConsumerInfo{}, err
	}
	return parseConsumer(b[:n])
}

// lockConsumer opens the file and takes its lock. It is fs.ErrNotExist if the file
// has lost its name meanwhile.
func lockConsumer(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(consumerPath(dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		info, _ := readConsumer(f)
		return nil, errors.Join(&LockedError{Dir: dir, Consumer: name, PID: info.PID}, f.Close())
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &st)
	}
	if err == nil && st.Nlink == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// holdConsumer maps a consumer's file. Like the writer's, the lock stays with the
// mapping when the descriptor is closed.
func holdConsumer(dir, name string) (*Consumer, error) {
	f, err := lockConsumer(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := readConsumer(f)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || st.Size() < consumerSize {
		return nil, errors.Join(fmt.Errorf("consumer file cut short: remove the consumer and register it again: %w", ErrCorrupt), err)
	}
	mem, err := mapFile(f, consumerSize, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	c := &Consumer{name: name, mem: mem}
	c.store(info.Next)
	storeCount(mem, consumerPID, uint64(os.Getpid()))
	return c, nil
}

// store makes next the position. Between the two stores the lower one counts.
func (c *Consumer) store(next uint64) {
	c.next = next
	storeCount(c.mem, consumerNext, next)
	storeCount(c.mem, consumerCheck, ^next)
}

// Name gives the name it is registered by.
func (c *Consumer) Name() string { return c.name }

// Next gives the next sequence that the consumer needs.
func (c *Consumer) Next() uint64 { return c.next }

// Passed says that the consumer will never again need record seq and the ones
// before it. Call it only when what was made of them is durable: they may be gone
// the next moment. It costs two stores, and never goes back. After Close it does
// nothing.
func (c *Consumer) Passed(seq uint64) {
	if c.mem != nil && seq >= c.next && seq < math.MaxUint64 {
		c.store(seq + 1)
	}
}

// Rewind says that the consumer needs record next and the ones after it, again. Of
// those only the ones that are still in the queue can be had. After Close it does
// nothing.
func (c *Consumer) Rewind(next uint64) {
	if c.mem != nil && next < c.next {
		c.store(max(next, 1))
	}
}

// Progress tells whoever looks at the consumer ([Consumers]) that it has processed
// record seq, of the given time. It is no promise, and nothing is kept for it or
// removed by it: that is for Passed. It costs a look at the clock and three stores; a
// call for each batch of records is enough. After Close it does nothing.
func (c *Consumer) Progress(seq uint64, at int64) {
	if c.mem == nil {
		return
	}
	storeCount(c.mem, consumerSeen, seq)
	storeCount(c.mem, consumerSeenTime, uint64(at))
	storeCount(c.mem, consumerUpdated, uint64(time.Now().UnixNano()))
}

// Close gives the consumer up to whoever registers it next. It stays registered.
func (c *Consumer) Close() error {
	mem := c.mem
	c.mem = nil
	if mem == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}
