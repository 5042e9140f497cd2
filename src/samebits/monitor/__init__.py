"""`samebits monitor`: whether the inputs and answers of a model in use are still like those of its training data."""

LIMIT, ALPHA = 0.1, 0.01
"""Of the size of a difference, and of false alarms per run: see `docs/monitor.md`."""
