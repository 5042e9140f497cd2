"""What a stage writes down, in files of its own."""
