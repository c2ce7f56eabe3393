package manifest

import (
	"encoding/json"

	"chronicle/market"
)

// texts keeps one copy of each text and definition: rows repeat them.
type texts struct {
	text       map[string]string
	definition map[market.Definition]market.Definition
	parsed     map[string]market.Definition
}

func (t *texts) keep(s string) string {
	if kept, ok := t.text[s]; ok {
		return kept
	}
	t.text[s] = s
	return s
}

func (t *texts) segment(s Segment) Segment {
	s.Venue, s.Symbol, s.Stream, s.Date, s.Tier = t.keep(s.Venue), t.keep(s.Symbol), t.keep(s.Stream), t.keep(s.Date), t.keep(s.Tier)
	if kept, ok := t.definition[s.Definition]; ok {
		s.Definition = kept
	} else {
		t.definition[s.Definition] = s.Definition
	}
	return s
}

// parse reads a definition, once per text.
func (t *texts) parse(text string) (market.Definition, error) {
	if d, ok := t.parsed[text]; ok {
		return d, nil
	}
	var d market.Definition
	err := json.Unmarshal([]byte(text), &d)
	t.parsed[text] = d
	return d, err
}
