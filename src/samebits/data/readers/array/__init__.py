"""Arrays of one shape and type."""
