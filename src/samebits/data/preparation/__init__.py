"""From raw samples to split, audited and stored shards."""
