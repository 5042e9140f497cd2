"""MLflow's pages in a headless Chromium, by Playwright: for the pictures of docs/images and for the browser test.

Chromium is the system's own (Debian: chromium); Playwright downloads none.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, sync_playwright

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WIDTH, HEIGHT = 1400, 1000
LONGEST_MS = 60_000.0

# MLflow opens its assistant beside the first page that a new browser shows.
_CLOSE = '[data-component-id="mlflow.assistant.chat_panel.close"]'
_SEARCH = "Search metric charts"

CARD = "experiment-view-compare-runs-card"
"""The test id of a chart."""


def chromium() -> str | None:
    """Where Chromium is; None if it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextlib.contextmanager
def browser(executable: str) -> Iterator[Page]:
    """One page of a browser without a profile."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            page = opened.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(LONGEST_MS)
            # A new browser is told of the registry's new look, over the page.
            page.add_locator_handler(page.get_by_role("button", name="Try it now"), lambda button: button.click())
            yield page
        finally:
            opened.close()


class Pages:
    """The pages of one experiment.

    Args:
        table: the address of its runs table, as `samebits ui` says it.
    """

    def __init__(self, page: Page, table: str) -> None:
        self.page = page
        self._base, _, place = table.partition("#")
        self._table, _, self._options = place.partition("?")
        self.experiment = self._table.split("/")[2]
        self._alone = False

    def open(self, place: str, needs: str, **more: str) -> Page:
        """Go to a place of the application, wait until it shows the text `needs`, and close the assistant.

        Args:
            more: additions to the address.
        """
        # These first: the page of a comparison looks for `?runs`, question mark included.
        options = "&".join([*(f"{key}={urllib.parse.quote(value)}" for key, value in more.items()), self._options])
        # Else a new address in the same document is a change of place within the application.
        self.page.goto("about:blank")
        self.page.goto(f"{self._base}#{place}?{options}")
        self.page.get_by_text(needs).locator("visible=true").first.wait_for()
        if not self._alone:
            # Once a browser: it remembers. Where the assistant stays away, nothing is in the way.
            with contextlib.suppress(PlaywrightError):
                self.page.locator(_CLOSE).first.click(timeout=5_000)
            self._alone = True
        return self.page

    def runs(self) -> Page:
        """The table."""
        return self.open(self._table, "Duration")

    def charts(self, search: str) -> Locator:
        """The cards of the charts whose name fits, a curve a run."""
        page = self.open(self._table, "Run Name", compareRunsMode="CHART")
        return self._search(page, search)

    def comparison(self, runs: Sequence[str]) -> Page:
        """Several runs beside each other."""
        chosen = {"runs": json.dumps(list(runs)), "experiments": json.dumps([self.experiment])}
        return self.open("/compare-runs", f"Comparing {len(runs)} Runs", **chosen)

    def run(self, run_id: str) -> Page:
        return self.open(f"{self._table}/{run_id}", "Description")

    def curves(self, run_id: str, search: str = "") -> Locator:
        """The cards of a run's charts."""
        page = self.open(f"{self._table}/{run_id}/model-metrics", "Add chart")
        return self._search(page, search)

    def system(self, run_id: str) -> Page:
        """The machine while it ran."""
        return self.open(f"{self._table}/{run_id}/system-metrics", "Add chart")

    def file(self, run_id: str, path: str) -> Page:
        """A file of the run, opened inside the page."""
        return self.open(f"{self._table}/{run_id}/artifacts/{path}", "Path:")

    def models(self, name: str) -> Page:
        """The registry."""
        return self.open("/models", name)

    def model(self, name: str) -> Page:
        return self.open(f"/models/{urllib.parse.quote(name, safe='')}", "Aliases")

    def _search(self, page: Page, text: str) -> Locator:
        if text:
            page.get_by_placeholder(_SEARCH).fill(text)
        cards = page.get_by_test_id(CARD)
        cards.first.wait_for()
        return cards


def lines_of(card: Locator) -> dict[str, list[Any]]:
    """What a chart draws, as plotly has it: each line's values by its name. (A line is there twice: with its hull.)"""
    card.locator(".js-plotly-plot").first.wait_for()
    found: dict[str, list[Any]] = card.locator(".js-plotly-plot").first.evaluate(
        "plot => Object.fromEntries(plot.data.map(line => [line.name, Array.from(line.y || [])]))"
    )
    return found
