package tape

import "chronicle/store/queue"

// openTail opens the queue at the start.
func openTail(dir string, start Start, opts queue.TailerOptions) (*queue.Tailer, error) {
	switch start.at {
	case startLive:
		return queue.OpenTailerLive(dir, opts)
	case startSequence:
		return queue.OpenTailerOptions(dir, start.seq, opts)
	case startTime:
		return queue.OpenTailerTime(dir, queue.ByTime, start.ns, opts)
	}
	return queue.OpenTailerOptions(dir, 0, opts)
}
