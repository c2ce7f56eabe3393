package main

import (
	"strings"
	"testing"

	"chronicle/bench/flow"
	"chronicle/market"
)

// TestRefineryQuick runs the refinery's benchmarks over a little flow: the ETL and
// the books accept all of it, and each says something.
func TestRefineryQuick(t *testing.T) {
	for name, f := range map[string]flow.Flow{"L3": flow.NewL3(5, 500, 1), "L2": flow.NewL2(2, 50, 1)} {
		rows, err := refine(t.Context(), t.TempDir(), name, "changes", 500, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 4 || !strings.Contains(rows[0].value, "records/s of a core") || !strings.Contains(rows[3].value, "changes/s") {
			t.Errorf("%s: %+v", name, rows)
		}
	}
	rows, err := latency(t.Context(), t.TempDir(), 5_000, flow.NewL3(5, 500, 1))
	if err != nil || len(rows) != 1 || !strings.Contains(rows[0].value, "p99.9") {
		t.Errorf("latency: %+v, %v", rows, err)
	}
}

// TestRefineryNoticesWrongBooks: what a book refuses is an error, not a good figure.
func TestRefineryNoticesWrongBooks(t *testing.T) {
	_, err := refine(t.Context(), t.TempDir(), "L3", "changes", 10, &wrong{L3: flow.NewL3(2, 100, 1)})
	if err == nil || !strings.Contains(err.Error(), "refuses") {
		t.Errorf("a flow that cancels what does not rest: %v", err)
	}
}

// wrong is a flow in which an order is cancelled that does not rest.
type wrong struct {
	*flow.L3
	made int
}

// Next implements flow.Flow.
func (w *wrong) Next(ev *market.BookEvent) (uint32, market.Kind) {
	id, kind := w.L3.Next(ev)
	if w.made++; w.made == w.Opening()+5 {
		ev.Entries = append(ev.Entries[:0], market.Entry{OrderID: 1 << 60, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel})
	}
	return id, kind
}
