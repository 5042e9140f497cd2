"""MLflow's pages after a real `dvc repro`, three experiments and `samebits register`, in Debian's Chromium."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect

from samebits.cli.main import parser
from tests.helpers.ports import free_port
from tests.helpers.repository import Repository
from tools.pages import CARD, Pages, browser, chromium, lines_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RATES = (0.01, 0.05, 0.4)


@dataclass
class Shown:
    """What is looked at.

    Attributes:
        runs: by name, as MLflow's own client gives them.
        first: the name of the pipeline's run; the others are experiments.
        asked: hosts that the pages sent requests to.
        faults: errors in the pages' own code.
    """

    repository: Repository
    pages: Pages
    runs: dict[str, dict[str, Any]]
    first: str
    asked: set[str]
    faults: list[str]

    @property
    def run_id(self) -> str:
        return str(self.runs[self.first]["id"])


@pytest.fixture(scope="module")
def shown(committed: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    executable = chromium()
    if executable is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    folder = tmp_path_factory.mktemp("ui") / "project"
    # A copy: its runs keep their files.
    shutil.copytree(committed.folder, folder, symlinks=True)
    repository = Repository(folder)
    (first,) = [run["name"] for run in repository.runs()]
    registered = repository.run(sys.executable, "-m", "samebits.cli.main", "register")
    assert registered.returncode == 0, registered.stderr
    for rate in RATES:
        done = repository.dvc("exp", "run", "train", "-n", f"lr-{rate}", "-S", f"train.optimizer.lr={rate}")
        assert done.returncode == 0, done.stderr
    repository.run(sys.executable, "-m", "samebits.cli.main", "runs", "sync")
    runs = {run["name"]: run for run in repository.runs()}
    assert set(runs) == {first, *(f"lr-{rate}" for rate in RATES)}
    command = [sys.executable, "-m", "samebits.cli.main", "ui", "--port", str(free_port())]
    ui = subprocess.Popen(
        command, cwd=folder, env=repository.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert ui.stdout is not None
        said = ui.stdout.readline() + ui.stdout.readline()  # that it starts; the address
        found = re.search(r"http://\S+", said)
        assert found, said + ui.stdout.read()
        with browser(executable) as page:
            asked: set[str] = set()
            faults: list[str] = []
            page.on("request", lambda request: asked.add(urllib.parse.urlsplit(request.url).hostname or ""))
            page.on("pageerror", lambda error: faults.append(str(error)))
            yield Shown(repository, Pages(page, found[0]), runs, first, asked, faults)
    finally:
        ui.terminate()
        ui.wait(timeout=60)


def test_the_table_has_the_columns_that_matter_and_readable_names(shown: Shown) -> None:
    page = shown.pages.runs()
    page.get_by_role("link", name="lr-0.4").wait_for()
    header = {text.strip() for text in page.get_by_role("columnheader").all_inner_texts()}
    wanted = {"Run Name", "Created", "Duration", "Source", "test/accuracy", "time/train_s", "val/accuracy", "val/loss"}
    groups = {"", "Metrics", "Parameters", "train.optimizer.lr", "train.batch_size", "train.epochs"}
    # No noise: nothing but these. (Columns beyond the window's edge are not in the page.)
    assert wanted <= header <= wanted | groups
    for name in shown.runs:
        assert page.get_by_role("link", name=name).count() == 1, name
    assert page.get_by_text(f"{shown.runs[shown.first]['metrics']['test/accuracy']}").count() >= 1
    assert "undefined" not in page.inner_text("body")


def test_four_runs_are_compared_and_their_curves_are_in_one_chart(shown: Shown) -> None:
    page = shown.pages.runs()
    page.get_by_role("link", name="lr-0.4").wait_for()
    page.get_by_role("checkbox", name="Select all runs").check(force=True)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 4 Runs from 1 Experiment").wait_for()
    cards = shown.pages.charts("^train/loss$")
    expect(cards).to_have_count(1)
    # The lines come one after the other.
    page.wait_for_function("new Set(document.querySelector('.js-plotly-plot')?.data?.map(l => l.name)).size >= 4")
    drawn = lines_of(cards.first)
    assert drawn == {name: [value for _, value in run["history"]["train/loss"]] for name, run in shown.runs.items()}
    assert all(len(values) > 50 for values in drawn.values())


def test_a_runs_page_says_what_it_is_and_how_to_bring_it_back(shown: Shown) -> None:
    page = shown.pages.run(shown.run_id)
    tags = shown.runs[shown.first]["tags"]
    page.get_by_text("Show more").click()
    text = page.inner_text("body")
    digest = tags["data.digest"][:16]
    for part in (
        shown.first,
        f"git checkout {tags['git.commit']}",
        f"digest {digest}",
        f"mnist ({digest})",
        "Finished",
    ):
        assert part in text, part
    for name in ("git.commit", "env.python", "env.gpu.count", "model.sha256"):
        assert page.get_by_text(name, exact=True).count() >= 1, name
    # The command as it stands there; test_restore.py runs it.
    found = re.search(r"Bring it back: samebits (restore [0-9a-f]{32})", text)
    assert found is not None, text[:2000]
    assert parser().parse_args(shlex.split(found[1])).name == shown.run_id


def test_a_runs_machine_figure_and_report_open_inside_the_page(shown: Shown) -> None:
    page = shown.pages.system(shown.run_id)
    page.get_by_text("cpu_utilization_percentage").first.wait_for()
    assert page.get_by_test_id(CARD).count() >= 8

    page = shown.pages.file(shown.run_id, "evaluation/confusion.png")
    page.wait_for_function("Array.from(document.images).some(image => image.naturalWidth > 300)")

    page = shown.pages.file(shown.run_id, "evaluation/report.html")
    report = page.frame_locator("iframe.mlflow-html-iframe")
    assert report.locator("h1").inner_text() == "convnet on MNIST"
    text = report.locator("body").inner_text()
    assert "Confusion" in text
    assert f"{100 * shown.runs[shown.first]['metrics']['test/accuracy']:.2f} %" in text


def test_the_registry_shows_the_model_its_aliases_and_its_signature(shown: Shown) -> None:
    page = shown.pages.models("mnist-convnet")
    page.get_by_role("link", name="mnist-convnet").first.click()
    page.get_by_text("Aliases").first.wait_for()
    aliases = [" ".join(text.split()) for text in page.get_by_text(re.compile(r"^@\s")).all_inner_texts()]
    assert set(aliases) == {"@ candidate", "@ champion"}
    page.get_by_role("link", name="Version 1").first.click()
    page.get_by_text("Schema").first.wait_for()
    page.get_by_text("Inputs").first.wait_for()


def test_the_pages_ask_nobody_else_and_break_nowhere(shown: Shown) -> None:
    """Last: it looks back on what the tests before it opened."""
    shown.pages.runs()
    assert shown.asked <= {"127.0.0.1", ""}
    assert shown.faults == []
