"""Make the pictures of docs/images from the project it is run in, which must have a finished run.

    python -m tools.screenshots [folder for the pictures, default docs/images] [--only mlflow|demo]

The comparison needs two runs or more with a training curve, the registry `samebits register`, the sweep `samebits
sweep`; what there is none of is left out, with a line that says so.

Starts `samebits ui` and `samebits demo`, drives Chromium (which must be on PATH) through their pages, and ends all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tools.pages import WIDTH, Pages, browser, chromium

ROOT = Path.cwd()
COLOURS, SETTLES_MS = 255, 5_000.0
CURVES = "^(train/(loss|lr)|val/)"


DEMO = {"demo-light": (1080, "light"), "demo-dark": (1080, "dark"), "demo-phone": (360, "light")}
"""Pictures of the demo: width, and the scheme of its colours."""
DRAWING = (
    ((0.36, 0.24), (0.32, 0.42), (0.38, 0.52), (0.52, 0.52), (0.63, 0.42)),
    ((0.36, 0.24), (0.463, 0.222)),
    ((0.66, 0.2), (0.63, 0.5), (0.6, 0.85)),
)
"""Lines of a digit between 4 and 9, as shares of the canvas."""


def picture(page: Page, file: Path, height: int) -> None:
    """Let the page settle, and take it."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(SETTLES_MS)
    save(page.screenshot(), file)


def save(png: bytes, file: Path) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


ALIVE = "lifecycle_stage = 'active'"
JUDGED = "run_uuid IN (SELECT run_uuid FROM latest_metrics WHERE key LIKE 'test/%')"
TRAINED = "run_uuid IN (SELECT run_uuid FROM latest_metrics WHERE key = 'val/loss')"


def ask(query: str) -> list[str]:
    """The first column of a query to the local store."""
    with sqlite3.connect(f"file:{ROOT / 'mlruns' / 'mlflow.db'}?mode=ro", uri=True) as store:
        return [str(row[0]) for row in store.execute(query)]


def latest_run() -> str:
    """The id of the newest finished run of the whole pipeline."""
    where = f"status = 'FINISHED' AND {ALIVE} AND {TRAINED} AND {JUDGED}"
    found = ask(f"SELECT run_uuid FROM runs WHERE {where} ORDER BY start_time DESC LIMIT 1")
    if not found:
        raise SystemExit("screenshots: there is no finished run here: dvc repro")
    return found[0]


def take(table: str, folder: Path, page: Page) -> None:
    """All pictures; `table` is the URL of the runs table."""
    pages, run = Pages(page, table), latest_run()
    picture(pages.runs(), folder / "mlflow-runs.png", 520)
    trained = ask(f"SELECT run_uuid FROM runs WHERE {ALIVE} AND {TRAINED} ORDER BY start_time DESC LIMIT 6")
    if len(trained) > 1:
        picture(pages.comparison(trained), folder / "mlflow-compare.png", 1100)
        picture(pages.charts(CURVES).page, folder / "mlflow-six-curves.png", 800)
    else:
        print("left out: a comparison, as there is one run")
    query = "SELECT run_uuid FROM runs JOIN tags USING (run_uuid) WHERE tags.key = 'samebits.sweep' AND "
    for parent in ask(query + ALIVE)[-1:]:
        picture(pages.file(parent, "sweep/sweep.html"), folder / "mlflow-sweep.png", 800)
    if models := ask("SELECT name FROM registered_models"):
        picture(pages.model(models[0]), folder / "mlflow-registry.png", 600)
    else:
        print("left out: the registry, as it is empty")
    picture(pages.run(run), folder / "mlflow-run.png", 800)
    picture(pages.curves(run, CURVES).page, folder / "mlflow-curves.png", 1000)
    page.goto((ROOT / "reports" / "evaluation" / "report" / "report.html").as_uri())
    picture(page, folder / "report.png", 800)


def take_demo(url: str, folder: Path, page: Page) -> None:
    """The demo, with a drawing where the model takes images."""
    for name, (width, scheme) in DEMO.items():
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(url)
        page.locator("#panels").wait_for()
        if page.locator(".paper canvas").count():
            draw(page)
        page.locator("#near").wait_for()
        page.wait_for_timeout(SETTLES_MS / 5)
        save(page.screenshot(full_page=True), folder / f"{name}.png")


def draw(page: Page) -> None:
    box = page.locator(".paper canvas").bounding_box()
    assert box is not None
    for line in DRAWING:
        first, *rest = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
        page.mouse.move(*first)
        page.mouse.down()
        for place in rest:
            page.mouse.move(*place, steps=6)
        page.mouse.up()


@contextlib.contextmanager
def started(*command: str) -> Iterator[str]:
    """A command of samebits that serves pages, and the address that it says."""
    process = subprocess.Popen([sys.executable, "-m", "samebits.cli.main", *command], stdout=subprocess.PIPE, text=True)
    try:
        said = (re.search(r"http://[^\s;)]+", line) for line in process.stdout or ())
        found = next(filter(None, said), None)
        if found is None:
            raise SystemExit(f"screenshots: `samebits {command[0]}` did not start")
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def main() -> None:
    asked = argparse.ArgumentParser(prog="tools.screenshots")
    asked.add_argument("folder", nargs="?", default="docs/images", type=Path)
    asked.add_argument("--only", choices=("mlflow", "demo"))
    arguments = asked.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    executable = chromium()
    if executable is None:
        raise SystemExit("screenshots: there is no chromium on PATH; install it with the system's package manager")
    with browser(executable) as page:
        if arguments.only != "demo":
            with started("ui") as url:
                take(url, folder, page)
        if arguments.only != "mlflow":
            with started("demo", "--no-open") as url:
                take_demo(url, folder, page)


if __name__ == "__main__":
    main()
