"""Where outputs come from: verify a commit, restore a run, compare first losses."""
