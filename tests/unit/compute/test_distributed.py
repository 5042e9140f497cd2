"""Which device a process of a team takes, and what one alone does."""

from __future__ import annotations

import pytest
import torch

from samebits.compute.distributed import Team, own_device


@pytest.mark.parametrize(
    ("asked", "rank", "own"),
    [
        ("cuda", "3", "cuda:3"),
        ("cuda", None, "cuda"),
        ("cuda:1", "3", "cuda:1"),
        ("cpu", "3", "cpu"),
    ],
)
def test_each_process_has_a_gpu_of_its_own(
    asked: str, rank: str | None, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert own_device(torch.device(asked)) == torch.device(own)


def test_alone_there_is_nobody_to_ask() -> None:
    alone, vector = Team(), torch.tensor([1.0, 2.0])
    assert alone.leads
    assert [each is vector for each in alone.gather(vector)] == [True]
    assert alone.sum(vector) is vector
    assert alone.any(True, torch.device("cpu"))
    assert not alone.any(False, torch.device("cpu"))
    alone.wait()
