"""What changed between two versions of the prepared data."""
