package sequence_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/moldudp"
	"chronicle/ingest/feed/sequence"
	"chronicle/market"
)

const endOfSession = 0xffff

// ms is a millisecond of receive time.
const ms = int64(time.Millisecond)

// packet makes a packet of the messages "m<seq>" from seq on.
func packet(session string, seq uint64, count int) []byte {
	return packetOf(session, "m", seq, count)
}

// packetOf makes a packet whose messages begin with a word.
func packetOf(session, word string, seq uint64, count int) []byte {
	b := append([]byte(fmt.Sprintf("%-10s", session)), make([]byte, 10)...)
	binary.BigEndian.PutUint64(b[10:], seq)
	binary.BigEndian.PutUint16(b[18:], uint16(count))
	for i := range count {
		if count == endOfSession {
			break
		}
		msg := fmt.Sprint(word, seq+uint64(i))
		b = binary.BigEndian.AppendUint16(b, uint16(len(msg)))
		b = append(b, msg...)
	}
	return b
}

// heard notes the messages that a receiver hands on.
type heard struct {
	seqs     []uint64
	words    []string
	recvs    []int64
	sessions int
}

func (h *heard) Message(recv int64, seq uint64, msg []byte) {
	if seq != 0 && strings.TrimLeft(string(msg), "abcdefghijklmnopqrstuvwxyz") != fmt.Sprint(seq) {
		panic("message " + string(msg) + " handed on as " + fmt.Sprint(seq))
	}
	h.seqs = append(h.seqs, seq)
	h.words = append(h.words, string(msg))
	h.recvs = append(h.recvs, recv)
}

func (h *heard) NewSession() { h.sessions++ }

// bench is a receiver and what comes of it.
type bench struct {
	t     *testing.T
	r     *sequence.Receiver
	q     *emittest.Queue
	c     *emit.Counters
	h     *heard
	asked []string // "server first+count"
}

func newBench(t *testing.T, opts sequence.Options) *bench {
	t.Helper()
	b := &bench{t: t, q: &emittest.Queue{}, c: &emit.Counters{}, h: &heard{}}
	opts.Channel = "itch"
	if len(opts.Servers) > 0 {
		opts.Ask = b.ask
	}
	b.r = sequence.NewReceiver(emit.New(b.q, b.c, emit.Options{Venue: "xnas"}), moldudp.Protocol{}, b.h, opts)
	return b
}

func (b *bench) ask(server int, p []byte) error {
	b.asked = append(b.asked, fmt.Sprintf("%d %d+%d", server, binary.BigEndian.Uint64(p[10:]), binary.BigEndian.Uint16(p[18:])))
	return nil
}

// requests gives what was asked for since the last call.
func (b *bench) requests() string {
	out := strings.Join(b.asked, ", ")
	b.asked = nil
	return out
}

// said tells what the records but the first say: gaps and sessions.
func (b *bench) said() string {
	b.t.Helper()
	if err := b.q.Check(); err != nil {
		b.t.Fatal(err)
	}
	var said []string
	for _, rec := range b.q.Records[min(1, len(b.q.Records)):] {
		switch market.Kind(rec.Kind) {
		case market.KindGap:
			g, _ := market.DecodeJSON[market.Gap](rec.Body)
			text := fmt.Sprintf("%s %d-%d", g.Cause, g.FirstSeq, g.LastSeq)
			if g.Session != "" {
				text += fmt.Sprintf(" of %q", g.Session)
			}
			said = append(said, text)
		case market.KindSession:
			s, _ := market.DecodeJSON[market.Session](rec.Body)
			said = append(said, fmt.Sprintf("%s %q", s.Event, s.Session))
		}
	}
	return strings.Join(said, "; ")
}

func (b *bench) gaps() []market.Gap {
	b.t.Helper()
	gaps, err := emittest.JSON[market.Gap](b.q)
	if err != nil {
		b.t.Fatal(err)
	}
	return gaps
}

// want holds what the records say and which messages were handed on, "1-5,8".
func (b *bench) want(said, seqs string) {
	b.t.Helper()
	if got := b.said(); got != said {
		b.t.Errorf("records say %s, want %s", got, said)
	}
	if got := ranges(b.h.seqs); got != seqs {
		b.t.Errorf("messages %s were handed on, want %s", got, seqs)
	}
}

// ranges writes sequences as "1-5,8".
func ranges(seqs []uint64) string {
	var out []string
	for i := 0; i < len(seqs); {
		j := i
		for j+1 < len(seqs) && seqs[j+1] == seqs[j]+1 {
			j++
		}
		if i == j {
			out = append(out, fmt.Sprint(seqs[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", seqs[i], seqs[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ",")
}

func newReceiver(q emit.Queue, to sequence.Messages, opts sequence.Options) *sequence.Receiver {
	return sequence.NewReceiver(emit.New(q, &emit.Counters{}, emit.Options{Venue: "v"}), moldudp.Protocol{}, to, opts)
}
