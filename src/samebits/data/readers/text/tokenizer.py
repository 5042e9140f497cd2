"""Tokenisers: trained on the training split, or given; and texts as rows of token numbers.

`tokenizer.json` is the format of the library `tokenizers`. It holds everything: cleaning as `decoding.clean`
does it, cutting to the length, filling up short rows. So `Tokenizer.from_file("tokenizer.json").encode_batch(texts)`
gives the inputs of a model, for texts as they come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.base.errors import UserError
from samebits.base.files import sha256_bytes, sha256_file
from samebits.base.sandbox import require_harmless
from samebits.data.fetching.catalog import is_path
from samebits.data.readers.decoding import BLANKS, CONTROLS
from samebits.data.readers.reader import Array, Int64, Source
from samebits.data.readers.text.bpe import train
from samebits.params.text import TextParams
from samebits.signature.tokens import TokenInputs

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer, normalizers

SPECIAL = ("[PAD]", "[CLS]", "[SEP]")
TRAINED = "bpe"

_PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
_UNKNOWN = ("[UNK]", "<unk>")
_LEAST_COUNT = 2
# White space of Unicode but for the line feed, controls and tabs: what `str.strip` would take off a cleaned line.
_SPACES = " \u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

Texts = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class PretrainedTokenizer:
    """A tokenizer that was trained elsewhere."""

    path: Path
    name: str

    @classmethod
    def find(cls, source: Source) -> PretrainedTokenizer | None:
        """The one that `data.text.tokenizer` names; None where one is to be trained.

        Raises:
            UserError: if it does not exist, or is one of the user's own that `data.text.tokenizer_sha256` does not pin.
        """
        settings = source.settings.text
        name, pinned = settings.tokenizer, settings.tokenizer_sha256
        if name == TRAINED:
            return None
        path = source.asset(name, "tokenizer.json", "data.text.tokenizer")
        if pinned is not None or is_path(name):
            # The stage does not depend on the file: its hash in params.yaml says that it is another one.
            found = sha256_file(path)
            if pinned != found:
                wrong = "which nothing pins" if pinned is None else f"whose sha256 is not {pinned}"
                raise UserError(f"data.text.tokenizer is {name}, {wrong}", f"set data.text.tokenizer_sha256: {found}")
        return cls(path, name)


@dataclass(frozen=True)
class Fitted:
    """A tokeniser that is ready to encode.

    Attributes:
        json: `tokenizer.json`, with cutting and filling set.
        pad: token that fills rows up.
        unknown: token for what the vocabulary lacks; None where there is none.
    """

    tokenizer: Tokenizer
    json: bytes
    vocabulary: int
    length: int
    pad: int
    unknown: int | None

    def inputs(self, column: str | None) -> TokenInputs:
        """What a model gets of texts; `column`: that held them, if they stood in a table."""
        return TokenInputs(
            length=self.length,
            vocabulary=self.vocabulary,
            pad=self.pad,
            tokenizer_sha256=sha256_bytes(self.json),
            column=column,
        )


@dataclass(frozen=True)
class EncodedTexts:
    """Rows of tokens, and what the audit says of them.

    Attributes:
        read: row numbers -> tokens [k, length].
        lengths: tokens of each whole text, special ones included, int64 [n].
        cut: tokens that do not fit, over all texts.
        unknown: tokens of what the vocabulary lacks, among those kept; None where nothing is unknown to it.
    """

    read: Callable[[Int64], Array]
    lengths: Int64
    length: int
    cut: int
    unknown: int | None

    def audit(self) -> dict[str, Any]:
        """For `dataset.json`."""
        total = int(self.lengths.sum())
        return {
            "longer": int((self.lengths > self.length).sum()),
            "tokens": total,
            "tokens_cut": self.cut,
            "tokens_unknown": self.unknown,
            "length_median": int(np.median(self.lengths)) if len(self.lengths) else 0,
            "length_longest": int(self.lengths.max(initial=0)),
        }

    def remarks(self, length: int) -> Iterator[str]:
        """For people."""
        found = self.audit()
        n, total = len(self.lengths), max(1, found["tokens"])
        ninth = int(np.quantile(self.lengths, 0.9)) if n else 0
        yield (
            f"tokens per text: median {found['length_median']:,}, 90 % up to {ninth:,}, "
            f"longest {found['length_longest']:,}"
        )
        if found["longer"]:
            yield (
                f"{found['longer']:,} of {n:,} texts ({found['longer'] / n:.0%}) are longer than data.text.length "
                f"{length}: {self.cut / total:.0%} of all tokens are cut"
            )
        if self.unknown is not None and self.unknown > 0.01 * total:
            yield f"{self.unknown / total:.0%} of the tokens are unknown to the tokenizer"


def fit_tokenizer(
    settings: TextParams, pretrained: PretrainedTokenizer | None, texts: Texts, *, of_words: bool = False
) -> Fitted:
    """Train a tokeniser, or read the given one, and set how it cuts and fills.

    Args:
        texts: the training split's.
        of_words: texts come as lists of words; each is to have the tokens that it has in running text.

    Raises:
        UserError: for a file that is no tokeniser, or has no token to fill rows up with.
    """
    tokenizer = train_tokenizer(settings, texts()) if pretrained is None else read_tokenizer(pretrained)
    if of_words:
        tokenizer = _with_blanks_before_words(tokenizer)
    _prepend_normalizers(tokenizer, lowercase=pretrained is not None and settings.lowercase)
    pad, pad_token = _pad(tokenizer, pretrained)
    special = tokenizer.num_special_tokens_to_add(False)
    if special >= settings.length:
        raise UserError(
            f"data.text.length {settings.length} has no room for a text beside {special} special tokens",
            "raise data.text.length",
        )
    tokenizer.enable_truncation(settings.length)
    tokenizer.enable_padding(pad_id=pad, pad_token=pad_token)
    text = tokenizer.to_str(pretty=True) + "\n"
    # Rows are filled here: a batch of the library's own would be as long as its longest text before it is cut.
    tokenizer.no_padding()
    unknown = next((token for name in _UNKNOWN if (token := tokenizer.token_to_id(name)) is not None), None)
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
    return Fitted(tokenizer, text.encode(), size, settings.length, pad, unknown)


def train_tokenizer(settings: TextParams, texts: Iterator[str]) -> Tokenizer:
    """Byte-level BPE (Sennrich et al., 2016; bytes as in GPT-2), to which no text is unknown.

    The same texts in the same order give the same tokeniser. The library's WordPiece trainer does not: it numbers the
    letters in the order of a randomly seeded hash map.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    if settings.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        min_frequency=_LEAST_COUNT,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    train(tokenizer, trainer, texts)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def read_tokenizer(pretrained: PretrainedTokenizer) -> Tokenizer:
    """A tokeniser from its file.

    Raises:
        UserError: if it is none.
    """
    from tokenizers import Tokenizer

    try:
        text = pretrained.path.read_text(encoding="utf-8")
        if "model" not in json.loads(text):
            raise ValueError("it has no model")
        require_harmless("tokenizer", pretrained.path)
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises a bare Exception for what it cannot read
        reason = error.problem if isinstance(error, UserError) else str(error)[:200]
        raise UserError(
            f"data.text.tokenizer {pretrained.name} is no tokenizer.json: {reason}",
            "name a file that the library tokenizers wrote (Tokenizer.save, or save_pretrained of a fast tokenizer)",
        ) from None


def encode_texts(
    fitted: Fitted,
    count: int,
    texts: Callable[[], Iterator[str] | Iterator[list[str]]],
    path: Path,
    chunk: int,
    seen: Callable[[int, Encoding], None] | None = None,
) -> EncodedTexts:
    """Texts as rows of tokens in an .npy file, cut to the length and filled up at the end.

    Args:
        count: of the texts.
        texts: each a text; with `seen`, a list of words.
        path: of the file.
        chunk: texts at a time.
        seen: gets the number of each row and its encoding.
    """
    dtype = np.dtype("<u2" if fitted.vocabulary <= 1 << 16 else "<i4")
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(count, fitted.length))
    lengths = np.zeros(count, dtype=np.int64)
    stream, at, cut, unknown = texts(), 0, 0, 0
    while batch := list(islice(stream, chunk)):
        for encoding in fitted.tokenizer.encode_batch(batch, is_pretokenized=seen is not None):
            if seen is not None:
                seen(at, encoding)
            kept = encoding.ids
            # Without a stride, the overflowing parts are the rest of the text, each with its own special tokens.
            rest = sum(part.special_tokens_mask.count(0) for part in encoding.overflowing)
            rows[at, : len(kept)] = kept
            rows[at, len(kept) :] = fitted.pad
            lengths[at] = len(kept) + rest
            cut += rest
            unknown += 0 if fitted.unknown is None else kept.count(fitted.unknown)
            at += 1
    return EncodedTexts(
        read=lambda chosen: np.asarray(rows[chosen]),
        lengths=lengths,
        length=fitted.length,
        cut=cut,
        unknown=None if fitted.unknown is None else unknown,
    )


def cleaning() -> list[normalizers.Normalizer]:
    """What `samebits.data.readers.decoding.clean` does, as steps of a `tokenizer.json`.

    Each takes time that grows with the length of a text alone: no pattern is tried again inside a run of blanks.
    """
    from tokenizers import Regex, normalizers

    return [
        normalizers.Replace(Regex("\r\n?"), "\n"),
        normalizers.Replace(Regex(CONTROLS), ""),
        normalizers.NFC(),
        normalizers.Replace(Regex(BLANKS), " "),
        normalizers.Replace(Regex(f"(?<![{_SPACES}])[{_SPACES}]+\n"), "\n"),
        normalizers.Replace(Regex(f"\n[{_SPACES}]+"), "\n"),
        normalizers.Strip(),
    ]


def _prepend_normalizers(tokenizer: Tokenizer, *, lowercase: bool) -> None:
    """Cleaning, and lower case where it is asked for, before what the tokeniser does itself."""
    from tokenizers import normalizers

    own = tokenizer.normalizer
    lower = [normalizers.Lowercase()] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence([*cleaning(), *lower, *([] if own is None else [own])])


def _with_blanks_before_words(tokenizer: Tokenizer) -> Tokenizer:
    """A tokeniser to which every word has a blank before it, also where words are given one by one.

    Byte-level and sentence-piece tokenisers know the beginning of a word by that blank.
    """
    from tokenizers import Tokenizer

    changed = json.loads(tokenizer.to_str())
    own = changed["pre_tokenizer"] or {}
    for each in own.get("pretokenizers", [own]):
        if "add_prefix_space" in each:
            each["add_prefix_space"] = True
        if "prepend_scheme" in each:
            each["prepend_scheme"] = "always"
    return Tokenizer.from_str(json.dumps(changed))


def _pad(tokenizer: Tokenizer, pretrained: PretrainedTokenizer | None) -> tuple[int, str]:
    set_by_file = tokenizer.padding
    if set_by_file is not None:
        return int(set_by_file["pad_id"]), str(set_by_file["pad_token"])
    for name in _PADS:
        if (token := tokenizer.token_to_id(name)) is not None:
            return token, name
    raise UserError(
        f"data.text.tokenizer {pretrained.name if pretrained else ''} has no token to fill short texts up with",
        f"add one of {', '.join(_PADS)} to it",
    )
