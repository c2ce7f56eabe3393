package backend_test

import (
	"errors"
	"testing"

	"chronicle/query"
	"chronicle/server/backend"
	"chronicle/server/internal/fake"
)

func code(err error) query.Code {
	var q *query.Error
	if errors.As(err, &q) {
		return q.Code
	}
	return ""
}

func TestLimit(t *testing.T) {
	archive := &fake.Archive{}
	a := backend.Limit(archive, 2)
	ask := query.RangeRequest{Schema: "trades", Symbols: []string{fake.BTC}}
	first, err := a.Range(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.Range(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Range(t.Context(), ask); code(err) != query.ResourceExhausted {
		t.Errorf("a third range: %v", err)
	}
	if _, err := a.BookAt(t.Context(), query.BookRequest{Symbol: fake.BTC, At: fake.Base, Depth: 1}); code(err) != query.ResourceExhausted {
		t.Errorf("a book beside two ranges: %v", err)
	}
	if _, err := a.Symbols(t.Context()); err != nil {
		t.Errorf("the list of symbols is not limited: %v", err)
	}
	first.Release()
	for range 5 { // each gives its slot back
		if _, err := a.BookAt(t.Context(), query.BookRequest{Symbol: fake.BTC, At: fake.Base, Depth: 1}); err != nil {
			t.Error(err)
		}
		if _, err := a.Range(t.Context(), query.RangeRequest{Symbols: []string{"nothing"}}); code(err) != query.NotFound {
			t.Errorf("unknown symbol: %v", err)
		}
	}
	second.Release()
	if archive.Open.Load() != 0 {
		t.Errorf("%d ranges are open", archive.Open.Load())
	}
}
