"""Lineage both ways: a run's code, parameters, data and model in a fresh worktree; a model file's run and commit."""
