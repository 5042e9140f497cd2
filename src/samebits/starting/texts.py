"""Texts with a class each: in a CSV, in JSON Lines, or a folder per class."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from samebits.base.errors import UserError, listed
from samebits.data.readers.decoding import NotText
from samebits.data.readers.text.documents import whole_text
from samebits.starting.classes import class_warnings
from samebits.starting.found import TABLES, Asked, Found, Proposal
from samebits.starting.rows import Rows, guess_target, read_json_rows, read_rows

_RECIPE = "text_classification"
_JSON = (".jsonl", ".ndjson")
_LENGTHS = (64, 128, 256, 512)
_TOKENS_A_WORD = 1.4
"""Of a tokenizer that is trained on the texts themselves, in languages with blanks between words."""

_LOOKED_AT = 500
_INPUTS = 2
"""Columns beside text and label, up to which a CSV is one of texts."""

_LONG = 20_000
"""Bytes, from which a file is rather a document than a sample."""


def fits_csv(found: Found) -> str:
    """A CSV with one column of prose and few others."""
    if found.is_folder or found.suffix not in TABLES:
        return ""
    return _fits(read_rows(found))


def fits_jsonl(found: Found) -> str:
    """JSON Lines with a key that holds prose."""
    return "" if found.is_folder or found.suffix not in _JSON else _fits(read_json_rows(found))


def _fits(rows: Rows) -> str:
    prose = [name for name in rows.columns if rows.is_prose(name)]
    others = [name for name in rows.columns if name not in prose and not rows.is_id(name)]
    if not prose or not others or len(others) > 1 + _INPUTS:
        return ""
    return f"{len(rows):,} rows with texts in the column {listed(prose)}"


def propose_csv(found: Found, asked: Asked) -> Proposal:
    """Which column is the text, which the class."""
    return _of_rows(read_rows(found), asked)


def propose_jsonl(found: Found, asked: Asked) -> Proposal:
    """The same of keys."""
    return _of_rows(read_json_rows(found), asked)


def _of_rows(rows: Rows, asked: Asked) -> Proposal:
    if asked.predict == "number":
        raise UserError("--predict number: numbers are predicted from tables", "leave it out: texts have a class each")
    split = rows.split_column()
    prose = [name for name in rows.columns if rows.is_prose(name) and name != asked.target]
    if not prose:
        raise UserError(
            f"{rows.name}: no column holds texts of several words; it has {listed(list(rows.columns), 20)}",
            "name the file with the texts; a table of numbers and categories: --kind table",
        )
    text = max(prose, key=lambda name: statistics.median(map(len, rows.columns[name].labels)))
    candidates = [
        name
        for name, column in rows.columns.items()
        if name not in (*prose, split)
        and column.kind != "date"
        and not rows.is_id(name)
        and not rows.hardly_repeats(name)
    ]
    label, reason = guess_target(rows, candidates, asked)
    if asked.target is None and reason.startswith("the last") and len(candidates) > 1:
        raise UserError(
            f"{rows.name}: which column is the class of a text? {listed(candidates)} may be it",
            f"say it: --target {' or '.join(candidates)}",
        )
    proposal = Proposal(_RECIPE)
    texts = rows.columns[text].labels
    proposal.set(
        "data.text.text", text, f"texts of {statistics.median(len(t.split()) for t in texts):,.0f} words (median)"
    )
    proposal.set("data.text.label", label, reason if len(candidates) > 1 else "the only column that can be it")
    if split is not None:
        proposal.set("data.split_column", split, "its cells say train and test")
    choose_length(texts, proposal)
    proposal.warnings += class_warnings(rows.counts(label), "texts")
    return proposal


def fits_folder(found: Found) -> str:
    """Text files in two or more folders, several in each."""
    counts = found.class_counts(found.texts)
    if not found.is_folder or len(counts) < 2 or counts.total() * 2 < len(found.members) or min(counts.values()) < 2:
        return ""
    return f"{counts.total():,} text files in {len(counts):,} class folders: {listed(sorted(counts), 5)}"


def propose_folder(found: Found, asked: Asked) -> Proposal:
    """A classifier of the folders' names."""
    asked.refuse_columns(": a folder of texts has no columns")
    counts = found.class_counts(found.texts)
    proposal = Proposal(_RECIPE)
    texts = []
    for member in found.texts[:: max(1, len(found.texts) // _LOOKED_AT)]:
        try:
            texts.append(whole_text(member.read(), found.settings.encoding)[0])
        except NotText:
            continue  # prepare sets it aside, and says why
    if not texts:
        raise UserError(f"{found.shown}: of the first files none holds text", "look at them")
    choose_length(texts, proposal)
    proposal.warnings += class_warnings(counts, "texts")
    return proposal


def are_long(found: Found) -> bool:
    """Whether the text files are documents rather than samples."""
    return bool(found.texts) and statistics.median(each.size for each in found.texts) >= _LONG


def choose_length(texts: Sequence[str], proposal: Proposal) -> None:
    """`data.text.length` by the 95th percentile of the words."""
    of: Callable[[str], int] = lambda text: len(text.split())  # noqa: E731
    words = sorted(map(of, texts[:: max(1, len(texts) // 5000)]))
    most = words[min(len(words) - 1, int(0.95 * len(words)))]
    wanted = most * _TOKENS_A_WORD
    length = next((each for each in _LENGTHS if wanted <= each), _LENGTHS[-1])
    proposal.set(
        "data.text.length",
        length,
        f"95 % of the texts have at most {most:,} words, some {wanted:,.0f} tokens"
        + ("; longer ones are cut" if wanted > length else ""),
    )
