"""Evaluation: what the test split says about a checkpoint, as numbers, figures and one HTML page."""
