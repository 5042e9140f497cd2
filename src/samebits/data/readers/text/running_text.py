"""Running text for language models: books, articles, code, as text files or a folder of them.

A document is cut into segments of about 4 KB (`readers.text.chunks`), which are the samples that `data.split`
assigns; adding a document never moves the segments of another. Inside a split, segments follow each other in the order
of the documents, with a separator wherever the text does not go on, and are stored as rows of `data.text.length` + 1
tokens, each row beginning with the last token of the row before.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.readers.decoding import NotText, check_encoding
from samebits.data.readers.reader import Encoded, Int64, Raw, Rejected, Source, SplitData
from samebits.data.readers.sample_hashes import HASH_BYTES, Hashes
from samebits.data.readers.text.bpe import encode_all, separator_of, tokenizer_bytes, train_bpe
from samebits.data.readers.text.chunks import segments
from samebits.data.readers.text.documents import documents, read_text
from samebits.data.readers.text.tokenizer import PretrainedTokenizer, read_tokenizer
from samebits.params.text import TextParams
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PARAGRAPH = 64  # characters; shorter ones ("Chapter I") repeat everywhere


def read(source: Source) -> RawText:
    """Read the card's files, or the user's file or folder (`.txt`, `.text`, `.md`, at any depth).

    Text is UTF-8 or what its byte order mark says, else Windows-1252; line ends become LF. A file that is empty or no
    text is set aside.

    Raises:
        UserError: if there is no file to read, or `data.split` or `data.text` needs what running text does not have.
    """
    settings = source.settings
    if settings.split in ("stratified", "time"):
        raise UserError(
            f"data.split is {settings.split}: running text has no classes and no times",
            "set data.split: hash, or group to keep each document in one split",
        )
    if settings.encoding is not None:
        check_encoding(settings.encoding)
    set_aside: list[Rejected] = []
    names: list[str] = []
    places: list[tuple[int, int, int, int]] = []  # document, line, first byte, last byte + 1
    hashes, encodings = [], Counter[str]()
    at = 0
    with (source.scratch / "text").open("wb") as store:
        for name, path in documents(source, set_aside):
            try:
                text, encoding = read_text(path, settings.encoding)
            except NotText as error:
                set_aside.append(Rejected(name, str(error)))
                continue
            encodings[encoding] += 1
            line = 1
            for segment in segments(text):
                data = segment.encode()
                store.write(data)
                places.append((len(names), line, at, at + len(data)))
                hashes.append(hashlib.sha256(data).digest())
                at += len(data)
                line += segment.count("\n")
            names.append(name)
    document = [names[place[0]] for place in places]
    number = Counter[str]()
    ids = []
    for name in document:
        ids.append(f"{name}/{number[name]:06d}")
        number[name] += 1
    return RawText(
        ids=ids,
        origins=[f"{name}:{place[1]}" for name, place in zip(document, places, strict=True)],
        hashes=np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, HASH_BYTES),
        targets=None,
        groups=document,
        set_aside=tuple(set_aside),
        settings=settings.text,
        store=source.scratch / "text",
        spans=np.array(places, dtype=np.int64).reshape(-1, 4),
        scratch=source.scratch,
        tokenizer=PretrainedTokenizer.find(source),
        encodings=dict(sorted(encodings.items())),
    )


@dataclass(frozen=True, kw_only=True)
class RawText(Raw):
    """Segments of documents, which lie one after the other in a scratch file.

    Attributes:
        store: the scratch file, UTF-8.
        spans: of each segment its document, first line, first byte and last byte + 1; int64 [n, 4].
        tokenizer: a given one, or None to train one.
        encodings: number of files of each.
    """

    settings: TextParams
    store: Path
    spans: Int64
    scratch: Path
    tokenizer: PretrainedTokenizer | None
    encodings: dict[str, int]

    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Train the tokeniser on the training split, or load the given one, and cut each split into rows.

        Raises:
            UserError: if a split has too few tokens for a row, or the tokeniser cannot be used.
        """
        settings = self.settings
        if self.tokenizer is None:
            texts = self.texts(splits["train"])
            tokenizer = train_bpe(texts, settings.vocabulary, lowercase=settings.lowercase)
        else:
            tokenizer = read_tokenizer(self.tokenizer)
            tokenizer.no_truncation()
            tokenizer.no_padding()
        streams = {name: _Stream(self, tokenizer, name, rows) for name, rows in splits.items()}
        data, sha256 = tokenizer_bytes(tokenizer)
        lossless = self._lossless(tokenizer, splits["test"])
        ratio = {name: round(stream.bytes / len(stream), 6) for name, stream in streams.items()}
        signature = Signature(
            inputs=TokenInputs(
                length=settings.length,
                vocabulary=1 + max(tokenizer.get_vocab(with_added_tokens=True).values()),
                bytes_per_token=ratio["test"] if lossless else None,
                tokenizer_sha256=sha256,
            ),
            target=NextTokenTarget(),
        )
        encoded = {name: stream.split_data(signature.row_dtype) for name, stream in streams.items()}
        tokens = {name: len(stream) for name, stream in streams.items()}
        known = self._paragraphs(splits["train"])
        repeated = self._paragraphs(splits["test"])
        shared = len(repeated & known)
        audit = {
            "documents": len(set(self.spans[:, 0].tolist())),
            "encodings": self.encodings,
            "segments": {name: len(rows) for name, rows in splits.items()},
            "tokens": tokens,
            "bytes_per_token": ratio,
            "tokens_left_over": {name: stream.left_over for name, stream in streams.items()},
            "test_paragraphs": len(repeated),
            "test_paragraphs_also_in_train": shared,
            "tokenizer_lossless": lossless,
        }
        return Encoded(signature, encoded, {"tokenizer.json": data}, audit, tuple(self._remarks(audit, signature)))

    def texts(self, rows: Int64) -> Iterator[str]:
        """Segments by number."""
        with self.store.open("rb") as store:
            for _, _, first, last in self.spans[rows].tolist():
                store.seek(first)
                yield store.read(last - first).decode()

    def _lossless(self, tokenizer: Tokenizer, rows: Int64) -> bool:
        """Whether decoding gives the text back; without that, bits per byte would be those of another text."""
        return all(
            tokenizer.decode(tokens, skip_special_tokens=False) == text
            for text, tokens in zip(self.texts(rows), encode_all(tokenizer, self.texts(rows)), strict=True)
        )

    def _paragraphs(self, rows: Int64) -> set[bytes]:
        """Hashes of the paragraphs that are long enough to be somebody's own words."""
        found = set()
        for text in self.texts(rows):
            for paragraph in re.split(r"\n[ \t]*\n", text):
                words = " ".join(paragraph.split())
                if len(words) >= _PARAGRAPH:
                    found.add(hashlib.sha256(words.encode()).digest()[:16])
        return found

    def _remarks(self, audit: Mapping[str, Any], signature: Signature) -> Iterator[str]:
        inputs = signature.tokens
        total = sum(audit["tokens"].values())
        yield (
            f"{audit['documents']:,} documents, {total:,} tokens of {inputs.vocabulary:,} kinds, "
            f"{audit['bytes_per_token']['test']:.2f} bytes per token; rows of {inputs.length} + 1 tokens"
        )
        odd = [f"{count} as {name}" for name, count in self.encodings.items() if not name.startswith("utf-8")]
        if odd:
            yield f"files that are no UTF-8 were read {', '.join(odd)}"
        if self.tokenizer is None and inputs.vocabulary < self.settings.vocabulary:
            yield f"the text has pairs for {inputs.vocabulary:,} tokens only, data.text.vocabulary asks for more"
        if audit["test_paragraphs_also_in_train"]:
            yield (
                f"{audit['test_paragraphs_also_in_train']:,} of {audit['test_paragraphs']:,} paragraphs of test "
                "also stand in train"
            )
        if not audit["tokenizer_lossless"]:
            yield "the tokeniser does not give texts back as they were: there are no bits per byte"


class _Stream:
    """The tokens of one split, one after the other, in a scratch file: int32 [tokens]."""

    def __init__(self, raw: RawText, tokenizer: Tokenizer, name: str, segments: Int64) -> None:
        self.name = name
        self.length = raw.settings.length
        self.raw = raw
        spans = raw.spans[segments]
        self.bytes = int((spans[:, 3] - spans[:, 2]).sum())
        separator = separator_of(tokenizer)
        between = [] if separator is None else [separator]
        starts, size = [], 0
        with (raw.scratch / f"tokens-{name}").open("wb") as store:
            before = None
            for segment, tokens in zip(segments.tolist(), encode_all(tokenizer, raw.texts(segments)), strict=True):
                document = int(raw.spans[segment, 0])
                joined = before == (document, segment - 1)
                piece = np.array(tokens if joined else between + tokens, dtype=np.int32)
                before = (document, segment)
                starts.append(size)
                store.write(piece.tobytes())
                size += len(piece)
        self.segments, self.starts = segments, np.array(starts, dtype=np.int64)
        self.rows = max(0, size - 1) // self.length
        if not self.rows:
            raise UserError(
                f"the {name} split has {size:,} tokens, one row needs {self.length + 1:,}",
                f"lower data.text.length, raise data.{name}_fraction, or add text"
                if name != "train"
                else "lower data.text.length, or add text",
            )
        self._tokens: npt.NDArray[np.int32] = np.memmap(
            raw.scratch / f"tokens-{name}", dtype=np.int32, mode="r", shape=(size,)
        )

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def left_over(self) -> int:
        """Tokens at the end that fill no row."""
        return len(self) - 1 - self.length * self.rows

    def read(self, rows: Int64) -> npt.NDArray[np.int32]:
        """Rows by number, int32 [len(rows), length + 1]."""
        at = rows[:, None] * self.length + np.arange(self.length + 1)
        return np.asarray(self._tokens[at])

    def split_data(self, dtype: str) -> SplitData:
        """The rows, each with the place where its first token stands."""
        every = np.arange(self.rows, dtype=np.int64)
        at = np.searchsorted(self.starts, every * self.length, side="right") - 1
        return SplitData(
            count=self.rows,
            read=self.read,
            targets=None,
            hashes=self._hashes(dtype),
            ids=[f"{self.name}/{row:07d}" for row in range(self.rows)],
            origins=[self.raw.origins[segment] for segment in self.segments[at].tolist()],
        )

    def _hashes(self, dtype: str) -> Hashes:
        digests = b"".join(
            hashlib.sha256(self.read(np.array([row], dtype=np.int64)).astype(dtype).tobytes()).digest()
            for row in range(self.rows)
        )
        return np.frombuffer(digests, dtype=np.uint8).reshape(-1, HASH_BYTES)
