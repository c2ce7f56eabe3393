package exchangetest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"
)

// hugeBytes is the size of the frame that Options.HugeFrameAt asks for.
const hugeBytes = 10 << 20

// fault is what goes wrong with one frame.
type fault struct{ drop, repeat, reorder, cut, stall, huge, garbage bool }

// plan decides what goes wrong, by the seed alone.
func plan(n int, o *Options) []fault {
	r := rand.New(rand.NewPCG(o.Seed, 0x5eed))
	faults := make([]fault, n)
	hit := func(every int) bool { return r.Uint64()%uint64(max(every, 1)) == 0 && every > 0 }
	for i := range faults {
		faults[i] = fault{
			drop: hit(o.DropEvery), repeat: hit(o.RepeatEvery), reorder: hit(o.ReorderEvery), garbage: hit(o.GarbageEvery),
			cut: slices.Contains(o.DisconnectAfter, i+1), stall: slices.Contains(o.StallAfter, i+1), huge: o.HugeFrameAt == i+1,
		}
	}
	return faults
}

// run lets time pass.
func (x *Exchange) run() {
	defer x.wg.Done()
	for x.next() {
		if x.opts.Interval > 0 {
			time.Sleep(x.opts.Interval)
		}
	}
}

// next waits until time may pass and lets one frame pass; false at the end.
func (x *Exchange) next() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.closed && x.pos < len(x.frames) && !x.mayPass() {
		x.cond.Wait()
	}
	if x.closed {
		return false
	}
	if x.pos < len(x.frames) {
		x.advance()
		return true
	}
	for _, c := range x.conns {
		c.flush()
	}
	x.cond.Broadcast()
	for !x.closed && slices.ContainsFunc(x.conns, func(c *conn) bool { return c.unread > 0 && !c.stalled.Load() }) {
		x.cond.Wait()
	}
	if !x.closed {
		close(x.done)
	}
	return false
}

// mayPass tells whether the next frame may pass now.
func (x *Exchange) mayPass() bool {
	if !x.started {
		return false
	}
	for _, c := range x.conns {
		if c.stalled.Load() || c.unread >= x.opts.Window {
			return false
		}
	}
	return x.away > 0 || x.complete()
}

// complete tells whether everything required is subscribed.
func (x *Exchange) complete() bool {
	for k := range x.required {
		if !slices.ContainsFunc(x.conns, func(c *conn) bool { _, ok := c.subs[k]; return ok }) {
			return false
		}
	}
	return true
}

// advance lets one frame pass: it is applied, and sent as its fault has it.
func (x *Exchange) advance() {
	f, wrong := &x.frames[x.pos], x.faults[x.pos]
	x.pos++
	x.away = max(0, x.away-1)
	if b := x.books[f.key]; b != nil {
		b.apply(f)
	}
	var to []*conn
	for _, c := range x.conns {
		if _, ok := c.subs[f.key]; ok {
			to = append(to, c)
		}
	}
	all := to
	if len(to) == 0 {
		x.counts.Missed++
		all = slices.Clone(x.conns)
	}
	x.disturb(all, f, wrong)
	for _, c := range to {
		x.deliver(c, f, wrong)
	}
	for _, c := range all {
		switch {
		case wrong.cut:
			c.flush()
			c.push(item{cut: true})
			x.counts.Cut++
			x.remove(c)
		case wrong.stall:
			c.flush()
			c.stalled.Store(true)
			x.counts.Stalled++
		}
	}
	x.cond.Broadcast()
}

// deliver sends one frame to one connection.
func (x *Exchange) deliver(c *conn, f *frame, wrong fault) {
	data := x.venue.stamp(c, x.venue.render(c, f))
	if wrong.drop {
		x.counts.Dropped++
		return
	}
	x.counts.Sent++
	if wrong.reorder && c.held == nil {
		x.counts.Reordered++
		c.held = data
		return
	}
	c.push(item{data: data})
	if wrong.repeat {
		x.counts.Repeated++
		c.push(item{data: data})
	}
	c.flush()
}

// disturb sends what does not belong to the timeline.
func (x *Exchange) disturb(to []*conn, f *frame, wrong fault) {
	for _, c := range to {
		if wrong.garbage {
			x.counts.Garbage++
			c.push(item{data: garbage(f.data, x.pos)})
		}
		if wrong.huge {
			x.counts.Huge++
			c.push(item{data: slices.Concat([]byte(`{"event":"`), bytes.Repeat([]byte("x"), hugeBytes), []byte(`"}`))})
		}
	}
}

// garbage gives something that is no JSON, another thing each time.
func garbage(data []byte, n int) []byte {
	switch n % 4 {
	case 0:
		return data[:len(data)/2]
	case 1:
		return []byte("<html><body>502 Bad Gateway</body></html>")
	case 2:
		return nil
	}
	return append(slices.Clone(data), '}')
}

// beat sends the heartbeats of venues that have them.
func (x *Exchange) beat() {
	defer x.wg.Done()
	data := x.venue.heartbeat()
	if data == nil {
		return
	}
	tick := time.NewTicker(x.opts.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-x.stop:
			return
		case <-tick.C:
		}
		x.mu.Lock()
		for _, c := range x.conns {
			if !c.stalled.Load() && c.unread < x.opts.Window {
				c.push(item{data: data})
			}
		}
		x.cond.Broadcast()
		x.mu.Unlock()
	}
}
