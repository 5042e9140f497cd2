"""A commit run again in a clean copy, each output compared."""
