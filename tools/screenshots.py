"""Make the pictures of docs/images from the project it is run in, which must have a finished run.

    python tools/screenshots.py [folder for the pictures, default docs/images]

The comparison needs two runs or more with a training curve, the registry `samebits register`, the sweep `samebits
sweep`; what there is none of is left out, with a line that says so.

Starts `samebits ui`, drives Chromium (which must be on PATH) over its DevTools pipe, and ends both.
Protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path.cwd()
WIDTH, COLOURS = 1400, 255
LONGEST_S, SETTLES_S = 40.0, 5.0
# MLflow opens its assistant beside every page that a new browser shows.
CLOSE_ASSISTANT = """document.querySelector('[data-component-id="mlflow.assistant.chat_panel.close"]')?.click()"""
SEARCH, CURVES = "Search metric charts", "^(train/(loss|lr)|val/)"


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, profile: str) -> None:
        executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if executable is None:
            raise SystemExit("screenshots: there is no chromium on PATH; install it with the system's package manager")
        reads, to_browser = os.pipe()
        from_browser, writes = os.pipe()

        def pipes() -> None:
            # The browser reads file descriptor 3 and writes 4; copies first, as either may be in the other's place.
            first, second = os.dup(reads), os.dup(writes)
            os.dup2(first, 3)
            os.dup2(second, 4)

        flags = (
            "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking hide-scrollbars"
        )
        flags += " disable-component-update disable-sync remote-debugging-pipe"
        command = [executable, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={profile}"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, preexec_fn=pipes, close_fds=False, stdout=quiet, stderr=quiet)  # noqa: PLW1509
        os.close(reads)
        os.close(writes)
        self._out, self._in = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self._ids, self._rest, self._session = itertools.count(1), b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result."""
        message: dict[str, Any] = {"id": next(self._ids), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            while b"\0" not in self._rest:
                if not (more := self._in.read1(1 << 16)):
                    raise SystemExit("screenshots: the browser ended")
                self._rest += more
            answer, _, self._rest = self._rest.partition(b"\0")
            value = json.loads(answer)
            if value.get("id") == message["id"]:
                if "error" in value:
                    raise SystemExit(f"screenshots: {method}: {value['error']['message']}")
                return dict(value["result"])

    def script(self, source: str) -> Any:
        return self.call("Runtime.evaluate", expression=source, returnByValue=True)["result"].get("value")

    def picture(self, url: str, file: Path, *, height: int, needs: str, search: str = "") -> None:
        """Open a page, wait until it shows the text `needs`, search its charts, let it settle, and take it."""
        self.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + LONGEST_S
        while not self.script(f"document.body && document.body.innerText.includes({json.dumps(needs)})"):
            if time.monotonic() > deadline:
                raise SystemExit(f"screenshots: {url} does not show {needs!r}")
            time.sleep(0.2)
        time.sleep(1.0)
        self.script(CLOSE_ASSISTANT)
        if search:
            self.script(f"document.querySelector('input[placeholder=\"{SEARCH}\"]').focus()")
            self.call("Input.insertText", text=search)
        time.sleep(SETTLES_S)
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        Image.open(io.BytesIO(data)).convert("RGB").quantize(COLOURS).save(file, optimize=True)
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


ALIVE = "lifecycle_stage = 'active'"
TRAINED = "run_uuid IN (SELECT run_uuid FROM latest_metrics WHERE key = 'val/loss')"


def ask(query: str) -> list[str]:
    """The first column of a query to the local store."""
    with sqlite3.connect(f"file:{ROOT / 'mlruns' / 'mlflow.db'}?mode=ro", uri=True) as store:
        return [str(row[0]) for row in store.execute(query)]


def latest_run() -> str:
    """The id of the newest finished run that went through training."""
    where = f"status = 'FINISHED' AND {ALIVE} AND {TRAINED}"
    found = ask(f"SELECT run_uuid FROM runs WHERE {where} ORDER BY start_time DESC LIMIT 1")
    if not found:
        raise SystemExit("screenshots: there is no finished run here: dvc repro")
    return found[0]


def comparison(pages: str, options: str) -> str:
    """The page that compares the six newest trained runs."""
    runs = ask(f"SELECT run_uuid FROM runs WHERE {ALIVE} AND {TRAINED} ORDER BY start_time DESC LIMIT 6")
    experiment = pages.rsplit("/experiments/", 1)[1].split("/", maxsplit=1)[0]
    base = pages.split("#", 1)[0]
    listed = urllib.parse.quote(json.dumps(runs))
    return f"{base}#/compare-runs?runs={listed}&experiments={urllib.parse.quote(json.dumps([experiment]))}&{options}"


def take(pages: str, folder: Path, profile: str) -> None:
    """All pictures; `pages` is the URL of the runs table."""
    run, _, options = pages.partition("?")
    run, options = f"{run}/{latest_run()}", f"?{options}" if options else ""
    browser = Browser(profile)
    try:
        browser.picture(pages, folder / "mlflow-runs.png", height=520, needs="Duration")
        if len(ask(f"SELECT run_uuid FROM runs WHERE {ALIVE} AND {TRAINED}")) > 1:
            url = comparison(pages, options[1:])
            browser.picture(url, folder / "mlflow-compare.png", height=1100, needs="Comparing")
        else:
            print("left out: a comparison, as there is one run")
        query = "SELECT run_uuid FROM runs JOIN tags USING (run_uuid) WHERE tags.key = 'samebits.sweep' AND "
        parents = ask(query + ALIVE)
        for parent in parents[-1:]:
            where = f"{pages.partition('?')[0]}/{parent}/artifacts/sweep/sweep.html"
            browser.picture(where + options, folder / "mlflow-sweep.png", height=800, needs="sweep.html")
        if models := ask("SELECT name FROM registered_models"):
            url = f"{pages.split('#', 1)[0]}#/models/{urllib.parse.quote(models[0], safe='')}{options}"
            browser.picture(url, folder / "mlflow-registry.png", height=600, needs="champion")
        else:
            print("left out: the registry, as it is empty")
        browser.picture(run + options, folder / "mlflow-run.png", height=800, needs="Description")
        charts = f"{run}/model-metrics{options}"
        browser.picture(charts, folder / "mlflow-curves.png", height=1000, needs="Add chart", search=CURVES)
        report = (ROOT / "reports" / "evaluation" / "report" / "report.html").as_uri()
        browser.picture(report, folder / "report.png", height=800, needs="Accuracy")
    finally:
        browser.close()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    ui = subprocess.Popen([sys.executable, "-m", "samebits.cli", "ui"], stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://\S+", ui.stdout.readline() if ui.stdout else "")
        if found is None:
            raise SystemExit("screenshots: `samebits ui` did not start")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            take(found[0], folder, profile)
    finally:
        ui.send_signal(signal.SIGTERM)
        ui.wait(timeout=30)


if __name__ == "__main__":
    main()
