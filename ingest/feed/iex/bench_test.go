package iex

import (
	"encoding/hex"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/store/queue"
)

// nowhere is a queue that keeps nothing.
type nowhere struct{ body [4096]byte }

func (n *nowhere) Reserve(size int) ([]byte, error)         { return n.body[:size], nil }
func (n *nowhere) Commit(queue.Record, int) (uint64, error) { return 0, nil }

// traffic is what each feed sends most of.
var traffic = map[*Feed][]string{
	Deep:     {levelBuy, "3500" + levelSell[4:], levelSell, tradeIBKR, statusZCMD},
	Tops:     {quoteATSG, tradeIBKR, liquidity},
	DeepPlus: {addIBKR, modifyIBKR, executedIBKR, deleteIBKR, tradeIBKR, clearIBKR, statusZCMD},
}

func decoded(messages []string) (out [][]byte) {
	for _, m := range messages {
		b, err := hex.DecodeString(m)
		if err != nil {
			panic(err)
		}
		out = append(out, b)
	}
	return out
}

func nowhereDecoder(feed *Feed) *Decoder {
	return NewDecoder(emit.New(&nowhere{}, &emit.Counters{}, emit.Options{Venue: "iex"}), feed)
}

func BenchmarkDecoder(b *testing.B) {
	for feed, messages := range traffic {
		b.Run(feed.Name, func(b *testing.B) {
			d, all := nowhereDecoder(feed), decoded(messages)
			b.ReportAllocs()
			for seq := uint64(1); b.Loop(); seq++ {
				d.Message(int64(seq), seq, all[seq%uint64(len(all))])
			}
		})
	}
}

func TestDecoderDoesNotAllocate(t *testing.T) {
	for feed, messages := range traffic {
		d, all, seq := nowhereDecoder(feed), decoded(messages), uint64(0)
		round := func() {
			for _, m := range all {
				seq++
				d.Message(int64(seq), seq, m)
			}
		}
		round() // defines the instruments
		if allocs := testing.AllocsPerRun(100, round); allocs != 0 {
			t.Errorf("%s: %v allocations in %d messages, want 0", feed.Name, allocs, len(all))
		}
	}
}
