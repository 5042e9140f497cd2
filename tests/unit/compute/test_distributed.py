"""The device of each rank, and a group of one process."""

from __future__ import annotations

import pytest
import torch

from samebits.compute.distributed import ProcessGroup, local_device


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
    assert local_device(torch.device(asked)) == torch.device(own)


def test_collectives_of_one_process_are_no_ops() -> None:
    alone, vector = ProcessGroup(), torch.tensor([1.0, 2.0])
    assert alone.is_rank_zero
    assert [each is vector for each in alone.all_gather(vector)] == [True]
    assert alone.all_reduce(vector) is vector
    assert alone.any(True, torch.device("cpu"))
    assert not alone.any(False, torch.device("cpu"))
    alone.barrier()
