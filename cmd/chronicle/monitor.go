package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"chronicle/ingest/etl/audit"
	"chronicle/ingest/feed"
	"chronicle/ingest/feed/keep"
	"chronicle/internal/telemetry"
)

// monitor is what a process shows of its zones: docs/metrics.md lists it.
type monitor struct {
	reg    *prometheus.Registry
	alarms []func() []telemetry.Alarm
	server *telemetry.Server // nil: nobody asked for an address
}

// openMonitor opens the port of an address; none if it is empty.
func openMonitor(address string, insecure bool, log *slog.Logger) (*monitor, error) {
	m := &monitor{reg: telemetry.NewRegistry()}
	if address == "" {
		return m, nil
	}
	var err error
	m.server, err = telemetry.Listen(telemetry.Config{
		Address: address, Insecure: insecure, Version: revision(), Registry: m.reg, Alarms: m.inForce, Log: log,
	})
	return m, err
}

// Serve answers until ctx is done. Zones are added before.
func (m *monitor) Serve(ctx context.Context) error {
	if m.server == nil {
		return nil
	}
	server := m.server
	m.server = nil // Serve closes the port
	return server.Serve(ctx)
}

// Close closes the port if it was never served.
func (m *monitor) Close() error {
	if m.server == nil {
		return nil
	}
	return m.server.Close()
}

func (m *monitor) inForce() (all []telemetry.Alarm) {
	for _, alarms := range m.alarms {
		all = append(all, alarms()...)
	}
	return all
}

// feed adds the metrics of a feed and of its raw queue.
func (m *monitor) feed(c *feed.Counters, k *keep.Keeper) {
	m.reg.MustRegister(
		telemetry.NewCollector(slices.Concat(feedMetrics, lineMetrics), func() (feed.Stats, error) { return c.Stats(), nil }),
		telemetry.NewCollector(rawMetrics, func() (keep.State, error) { return k.State(), nil }),
	)
	m.alarms = append(m.alarms, func() (all []telemetry.Alarm) {
		for _, a := range k.State().Alarms {
			all = append(all, telemetry.Alarm(a))
		}
		return all
	})
}

// etl adds the metrics of the ETL, or of its shards.
func (m *monitor) etl(cfg *Config, r *refinery) {
	for _, p := range r.parts {
		reg := prometheus.Registerer(m.reg)
		if p.shard != "" {
			reg = prometheus.WrapRegistererWith(prometheus.Labels{"shard": p.shard}, m.reg)
		}
		reg.MustRegister(telemetry.NewCollector(etlMetrics, func() (etlView, error) { return viewETL(cfg.rawDir(), p.ETL) }))
		if p.audit != nil {
			reg.MustRegister(telemetry.NewCollector(auditMetrics, func() (audit.Stats, error) { return p.audit.Stats(), nil }))
		}
	}
}

// tier adds the metrics of a tier agent.
func (m *monitor) tier(c *tierCounts) {
	m.reg.MustRegister(telemetry.NewCollector(tierMetrics, func() (tierView, error) { return c.view(), nil }))
}

// byName gives a value for each of some things by their names.
func byName[T any](all []T, name func(*T) string, value func(*T) float64) map[string]float64 {
	out := make(map[string]float64, len(all))
	for i := range all {
		out[name(&all[i])] = value(&all[i])
	}
	return out
}

// floats gives counts as metrics have them.
func floats(counts map[string]uint64) map[string]float64 {
	out := make(map[string]float64, len(counts))
	for name, n := range maps.All(counts) {
		out[name] = float64(n)
	}
	return out
}
