package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

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
	Name   string `json:"name"`
	Next   uint64 `json:"next"`   // first record it still needs
	Behind uint64 `json:"behind"` // records from there to the newest
	PID    int    `json:"pid"`    // of the process that registered it last
}

func printConsumers(w io.Writer, dir string, asJSON bool) error {
	all, err := queue.Consumers(dir)
	if err != nil {
		return err
	}
	_, next, err := queue.Bounds(dir)
	if err != nil {
		return err
	}
	for _, c := range all {
		v := consumerView{Name: c.Name, Next: c.Next, PID: c.PID}
		if next > c.Next {
			v.Behind = next - c.Next
		}
		if asJSON {
			err = json.NewEncoder(w).Encode(v)
		} else {
			_, err = fmt.Fprintf(w, "consumer %s needs record %d and what follows (%d behind the newest), registered by process %d\n", v.Name, v.Next, v.Behind, v.PID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
