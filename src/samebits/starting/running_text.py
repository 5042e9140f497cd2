"""Running text, for a language model."""

from __future__ import annotations

from samebits.base.errors import UserError
from samebits.starting import texts
from samebits.starting.found import Asked, Found, Proposal

_RECIPE = "gutenberg_gpt"
_LEAST = 100_000
_LITTLE = 1_000_000
_BYTES_A_TOKEN = 3.5
_TOKENS = 9e6
"""Tokens that the recipe trains on, in all epochs."""

_EPOCHS = 8
"""Most of them: 220 KB were learnt by heart after 6 (validation loss)."""

_SIZES = ((200_000, 512, 64), (2_000_000, 1024, 128), (1 << 62, 4096, 256))
"""Bytes up to which a vocabulary and a row of so many tokens are taken: fewer texts do not fill more."""


def fits(found: Found) -> str:
    """A text file, or a folder of text files that are no labelled samples."""
    if not found.texts or len(found.texts) * 2 < len(found.members):
        return ""
    if found.is_folder and (not found.path.is_dir() or (texts.fits_folder(found) and not texts.are_long(found))):
        return ""
    return f"{_size(found):,} bytes of running text in {len(found.texts):,} files, for a language model"


def propose(found: Found, asked: Asked) -> Proposal:
    """Vocabulary, length of the rows and epochs by the amount of text."""
    asked.refuse_columns(": running text has no columns")
    size = _size(found)
    if size < _LEAST:
        raise UserError(
            f"{found.shown} holds {size:,} bytes of text: a language model learns nothing from so little",
            f"put at least {_LEAST:,} bytes there; a million give a first model",
        )
    vocabulary, length = next((v, n) for most, v, n in _SIZES if size <= most)
    proposal = Proposal(_RECIPE)
    proposal.set("data.text.vocabulary", vocabulary, f"{size:,} bytes of text")
    proposal.set("data.text.length", length, "tokens that the model sees at once; the same reason")
    epochs = round(min(_EPOCHS, max(3, _TOKENS / (size / _BYTES_A_TOKEN))))
    proposal.set("train.epochs", epochs, f"about {size / _BYTES_A_TOKEN * epochs:,.0f} tokens in all")
    if size < _LITTLE:
        for key in ("data.validation_fraction", "data.test_fraction"):
            proposal.set(key, 0.15, "of little text, a smaller share may be none")
    proposal.set("train.select", "best", "the epoch with the best validation loss: little text is soon learnt by heart")
    if size < _LITTLE:
        proposal.warnings.append(
            f"{size:,} bytes are little: expect words and short phrases, no sentences that mean much"
        )
    return proposal


def _size(found: Found) -> int:
    return sum(each.size for each in found.texts)
