"""What an execution was and what came of it, recorded in MLflow without ever being in a stage's way.

    stage process                        sender process (one an execution)
    tracker.py ── journal.py ─ append ─> journal ─ tail ─> sender.py ── store.py ──> MLflow

A stage appends lines to a local file and never imports MLflow. The sender delivers them, each
(metric, step) once, whoever is killed and whenever. What could not be delivered stays in the journal.
"""
