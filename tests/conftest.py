"""Fixtures over real MNIST: its files through the project's own catalogue and cache, a small cut of it, a workspace."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from samebits.compute.arithmetic import ARITHMETIC
from samebits.data.fetching.catalog import Card, load_card
from samebits.data.fetching.fetch import fetch
from tests.helpers import durations
from tests.helpers.absent import skip_where_absent
from tests.helpers.mnist import write_cut
from tests.helpers.postgres import Postgres
from tests.helpers.shared import shared
from tests.helpers.workspace import ROOT, make_workspace

# A machine may have its own, for other programs; a stage that needs another value refuses them.
for _variable in {name for each in ARITHMETIC.values() for name in each.variables}:
    os.environ.pop(_variable, None)


@pytest.fixture(scope="session")
def mnist_card() -> Card:
    return load_card(ROOT / "data" / "catalog", "mnist")


@pytest.fixture(scope="session")
def mnist_files(mnist_card: Card) -> dict[str, Path]:
    """The four files of MNIST, downloaded once a user (about 11 MB) and verified."""
    return dict(fetch(mnist_card, say=print))


@pytest.fixture(scope="session")
def mnist_cut(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, mnist_card: Card) -> Path:
    """A folder with the first 3,000 training and 500 test images; see tests.helpers.mnist."""
    return shared(
        tmp_path_factory, "mnist", lambda folder: write_cut(folder, mnist_card, request.getfixturevalue("mnist_files"))
    )


@pytest.fixture(scope="session")
def small_mnist(mnist_cut: Path) -> Path:
    """The prepared folder of the cut."""
    return mnist_cut / "prepared"


@pytest.fixture(scope="session")
def few_mnist(mnist_cut: Path) -> Path:
    """The prepared folder of 600 training and 64 test images."""
    return mnist_cut / "few"


@pytest.fixture
def workspace(tmp_path: Path, small_mnist: Path) -> Path:
    return make_workspace(tmp_path / "workspace", small_mnist)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that lives as long as the test."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def restored() -> Iterator[None]:
    """What a stage that runs in this process sets for all of it is set back."""
    import torch

    before = torch.get_deterministic_debug_mode()
    yield
    torch.set_deterministic_debug_mode(before)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the longest tests first where tests run side by side, so that none is left for the end."""
    for item in items:
        assert not item.get_closest_marker("alone") or item.get_closest_marker("slow"), f"{item.nodeid}: mark it slow"
    # `make test-slow` looks for the modules by this word, so that no test is run nowhere.
    for path in {item.path for item in items if item.get_closest_marker("slow")}:
        assert "mark.slow" in path.read_text(encoding="utf-8"), f"{path}: write pytest.mark.slow into it"
    if not hasattr(config, "workerinput"):
        return
    from tests.helpers.schedule import scope

    seconds = durations.read()
    together: Counter[str] = Counter()
    for item in items:
        together[scope(item.nodeid)] += round(seconds.get(durations.key(item.nodeid), 1))
    items.sort(key=lambda item: -together[scope(item.nodeid)])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    error = report.call.excinfo.value if report.failed else None
    return skip_where_absent(report, error, str(collector.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    return skip_where_absent(report, call.excinfo.value if call.excinfo else None, str(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.helpers.schedule import Scheduling

    return Scheduling(config, log)
