"""Readers of texts, and tokenizers."""
