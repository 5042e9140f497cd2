"""The HTTP interface: routes, limits, answers to what cannot be answered."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from samebits import __version__
from samebits.base.errors import UserError
from samebits.base.result import json_text
from samebits.demo.routes import OPEN, page_routes
from samebits.inference.items import Item
from samebits.serving import schema
from samebits.serving.batcher import Batcher, Busy
from samebits.serving.model import Current, Served
from samebits.serving.settings import Settings
from samebits.serving.writing import Texts

_OPEN = ("/health", "/ready", *OPEN)
"""Without a token: a load balancer asks for the first two, and the page's files, which hold no data, ask for one."""


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        code: of HTTP.
        problem: what is wrong.
        headers: of the response.
    """

    def __init__(self, code: int, problem: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem)
        self.code, self.problem, self.headers = code, problem, headers or {}


class Metrics:
    """What /metrics says, in a registry of its own: two servers in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "samebits_requests", "Requests by route and status", ["route", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "samebits_request_seconds",
            "Seconds until the answer",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.samples = Counter("samebits_samples", "Samples answered, by outcome", ["outcome"], registry=self.registry)
        self.batches = Gauge("samebits_batches", "Runs of the model", registry=self.registry)
        self.waiting = Gauge("samebits_waiting", "Samples that wait for the model", registry=self.registry)
        self.model = Gauge("samebits_model", "1 for the model that is served", ["sha256"], registry=self.registry)


def make_app(settings: Settings) -> FastAPI:
    """The application; its model is open when this returns.

    Raises:
        UserError: for a model that cannot be served.
    """
    current, metrics, texts = Current(settings.model), Metrics(), Texts(settings.limits)
    metrics.model.labels(current.served.sha256).set(1)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        kind = current.served.kind
        app.state.batcher = Batcher(kind.batch if kind else 1, settings.limits.waiting)
        app.state.ready = True
        watching = asyncio.create_task(_watch(current, metrics, settings.reload_seconds))
        yield
        app.state.ready = False
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await app.state.batcher.close()

    app = FastAPI(
        title=f"samebits: {settings.model.name}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its scripts from elsewhere
        redoc_url=None,
    )

    @app.middleware("http")
    async def _around(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        begin = time.perf_counter()
        try:
            _require_token(request, settings.token)
            response = await call(request)
        except Refused as error:
            response = _said(error.code, {"error": error.problem}, error.headers)
        route = getattr(request.scope.get("route"), "path", "other")
        metrics.requests.labels(route, response.status_code).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - begin)
        return response

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Refused) -> Response:
        return _said(error.code, {"error": error.problem}, error.headers)

    @app.exception_handler(UserError)
    async def _cannot(_: Request, error: UserError) -> Response:
        return _said(500, {"error": error.problem})

    @app.get("/health", responses=schema.STATUS, summary="Whether the process lives")
    async def health() -> Response:
        return _said(200, {"status": "ok"})

    @app.get("/ready", responses=schema.READY, summary="Whether requests are answered")
    async def ready(request: Request) -> Response:
        is_ready = getattr(request.app.state, "ready", False)
        found = {"status": "ready" if is_ready else "stopping", "model": current.served.about}
        return _said(200 if is_ready else 503, found | ({"problem": current.problem} if current.problem else {}))

    @app.get("/metrics", responses=schema.METRICS, summary="Counters for Prometheus")
    async def show_metrics(request: Request) -> Response:
        batcher: Batcher = request.app.state.batcher
        metrics.waiting.set(batcher.waiting)
        metrics.batches.set(batcher.batches)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    if current.served.kind is not None:
        body = schema.predict_body(current.served)

        @app.post("/predict", responses=schema.PREDICT, openapi_extra=body, summary="Answers for samples")
        async def predict(request: Request) -> Response:
            served = current.served
            items, top = await _items(request, served, settings)
            batcher: Batcher = request.app.state.batcher
            try:
                answers = await batcher.answers(served.ask, items, settings.limits.seconds)
            except Busy as busy:
                raise Refused(429, "too many samples wait already", {"Retry-After": str(busy.seconds)}) from None
            except TimeoutError:
                raise Refused(504, f"no answer in {settings.limits.seconds:g} s") from None
            for each in answers:
                if top is not None and each.reading is not None:
                    each.reading = replace(each.reading, top=top)
                metrics.samples.labels("error" if each.error else "answer").inc()
            return _said(200, {"predictions": [each.json() for each in answers], "model": served.sha256})

    else:

        @app.post(
            "/generate", responses=schema.GENERATE, openapi_extra=schema.GENERATE_BODY, summary="A text, as it is made"
        )
        async def generate(request: Request) -> Response:
            served = current.served
            assert served.writer is not None
            asked = schema.Prompt.of(await _json(request, settings), settings.limits)
            if isinstance(asked, str):
                raise Refused(422, asked)
            try:
                pieces = texts.write(served.writer, asked)
            except Busy as busy:
                raise Refused(429, "too many texts are being written", {"Retry-After": str(busy.seconds)}) from None
            if not asked.stream:
                return _said(200, {"text": "".join([piece async for piece in pieces]), "model": served.sha256})
            return StreamingResponse(_events(pieces), media_type="text/event-stream")

    async def one(request: Request) -> Item:
        items, _ = await _items(request, current.served, settings)
        if len(items) != 1:
            raise Refused(422, f"{len(items)} samples: send one")
        return items[0]

    if settings.page:
        app.include_router(page_routes(settings.model, lambda: current.served, one, settings.limits.seconds))
    return app


async def _watch(current: Current, metrics: Metrics, seconds: float) -> None:
    while seconds:
        await asyncio.sleep(seconds)
        before = current.served.sha256
        if await asyncio.to_thread(current.look):
            metrics.model.labels(before).set(0)
            metrics.model.labels(current.served.sha256).set(1)


def _said(code: int, found: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(json_text(found, indent=None), code, headers, media_type="application/json")


def _require_token(request: Request, token: str) -> None:
    if not token or request.url.path in _OPEN:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Refused(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


async def _items(request: Request, served: Served, settings: Settings) -> tuple[list[Item], int | None]:
    """The samples of a request, and how many classes it asks for."""
    assert served.kind is not None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    values: list[tuple[str, Any]]
    top: Any = None
    if kind == "application/json":
        found = await _json(request, settings)
        if not isinstance(found, dict) or not isinstance(found.get("inputs"), list):
            raise Refused(422, 'the body is no object {"inputs": [...]}')
        if unknown := found.keys() - {"inputs", "top"}:
            raise Refused(422, f"unknown keys: {', '.join(sorted(unknown))[:200]}; there are inputs, top")
        values = [(f"inputs[{place}]", value) for place, value in enumerate(found["inputs"])]
        top = found.get("top")
    elif kind == "multipart/form-data":
        values, top = await _parts(request, settings)
    else:
        raise Refused(415, "send application/json or multipart/form-data", {"Accept": "application/json"})
    if not values:
        raise Refused(422, "there is no sample")
    if len(values) > settings.limits.inputs:
        raise Refused(413, f"{len(values)} samples are more than {settings.limits.inputs}: send several requests")
    if top is not None and (type(top) is not int or top < 1):
        raise Refused(422, "top is no whole number from 1")
    return [served.kind.of_value(value, name) for name, value in values], top


async def _parts(request: Request, settings: Settings) -> tuple[list[tuple[str, Any]], Any]:
    body = await _body(request, settings)

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    limits = settings.limits
    parser = MultiPartParser(
        request.headers, whole(), max_files=limits.inputs + 1, max_fields=2, max_part_size=limits.body
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Refused(400, f"the parts cannot be read: {error}"[:300]) from None
    values: list[tuple[str, Any]] = []
    top = None
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            values.append((part.filename or f"files[{len(values)}]", await part.read()))
        elif name == "top" and part.isdecimal() and len(part) < 7:
            top = int(part)
        else:
            raise Refused(422, f"{name[:60]!r} is no file, and not top")
    return values, top


async def _json(request: Request, settings: Settings) -> Any:
    body = await _body(request, settings)
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}"[:300]) from None


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


async def _body(request: Request, settings: Settings) -> bytes:
    """All of it; refused as soon as it is too long."""
    most = settings.limits.body
    too_long = Refused(413, f"the body has more than {most >> 20} MiB")
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise too_long
    parts, size = [], 0
    try:
        async with asyncio.timeout(settings.limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"the body did not come in {settings.limits.seconds:g} s") from None
    return b"".join(parts)


async def _events(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """Server-sent events: one per piece of text, and one at the end."""
    try:
        async for piece in pieces:
            yield f"data: {json.dumps({'text': piece}, ensure_ascii=False)}\n\n"
        yield "event: end\ndata: {}\n\n"
    except UserError as error:
        yield f"event: error\ndata: {json.dumps({'error': error.problem})}\n\n"
