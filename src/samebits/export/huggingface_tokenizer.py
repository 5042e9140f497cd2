"""The tokenizer's files of the Hugging Face layout, and proof that the library reads the same tokens from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samebits.base.errors import UserError
from samebits.base.files import json_bytes
from samebits.models.layers.pooling import used_tokens
from samebits.signature.special_tokens import SEPARATORS
from samebits.signature.tokens import TOKENIZER, TokenInputs

_NAMES = {
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "unk": ("[UNK]", "<unk>"),
    "mask": ("[MASK]", "<mask>"),
}

AWKWARD = (
    "A plain sentence, with a comma.",
    "  blanks  before,\tin  between and after \n\n",
    "Two lines\r\nof Windows\rand of an old Mac",
    "ÅNGSTRÖM, cafe\u0301, ﬁne, ½ — “quotes” …",
    "Ünïcödé 漢字 かな 한국어 عربى हिन्दी \u200d",
    "👩‍👩‍👧 🇹🇷 ☃️ \u00a0no-break\u2003em",
    "controls \x00\x07\x1b and \ufeff a mark",
    "UPPER lower CamelCase snake_case 3.14159 1,000,000 a@b.example",
    "x" * 300,
    "many words " * 200,
    "'",
)
"""Texts that two readers of one tokenizer.json may cut differently."""


def tokenizer_files(data: bytes, tokens: TokenInputs, *, writes: bool) -> tuple[dict[str, bytes], dict[str, int]]:
    """The files by name, and the numbers of special tokens by what they are for (`eos`).

    Args:
        data: tokenizer.json, which stays as it is.
        writes: whether the model writes texts.
    """
    # Only tokens that are special to the tokenizer already: the library would make others so.
    special = {each["content"]: each["id"] for each in json.loads(data)["added_tokens"] if each["special"]}
    found = {name: next((each for each in known if each in special), None) for name, known in _NAMES.items()}
    if writes:
        end = next((each for each in SEPARATORS if each in special), None)
        found = {"bos": end, "eos": end}
    padding = json.loads(data)["padding"]
    found["pad"] = None if padding is None else padding["pad_token"]
    named = {f"{name}_token": token for name, token in found.items() if token is not None}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": tokens.length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        "truncation_side": "right",
        **named,
    }
    files = {TOKENIZER: data, "tokenizer_config.json": json_bytes(config), "special_tokens_map.json": json_bytes(named)}
    return files, {name: special[token] for name, token in found.items() if token in special}


def require_same_tokens(path: Path, tokenizer: Path, tokens: TokenInputs, *, of_words: bool, writes: bool) -> None:
    """Cut awkward texts with both libraries, alone and as a batch.

    Args:
        path: of the folder.
        tokenizer: our tokenizer.json.
        of_words: whether the model is given words one by one.
        writes: whether the model writes texts: then they are not cut to a length.

    Raises:
        UserError: naming the first text of which a token differs, or what is looked at.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    ours = Tokenizer.from_str(tokenizer.read_text(encoding="utf-8"))
    texts: list[Any] = [text.split() for text in AWKWARD] if of_words else list(AWKWARD)
    how = {"is_split_into_words": True} if of_words else {}
    if writes:
        ours.no_truncation()
    else:
        how["truncation"] = True
    with quiet():
        theirs: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        found = [theirs(text, **how)["input_ids"] for text in texts]
        batch = None if tokens.pad is None else theirs(texts, **how, padding=True, return_tensors="pt")
    for text, read in zip(texts, found, strict=True):
        wanted = np.array(ours.encode(text, is_pretokenized=of_words).ids)
        if tokens.pad is not None:
            wanted = wanted[: int(tokens.lengths(wanted[None])[0])]
        if wanted.tolist() != read:
            raise _differs(f"the tokens of {''.join(text)!r:.60} are {read[:8]} …, not {wanted[:8].tolist()} …")
    if batch is None:
        return
    used = used_tokens(batch["input_ids"], tokens.pad)
    if not torch.equal(used, batch["attention_mask"].bool()):
        raise _differs("its attention mask hides other tokens: the padding token has a use in texts, too")


def _differs(reason: str) -> UserError:
    return UserError(
        f"the Hugging Face layout does not read texts as the checkpoint does: {reason}",
        "remove huggingface from export.formats, or take another data.text.tokenizer; nothing was written",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """The library shows bars, and warns of texts that are longer than the model's, which are wanted here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
