package audit

import (
	"slices"

	"chronicle/book/audit"
	"chronicle/market"
)

// checker gives the checker for a type of book.
func (a *Auditor) checker(t market.BookType) *audit.Checker {
	c := a.checkers[t]
	if c == nil {
		c = audit.New(a.found)
		a.checkers[t] = c
	}
	return c
}

// took counts what a checker has done since before.
func (a *Auditor) took(now, before audit.Stats) {
	a.count(func(st *Stats) {
		st.Records += now.Records - before.Records
		st.Snapshots += now.Snapshots - before.Snapshots
	})
}

// found takes a finding in the stream at hand.
func (a *Auditor) found(f *audit.Finding) {
	s := a.at
	if f.At.Seq <= a.known {
		return // told at an earlier visit
	}
	log := a.log.With("symbol", s.id.String(), "finding", f.Kind, "seq", f.At.Seq, "raw_seq", f.At.RawSeq, "ts_recv", f.At.Time,
		"proved_seq", f.Since.Seq, "proved_raw_seq", f.Since.RawSeq, "expected", f.Want, "found", f.Got)
	if f.Kind.Harmless() {
		a.count(func(st *Stats) { st.Unmarked++ })
		log.Warn("a book is called bad, and no gap marker says why")
		return
	}
	a.count(func(st *Stats) { st.Mismatches++ })
	if a.ledger.covers(s.id, f.At.Seq) || a.isWaiting(s.id) {
		return
	}
	log.Error("a clean book stream does not prove its books: they are called degraded until the next venue snapshot or new session")
	row := audit.NewRow(s.id.Venue, s.id.Symbol, f)
	a.write(&row)
}

// isWaiting tells whether a row of the instrument could not be written yet and is open.
func (a *Auditor) isWaiting(id market.SymbolID) bool {
	return slices.ContainsFunc(a.waiting, func(r audit.Row) bool { return r.Venue == id.Venue && r.Symbol == id.Symbol && r.Open() })
}

// isWaitingFor tells whether a later line of the row could not be written yet.
func (a *Auditor) isWaitingFor(row *audit.Row) bool {
	return slices.ContainsFunc(a.waiting, func(r audit.Row) bool { return r.Key() == row.Key() })
}

// write adds a row to the ledger, now or as soon as that can be done.
func (a *Auditor) write(r *audit.Row) {
	if err := a.ledger.add(r); err != nil {
		a.log.Error("a row of the ledger cannot be written: trying again", "error", err, "row", string(r.Line()))
		a.waiting = append(a.waiting, *r)
		return
	}
	a.count(func(st *Stats) { st.Open = a.ledger.open })
}

// retry writes the rows that wait.
func (a *Auditor) retry() {
	rows := a.waiting
	a.waiting = nil
	for i := range rows {
		a.write(&rows[i])
	}
}

// heal closes the open rows of a stream whose book was proved anew after them.
func (a *Auditor) heal(s *stream, proof audit.Mark) {
	heals := func(r *audit.Row) bool { return r.Open() && r.LastSeq < proof.Seq }
	close := func(r *audit.Row) {
		r.ProvedSeq, r.ProvedRawSeq, r.ProvedTime = proof.Seq, proof.RawSeq, proof.Time
	}
	for i := range a.waiting {
		if r := &a.waiting[i]; r.Venue == s.id.Venue && r.Symbol == s.id.Symbol && heals(r) {
			close(r)
		}
	}
	for _, r := range a.ledger.rows[s.id] { // copies: write changes the list
		if heals(&r) && !a.isWaitingFor(&r) {
			close(&r)
			a.log.Info("a book is proved again", "symbol", s.id.String(), "since_seq", r.FirstSeq, "proved_seq", proof.Seq)
			a.write(&r)
		}
	}
}
