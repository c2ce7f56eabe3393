package proof

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/store/queue"
)

// crashWorld is a short day with losses and a reset.
func crashWorld() world {
	w := drawWorld(3)
	w.Faults = sim.Faults{Loss: 0.003, Duplicate: 0.02, Reorder: 0.02}
	w.Lines, w.Recovery, w.Join, w.Window = 1, false, false, 0
	w.Series.Sessions, w.Series.Least, w.Series.Most = 2, 900, 1100
	w.Series.Ends = []sim.Ending{sim.EndReset}
	return w
}

// rawOf makes the raw queue of a world, as a feed would.
func rawOf(t testing.TB, wd world) site {
	t.Helper()
	s := site{fastDir(t)}
	w := newWire(t, wd)
	raw := s.openRaw(t, queue.Options{SegmentBytes: 256 << 10, NoSync: true})
	w.listen(raw, w.now+3*w.length())
	must(t, raw.Close())
	return s
}

// captureOf writes a world's packets, as they arrive, to a capture.
func captureOf(t testing.TB, wd world) string {
	t.Helper()
	w := newWire(t, wd)
	var out bytes.Buffer
	file := pcapgo.NewWriterNanos(&out)
	must(t, file.WriteFileHeader(65535, layers.LinkTypeEthernet))
	for !w.over() {
		for w.venue != nil && w.due <= w.flight.next() {
			w.act()
		}
		p := heap.Pop(&w.flight).(packet)
		eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(10, 0, 0, 1), DstIP: net.IPv4(239, 1, 1, byte(p.line))}
		buf := gopacket.NewSerializeBuffer()
		must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, eth, ip, &layers.UDP{SrcPort: 1, DstPort: 26477}, gopacket.Payload(p.data)))
		b := buf.Bytes()
		must(t, file.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, p.at), CaptureLength: len(b), Length: len(b)}, b))
	}
	path := filepath.Join(fastDir(t), "day.pcap")
	must(t, os.WriteFile(path, out.Bytes(), 0o644))
	return path
}

// drill kills one kind of child again and again.
type drill struct {
	t      *testing.T
	rng    *rand.Rand
	part   string // of children
	source string
	want   map[string][]queue.Record
	counts map[string]int // operations of an uninterrupted run, by class
	kills  map[string]int // by the class of operation at which it died
	torn   int            // kills that left a snapshot without the event that made it due
}

func newDrill(t *testing.T, part, source string, seed uint64) *drill {
	t.Helper()
	d := &drill{t: t, rng: rand.New(rand.NewPCG(seed, 0xd1)), part: part, source: source, kills: map[string]int{}}
	dir := fastDir(t)
	d.finish(dir)
	var err error
	d.counts, err = counted(dir)
	must(t, err)
	s := site{filepath.Join(dir, "root")}
	_, next, err := queue.Bounds(s.raw())
	must(t, err)
	d.counts[anyMoment] = int(next - 1)
	d.want = s.streams(t)
	s.wantSound(t, "uninterrupted")
	return d
}

// command is a child at work in dir.
func (d *drill) command(dir string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(append(os.Environ(), childEnv+"="+d.part, sourceEnv+"="+d.source), env...)
	return cmd
}

// finish runs a child in peace.
func (d *drill) finish(dir string) {
	d.t.Helper()
	if out, err := d.command(dir).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", d.part, err, out)
	}
}

// life runs a child that kills itself, at an operation of the class. It is false
// when it came to its end before.
func (d *drill) life(dir, class string) bool {
	d.t.Helper()
	_ = os.Remove(filepath.Join(dir, killedName))
	cmd := d.command(dir, killClassEnv+"="+class, fmt.Sprint(killAtEnv, "=", 1+d.rng.IntN(d.counts[class])),
		fmt.Sprint(killAfterEnv, "=", d.rng.IntN(2)), fmt.Sprint(killSpinEnv, "=", d.rng.IntN(2_000_000)))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case !errors.As(err, &exit) || exit.Exited():
		d.t.Fatalf("%s ended by itself: %v\n%s", d.part, err, out)
	}
	at, err := os.ReadFile(filepath.Join(dir, killedName))
	must(d.t, err)
	d.kills[string(at)]++
	return true
}

// round kills a few children in one root, checks after each, and finishes.
func (d *drill) round(class string) {
	d.t.Helper()
	dir := fastDir(d.t)
	defer os.RemoveAll(dir)
	s := site{filepath.Join(dir, "root")}
	for range 1 + d.rng.IntN(3) {
		if !d.life(dir, class) {
			break
		}
		if _, err := os.Stat(s.clean()); err == nil {
			s.wantSound(d.t, "killed at "+class)
			d.look(s, class)
		}
		class = d.anyClass()
	}
	d.finish(dir)
	s.wantSound(d.t, "after kills")
	wantSame(d.t, "after kills, the first at "+class, s.streams(d.t), d.want)
}

// look checks that what a killed child has left is the beginning of what there is
// to be.
func (d *drill) look(s site, class string) {
	d.t.Helper()
	torn := 0
	for stream, got := range s.streams(d.t) {
		want := d.want[stream]
		for i := range got {
			if i >= len(want) || !same(&got[i], &want[i]) {
				d.t.Fatalf("killed at %s: %s record %d of %d: %.200s", class, stream, i+1, len(got), text(&got[i]))
			}
		}
		if n := len(got); n > 0 && market.Kind(got[n-1].Kind) == market.KindSnapshot {
			torn = 1
		}
	}
	d.torn += torn
}

// anyClass draws a class of operations, often any moment.
func (d *drill) anyClass() string {
	classes := slices.Sorted(maps.Keys(d.counts))
	if d.rng.IntN(3) == 0 {
		return anyMoment
	}
	return classes[d.rng.IntN(len(classes))]
}

// run kills at every class of operations in turn, and at any moment, until there
// were enough kills.
func (d *drill) run(enough int) {
	d.t.Helper()
	classes := slices.Sorted(maps.Keys(d.counts))
	d.rng.Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
	for i := 0; d.killed() < enough; i++ {
		class := anyMoment
		if i%3 > 0 {
			class = classes[(i-i/3)%len(classes)]
		}
		d.round(class)
	}
	records := 0
	for _, stream := range d.want {
		records += len(stream)
	}
	d.t.Logf("%s: %d kills at %d of %d stages, %d left a snapshot without its event; %d streams with %d records were the same each time (an uninterrupted run makes %v)",
		d.part, d.killed(), len(d.kills), len(d.counts), d.torn, len(d.want), records, d.counts)
	if soak() == 1 {
		return
	}
	for _, class := range classes {
		if d.kills[class] == 0 {
			d.t.Errorf("nothing was killed at %s", class)
		}
	}
}

func (d *drill) killed() (n int) {
	for _, k := range d.kills {
		n += k
	}
	return n
}

// TestKilledETL kills an ETL that follows a busy raw queue, at each kind of
// file-system operation that it makes and at random moments. After each kill all
// that is there is sound and the beginning of what is to be; in the end the clean
// streams are those of an uninterrupted run, record for record.
func TestKilledETL(t *testing.T) {
	d := newDrill(t, "etl", rawOf(t, crashWorld()).raw(), 1)
	for _, stage := range []string{"state", "clean segment", "clean table", "consumer"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(d.counts)), func(c string) bool { return strings.HasSuffix(c, stage) }) {
			t.Errorf("no operation is on a %s: the stages are %v", stage, d.counts)
		}
	}
	d.run(rounds(20, 300))
}

// TestKilledSystem kills feed, ETL and tier agent in one process in the same way,
// while they bring a capture into the archive.
func TestKilledSystem(t *testing.T) {
	d := newDrill(t, "all", captureOf(t, crashWorld()), 2)
	d.run(rounds(8, 150))
}
