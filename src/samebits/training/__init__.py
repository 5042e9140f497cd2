"""The training loop and what it is made of: optimisers, schedules, averaging, the state and its resumption."""
