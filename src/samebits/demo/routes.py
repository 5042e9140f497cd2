"""The page's routes: its files, which need no token and hold no data, and three questions that only the page asks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from fastapi import APIRouter, Request, Response

from samebits.base.result import json_text
from samebits.demo.form import Form, form_for
from samebits.demo.influence import explain
from samebits.demo.mistakes import Mistakes, find_mistakes, point_of
from samebits.demo.pictures import png_url
from samebits.inference.answer import Answer
from samebits.inference.generate import Writer
from samebits.inference.items import Item
from samebits.inference.predictor import Kind
from samebits.signature.target_kind import TargetKind

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    # Nothing from elsewhere, and nothing to elsewhere: whatever a model's class names or a text may hold.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_NEAR = {
    "mask": "Test images with the lowest IoU, those with the most similar masks first: what the model marks, and what "
    "is right.",
    "tags": "Test texts with wrong tags, those with the most in common with this one first.",
    "": "Test samples {}, those with the most similar answers first.",
}
_WAITING = 8
"""Explanations that may wait; each takes the model for as long as a hundred answers."""

FILES = {each.name: each.read_bytes() for each in files("samebits.demo").joinpath("static").iterdir() if each.is_file()}
OPEN = ("/", *(f"/page/{name}" for name in FILES))
"""Paths without a token."""


class Model(Protocol):
    """What is served."""

    @property
    def sha256(self) -> str: ...
    @property
    def kind(self) -> Kind | None: ...
    @property
    def writer(self) -> Writer | None: ...


class _Page:
    """Of one model."""

    def __init__(self, path: Path, model: Model) -> None:
        self.model, self._path = model, path
        self.form = None if model.kind is None else form_for(model.kind)
        self._mistakes: asyncio.Task[Mistakes | None] | None = None

    def begin(self) -> None:
        """Look for mistakes, once somebody has the page."""
        if self.form is not None and self._mistakes is None:
            self._mistakes = asyncio.create_task(asyncio.to_thread(find_mistakes, self._path, self.form))

    def nearest(self, answer: Any, sample: Any) -> list[dict[str, Any]] | None:
        """None while they are being looked for."""
        if self._mistakes is None or not self._mistakes.done():
            return None
        found = self._mistakes.result()
        if found is None or self.form is None:
            return []
        return found.nearest(point_of(self.form, answer, sample))

    def told(self) -> dict[str, Any]:
        """What the page needs to know of the model."""
        shared = {"title": _title(self._path), "sha256": self.model.sha256}
        if self.form is None:
            assert self.model.writer is not None
            context = self.model.writer.context
            described = f"goes on from a text, of which it sees {context:,} tokens"
            return {**shared, "widget": "prompt", "described": described, "fields": {"context": context}}
        target = self.form.kind.target
        return {
            **shared,
            "described": f"{self.form.described} → {target.answer}",
            "widget": self.form.widget,
            "fields": self.form.fields,
            "target": _target(target, self.form),
            "method": self.form.method if self.form.explains else "",
            "mistakes": _NEAR.get(target.kind, _NEAR[""]).format(
                "that the model is wrong about" if target.labels else "with the largest errors"
            ),
        }


def _title(path: Path) -> str:
    """Of the model card beside it."""
    try:
        line = path.with_name("card.md").read_text(encoding="utf-8")[:500].splitlines()[0]
    except (OSError, ValueError, IndexError):
        return path.stem
    return line.removeprefix("#").strip() or path.stem


def _target(target: TargetKind, form: Form) -> dict[str, Any]:
    labels = list(target.labels)
    coverage = form.kind.reading.calibration.coverage
    found = {
        "classes": labels,
        "each": bool(labels) and not target.one_class,
        "colours": getattr(target, "colours", []),
        "coverage": coverage,
    }
    if not labels:
        # Where outputs are 0 is the mean of the training targets.
        mean = -target.outputs_of(np.zeros((1, *target.answer_shape)))[0] * target.unit
        found["names"] = getattr(target, "parts", None) or [getattr(target, "name", "value")]
        found["ranges"] = np.stack([mean - 3 * target.unit, mean + 3 * target.unit], axis=-1).reshape(-1, 2).tolist()
    return found


def page_routes(
    path: Path, served: Callable[[], Model], one: Callable[[Request], Awaitable[Item]], seconds: float
) -> APIRouter:
    """What is added to a server.

    Args:
        path: of the model.
        served: the model of now.
        one: the sample that a request holds, as of /predict.
        seconds: until an answer.
    """
    router = APIRouter(include_in_schema=False)
    turns = asyncio.Semaphore(1)
    waiting = 0
    of_now: list[_Page] = []

    def page() -> _Page:
        model = served()
        if not of_now or of_now[0].model is not model:
            of_now[:] = [_Page(path, model)]
        return of_now[0]

    @router.get("/")
    async def start() -> Response:
        return _file("page.html")

    @router.get("/page/form")
    async def form() -> Response:
        found = page()
        found.begin()
        return _json(200, found.told())

    @router.post("/page/look")
    async def look(request: Request) -> Response:
        """What the model sees, and what it gets wrong near it."""
        here = page()
        if here.form is None:
            return _json(404, {"error": "a language model has no answer to look at"})
        item = await one(request)
        try:
            async with asyncio.timeout(seconds):
                answer, picture, sample = await asyncio.to_thread(_seen, here.form, item)
        except TimeoutError:
            return _json(504, {"error": f"no answer in {seconds:g} s"})
        if answer.error:
            return _json(200, {"error": answer.error})
        return _json(200, {"picture": picture, "mistakes": here.nearest(answer.given, sample)})

    @router.post("/page/explain")
    async def show_influence(request: Request, label: str = "") -> Response:
        nonlocal waiting
        here = page()
        if here.form is None or not here.form.explains:
            return _json(404, {"error": "of this model's answers nothing is left out"})
        chosen = int(label) if re.fullmatch(r"\d{1,6}", label) else None
        if label and (chosen is None or chosen >= len(here.form.kind.target.labels)):
            return _json(422, {"error": "label is no class of the model"})
        item = await one(request)
        if waiting >= _WAITING:
            return _json(429, {"error": "too many explanations are asked for"}, {"Retry-After": "5"})
        waiting += 1
        try:
            async with asyncio.timeout(seconds), turns:
                return _json(200, await asyncio.to_thread(explain, here.form, item, chosen))
        except TimeoutError:
            return _json(504, {"error": f"no explanation in {seconds:g} s"})
        finally:
            waiting -= 1

    @router.get("/page/{name}")
    async def file(name: str) -> Response:
        return _file(name)

    return router


def _seen(form: Form, item: Item) -> tuple[Answer, str | None, Any]:
    """The answer, the sample as a picture, with the mask over it if that is the answer, and as the model takes it."""
    kind = form.kind
    ((ready, (answer,)),) = kind.read_and_answered([[item]])
    if answer.error:
        return answer, None, None
    sample = ready.samples[0]
    if answer.given is None:
        return answer, None, sample
    picture = form.picture(sample)
    if picture is not None and kind.target.moves:
        picture = kind.target.overlay(picture, answer.given.argmax(axis=0).astype(np.uint8))
    return answer, None if picture is None else png_url(picture), sample


def _file(name: str) -> Response:
    if name not in FILES:
        return _json(404, {"error": "there is no such file"})
    kind = _TYPES[Path(name).suffix]
    return Response(FILES[name], headers=_HEADERS, media_type=f"{kind}; charset=utf-8")


def _json(code: int, found: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(json_text(found, indent=None), code, _HEADERS | (headers or {}), media_type="application/json")
