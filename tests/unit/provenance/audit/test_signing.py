"""Signatures of a checkpoint: whatever does not fit is refused with what it is."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.boundary import as_user_error
from samebits.base.errors import UserError
from samebits.base.files import write_json
from samebits.provenance.audit.signing import check_signature, sign, signature_of
from samebits.training.commitment.record import AUDIT, AuditRecord, AuditState, Origin, root_of
from tests.helpers.git_repository import git, start_repository
from tests.helpers.keys import write_keys


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    states = tuple(AuditState(step=step, tensors="0" * 64, counters="1" * 64) for step in (0, 3))
    origin = Origin(code="c", data="d", parameters={}, precision="fp32", weights=None)
    record = AuditRecord(every=3, origin=origin, dataset="d" * 64, states=states, root=root_of(states))
    write_json(folder / AUDIT, record.model_dump(mode="json"))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def signed(checkpoint: Path, tmp_path: Path) -> Path:
    """The public key of the trainer, who has signed the checkpoint."""
    private, public = write_keys(tmp_path, "trainer")
    sign(checkpoint, private, signature_of(checkpoint))
    return public


def test_what_was_signed_is_accepted_under_another_name_and_behind_links(
    checkpoint: Path, signed: Path, tmp_path: Path
) -> None:
    check_signature(checkpoint, signed, signature_of(checkpoint))
    other = tmp_path / "elsewhere"
    other.mkdir()
    for file in checkpoint.iterdir():
        (other / file.name).symlink_to(file)  # as DVC may, from its cache
    check_signature(other, signed, signature_of(checkpoint))


def test_a_key_with_a_password(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = write_keys(tmp_path, "trainer", b"secret")
    monkeypatch.setattr("getpass.getpass", lambda _: "secret")
    sign(checkpoint, private, signature_of(checkpoint))
    check_signature(checkpoint, public, signature_of(checkpoint))
    monkeypatch.setattr("getpass.getpass", lambda _: "wrong")
    with pytest.raises(UserError, match="is no private key"):
        sign(checkpoint, private, signature_of(checkpoint))


def test_a_private_key_in_git_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path, "trainer")
    start_repository(tmp_path)
    git(tmp_path, "add", "--force", private.name)
    with pytest.raises(UserError, match="tracked by git"):
        sign(checkpoint, private, signature_of(checkpoint))
    git(tmp_path, "rm", "-q", "--cached", private.name)
    sign(checkpoint, private, signature_of(checkpoint))


def _leave_out(text: str) -> str:
    """A statement without the record, as a signer may make it; its signature is that of the whole one."""
    bundle = json.loads(text)
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["predicate"]["resources"] = statement["predicate"]["resources"][1:]
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return json.dumps(bundle)


def _other_signature(text: str) -> str:
    bundle = json.loads(text)
    raw = bytearray(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"]))
    raw[-1] ^= 1
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(bytes(raw)).decode()
    return json.dumps(bundle)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda _: "", "Expecting value"),
        (lambda _: "{}", "dsseEnvelope"),
        (lambda text: text[: len(text) // 2], "Unterminated|Expecting|delimiter"),
        (_other_signature, "InvalidSignature"),
        (_leave_out, "it is of another audit.json"),
    ],
)
def test_a_damaged_signature(harm: Callable[[str], str], reason: str, checkpoint: Path, signed: Path) -> None:
    file = signature_of(checkpoint)
    file.write_text(harm(file.read_text()))
    with pytest.raises(UserError, match=f"is no signature of .*({reason})"):
        check_signature(checkpoint, signed, file)


@pytest.mark.parametrize("name", ["model.safetensors", AUDIT, "more"])
def test_a_file_that_is_not_the_signed_one(name: str, checkpoint: Path, signed: Path) -> None:
    (checkpoint / name).write_bytes(b"other")
    with pytest.raises(UserError, match=f"it is of another {name}"):
        check_signature(checkpoint, signed, signature_of(checkpoint))


def test_a_file_that_is_gone(checkpoint: Path, signed: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"it is of another model\.safetensors"):
        check_signature(checkpoint, signed, signature_of(checkpoint))


def test_wrong_and_missing_keys(checkpoint: Path, signed: Path, tmp_path: Path) -> None:
    private, stranger = write_keys(tmp_path, "stranger")
    signature = signature_of(checkpoint)
    with pytest.raises(UserError, match=r"is no signature of .* by the owner of .*stranger\.pub: Key mismatch"):
        check_signature(checkpoint, stranger, signature)
    with pytest.raises(UserError, match="is no public key"):
        check_signature(checkpoint, private, signature)
    with pytest.raises(UserError, match="is no private key"):
        sign(checkpoint, signed, signature)
    with pytest.raises(UserError, match=r"the public key .*nobody\.pub cannot be read"):
        check_signature(checkpoint, tmp_path / "nobody.pub", signature)
    with pytest.raises(UserError, match=r"the signature .*none\.sig cannot be read"):
        check_signature(checkpoint, signed, tmp_path / "none.sig")


def test_without_the_library_a_message_names_the_extra(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _ = write_keys(tmp_path, "trainer")
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(ModuleNotFoundError) as error:
        sign(checkpoint, private, signature_of(checkpoint))
    explained = as_user_error(error.value, [])
    assert explained is not None
    assert "needs the package model-signing, which cannot be imported" in explained.problem
    assert "pip install model-signing" in explained.fix.replace("'", "")
    assert not signature_of(checkpoint).exists()
