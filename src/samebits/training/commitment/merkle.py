"""The Merkle tree hash of RFC 6962, section 2.1, with SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def merkle_root(entries: Sequence[bytes]) -> str:
    """The root over some entries, hex.

    A leaf and an inner node are hashed behind different bytes, so that neither can stand for the other.
    """
    return _root(entries).hex()


def _root(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    # The left part is the largest power of two below the number of entries.
    left = 1 << (len(entries) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _root(entries[:left]) + _root(entries[left:])).digest()
