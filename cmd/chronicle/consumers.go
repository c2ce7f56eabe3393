package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chronicle/ingest/feed/keep"
	"chronicle/query"
	"chronicle/store/queue"
)

func queueConsumers() *cobra.Command {
	var remove string
	cmd := &cobra.Command{
		Use:   "consumers PATH",
		Short: "List the registered consumers, which retention waits for",
		Long: `List the readers that are registered at a queue: retention removes no segment that
one of them still needs. A reader that is gone for good holds the queue until its
registration is removed.`,
		Example: `  chronicle queue consumers chronicle-data/queues/raw_main.q
  chronicle queue consumers --remove old-etl chronicle-data/queues/raw_main.q`,
		Args: onePath,
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove != "" {
				return queue.RemoveConsumer(args[0], remove)
			}
			asJSON, _ := cmd.Flags().GetBool("json")
			return printConsumers(cmd.OutOrStdout(), args[0], asJSON)
		},
	}
	cmd.Flags().StringVar(&remove, "remove", "", "remove the registration of this consumer")
	return cmd
}

// consumerView is what is printed of a consumer.
type consumerView struct {
	Name       string  `json:"name"`
	Next       uint64  `json:"next"`              // first record it still needs: what follows its latest checkpoint
	Behind     uint64  `json:"behind"`            // records from there to the newest
	PID        int     `json:"pid"`               // of the process that registered it last
	Seen       uint64  `json:"seen"`              // last record processed
	SeenTime   string  `json:"seen_time"`         // its capture time; - if the consumer does not tell
	LagRecords uint64  `json:"lag_records"`       // records after it
	LagSeconds float64 `json:"lag_seconds"`       // capture time from it to the newest
	Updated    string  `json:"updated,omitempty"` // when it told that
}

func viewConsumer(c *queue.ConsumerInfo, h head) consumerView {
	seen := max(c.Seen, c.Next-1)
	l := h.behind(seen, c.SeenTime)
	v := consumerView{
		Name: c.Name, Next: c.Next, PID: c.PID, Seen: seen, SeenTime: "-", LagRecords: l.Records, LagSeconds: l.Time.Seconds(),
	}
	if c.Seen > 0 {
		v.SeenTime, v.Updated = timeText(c.SeenTime), query.FormatTime(c.Updated)
	}
	if h.seq >= c.Next {
		v.Behind = h.seq + 1 - c.Next
	}
	return v
}

// views gives the consumers of a queue.
func views(dir string) ([]consumerView, head, error) {
	all, err := queue.Consumers(dir)
	if err != nil {
		return nil, head{}, err
	}
	h, err := headOf(dir)
	if err != nil {
		return nil, h, err
	}
	out := make([]consumerView, len(all))
	for i := range all {
		out[i] = viewConsumer(&all[i], h)
	}
	return out, h, nil
}

func printConsumers(w io.Writer, dir string, asJSON bool) error {
	all, _, err := views(dir)
	if err != nil {
		return err
	}
	for _, v := range all {
		if asJSON {
			err = json.NewEncoder(w).Encode(v)
		} else {
			_, err = fmt.Fprintf(w, "consumer %s needs record %d and what follows (%d behind the newest), registered by process %d\n"+
				"  processed %d (%s), behind by %d records, %.3f s\n", v.Name, v.Next, v.Behind, v.PID, v.Seen, v.SeenTime, v.LagRecords, v.LagSeconds)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// spaceView is what is printed of a raw queue's space.
type spaceView struct {
	Bytes  int64    `json:"queue_bytes"`
	Free   int64    `json:"free_bytes"`
	Below  int64    `json:"alarm_below_bytes"`
	Alarms []string `json:"alarms"` // reasons
	Detail []string `json:"alarm_details"`
}

// printSpace looks at a raw queue as the feed does.
func printSpace(w io.Writer, dir string, cfg *Config) error {
	s, err := keep.Inspect(dir, cfg.rawLimits())
	if err != nil {
		return err
	}
	v := spaceView{Bytes: s.Bytes, Free: s.Space.Free, Below: s.Below, Alarms: []string{}, Detail: []string{}}
	for _, a := range s.Alarms {
		v.Alarms, v.Detail = append(v.Alarms, a.Reason), append(v.Detail, a.Detail)
	}
	if cfg.JSON {
		return json.NewEncoder(w).Encode(v)
	}
	_, err = fmt.Fprintf(w, "space     %d bytes in the queue, %d free; the alarm begins below %d\n", v.Bytes, v.Free, v.Below)
	for i, reason := range v.Alarms {
		_, err = fmt.Fprintf(w, "ALARM     %s: %s\n", reason, v.Detail[i])
	}
	return err
}
