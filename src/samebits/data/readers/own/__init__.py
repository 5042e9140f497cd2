"""A Dataset of the user's own."""
