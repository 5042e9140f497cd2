"""Data sets, models and experiments for other people: through DVC's remote and git, checked at both ends.

It sits beside the pipeline and no stage imports it. `share` and `receive` wrap `dvc push` and `dvc pull`, which
work alone, too, but believe what was once on the remote to be there still.
"""
