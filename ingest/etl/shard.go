package etl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chronicle/market"
)

// ErrShards is returned for an instrument that is in no shard, or in several.
var ErrShards = errors.New("every instrument must be in exactly one shard")

// Shard is a part of the instruments, processed by an ETL of its own.
type Shard struct {
	Name    string   // lower-case letters, digits, - and _
	Symbols []string // patterns, see market.Pattern
}

// PolicyGroup gives some instruments a policy of their own.
type PolicyGroup struct {
	Symbols []string // patterns, see market.Pattern
	Policy  Policy   // what is zero is as for the others
}

// shards decides which shard an instrument belongs to.
type shards struct {
	own   string // the shard that is processed here
	names []string
	sets  [][]market.Pattern
}

// newShards checks the shards; own is the one to process, empty when there are none.
func newShards(all []Shard, own string) (*shards, error) {
	s := &shards{own: own}
	for _, shard := range all {
		if !validShardName(shard.Name) {
			return nil, fmt.Errorf("shards: name %q: use lower-case letters, digits, - and _", shard.Name)
		}
		if slices.Contains(s.names, shard.Name) {
			return nil, fmt.Errorf("shards: name %q is given twice", shard.Name)
		}
		set, err := parsePatterns(shard.Symbols)
		if err != nil {
			return nil, fmt.Errorf("shards: %s: symbols: %w", shard.Name, err)
		}
		s.names, s.sets = append(s.names, shard.Name), append(s.sets, set)
	}
	if own == "" && len(all) > 0 {
		return nil, fmt.Errorf("shards: say which to process, one of %s", strings.Join(s.names, ", "))
	}
	if own != "" && !slices.Contains(s.names, own) {
		return nil, fmt.Errorf("shards: %q is none of %s", own, strings.Join(s.names, ", "))
	}
	return s, nil
}

func validShardName(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func parsePatterns(list []string) ([]market.Pattern, error) {
	if len(list) == 0 {
		return nil, errors.New("none given: write a list such as [\"btc_*\", \"kraken:*\"]")
	}
	out := make([]market.Pattern, len(list))
	for i, s := range list {
		var err error
		if out[i], err = market.ParsePattern(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// own tells whether an instrument is processed here.
func (s *shards) has(id market.SymbolID) (bool, error) {
	if len(s.names) == 0 {
		return true, nil
	}
	var in []string
	for i, set := range s.sets {
		if matchAny(set, id) {
			in = append(in, s.names[i])
		}
	}
	switch len(in) {
	case 0:
		return false, fmt.Errorf("%s is in none of the shards %s: %w", id, strings.Join(s.names, ", "), ErrShards)
	case 1:
		return in[0] == s.own, nil
	}
	return false, fmt.Errorf("%s is in the shards %s: %w", id, strings.Join(in, " and "), ErrShards)
}

func matchAny(set []market.Pattern, id market.SymbolID) bool {
	return slices.ContainsFunc(set, func(p market.Pattern) bool { return p.Match(id) })
}
