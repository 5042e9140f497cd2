"""The training state and where it is kept."""
