package blob

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadBack: bytes that a medium gives back wrongly are noticed before the
// object becomes visible.
func TestReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want, err := SumOf(strings.NewReader("what was written"))
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{"what was written": true, "what was writteN": false, "what was": false, "": false} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := readBack(t.Context(), path, want)
		if ok && err != nil || !ok && !errors.Is(err, ErrMismatch) {
			t.Errorf("%q read back: %v", text, err)
		}
	}
	if err := readBack(t.Context(), path+".none", want); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
