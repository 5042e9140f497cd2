"""Make the pictures of docs/images from the project it is run in, which must have a finished run.

    python -m tools.screenshots [folder for the pictures, default docs/images]

The comparison needs two runs or more with a training curve, the registry `samebits register`, the sweep `samebits
sweep`; what there is none of is left out, with a line that says so.

Starts `samebits ui`, drives Chromium (which must be on PATH) through its pages, and ends both.
"""

from __future__ import annotations

import io
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tools.pages import WIDTH, Pages, browser, chromium

ROOT = Path.cwd()
COLOURS, SETTLES_MS = 255, 5_000.0
CURVES = "^(train/(loss|lr)|val/)"


def picture(page: Page, file: Path, height: int) -> None:
    """Let the page settle, and take it."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(SETTLES_MS)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS).save(file, optimize=True)
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


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    executable = chromium()
    if executable is None:
        raise SystemExit("screenshots: there is no chromium on PATH; install it with the system's package manager")
    ui = subprocess.Popen([sys.executable, "-m", "samebits.cli.main", "ui"], stdout=subprocess.PIPE, text=True)
    try:
        said = ui.stdout.readline() + ui.stdout.readline() if ui.stdout else ""  # that it starts; the address
        found = re.search(r"http://\S+", said)
        if found is None:
            raise SystemExit("screenshots: `samebits ui` did not start")
        with browser(executable) as page:
            take(found[0], folder, page)
    finally:
        ui.send_signal(signal.SIGTERM)
        ui.wait(timeout=30)


if __name__ == "__main__":
    main()
