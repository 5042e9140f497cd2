"""Key pairs to sign with."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write_keys(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """`NAME.pem`, private, and `NAME.pub`, both PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem, public = folder / f"{name}.pem", folder / f"{name}.pub"
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, spki))
    return pem, public
