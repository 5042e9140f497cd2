"""The switches behind `reproducibility`, and seeds that are a function of their arguments alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from samebits.base.errors import UserError
from samebits.compute import determinism
from samebits.compute.determinism import derive_seed, seed_torch, set_determinism, set_threads
from samebits.params.train import TrainParams


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    torch.set_num_threads(1)
    before = torch.get_deterministic_debug_mode()
    benchmark = torch.backends.cudnn.benchmark
    fill = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_deterministic_debug_mode(before)
    torch.backends.cudnn.benchmark = benchmark
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("mode", "deterministic", "warn_only", "benchmark"),
    [
        ("portable", True, False, False),
        ("portable-v4", True, False, False),
        ("strict", True, False, False),
        ("warn", True, True, False),
        ("off", False, False, True),
    ],
)
def test_modes(mode: str, deterministic: bool, warn_only: bool, benchmark: bool) -> None:
    set_determinism("warn" if mode == "off" else "off", 1)  # each switch has to be turned
    set_determinism(mode, 1)
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert torch.is_deterministic_algorithms_warn_only_enabled() is warn_only
    assert torch.backends.cudnn.benchmark is benchmark
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_a_compiler_that_is_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config, "deterministic", False)
    set_determinism("strict", 1)
    assert not config.deterministic
    set_determinism("strict", 1, compiles=True)
    assert config.deterministic
    assert torch.are_deterministic_algorithms_enabled()


def test_strict_stops_at_an_operation_without_a_deterministic_implementation() -> None:
    values, places = torch.ones(3), torch.zeros(3, dtype=torch.int64)
    set_determinism("strict", 1)
    with pytest.raises(RuntimeError, match="deterministic"):
        torch.zeros(3).put_(places, values)
    set_determinism("off", 1)
    torch.zeros(3).put_(places, values)


def test_threads_that_openmp_would_not_start_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch would wait for them for ever."""
    threads = 2
    for name in ("OMP_DYNAMIC", "OMP_THREAD_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    with pytest.raises(UserError, match=r"2 threads are wanted.*OMP_THREAD_LIMIT=1") as error:
        set_threads(threads)
    assert "train.threads: 1" in error.value.fix
    monkeypatch.setenv("OMP_THREAD_LIMIT", "2")
    set_threads(threads)
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_DYNAMIC", "TRUE")
    with pytest.raises(UserError, match="OMP_DYNAMIC is set"):
        set_threads(threads)
    set_threads(1)
    monkeypatch.setenv("OMP_DYNAMIC", "false")
    set_threads(threads)


def test_threads_are_set_in_every_mode() -> None:
    for mode in ("portable", "portable-v4", "strict", "warn", "off"):
        for threads in (2, 1):
            set_determinism(mode, threads)
            assert torch.get_num_threads() == threads


def test_threads_do_not_follow_the_machine() -> None:
    assert TrainParams.model_fields["threads"].default == determinism.THREADS


def test_a_seed_is_the_same_on_every_machine() -> None:
    # The first 63 bits of SHA-256("0/step/7/0"), as sha256sum(1) gives them.
    assert derive_seed(0, "step", 7, 0) == 0x3DC088F7B7ED2896


def test_seeds_differ_with_each_argument_and_fit_63_bits() -> None:
    arguments = [(seed, stream, step, micro) for seed in (0, 1, 2**63 - 1) for stream in ("step", "initialisation")
                 for step in range(50) for micro in range(4)]  # fmt: skip
    seeds = [derive_seed(seed, stream, step, micro) for seed, stream, step, micro in arguments]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, "a", 11) != derive_seed(1, "a", 1, 1) != derive_seed(1, "a1", 1)


@pytest.mark.parametrize("accelerator", [False, True])
def test_a_seed_leaves_the_generator_where_torchs_own_function_does(
    accelerator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(determinism, "_has_accelerator", lambda: accelerator)
    torch.manual_seed(derive_seed(5, determinism.STEP, 2))
    expected = torch.get_rng_state()
    seed_torch(5, determinism.STEP, 2)
    assert torch.equal(torch.get_rng_state(), expected)


def test_the_generators_of_an_accelerator_are_seeded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(determinism, "_has_accelerator", lambda: True)
    monkeypatch.setattr(torch, "manual_seed", given.append)
    seed_torch(5, determinism.STEP, 2)
    assert given == [derive_seed(5, determinism.STEP, 2)]


def test_what_is_drawn_does_not_depend_on_what_was_drawn_before() -> None:
    seed_torch(3, determinism.STEP, 8)
    first = torch.rand(5)
    torch.rand(1000)
    seed_torch(3, determinism.STEP, 8)
    assert torch.equal(torch.rand(5), first)
    seed_torch(3, determinism.STEP, 9)
    assert not torch.equal(torch.rand(5), first)
