"""The validation split: fixed by the content of each sample, not by its place or by chance.

A sample is held out if the first 8 bytes of its SHA-256, as a fraction of 2**64, fall below the wanted share.
So new samples never move old ones between the splits, a larger share only adds to a smaller one's samples,
and two copies of one image land on the same side.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from samebits.errors import UserError

Hashes = npt.NDArray[np.uint8]

HASH_BYTES = 32


def sample_hashes(images: npt.NDArray[np.uint8]) -> Hashes:
    """SHA-256 of each sample's pixel bytes in C order: uint8 [n, 32]."""
    digests = b"".join(hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, HASH_BYTES)


def hash_words(hashes: Hashes) -> npt.NDArray[np.uint64]:
    """The hashes as big-endian words, uint64 [n, 4]: their order is the hashes' own order."""
    return np.ascontiguousarray(hashes).view(">u8").astype(np.uint64)


def validation_mask(hashes: Hashes, fraction: float) -> npt.NDArray[np.bool_]:
    """True for each sample that is held out for validation, bool [n].

    Args:
        hashes: uint8 [n, 32], from `sample_hashes`.
        fraction: share of the samples held out, in (0, 1).
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction {fraction} is outside (0, 1)")
    # An exact integer limit: comparing uint64 with a float would round either.
    return hash_words(hashes)[:, 0] < np.uint64(int(fraction * 2**64))


def check_splits(labels: dict[str, npt.NDArray[np.int64]], classes: tuple[str, ...], fraction: float) -> None:
    """Refuse splits that cannot be trained on or selected by.

    Args:
        labels: labels of the splits `train` and `validation`, int64 [n] each.

    Raises:
        UserError: if validation is empty, or a class has no training sample.
    """
    if not len(labels["validation"]):
        raise UserError(
            f"the validation split is empty: {fraction:g} (data.validation_fraction) of {len(labels['train'])} samples",
            "raise data.validation_fraction, or add samples",
        )
    counts = np.bincount(labels["train"], minlength=len(classes))
    empty = [classes[k] for k in np.flatnonzero(counts == 0)]
    if empty:
        held_out = np.bincount(labels["validation"], minlength=len(classes))
        all_held = [name for name in empty if held_out[classes.index(name)]]
        cure = "add samples of it, or remove the class from the card's `classes`"
        if all_held:
            cure = "lower data.validation_fraction: all samples of it are in the validation split"
        raise UserError(f"class {', '.join(map(repr, empty))} has no sample in the training split", cure)
