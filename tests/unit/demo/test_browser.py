"""The page in Debian's Chromium, for a model of each kind: what a person enters gets the answer of `predict`."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Page, expect

from samebits.serving.app import make_app
from samebits.serving.settings import Settings
from tests.helpers.asked import asked
from tests.helpers.onnx_models import array_model, brightness_model, mask_model, sum_model
from tests.helpers.onnx_texts import next_word_model, word_model
from tools.pages import browser, chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PHONE = {"width": 360, "height": 740}


@dataclass
class Opened:
    """A page, and what it did that it must not do."""

    page: Page
    asked: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    executable = chromium()
    if executable is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    with browser(executable) as page:
        page.set_default_timeout(20_000)
        found = Opened(page)
        page.on("request", lambda each: found.asked.add(urllib.parse.urlsplit(each.url).hostname or ""))
        page.on("pageerror", lambda each: found.faults.append(str(each)))
        page.on("console", lambda each: found.faults.append(each.text) if each.type in ("error", "warning") else None)
        yield found


@pytest.fixture
def show(opened: Opened) -> Iterator[Callable[..., Page]]:
    """The page of a model's server; at the end it has no error, asked nobody else, and is as wide as the window."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []
    opened.faults.clear()
    opened.asked.clear()

    def of(model: Path, token: str = "") -> Page:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(Settings(model, token=token)), log_level="error"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        servers.append((server, thread))
        opened.page.set_viewport_size({"width": 1000, "height": 900})
        opened.page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        return opened.page

    yield of
    page = opened.page
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.goto("about:blank")
    for server, thread in servers:
        server.should_exit = True
        thread.join(30)
    assert wide <= PHONE["width"]
    assert opened.faults == []
    assert opened.asked == {"127.0.0.1"}


def shares(page: Page) -> dict[str, str]:
    names, given = page.locator(".bar .name").all_inner_texts(), page.locator(".bar .share").all_inner_texts()
    return dict(zip(names, given, strict=True))


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Draw a line; places are shares of the canvas."""
    box = page.locator(".paper canvas").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def test_a_drawing_moves_the_bars_and_its_parts_are_shown(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(brightness_model(tmp_path / "m.onnx"))
    page.locator(".paper canvas").click(position={"x": 40, "y": 200})  # a dot
    expect(page.locator(".bar.best .name")).to_have_text("left")
    page.get_by_role("button", name="Clear").click()
    drag(page, (0.2, 0.3), (0.2, 0.9))
    expect(page.locator(".bar.best .name")).to_have_text("left")
    drag(page, (0.8, 0.3), (0.8, 0.9), (0.7, 0.3), (0.7, 0.9))
    expect(page.locator(".bar.best .name")).to_have_text("right")
    expect(page.locator("#spoken")).to_contain_text("right")
    page.locator(".heat canvas").wait_for()
    page.get_by_role("button", name="left").click()
    expect(page.locator("#parts")).to_contain_text("speaks for “left”")
    expect(page.locator("#near")).to_be_hidden()  # there is no report
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".bar")).to_have_count(0)


def test_the_pen_is_moved_by_keys(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(brightness_model(tmp_path / "m.onnx"))
    page.locator(".hint").wait_for()
    page.keyboard.press("Tab")
    for key in ("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", " ", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator(".bar.best .name")).to_have_text("left")
    page.keyboard.press("Delete")
    expect(page.locator(".bar")).to_have_count(0)


def test_an_image_file_gets_the_answer_of_predict(show: Callable[..., Page], tmp_path: Path) -> None:
    model = brightness_model(tmp_path / "m.onnx")
    pixels = np.zeros((40, 60), dtype=np.uint8)
    pixels[:, 35:] = 30
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    (wanted,) = asked(model, files=(file,))
    page = show(model)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose an image").click()
    chooser.value.set_files(file)
    expect(page.locator(".bar.best .name")).to_have_text("right")
    assert shares(page) == {name: f"{100 * round(share, 4):.1f} %" for name, share in wanted.classes}
    page.get_by_role("button", name="Clear").click()
    # Dropped, as a browser does it.
    page.evaluate(
        """async (bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
          for (const name of ["dragover", "drop"])
            document.getElementById("entry").dispatchEvent(new DragEvent(name, {dataTransfer: data, cancelable: true}));
        }""",
        list(file.read_bytes()),
    )
    expect(page.locator(".bar.best .name")).to_have_text("right")


def test_masks_lie_over_the_image(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(mask_model(tmp_path / "m.onnx"))
    drag(page, (0.1, 0.1), (0.9, 0.9))
    page.locator(".seen img").wait_for()
    assert page.locator(".swatch").count() == 2
    assert float(shares(page)["ink"].split()[0]) > 5


def test_of_labels_each_is_for_itself(show: Callable[..., Page], tmp_path: Path) -> None:
    target = {"kind": "labels", "classes": ["left", "right", "top"]}
    page = show(brightness_model(tmp_path / "m.onnx", mean=0.0, target=target))
    drag(page, (0.2, 0.5), (0.2, 0.9))
    expect(page.locator(".bar.best .name")).to_have_text("left")
    assert page.locator(".half").count() == 3
    page.get_by_role("button", name="right").click()
    page.locator(".heat").wait_for()


def test_a_text(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(word_model(tmp_path, {"prize": 3.0, "friend": -2.0}))
    page.get_by_label("Text").fill("dear friend")
    expect(page.locator(".bar.best .name")).to_have_text("ham")
    page.get_by_label("Text").press_sequentially(" a prize prize")
    expect(page.locator(".bar.best .name")).to_have_text("spam")
    expect(page.locator(".words")).to_have_text("dear friend a prize prize")
    page.get_by_label("Text").fill("")
    expect(page.locator(".bar")).to_have_count(0)


def test_tagged_words_are_marked_where_they_stand(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(word_model(tmp_path, {"prize": 3.0}, tags=True))
    page.get_by_label("Text").fill("😀 a <b>prize</b> now")
    expect(page.locator(".said")).to_have_text("😀 a <b>prizeprize</b> now")  # with its tag
    expect(page.locator("mark")).to_have_text("prizeprize")
    expect(page.locator("#influence")).to_be_hidden()


def test_a_row_of_a_table_by_keyboard_alone(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(sum_model(tmp_path / "m.onnx"))
    expect(page.locator(".number .value")).to_have_text("0")
    page.keyboard.press("Tab")
    page.keyboard.type("12")
    page.keyboard.press("Tab")
    page.keyboard.type("0.5")
    # The typical value was replaced: a field is selected when one comes to it by Tab.
    expect(page.locator(".number .value")).to_have_text("12.5")
    expect(page.locator(".signed dt").first).to_have_text("a")


def test_an_array(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(array_model(tmp_path / "m.onnx"))
    file = io.BytesIO()
    np.save(file, np.array([[1, 2, 3], [0, 0, 0]], dtype=np.int16))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files({"name": "a.npy", "mimeType": "", "buffer": file.getvalue()})
    expect(page.locator(".bar.best .name")).to_have_text("up")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files({"name": "b.npy", "mimeType": "", "buffer": b"nothing"})
    expect(page.locator("#answer .problem")).to_contain_text("cannot be used")


def test_a_language_model_writes_and_is_stopped(show: Callable[..., Page], tmp_path: Path) -> None:
    page = show(next_word_model(tmp_path, ["the", "sea", "was", "calm"]))
    page.get_by_label("The text to go on from").fill("the sea")
    page.get_by_label("Tokens").fill("5")
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".said")).to_have_text(re.compile(r"^the sea ?was calm the sea was$"))
    page.get_by_label("Tokens").fill("1024")
    page.get_by_label("The text to go on from").press("Control+Enter")
    with contextlib.suppress(AssertionError):  # it may be done before
        expect(page.get_by_role("button", name="Stop")).to_be_enabled(timeout=1000)
        page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Write")).to_be_enabled()


def test_a_token_is_asked_for_on_the_page(show: Callable[..., Page], tmp_path: Path, opened: Opened) -> None:
    token = "a-token-of-some-length"
    page = show(sum_model(tmp_path / "m.onnx"), token)
    for given in ("wrong", token):
        page.get_by_role("textbox", name="Token").fill(given)
        page.keyboard.press("Enter")
    expect(page.locator(".number .value")).to_have_text("0")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert all("401" in each for each in opened.faults)
    opened.faults.clear()
