"""Readers of tables: columns, targets, encoding."""
