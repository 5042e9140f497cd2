"""Weights, configurations and archives that somebody tampered with: read or refused with a message, in time."""

from __future__ import annotations

import contextlib
import json
import random
import struct
from pathlib import Path

import pytest
import torch

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import CONFIG, WEIGHTS, load_checkpoint
from samebits.export.pt2_archive import pack, read_safely
from samebits.provenance.restore.trace import own_metadata
from samebits.training.pretrained.load import read_weights
from tests.helpers.hostile import bounded, mutated, rounds

TOKENS = (b"[" * 2000, b"9" * 5000, b"\\ud800", b"\0", b'"', b"{", b"}", b"NaN", b"1e999", b"-1", b"null", b"\xff")


def header(value: object, size: int | None = None, data: bytes = b"\0" * 8) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


LYING = {
    "empty": b"",
    "a header beyond the file": header({}, size=1 << 40),
    "a header of all bytes": header({}, size=(1 << 64) - 1),
    "no JSON": header(b"{"),
    "nested": header(b"[" * 100_000),
    "a list": header([1]),
    "data beyond the file": header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
    "a shape of another size": header({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}),
    "a shape that overflows": header({"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 8]}}),
    "a negative shape": header({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}),
    "no such type": header({"a": {"dtype": "X", "shape": [2], "data_offsets": [0, 8]}}),
    "offsets turned round": header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}),
    "overlapping": header({k: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for k in "ab"}),
}


@pytest.mark.parametrize("kind", list(LYING))
def test_a_lying_header_is_refused(kind: str, tiny_project: Project) -> None:
    path = tiny_project.checkpoint / WEIGHTS
    path.write_bytes(LYING[kind])
    for read in (lambda: load_checkpoint(tiny_project.checkpoint), lambda: read_weights(path)):
        with bounded(), pytest.raises(UserError) as caught:
            read()
        assert caught.value.fix
    with bounded(), pytest.raises(UserError):
        own_metadata(path)


def test_a_changed_checkpoint_is_read_or_refused(tiny_project: Project) -> None:
    folder = tiny_project.checkpoint
    chance = random.Random(1)
    for name in (WEIGHTS, CONFIG):
        whole = (folder / name).read_bytes()
        for _ in range(rounds(20)):
            (folder / name).write_bytes(mutated(whole, chance, TOKENS))
            with bounded(), contextlib.suppress(UserError):
                load_checkpoint(folder)
            with bounded(), contextlib.suppress(UserError):
                own_metadata(folder / WEIGHTS)
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format_version": ' + "9" * 5000 + "}", "\ud800", "NaN", '"a"', ""])
def test_a_config_that_no_parser_takes(text: str, tiny_project: Project) -> None:
    (tiny_project.checkpoint / CONFIG).write_bytes(text.encode("utf-8", "surrogatepass"))
    with bounded(), pytest.raises(UserError, match=CONFIG):
        load_checkpoint(tiny_project.checkpoint)


@pytest.mark.parametrize("error", [RuntimeError("you tried to allocate 9 PB\nmore"), MemoryError(), OverflowError("x")])
def test_a_model_that_asks_for_all_memory_cannot_be_built(
    error: Exception, tiny_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("samebits.checkpoints.checkpoint.build_model", fail)
    with pytest.raises(UserError, match="describes a model that cannot be built") as caught:
        load_checkpoint(tiny_project.checkpoint)
    assert len(caught.value.problem.splitlines()) == 1


def test_a_changed_archive_is_refused(tmp_path: Path) -> None:
    members = {
        "archive_format": b"pt2",
        "archive_version": b"0",
        "models/model.json": b"{}",
        "extra/metadata.json": b"{}",
    }
    whole, path, chance = pack(members).getvalue(), tmp_path / "model.pt2", random.Random(2)
    for _ in range(rounds(20)):
        path.write_bytes(mutated(whole, chance, TOKENS))
        with bounded(), pytest.raises(UserError):
            read_safely(path)
        with bounded(), contextlib.suppress(UserError):
            own_metadata(path)


def test_a_file_of_torch_save_is_read_or_refused(tmp_path: Path) -> None:
    path, chance = tmp_path / "weights.pth", random.Random(3)
    torch.save({"a": torch.zeros(4)}, path)
    whole = path.read_bytes()
    for _ in range(rounds(20)):
        path.write_bytes(mutated(whole, chance, TOKENS))
        with bounded(), contextlib.suppress(UserError):
            read_weights(path, torchs_own=True)
