"""The `samebits` command: parsing, and what the short commands print."""
