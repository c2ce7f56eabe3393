package queue

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestKeys: the keys of a segment, live and sealed, are those that a walk over
// all of its records finds.
func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	w := open(t, dir, Options{NoSync: true})
	defer w.Close()
	check := func(state string) {
		t.Helper()
		files, err := ListSegments(dir)
		must(t, err)
		s, err := OpenSegment(files[0].Path)
		must(t, err)
		defer s.Close()
		var want, got []uint64
		for c := s.Cursor(); ; {
			r, err := c.Next()
			if err != nil {
				break
			}
			if r.Key() {
				want = append(want, r.Seq)
			}
		}
		for r, err := range s.Keys() {
			must(t, err)
			got = append(got, r.Seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: keys %v, want %v", state, got, want)
		}
	}
	for i := range 5000 {
		r := sample(i)
		r.Flags &^= FlagKey
		if i%701 == 3 || i >= 3000 && i < 3010 || i == 4999 {
			r.Flags |= FlagKey
		}
		_, err := w.Append(r)
		must(t, err)
		if i < 5 || i%1000 == 999 {
			check("live")
		}
	}
	must(t, w.Roll())
	check("sealed")
}
