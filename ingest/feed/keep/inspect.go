package keep

import (
	"slices"

	"chronicle/store/queue"
)

// Inspect gives the state of a raw queue as it is now, with the alarms that these
// limits call for. It changes nothing; what takes time to know, it leaves out.
func Inspect(dir string, l Limits) (State, error) {
	var s State
	var err error
	if s.Segments, s.Bytes, err = queue.Usage(dir); err != nil {
		return s, err
	}
	if s.Space, err = SpaceOf(dir); err != nil {
		return s, err
	}
	s.Below = l.Below(s.Space.Total)
	if s.Space.Free < s.Below {
		s.Alarms = append(s.Alarms, Alarm{Reason: FreeSpace, Detail: s.lowText()})
	}
	holders, err := l.holders(dir)
	if err != nil {
		s.Alarms = append(s.Alarms, Alarm{Reason: Retention, Detail: err.Error()})
	} else if detail := l.behind(&s, holders); detail != "" {
		s.Alarms = append(s.Alarms, Alarm{Reason: ConsumerBehind, Detail: detail})
	}
	return s, nil
}

// holders gives the consumers that need the oldest record of a queue, or are
// expected and not there.
func (l *Limits) holders(dir string) ([]string, error) {
	all, err := queue.Consumers(dir)
	if err != nil {
		return nil, err
	}
	files, err := queue.ListSegments(dir)
	if err != nil || len(files) < 2 {
		return nil, err // the newest segment always stays
	}
	holders := slices.DeleteFunc(slices.Clone(l.Require), func(name string) bool {
		return slices.ContainsFunc(all, func(c queue.ConsumerInfo) bool { return c.Name == name })
	})
	for _, c := range all {
		if c.Next < files[1].FirstSeq {
			holders = append(holders, c.Name)
		}
	}
	return holders, nil
}
