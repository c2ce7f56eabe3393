package main

import (
	"math"
	"slices"

	"chronicle/ingest/feed"
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/keep"
	"chronicle/internal/telemetry"
)

var feedMetrics = []telemetry.Metric[feed.Stats]{
	telemetry.Counter("chronicle_feed_packets_total", "Datagrams, frames or lines received.", func(s feed.Stats) float64 { return float64(s.Packets) }),
	telemetry.Counter("chronicle_feed_messages_total", "Venue messages decoded.", func(s feed.Stats) float64 { return float64(s.Messages) }),
	telemetry.Counter("chronicle_feed_records_total", "Records appended to the raw queue.", func(s feed.Stats) float64 { return float64(s.Records) }),
	telemetry.Counter("chronicle_feed_gaps_total", "Gap records among them: something is missing, or came after it was missed.", func(s feed.Stats) float64 { return float64(s.Gaps) }),
	telemetry.Counter[feed.Stats]("chronicle_feed_skipped_total", "Units of input that could not be used, by reason.", nil).
		By("reason", func(s feed.Stats) map[string]float64 { return floats(s.SkippedBy) }),
	telemetry.Gauge("chronicle_feed_instruments", "Instruments defined.", func(s feed.Stats) float64 { return float64(s.Instruments) }),
}

// lineMetrics are those of the lines and re-request servers of a packet feed.
var lineMetrics = []telemetry.Metric[feed.Stats]{
	perLine("packets_total", "Datagrams of a line.", func(l *line) float64 { return float64(l.Packets) }),
	perLine("messages_total", "Messages in the datagrams of a line.", func(l *line) float64 { return float64(l.Messages) }),
	perLine("first_total", "Messages that a line brought first; of a re-request server: recovered.", func(l *line) float64 { return float64(l.First) }),
	perLine("redundant_total", "Messages that another line had brought before.", func(l *line) float64 { return float64(l.Redundant) }),
	perLine("duplicates_total", "Messages that came twice on a line.", func(l *line) float64 { return float64(l.Duplicate) }),
	perLine("lost_total", "Messages that a line has not brought.", func(l *line) float64 { return float64(l.Lost) }),
	perLine("late_total", "Messages that came after they had been given up.", func(l *line) float64 { return float64(l.Late) }),
	perLine("no_room_total", "Messages that could not wait for a missing one for want of room.", func(l *line) float64 { return float64(l.NoRoom) }),
	perLine("requests_total", "Requests to a re-request server.", func(l *line) float64 { return float64(l.Requests) }),
	perLine("kernel_drops_total", "Datagrams that the kernel dropped because the receive buffer was full.", func(l *line) float64 { return float64(l.Dropped) }),
	perLine("silences_total", "Times that nothing came for too long.", func(l *line) float64 { return float64(l.Silences) }),
	gaugeOf(perLine("silent", "1 while nothing comes on a line, not even heartbeats.", func(l *line) float64 { return number(l.Silent) })),
	gaugeOf(perLine("last_receive_timestamp_seconds", "When a line's last datagram came.", func(l *line) float64 { return float64(l.LastRecv) / 1e9 })),
}

type line = emit.LineStats

func perLine(name, help string, value func(*line) float64) telemetry.Metric[feed.Stats] {
	return telemetry.Counter[feed.Stats]("chronicle_feed_line_"+name, help, nil).By("line", func(s feed.Stats) map[string]float64 {
		return byName(s.Lines, func(l *line) string { return l.Name }, value)
	})
}

func gaugeOf[T any](m telemetry.Metric[T]) telemetry.Metric[T] {
	m.Type = telemetry.Gauge[T]("", "", nil).Type
	return m
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

var rawMetrics = []telemetry.Metric[keep.State]{
	telemetry.Gauge("chronicle_feed_raw_bytes", "Size of the raw queue, the live segment's reserved space included.", func(s keep.State) float64 { return float64(s.Bytes) }),
	telemetry.Gauge("chronicle_feed_raw_segments", "Segments of the raw queue.", func(s keep.State) float64 { return float64(s.Segments) }),
	telemetry.Counter("chronicle_feed_raw_removed_segments_total", "Segments that retention has removed.", func(s keep.State) float64 { return float64(s.Removed) }),
	telemetry.Counter("chronicle_feed_raw_removed_bytes_total", "Their size.", func(s keep.State) float64 { return float64(s.RemovedBytes) }),
	telemetry.Gauge("chronicle_feed_raw_free_bytes", "Free space of the raw queue's file system.", func(s keep.State) float64 { return float64(s.Space.Free) }),
	telemetry.Gauge("chronicle_feed_raw_alarm_below_bytes", "Free space below which there is an alarm.", func(s keep.State) float64 { return float64(s.Below) }),
	telemetry.Gauge("chronicle_feed_raw_full_in_seconds", "Time until the file system is full at the pace of the last minutes; +Inf when it gets no fuller.", func(s keep.State) float64 {
		if s.FullIn == 0 {
			return math.Inf(1)
		}
		return s.FullIn.Seconds()
	}),
	telemetry.Gauge[keep.State]("chronicle_feed_raw_alarm", "1 while there is an alarm, by reason.", nil).By("reason", func(s keep.State) map[string]float64 {
		return byName(keep.Reasons, func(r *string) string { return *r }, func(r *string) float64 {
			return number(slices.ContainsFunc(s.Alarms, func(a keep.Alarm) bool { return a.Reason == *r }))
		})
	}),
}
