package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Metric is one metric that is read from a T. It has one value, or one for each
// value of a label.
type Metric[T any] struct {
	Name, Help string
	Type       prometheus.ValueType // prometheus.CounterValue or GaugeValue
	Value      func(T) float64      // nil with Label
	Label      string
	Values     func(T) map[string]float64 // by value of the label
}

// Counter makes a metric that only grows.
func Counter[T any](name, help string, value func(T) float64) Metric[T] {
	return Metric[T]{Name: name, Help: help, Type: prometheus.CounterValue, Value: value}
}

// Gauge makes a metric that goes up and down.
func Gauge[T any](name, help string, value func(T) float64) Metric[T] {
	return Metric[T]{Name: name, Help: help, Type: prometheus.GaugeValue, Value: value}
}

// By gives the metric a value for each value of a label.
func (m Metric[T]) By(label string, values func(T) map[string]float64) Metric[T] {
	m.Label, m.Values, m.Value = label, values, nil
	return m
}

// collector reads a T at each scrape, and all metrics from that one.
type collector[T any] struct {
	read    func() (T, error)
	metrics []Metric[T]
	descs   []*prometheus.Desc
}

// NewCollector makes a collector of metrics. Read is called at each scrape, from
// any goroutine; where it fails the metrics are left out, and the error is logged.
func NewCollector[T any](metrics []Metric[T], read func() (T, error)) prometheus.Collector {
	c := &collector[T]{read: read, metrics: metrics}
	for _, m := range metrics {
		var labels []string
		if m.Label != "" {
			labels = []string{m.Label}
		}
		c.descs = append(c.descs, prometheus.NewDesc(m.Name, m.Help, labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector[T]) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector[T]) Collect(to chan<- prometheus.Metric) {
	v, err := c.read()
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i, m := range c.metrics {
		if m.Label == "" {
			to <- prometheus.MustNewConstMetric(c.descs[i], m.Type, m.Value(v))
			continue
		}
		for label, value := range m.Values(v) {
			to <- prometheus.MustNewConstMetric(c.descs[i], m.Type, value, label)
		}
	}
}
