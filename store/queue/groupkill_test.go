package queue

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const killedQueues = 12

func killedDir(root string, i int) string { return filepath.Join(root, fmt.Sprint(i), "book.q") }

// childGroup writes the series to the queues of a group without end: it rolls, syncs
// and seals. It tells on standard output, in two words of eight bytes, the queue and the
// sequence of each record that Commit has returned.
func childGroup(root string) int {
	if err := writeGroup(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func writeGroup(root string) error {
	g := NewGroup(GroupOptions{MaxOpen: 5})
	g.whole = 8
	members := make([]*Member, killedQueues)
	for i := range members {
		var err error
		if members[i], err = g.Open(killedDir(root, i), Options{ManualRoll: true}); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	out := bufio.NewWriterSize(os.Stdout, 16)
	for {
		i := rng.IntN(killedQueues)
		m := members[i]
		for range rng.IntN(8) {
			r := sample(int(m.NextSeq()) - 1)
			p, err := m.Reserve(len(r.Body))
			if err != nil {
				return err
			}
			copy(p, r.Body)
			seq, err := m.Commit(r, len(p))
			if err == nil {
				err = binary.Write(out, binary.LittleEndian, [2]uint64{uint64(i), seq})
			}
			if err != nil {
				return err
			}
		}
		var err error
		switch rng.IntN(60) {
		case 0, 1, 2, 3:
			err = m.Roll()
		case 4:
			err = g.Sync()
		case 5:
			err = g.Seal()
		}
		if err != nil {
			return err
		}
	}
}

// TestKillGroup kills a process that writes a group, at random moments. What it had
// acknowledged is there, in every queue, and nothing is cut.
func TestKillGroup(t *testing.T) {
	root := fastDir(t)
	rng := rand.New(rand.NewPCG(3, 4))
	seen := make([]uint64, killedQueues)
	for round := range 4 * soak() {
		acked := killGroup(t, root, 200+rng.IntN(4000))
		g := NewGroup(GroupOptions{MaxOpen: 3})
		for i := range killedQueues {
			dir := killedDir(root, i)
			if !exists(dir) {
				continue
			}
			got := readAll(t, dir, 0)
			wantSeries(t, got, 0, len(got))
			if n := uint64(len(got)); n < max(acked[i], seen[i]) {
				t.Fatalf("round %d, queue %d: %d records, %d were acknowledged", round, i, n, acked[i])
			}
			seen[i] = uint64(len(got))
			m, err := g.Open(dir, Options{ManualRoll: true})
			must(t, err)
			if r := m.Recovery(); r.LostRecords != 0 || r.LastSeq != seen[i] || len(r.SetAside)+len(r.Sealed) != 0 {
				t.Fatalf("round %d, queue %d: recovery %+v, read %d", round, i, r, seen[i])
			}
		}
		if round%2 == 0 {
			must(t, g.Sync())
			must(t, g.Seal())
		}
		must(t, g.Close())
		for i := range killedQueues {
			verifyAll(t, killedDir(root, i))
		}
	}
}

// killGroup runs a writing child until it has acknowledged n records, kills it, and
// gives the last sequence that it has acknowledged of each queue.
func killGroup(t *testing.T, root string, n int) []uint64 {
	t.Helper()
	cmd := child("group-until-killed", root)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	in := bufio.NewReader(out)
	acked := make([]uint64, killedQueues)
	for k := 0; ; k++ {
		var ack [2]uint64
		if err := binary.Read(in, binary.LittleEndian, &ack); err != nil {
			break
		}
		if acked[ack[0]] = ack[1]; k == n {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); !isKilled(err) {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	if slices.Max(acked) == 0 {
		t.Fatal("nothing was written")
	}
	return acked
}
