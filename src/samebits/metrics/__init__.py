"""Numbers that say how good predictions are, on arrays alone: for evaluation, export and the gate."""
