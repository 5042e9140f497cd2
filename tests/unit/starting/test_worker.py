"""`samebits worker`: the processes that it starts, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.compute.rendezvous import PORT, Joined
from samebits.starting import worker
from samebits.starting.worker import join_training

STAGE = """
import json, os, pathlib
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
rank = os.environ["RANK"]
pathlib.Path(rank).write_text(json.dumps([os.environ[name] for name in names]))
raise SystemExit(2 if rank == "5" else 0)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "train.py").write_text(STAGE)
    return tmp_path


@pytest.mark.parametrize(("number", "code"), [(1, 0), (2, 2)])
def test_each_machine_has_its_own_ranks(number: int, code: int, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def join(address: str, port: int, *_: object) -> Joined:
        asked.append((address, port))
        return Joined(number, 3, 2)

    monkeypatch.setattr(worker, "join", join)
    assert join_training(clone, "desk-a", 1, print) == code
    assert asked == [("desk-a", PORT)]
    for local in (0, 1):
        rank = 2 * number + local
        assert json.loads((clone / str(rank)).read_text()) == [str(rank), str(local), "6", "desk-a", str(PORT)]


@pytest.mark.parametrize("where", ["", ":29650", "desk-a:port"])
def test_what_is_no_address_is_refused(where: str, clone: Path) -> None:
    with pytest.raises(UserError, match="is no address"):
        join_training(clone, where, 1, print)


def test_a_folder_without_the_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stages/train\.py does not exist"):
        join_training(tmp_path, "desk-a", 1, print)
