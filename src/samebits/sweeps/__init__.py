"""`samebits sweep FILE`: many experiments of one question, each a DVC experiment and an MLflow run.

    sweeps/lr.yaml ── spec.py, space.py ── what is tried, checked against the schema before anything runs
    study.py      ── Optuna's storage: which trial has which parameters, who runs it, what came of it
    trial.py      ── one trial: `dvc exp run --temp`, its validation curve, its result
    runner.py     ── N trials at a time, a GPU for each; stop, go on
    parent_run.py ── the parent run in MLflow; report.py: table and figures

`samebits seeds N` (seeds.py, seeds_report.py) is a sweep over seeds that ranks nothing. `samebits compare A B`
(compare.py) reads finished runs (seed_runs.py), their values per test sample (sample_values.py), and computes
intervals (intervals.py).

Nothing here is a dependency of a stage: a sweep can start and stop stages, not change what one computes.
"""
