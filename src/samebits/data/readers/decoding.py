"""Bytes of an unknown encoding to clean text, for every reader of texts and for `samebits predict`.

A byte order mark decides; without one, text is UTF-8, and what is no UTF-8 is taken for Windows-1252 (for Latin-1, if
it holds one of the five bytes that Windows-1252 lacks). Which it was is counted, so that it can be reported.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from samebits.base.errors import UserError

LONGEST = 8 << 20
"""Bytes of the longest line or file that is taken for a text."""

_BLOCK = 1 << 20
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKED = {encoding for _, encoding in _MARKS}
# Not raw: the characters themselves mean the same to every library of regular expressions.
BLANKS = "[ \t\u00a0]+"
CONTROLS = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]"
"""What `clean` joins and removes; `samebits.data.readers.text.tokenizer` writes the same into `tokenizer.json`."""

_BLANK, _CONTROL = re.compile(BLANKS), re.compile(CONTROLS)
_MOST_MARKS = 500
_FAR = re.compile(f"[^\x00-\u02ff]{{{_MOST_MARKS + 1},}}")
"""Runs of characters that may be combining marks."""
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


class NotText(ValueError):
    """Bytes that are no text; the message is the reason."""


def decode(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """A whole text, and the encoding it was taken to be in.

    Args:
        encoding: of the text, where it is known; else it is found.

    Raises:
        NotText: NUL bytes, or bytes that are not in the given encoding.
    """
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is not None or marked is not None:
        name = encoding or str(marked)
        try:
            return _without_nul(data.decode(name)), name
        except UnicodeDecodeError as error:
            raise NotText(f"byte {error.start} is no {name}") from None
    if b"\0" in data:
        raise NotText("it holds NUL bytes: it is no text, or UTF-16 without a byte order mark")
    for name in ("utf-8", "cp1252"):
        try:
            return data.decode(name), name
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


def require_unmixed(data: bytes, found: str) -> None:
    """Refuse bytes of which most are UTF-8 and some are not: whatever they are taken for, a part of them is garbled.

    Args:
        found: the encoding that `decode` found for them.

    Raises:
        NotText: with how many there are of each.
    """
    if found not in ("cp1252", "latin-1"):
        return
    # In a Windows-1252 text a pair of letters may look like UTF-8; in a mixed one most such bytes are.
    whole = len(_MULTIBYTE.findall(data))
    alone = sum(byte >= 0x80 for byte in _MULTIBYTE.sub(b"", data))
    if whole > alone:
        raise NotText(f"mixes encodings: {whole:,} characters are UTF-8, {alone:,} bytes are not")


def clean(text: str) -> str:
    """A text as it is stored, hashed and tokenised: NFC, LF, single blanks, no control characters, no outer blanks.

    Cleaning a clean text changes nothing; a normaliser in `tokenizer.json` does the same (`tokenizer.cleaning`).

    Raises:
        NotText: for half of a surrogate pair, which no encoding can hold, or marks that are stacked by the hundred.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotText("it holds half of a surrogate pair") from None
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    # After the control characters: one of them may stand between a letter and its accent.
    _require_composable(text)
    text = _BLANK.sub(" ", unicodedata.normalize("NFC", text))
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _require_composable(text: str) -> None:
    """Refuse stacked combining marks: putting n of them in order takes n * n steps."""
    for run in _FAR.finditer(text):
        # Every stack of this height holds one of the places that are looked at.
        for at in range(run.start() + _MOST_MARKS - 1, run.end(), _MOST_MARKS):
            first = last = at
            while first > run.start() and last - first < _MOST_MARKS and unicodedata.combining(text[first - 1]):
                first -= 1
            while last < run.end() and last - first <= _MOST_MARKS and unicodedata.combining(text[last]):
                last += 1
            if last - first > _MOST_MARKS:
                raise NotText(f"more than {_MOST_MARKS} combining marks stand on one letter")


def read_lines(
    path: Path, name: str, encoding: str | None, encodings: Counter[str]
) -> Iterator[tuple[int, str | NotText]]:
    """The lines of a file with their numbers from 1 and their line ends, or why a line is no text.

    Memory is bounded by `LONGEST`, however long a line is: the rest of a longer one is skipped. Without a byte order
    mark, each line is decoded by itself, so that a file of several encodings does not spoil the lines that are right; a
    line of several is no text.

    Args:
        name: the file's name for the user.
        encodings: the lines of each encoding are added here.

    Raises:
        UserError: for an unknown encoding, or a file that is not in the one that its mark or the user names.
    """
    if encoding is not None:
        check_encoding(encoding)
    with path.open("rb") as file:
        mark = next((each for start, each in _MARKS if file.peek(4).startswith(start)), None)
        whole = encoding or mark
        if whole is not None and (whole in _MARKED or not _keeps_line_feeds(whole)):
            yield from _marked_lines(file, name, whole, encodings)
            return
        for number, line in enumerate(_byte_lines(file), start=1):
            if len(line) > LONGEST:
                yield number, NotText(f"the line is longer than {LONGEST >> 20} MiB")
                continue
            if encoding is None and line.isascii() and b"\0" not in line:  # most lines of most files, decoded at once
                encodings["utf-8"] += 1
                yield number, line.decode("ascii")
                continue
            try:
                text, found = decode(line, encoding)
                if encoding is None:
                    require_unmixed(line, found)
            except NotText as error:
                yield number, error
                continue
            encodings[found] += 1
            yield number, text


def check_encoding(encoding: str) -> None:
    """Refuse what is no encoding of text.

    Raises:
        UserError: with the name.
    """
    try:
        if not codecs.lookup(encoding)._is_text_encoding:
            raise LookupError
        "".encode(encoding)
    except (LookupError, ValueError):  # ValueError: a NUL in the name, or Python's own "undefined"
        raise UserError(
            f"data.encoding {encoding!r} is no encoding that Python knows", "as utf-8, cp1252, utf-16 or null"
        ) from None


def _keeps_line_feeds(encoding: str) -> bool:
    """Whether the byte 0x0a is a line feed and nothing else, so that bytes can be cut into lines."""
    return codecs.lookup(encoding).name in {"utf-8", "ascii", "cp1252", "iso8859-1", "latin-1", "iso8859-15"}


def _byte_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; of one longer than `LONGEST`, its first `LONGEST` + 1 bytes."""
    while line := file.readline(LONGEST + 1):
        yield line
        while len(line) > LONGEST and not line.endswith(b"\n"):
            line = file.readline(LONGEST + 1)


def _marked_lines(
    file: BinaryIO, name: str, encoding: str, encodings: Counter[str]
) -> Iterator[tuple[int, str | NotText]]:
    reader = codecs.getincrementaldecoder(encoding)()
    number, pending, skipping = 1, "", False
    ended = False
    while not ended:
        block = file.read(_BLOCK)
        ended = not block
        try:
            pending += reader.decode(block, final=ended)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}: after line {number}, bytes that are no {encoding} ({error.reason})",
                "save it as UTF-8, or name its encoding: data.encoding",
            ) from None
        while (at := pending.find("\n")) >= 0 or (ended and pending):
            line, pending = (pending[: at + 1], pending[at + 1 :]) if at >= 0 else (pending, "")
            if skipping:
                yield number, NotText(f"the line is longer than {LONGEST >> 20} MiB")
            elif "\0" in line:
                yield number, NotText("it holds NUL bytes: it is no text")
            else:
                encodings[encoding] += 1
                yield number, line
            number, skipping = number + 1, False
        if len(pending) > LONGEST:
            pending, skipping = "", True


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise NotText("it holds NUL bytes: it is no text")
    return text
