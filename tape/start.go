package tape

import (
	"fmt"

	"chronicle/store/queue"
)

// openTail opens the queue at the start.
func openTail(dir string, start Start, opts queue.TailerOptions) (*queue.Tailer, error) {
	switch start.at {
	case startOldest:
		return queue.OpenTailerOptions(dir, 0, opts)
	case startSequence:
		return queue.OpenTailerOptions(dir, start.seq, opts)
	case startLive:
		_, next, err := queue.Bounds(dir)
		if err != nil {
			return nil, err
		}
		return queue.OpenTailerOptions(dir, next, opts)
	}
	return nil, fmt.Errorf("start: not known")
}
