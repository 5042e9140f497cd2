"""A host that joins a training takes the prepared data from the DVC remote, and from the first host what that lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.training import delivery
from tests.helpers.delivery import deliver, host, settle
from tests.helpers.team import Person, Team, flip, object_of, objects_in

pytestmark = pytest.mark.slow

PREPARED = "data/prepared"


@pytest.fixture
def bob(team: Team, local: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A fresh clone of what was shared; the data of this project are bytes without a signature."""
    team.ann.ok("share")
    found = team.clone("bob")
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(delivery, "_shard_hashes", lambda _: {})
    return found


def hosts(team: Team, bob: Person) -> tuple[Any, Any]:
    return host(team.ann.folder), host(bob.folder)


def test_the_remote_gives_what_it_has(team: Team, bob: Person, capsys: pytest.CaptureFixture[str]) -> None:
    ann, other = hosts(team, bob)
    assert not deliver(ann, other)
    assert not ann.said
    assert "train: data/prepared came from the DVC remote" in capsys.readouterr().out
    assert dvc_md5(bob.folder / PREPARED) == dvc_md5(team.ann.folder / PREPARED)
    assert not (bob.folder / "models" / "checkpoint").exists()


def test_the_first_host_sends_what_is_damaged_there(
    team: Team, bob: Person, local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(objects_in(local)[object_of(team, "data/prepared/shards/002.bin")])
    ann, other = hosts(team, bob)
    assert not deliver(ann, other)
    assert "the DVC remote does not give data/prepared: damaged on remote" in capsys.readouterr().out
    assert "sending" in ann.said[0]
    assert dvc_md5(bob.folder / PREPARED) == dvc_md5(team.ann.folder / PREPARED)


def test_data_of_another_commit_are_replaced_and_edited_ones_are_kept(team: Team, bob: Person) -> None:
    """The remote is not asked: it has what dvc.lock names here, and the first host has newer data."""
    bob.ok("receive", PREPARED)
    ann, other = hosts(team, bob)
    index = team.ann.folder / PREPARED / "dataset.json"
    index.unlink()
    index.write_text('{"title": "Newer"}')
    team.ann.dvc("commit", "--force", "prepare")
    own = bob.folder / PREPARED / "shards" / "note.txt"
    own.write_text("mine")
    errors = deliver(ann, other)
    assert "DVC's cache has no copy of them" in str(errors[1])
    assert own.read_text() == "mine"
    own.unlink()
    assert not deliver(ann, other)
    assert "sending 1 file (" in ann.said[-1]
    assert dvc_md5(bob.folder / PREPARED) == dvc_md5(team.ann.folder / PREPARED)
    settle()
