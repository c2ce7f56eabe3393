package sequence

// The receiver's clock is the highest receive time so far: packets of two lines
// may be handed over a little out of order. A clock that was set back by more
// than backStep takes everything that is under way back with it.

const backStep = int64(1e9)

// advance moves the clock to now and does what has become due.
func (r *Receiver) advance(now int64) {
	if now > r.now {
		if r.now == 0 && r.opts.Silence > 0 {
			r.due = now
		}
		r.now = now
	} else if now < r.now-backStep {
		r.setBack(r.now - now)
	}
	if r.now >= r.due {
		r.expire()
	}
	if r.tail.first != r.tail.next && r.now-r.tail.since >= 2*restartTime { // a return to it has happened by then
		r.tellTail()
	}
}

// expire gives up the holes whose time is over, asks for others, and looks for
// silent lines.
func (r *Receiver) expire() {
	for len(r.holes) > 0 && r.deadline(&r.holes[0]) <= r.now {
		detail := r.opts.Unasked
		if len(r.opts.Servers) > 0 {
			detail = "re-request timed out"
		}
		r.giveUp(r.holes[0].seen, detail)
	}
	if r.now >= r.silenceDue || r.silenceDue == never {
		r.watch()
	}
	r.endSession()
	r.ask()
}

// deadline gives when a hole is given up. However often parts of it come, none
// that wait for it wait for longer than ten times the time it has by itself.
func (r *Receiver) deadline(h *hole) int64 {
	if r.opts.Window == 0 {
		return never // the next packet beyond it ends it
	}
	reorder, recovery := int64(r.opts.ReorderTime), int64(0)
	if len(r.opts.Servers) > 0 {
		recovery = int64(r.opts.RecoveryTime)
	}
	return min(max(h.since+reorder, h.fed)+recovery, h.born+10*(reorder+recovery))
}

// schedule sets when something is due next.
func (r *Receiver) schedule() {
	r.due = r.silenceDue
	if len(r.holes) > 0 {
		r.due = min(r.due, r.deadline(&r.holes[0]), r.recovery.due)
	}
}

// setBack takes the clock back by d.
func (r *Receiver) setBack(d int64) {
	r.now, r.warned = r.now-d, r.warned-d
	for i := range r.holes {
		h := &r.holes[i]
		h.born, h.since, h.fed = h.born-d, h.since-d, h.fed-d
	}
	for i := range r.lines {
		r.lines[i].heard -= d
	}
	for i := range r.recovery.out {
		r.recovery.out[i].sent -= d
	}
	r.tail.since -= d
	r.restart.since, r.restart.last, r.restart.alive = r.restart.since-d, r.restart.last-d, r.restart.alive-d
	if r.silenceDue != never {
		r.silenceDue -= d
	}
	r.ask()
}
