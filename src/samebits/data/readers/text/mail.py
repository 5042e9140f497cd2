"""Mails in a package, a folder a class, as texts: subject and body, no other header.

Headers would give the class away (the mailing lists that a mailbox was subscribed to, the machine that sorted the spam
out, the date): a model that reads them knows this corpus and nothing of spam. What lists write below a mail is body,
and stays.
"""

from __future__ import annotations

import email
import email.header
import email.policy
import re
from collections import Counter
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.message import Message
from html.parser import HTMLParser

from samebits.data.readers.decoding import NotText, decode, require_unmixed
from samebits.data.readers.reader import Source
from samebits.data.readers.text.folder import read_files
from samebits.data.readers.text.labelled import RawTexts

_HIDDEN = {"script", "style", "head", "title"}
_BLOCKS = {"p", "br", "div", "tr", "li", "table", "h1", "h2", "h3", "h4", "hr"}
_PAGE = re.compile(
    r"\s*<(!--|(!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>])",
    re.IGNORECASE,
)
"""How a page begins, whatever it is said to be (the WHATWG's MIME Sniffing Standard, patterns for text/html)."""
_LOOKED_AT, _PAGE_SIZE = 10, 1 << 20
"""How often each character of a page may be looked at in vain; of a small page, as if it had this many."""
_LINES = re.compile(r"\n\s*\n\s*")
_GARBLED = "garbled"

_BESIDE = (".json",)
"""Suffixes of what packages keep beside a mail."""


def read(source: Source) -> RawTexts:
    """Every mail of every folder.

    Raises:
        UserError: no folder, no class, a class without a file.
    """
    read_as: Counter[str] = Counter()
    raw = read_files(source, lambda data: mail_text(data, read_as), Counter(), skip=_BESIDE)
    others = ", ".join(f"{n:,} as {name}" for name, n in sorted(read_as.items()) if name != _GARBLED)
    if others:
        garbled = f"; UTF-8 is garbled in {read_as[_GARBLED]:,} of them" if read_as[_GARBLED] else ""
        source.say(f"audit: parts of mails whose encoding was guessed: {others}{garbled}")
    return raw


def mail_text(data: bytes, read_as: Counter[str] | None = None) -> str:
    """Subject, an empty line, and what a reader sees of the body (RFC 5322, MIME): plain text, or HTML without tags.

    What begins as a page is HTML, even if the mail says that it is plain text.

    Args:
        read_as: the parts of each encoding that had to be guessed are added here, and those that the guess garbles.

    Raises:
        NotText: if neither holds any text, or the mail cannot be taken apart.
    """
    read_as = Counter() if read_as is None else read_as
    try:
        subject, body = _parts(data, read_as)
    except NotText:
        raise
    except Exception as error:  # parts within parts by the thousand, numbers of 5,000 digits, sections of no known kind
        raise NotText(f"it cannot be taken apart ({type(error).__name__}: {str(error)[:100]})") from None
    text = f"{subject}\n\n{body}".strip()
    if not text:
        raise NotText("it has neither subject nor text")
    return text


def _parts(data: bytes, read_as: Counter[str]) -> tuple[str, str]:
    """Subject and body."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    # What a mail carries is often not what it says; a part that cannot be read does not spoil the others.
    plain: list[str] = []
    html: list[str] = []
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart() or not kind.startswith("text/") or part.get_content_disposition() == "attachment":
            continue
        content = _payload(part, read_as)
        (html if kind == "text/html" or _PAGE.match(content) else plain).append(content)
    body = "\n\n".join(text for text in plain if text.strip()) or "\n\n".join(map(visible_text, html))
    return _subject(message), body


def visible_text(html: str) -> str:
    """What is shown of an HTML page, with a line for each block.

    Raises:
        NotText: if what never ends is begun over and over again, as in `<a <a <a`.
    """
    parser = _Visible(_LOOKED_AT * max(len(html), _PAGE_SIZE))
    parser.feed(html)
    parser.close()
    return _LINES.sub("\n\n", "".join(parser.parts)).strip()


class _Visible(HTMLParser):
    """Counts the characters that it looks at in vain, so that time does not grow with the square of the length.

    Attributes:
        left: how many more it may look at.
    """

    def __init__(self, left: int) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.left = left
        self._hidden: list[str] = []
        self._open: Counter[str] = Counter()

    def parse_starttag(self, i: int) -> int:
        return self._counted(i, super().parse_starttag(i))

    def parse_endtag(self, i: int) -> int:
        return self._counted(i, super().parse_endtag(i))

    def parse_pi(self, i: int) -> int:
        return self._counted(i, super().parse_pi(i))

    def parse_html_declaration(self, i: int) -> int:
        return self._counted(i, super().parse_html_declaration(i))

    def parse_comment(self, i: int, report: bool = True) -> int:
        return self._counted(i, super().parse_comment(i, report))

    def _counted(self, begin: int, end: int) -> int:
        self.left -= len(self.rawdata) - begin if end < 0 else 0
        if self.left < 0:
            raise NotText("its HTML has thousands of tags or comments that do not end")
        return end

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
            self._open[tag] += 1
            return
        # A body after a head that is never closed is shown, as browsers do.
        if tag in _BLOCKS or tag == "body":
            self._hidden.clear()
            self._open.clear()
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._open[tag]:
            last = ""
            while last != tag:
                last = self._hidden.pop()
                self._open[last] -= 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _payload(part: Message, read_as: Counter[str]) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset() or ""
    try:
        text, found = (data.decode(charset), "") if charset else decode(data)
    except (LookupError, ValueError):
        # An unknown charset, or bytes that are not in it.
        text, found = data.replace(b"\0", b"").decode("cp1252", errors="replace"), "cp1252"
    if found not in ("", "utf-8", "utf-8-sig") and not data.isascii():
        read_as[found] += 1
        try:
            require_unmixed(data, found)
        except NotText:
            read_as[_GARBLED] += 1
    return text


def _subject(message: Message) -> str:
    value = str(message.get("subject", ""))
    try:
        parts = email.header.decode_header(value)
    except (HeaderParseError, ValueError):
        return value
    return "".join(_words(parts))


def _words(parts: list[tuple[bytes, str | None]] | list[tuple[str, None]]) -> Iterator[str]:
    for word, charset in parts:
        if isinstance(word, str):
            yield word
            continue
        try:
            yield word.decode(charset or "ascii")
        except (LookupError, ValueError):
            yield word.decode("latin-1")
