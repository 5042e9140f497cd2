"""From prepared shards to batches, as a function of (data, seed, step)."""
