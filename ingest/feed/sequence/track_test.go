package sequence

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTrack holds a line's counts against a set of what it has brought.
func TestTrack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr track
		had := make(map[uint64]bool)
		base, high, lost := uint64(0), uint64(0), uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "packets") {
			near := max(high, 200)
			first := rapid.OneOf(rapid.Uint64Range(near-199, near+50), rapid.Just(near), rapid.Uint64Range(near, near+3*trackSize)).Draw(t, "first")
			end := first + rapid.Uint64Range(0, 80).Draw(t, "count")
			if base == 0 {
				base, high = first, first
			}
			var again uint64
			for seq := first; seq < end; seq++ {
				if had[seq] {
					again++
				}
				had[seq] = true
			}
			gotAgain, gotLost, gotFound := tr.add(first, end)
			lost += gotLost - gotFound
			high = max(high, first, end)
			missing := high - base
			for seq := range had {
				if seq >= base {
					missing--
				}
			}
			if gotAgain > again || lost != missing {
				t.Fatalf("packet %d-%d: %d came again, want %d; %d lost, want %d", first, end, gotAgain, again, lost, missing)
			}
		}
	})
}

// What is further back than the track reaches counts as a repetition.
func TestTrackReachesBackSoFar(t *testing.T) {
	var tr track
	tr.add(1, 2)
	tr.add(trackSize+2, trackSize+3)
	if again, _, found := tr.add(2, 4); again != 1 || found != 1 {
		t.Errorf("%d came again and %d were found, want one each", again, found)
	}
}

// TestWindowKeepsWhatItTakes holds a window against a map.
func TestWindowKeepsWhatItTakes(t *testing.T) {
	type message struct {
		recv int64
		text string
	}
	rapid.Check(t, func(t *rapid.T) {
		size, bytes := rapid.IntRange(1, 16).Draw(t, "size"), rapid.IntRange(1, 100).Draw(t, "bytes")
		w := newWindow(size, bytes)
		held, total := make(map[uint64]message), 0
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			seq := rapid.Uint64Range(1, 40).Draw(t, "seq")
			if m, ok := held[seq]; ok {
				recv, text := w.take(seq)
				if recv != m.recv || string(text) != m.text {
					t.Fatalf("message %d is %d %q, want %+v", seq, recv, text, m)
				}
				total -= len(m.text)
				delete(held, seq)
				continue
			}
			text := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 30, -1).Draw(t, "text")
			free := !slices.ContainsFunc(w.slots, func(s slot) bool { return s.seq != 0 && s.seq&w.mask == seq&w.mask })
			if got, want := w.put(seq, int64(seq), []byte(text)), free && total+len(text) <= bytes; got != want {
				t.Fatalf("put of %d bytes: %v, want %v with %d held", len(text), got, want, total)
			} else if got {
				held[seq], total = message{int64(seq), text}, total+len(text)
			}
			if w.held != len(held) || w.bytes != total || !w.has(seq) && held[seq].recv != 0 {
				t.Fatalf("%d messages of %d bytes are held, want %d of %d", w.held, w.bytes, len(held), total)
			}
		}
	})
}
