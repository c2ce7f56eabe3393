package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chronicle/market"
	"chronicle/query"
	"chronicle/store/queue"
)

func queueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look into any queue or segment, hot or archived",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(queueStat(), queueDump(), queueTail(), queueVerify(), queueConsumers())
	return cmd
}

// onePath asks for exactly one queue directory or segment file.
func onePath(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return badUsage("%s needs one PATH: a queue directory (*.q) or a segment file", cmd.CommandPath())
	}
	if _, err := os.Stat(args[0]); err != nil {
		return err
	}
	return nil
}

// segmentsOf gives the segments of a queue directory, or the one file.
func segmentsOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, err := queue.ListSegments(path)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no segments: is it a queue?", path)
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	return paths, nil
}

// segmentStat is what queue stat prints of one segment.
type segmentStat struct {
	Path      string            `json:"path"`
	FirstSeq  uint64            `json:"first_seq"`
	LastSeq   uint64            `json:"last_seq"`
	Records   uint64            `json:"records"`
	Snapshots uint64            `json:"keys"`
	First     string            `json:"first_ts_recv"`
	Last      string            `json:"last_ts_recv"`
	Kinds     map[string]uint64 `json:"kinds"`
	Bytes     int64             `json:"bytes"`
	Sealed    bool              `json:"sealed"`
	Hash      string            `json:"hash,omitempty"`
	Meta      json.RawMessage   `json:"meta,omitempty"`
}

func queueStat() *cobra.Command {
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "stat PATH",
		Short: "Print what each segment holds, and how far consumers are behind",
		Long: `Print what each segment holds: sequences, times, kinds, hash. Of a queue's directory
also how far each registered consumer has come: the last record that it processed, what
it is behind in records and in capture time, and the first record that it still needs
(what is before its latest checkpoint may go). Of a raw queue also what space is left,
and the alarms that the feed raises, by the limits in the file that --config names.

With --watch it prints instead, every two seconds or as often as told, what was appended
and what each consumer processed meanwhile, until Ctrl-C.`,
		Example: `  chronicle queue stat chronicle-data/queues/raw_main.q
  chronicle queue stat --watch=10s chronicle-data/queues/raw_main.q`,
		Args: onePath,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("watch") {
				return watchQueue(cmd.Context(), cmd.OutOrStdout(), args[0], watch, cfg.JSON)
			}
			return printStat(cmd.OutOrStdout(), args[0], cfg)
		},
	}
	cmd.Flags().DurationVar(&watch, "watch", 0, "print the throughput, this often")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	return cmd
}

// printStat prints the segments; of a directory also the consumers and the space.
func printStat(w io.Writer, path string, cfg *Config) error {
	raw := false // the newest segment says nothing of its stream
	err := eachSegment(path, func(path string, s *queue.Segment) error {
		info, err := s.Count()
		if err != nil {
			return err
		}
		raw = len(info.Meta) == 0
		st := statOf(path, info)
		if cfg.JSON {
			return json.NewEncoder(w).Encode(st)
		}
		return st.print(w)
	})
	if info, statErr := os.Stat(path); err != nil || statErr != nil || !info.IsDir() {
		return err
	}
	if err := printConsumers(w, path, cfg.JSON); err != nil || !raw {
		return err
	}
	return printSpace(w, path, cfg)
}

func eachSegment(path string, use func(string, *queue.Segment) error) error {
	paths, err := segmentsOf(path)
	if err != nil {
		return err
	}
	for _, p := range paths {
		s, err := queue.OpenSegment(p)
		if err != nil {
			return err
		}
		if err := errors.Join(use(p, s), s.Close()); err != nil {
			return err
		}
	}
	return nil
}

func statOf(path string, i queue.SegmentInfo) segmentStat {
	st := segmentStat{
		Path: path, FirstSeq: i.FirstSeq, LastSeq: i.LastSeq, Records: i.Records, Snapshots: i.Keys,
		First: timeText(i.FirstTime), Last: timeText(i.LastTime), Kinds: map[string]uint64{},
		Bytes: i.Bytes, Sealed: i.Sealed, Hash: i.Hash,
	}
	if json.Valid(i.Meta) {
		st.Meta = i.Meta
	}
	for k, n := range i.Kinds {
		st.Kinds[market.Kind(k).String()] = n
	}
	return st
}

func (st segmentStat) print(w io.Writer) error {
	state := "live"
	if st.Sealed {
		state = "sealed " + st.Hash
	}
	kinds := make([]string, 0, len(st.Kinds))
	for k, n := range st.Kinds {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(kinds)
	_, err := fmt.Fprintf(w, "%s\n  records   %d..%d (%d, %d of them keys), %d bytes\n  ts_recv   %s .. %s\n  kinds     %s\n  state     %s\n",
		st.Path, st.FirstSeq, st.LastSeq, st.Records, st.Snapshots, st.Bytes, st.First, st.Last, strings.Join(kinds, ", "), state)
	return err
}

// timeText gives a time for people; "-" for one that is not known.
func timeText(ns int64) string {
	return cmp.Or(query.FormatTime(ns), "-")
}

func queueDump() *cobra.Command {
	var from uint64
	var limit int
	cmd := &cobra.Command{
		Use:     "dump PATH",
		Short:   "Print the records, a JSON line each",
		Example: "  chronicle queue dump --from 100 --limit 5 chronicle-data/queues/raw_main.q",
		Args:    onePath,
		RunE: func(cmd *cobra.Command, args []string) error {
			enc := json.NewEncoder(cmd.OutOrStdout())
			left := limit
			return eachSegment(args[0], func(_ string, s *queue.Segment) error {
				if limit > 0 && left <= 0 || s.Info().LastSeq < from {
					return nil
				}
				return dumpSegment(s, from, &left, limit > 0, enc)
			})
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first sequence to print")
	cmd.Flags().IntVar(&limit, "limit", 0, "most records to print; 0 is all")
	return cmd
}

func dumpSegment(s *queue.Segment, from uint64, left *int, limited bool, enc *json.Encoder) error {
	c := s.Cursor()
	if from > s.Info().FirstSeq {
		if err := c.SeekSeq(from); err != nil {
			return err
		}
	}
	for !limited || *left > 0 {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := enc.Encode(describe(&r)); err != nil {
			return err
		}
		*left--
	}
	return nil
}

// recordView is a record for people: header fields and the decoded body.
type recordView struct {
	Seq     uint64 `json:"seq"`
	Time    string `json:"ts_recv"`
	Event   string `json:"ts_event"`
	Kind    string `json:"kind"`
	Key     bool   `json:"key,omitempty"`
	Tag     uint32 `json:"tag,omitempty"`
	Body    any    `json:"body,omitempty"`
	Bytes   string `json:"bytes,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func describe(r *queue.Record) recordView {
	v := recordView{
		Seq: r.Seq, Time: timeText(r.Time), Event: timeText(r.EventTime),
		Kind: market.Kind(r.Kind).String(), Key: r.Flags&queue.FlagKey != 0, Tag: r.Tag,
	}
	body, err := decodeBody(r)
	if err != nil {
		v.Problem, v.Bytes = err.Error(), hex.EncodeToString(r.Body)
		return v
	}
	v.Body = body
	return v
}

func decodeBody(r *queue.Record) (any, error) {
	switch kind := market.Kind(r.Kind); kind {
	case market.KindBook, market.KindSnapshot:
		ev := new(market.BookEvent)
		return ev, ev.Decode(r.Body, kind)
	case market.KindTrade:
		t := new(market.Trade)
		return t, t.Decode(r.Body)
	case market.KindQuote:
		q := new(market.Quote)
		return q, q.Decode(r.Body)
	case market.KindStatus:
		s := new(market.Status)
		return s, s.Decode(r.Body)
	case market.KindDefinition:
		return market.DecodeJSON[market.Definition](r.Body)
	case market.KindGap:
		return market.DecodeJSON[market.Gap](r.Body)
	case market.KindSession:
		return market.DecodeJSON[market.Session](r.Body)
	}
	return nil, fmt.Errorf("unknown kind %d", r.Kind)
}

func queueTail() *cobra.Command {
	var from uint64
	var since string
	cmd := &cobra.Command{
		Use:   "tail PATH",
		Short: "Follow a queue: print records as they are committed, until Ctrl-C",
		Example: `  chronicle queue tail chronicle-data/queues/raw_main.q
  chronicle queue tail --since 2026-01-02T14:30:00Z chronicle-data/queues/raw_main.q`,
		Args: onePath,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := openTail(args[0], from, since)
			if err != nil {
				return err
			}
			return errors.Join(tail(cmd.Context(), t, json.NewEncoder(cmd.OutOrStdout())), t.Close())
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first sequence to print (default: what is appended from now on)")
	cmd.Flags().StringVar(&since, "since", "", "time of capture to begin with")
	return cmd
}

// openTail opens a queue at a sequence, at a time, or live.
func openTail(dir string, from uint64, since string) (*queue.Tailer, error) {
	switch {
	case from > 0 && since != "":
		return nil, badUsage("--from and --since: give one of them")
	case from > 0:
		return queue.OpenTailer(dir, from)
	case since != "":
		at, err := query.ParseTime(since)
		if err != nil {
			return nil, badUsage("--since: %w", err)
		}
		return queue.OpenTailerTime(dir, queue.ByTime, at, queue.TailerOptions{})
	}
	return queue.OpenTailerLive(dir, queue.TailerOptions{})
}

func tail(ctx context.Context, t *queue.Tailer, enc *json.Encoder) error {
	for ctx.Err() == nil {
		r, ok, err := t.Next()
		if err != nil {
			return err
		}
		if ok {
			if err := enc.Encode(describe(&r)); err != nil {
				return err
			}
			continue
		}
		if err := t.Wait(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func queueVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify PATH",
		Short: "Check every record, sequence, footer and hash",
		Args:  onePath,
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := segmentsOf(args[0])
			if err != nil {
				return err
			}
			bad := 0
			for _, p := range paths {
				if err := verifyOne(p); err != nil {
					bad++
					fmt.Fprintf(cmd.OutOrStdout(), "BAD  %s: %v\n", p, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "ok   %s\n", p)
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d segments are damaged", bad, len(paths))
			}
			return nil
		},
	}
}

func verifyOne(path string) error {
	s, err := queue.OpenSegment(path)
	if err != nil {
		return err
	}
	return errors.Join(s.Verify(), s.Close())
}
