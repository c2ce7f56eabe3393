package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// protocols runs the feed's own benchmarks and reports the cost of a message of
// each protocol, and the way from a socket to committed records. Those that need
// recordings are left out where there are none.
func protocols(ctx context.Context, _ string) ([]row, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-benchtime", "1s", "-p", "1",
		"-bench", "^Benchmark(Decoder|Receive|Live|Append64)$", "./ingest/feed/...", "./store/queue").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("feed benchmarks: %w\n%s", err, out)
	}
	all := parseBenchmarks(out)
	floor := all["queue/Append64/append/prepared"]["ns/op"]
	if floor == 0 {
		return nil, fmt.Errorf("feed benchmarks: the queue's is missing\n%s", out)
	}
	limit := fmt.Sprintf("%.0f ns (append alone)", floor)
	var rows []row
	for _, p := range []struct{ name, what string }{
		{"itch/Decoder", "ITCH 5.0, a message"},
		{"iex/Decoder/iex-deep", "IEX DEEP, a message"},
		{"iex/Decoder/iex-deepplus", "IEX DEEP+, a message"},
		{"iex/Decoder/iex-tops", "IEX TOPS, a message"},
		{"binance/Receive/spot", "Binance spot, a frame"},
		{"binance/Receive/usdm", "Binance USD-M, a frame"},
		{"bybit/Receive", "Bybit, a frame"},
		{"coinbase/Receive", "Coinbase, a frame"},
		{"kraken/Receive", "Kraken, a frame"},
		{"okx/Receive", "OKX, a frame"},
	} {
		if m, ok := all[p.name]; ok {
			ns := m["ns/op"]
			rows = append(rows, row{"decode " + p.what, fmt.Sprintf("%.0f ns, %.0f allocations", ns, m["allocs/op"]), limit, fmt.Sprintf("%.1fx", ns/floor)})
		}
	}
	datagrams := 1e9 / all["udp/Receive"]["ns/op"]
	for _, lines := range []string{"one", "two"} {
		if m, ok := all["feed/Live/"+lines+"_line"+plural(lines)]; ok {
			rows = append(rows, ratioRow("UDP to committed records, "+lines+" line"+plural(lines)+", 20 messages a packet: "+quantity(m["messages/s"])+" messages/s",
				" packets/s", m["packets/s"], "receiving alone", datagrams))
		}
	}
	return rows, nil
}

func plural(n string) string {
	if n == "one" {
		return ""
	}
	return "s"
}

// parseBenchmarks reads the output of go test -bench: metrics by unit, by the
// package's last element and the benchmark's name.
func parseBenchmarks(out []byte) map[string]map[string]float64 {
	all, pkg := make(map[string]map[string]float64), ""
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if path, ok := strings.CutPrefix(lines.Text(), "pkg: "); ok {
			pkg = path[strings.LastIndexByte(path, '/')+1:]
		}
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil { // the number of processors
				name = name[:i]
			}
		}
		m := make(map[string]float64)
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				m[fields[i+1]] = v
			}
		}
		all[pkg+"/"+name] = m
	}
	return all
}
