"""Signatures of a checkpoint by a key of one's own, in the format of OpenSSF's model-signing; no network.

What is signed is each file of the folder, so the weights and the record of the training: root, data, code, parameters.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.files import sha256_file
from samebits.base.git import git
from samebits.pipeline.dvc_cache import files_below
from samebits.training.commitment.record import read_record

_KEYS = "docs/audit.md has the two openssl commands that make a pair"


def signature_of(folder: Path) -> Path:
    """Where the signature of a checkpoint lies: beside it, for git to keep. DVC owns the folder itself."""
    folder = folder if folder.name else folder.resolve()  # `.` has no name
    return folder.with_name(f"{folder.name}.sig")


def sign(folder: Path, key: Path, signature: Path) -> str:
    """Sign a checkpoint whose training kept states.

    Args:
        key: private, PEM, elliptic curve; its password is asked for.

    Returns:
        the Merkle root that is signed among the rest.

    Raises:
        UserError: without a record or a key, or if git has the key.
        ModuleNotFoundError: without the library; the command names the extra (samebits.base.extras).
    """
    import model_signing

    library: Any = model_signing  # its annotations are incomplete

    record = read_record(folder)
    text = _read(key, "private key")
    if git(key.resolve().parent, "ls-files", "--", key.name, check=False):
        raise UserError(
            f"the private key {key} is tracked by git: whoever has the repository can sign with it",
            f"make another pair outside of it; {_KEYS}",
        )
    password = getpass.getpass(f"password of {key}: ").encode() if b"ENCRYPTED" in text else None
    with _explained(f"{key} is no private key of an elliptic curve in PEM", _KEYS):
        config = library.signing.Config().use_elliptic_key_signer(private_key=key, password=password)
    hashing = library.hashing.Config().set_allow_symlinks(True)  # DVC may link from its cache
    with _explained(f"{folder} cannot be signed", "fetch it again: dvc pull models/checkpoint"):
        config.set_hashing_config(hashing).sign(folder.resolve(), signature)
    return record.root


def check_signature(folder: Path, key: Path, signature: Path) -> None:
    """Raise unless every file of a checkpoint is signed by the owner of a key.

    Args:
        key: public, PEM.

    Raises:
        UserError: naming what does not fit: signature, key or file.
        ModuleNotFoundError: without the library; the command names the extra (samebits.base.extras).
    """
    import model_signing

    library: Any = model_signing  # its annotations are incomplete

    _read(key, "public key")
    text = _read(signature, "signature")
    with _explained(f"{key} is no public key of an elliptic curve in PEM", _KEYS):
        config = library.verifying.Config().use_elliptic_key_verifier(public_key=key)
    config.set_hashing_config(library.hashing.Config().set_allow_symlinks(True))
    with _explained(
        f"{signature} is no signature of {folder} by the owner of {key}",
        "ask the trainer for signature and key by a way you trust; do not trust this model before",
    ):
        signed = _signed_files(text)
        files = {name: sha256_file(file) for name, file in files_below(folder).items()}
        if other := sorted(name for name in signed.keys() | files.keys() if signed.get(name) != files.get(name)):
            raise ValueError(f"it is of another {listed(other)}")
        config.verify(folder.resolve(), signature)


def _signed_files(signature: bytes) -> dict[str, str]:
    """Name to SHA-256 of the files that a signature covers. The library lets a signer leave files out."""
    statement = json.loads(base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"]))
    return {each["name"]: each["digest"] for each in statement["predicate"]["resources"]}


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be read: {error.strerror}", f"name it; {_KEYS}") from None


@contextlib.contextmanager
def _explained(problem: str, fix: str) -> Iterator[None]:
    """The library raises ValueError, TypeError, its dependencies' own errors and those of JSON and pydantic alike."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{problem}: {reason}", fix) from None
