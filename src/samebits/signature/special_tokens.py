"""Tokens with a meaning of their own."""

SEPARATORS = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<|im_end|>", "[SEP]")
"""Names of the token between texts, in the order in which they are looked for in a tokeniser."""
