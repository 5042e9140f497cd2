"""Training samples whose label is probably wrong, and what a person decides about them."""
