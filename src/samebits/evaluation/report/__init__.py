"""The HTML page of an evaluation and its figures."""
