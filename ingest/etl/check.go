package etl

import "cmp"

// Check tells what is wrong with the policies and the division into shards. Open
// checks them too; Check is for who wants to know earlier, and needs none of the
// directories. Without Shard it checks the division alone.
func (c *Config) Check() error {
	if _, err := newPolicies(c.Policy, c.Groups); err != nil {
		return err
	}
	if len(c.Shards) == 0 && c.Shard == "" {
		return nil
	}
	own := c.Shard
	if len(c.Shards) > 0 {
		own = cmp.Or(own, c.Shards[0].Name)
	}
	_, err := newShards(c.Shards, own)
	return err
}
