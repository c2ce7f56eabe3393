package main

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"chronicle/ingest/sim"
)

// simFlags say how the simulated market is sent.
type simFlags struct {
	to, lineA, lineB, iface  string
	ttl                      int
	lossA, lossB             float64
	burst, duplicate         float64
	reorder                  float64
	blackoutA, blackoutB     []string
	delayB                   time.Duration
	recovery                 string
	recoveryLoss             float64
	recoveryRate             float64
	messages                 uint64
	duration, linger         time.Duration
	changeAfter, resetsAfter uint64
}

func (q *simFlags) add(f *pflag.FlagSet) {
	f.StringVar(&q.to, "to", "", "UDP address to send to, of a feed with one line")
	f.StringVar(&q.lineA, "line-a", "", "UDP address or multicast group of line A (the same as --to)")
	f.StringVar(&q.lineB, "line-b", "", "UDP address or multicast group of line B")
	f.StringVar(&q.iface, "interface", "", "network interface that multicast goes out on, for instance lo")
	f.IntVar(&q.ttl, "ttl", 0, "how far multicast goes: 0 stays on this host, 1 on the local network")
	f.Float64Var(&q.lossA, "loss-a", 0, "probability that line A loses a packet, 0 to 1")
	f.Float64Var(&q.lossB, "loss-b", 0, "probability that line B loses a packet, 0 to 1")
	f.Float64Var(&q.burst, "burst", 0, "probability, on each line, that ten packets in a row are lost")
	f.Float64Var(&q.duplicate, "duplicate", 0, "probability, on each line, that a packet is sent twice")
	f.Float64Var(&q.reorder, "reorder", 0, "probability, on each line, that a packet comes 1 to 3 packets late")
	f.StringSliceVar(&q.blackoutA, "blackout-a", nil, "when line A is dead, at the rate given: START+LENGTH, for instance 10s+2s")
	f.StringSliceVar(&q.blackoutB, "blackout-b", nil, "when line B is dead")
	f.DurationVar(&q.delayB, "delay-b", 0, "how late line B is behind line A")
	f.StringVar(&q.recovery, "recovery-listen", "", "UDP address of a re-request server (default: none)")
	f.Float64Var(&q.recoveryLoss, "recovery-loss", 0, "probability that its answer is lost, 0 to 1")
	f.Float64Var(&q.recoveryRate, "recovery-rate", 0, "requests a second that it answers (default: all)")
	f.Uint64Var(&q.messages, "messages", 0, "messages of the session (default: until Ctrl-C)")
	f.DurationVar(&q.duration, "duration", 0, "length of the session (default: until Ctrl-C)")
	f.DurationVar(&q.linger, "linger", 3*time.Second, "how long the end of the session is repeated and requests are answered")
	f.Uint64Var(&q.changeAfter, "session-change-after", 0, "messages after which another session begins, without an end of the first")
	f.Uint64Var(&q.resetsAfter, "sequence-reset-after", 0, "messages after which the same session begins again at sequence 1")
}

// check refuses what cannot be sent as written.
func (q *simFlags) check() error {
	for _, f := range [][2]string{{"to", q.to}, {"line-a", q.lineA}, {"line-b", q.lineB}, {"recovery-listen", q.recovery}} {
		if _, err := netip.ParseAddrPort(f[1]); f[1] != "" && err != nil {
			return badUsage("--%s %q: %w: write address:port, for instance 127.0.0.1:26477", f[0], f[1], err)
		}
	}
	if q.to != "" && q.lineA != "" {
		return badUsage("--to %s and --line-a %s are the same line: give one of them", q.to, q.lineA)
	}
	if q.lineA == "" {
		q.lineA = q.to
	}
	if q.lineA == "" {
		return badUsage("--to is needed, or --line-a: the UDP address to send to, for instance 127.0.0.1:26477")
	}
	if q.lineB == "" && (q.lossB != 0 || q.delayB != 0 || len(q.blackoutB) > 0) {
		return badUsage("--loss-b, --delay-b and --blackout-b are for line B: give --line-b")
	}
	for name, p := range map[string]float64{
		"loss-a": q.lossA, "loss-b": q.lossB, "burst": q.burst, "duplicate": q.duplicate, "reorder": q.reorder, "recovery-loss": q.recoveryLoss,
	} {
		if !(p >= 0 && p <= 1) {
			return badUsage("--%s %v: a probability is 0 to 1", name, p)
		}
	}
	if q.recovery == "" && (q.recoveryLoss != 0 || q.recoveryRate != 0) {
		return badUsage("--recovery-loss and --recovery-rate are for a re-request server: give --recovery-listen")
	}
	if q.changeAfter > 0 && q.resetsAfter > 0 {
		return badUsage("--session-change-after and --sequence-reset-after: give one of them")
	}
	if q.duration < 0 || q.linger < 0 || q.delayB < 0 || !(q.recoveryRate >= 0) {
		return badUsage("--duration, --linger, --delay-b and --recovery-rate are not negative")
	}
	return nil
}

func (q *simFlags) lines(rate float64, seed uint64) (sim.LinesOptions, error) {
	blackoutA, err := blackouts("blackout-a", q.blackoutA, rate)
	if err != nil {
		return sim.LinesOptions{}, err
	}
	blackoutB, err := blackouts("blackout-b", q.blackoutB, rate)
	if err != nil {
		return sim.LinesOptions{}, err
	}
	faults := sim.Faults{Burst: q.burst, Duplicate: q.duplicate, Reorder: q.reorder}
	a := sim.LineOptions{To: q.lineA, Interface: q.iface, TTL: q.ttl, Faults: faults}
	a.Loss, a.Blackouts = q.lossA, blackoutA
	opts := sim.LinesOptions{A: a, Seed: seed}
	if q.lineB != "" {
		b := sim.LineOptions{To: q.lineB, Interface: q.iface, TTL: q.ttl, Delay: q.delayB, Faults: faults}
		b.Loss, b.Blackouts = q.lossB, blackoutB
		opts.B = &b
	}
	return opts, nil
}

// blackouts turns times into the messages that are due then.
func blackouts(flag string, given []string, rate float64) (spans []sim.Span, err error) {
	for _, text := range given {
		from, length, ok := strings.Cut(text, "+")
		start, err1 := time.ParseDuration(from)
		long, err2 := time.ParseDuration(length)
		if !ok || err1 != nil || err2 != nil || start < 0 || long <= 0 {
			return nil, badUsage("--%s %q: write START+LENGTH, for instance 10s+2s", flag, text)
		}
		if rate == 0 {
			return nil, badUsage("--%s %q: times need a rate: give --sim-rate", flag, text)
		}
		first := uint64(start.Seconds()*rate) + 1
		spans = append(spans, sim.Span{First: first, Last: max(uint64((start+long).Seconds()*rate), first)})
	}
	return spans, nil
}

// length gives the messages of all sessions together; 0 when nothing bounds them.
func (q *simFlags) length(rate float64) uint64 {
	n := q.messages
	if q.duration > 0 && rate > 0 {
		if byTime := max(uint64(math.Round(q.duration.Seconds()*rate)), 1); n == 0 || byTime < n {
			n = byTime
		}
	}
	return n
}
