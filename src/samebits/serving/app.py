"""The HTTP interface: its routes, and what is said of requests that are not answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from samebits import __version__
from samebits.base.errors import UserError
from samebits.demo.routes import OPEN, page_routes
from samebits.inference.generate import EmptyPrompt
from samebits.inference.items import Item
from samebits.serving import schema
from samebits.serving.batcher import Batcher, Busy
from samebits.serving.body import read_json, read_samples
from samebits.serving.gate import Gate
from samebits.serving.metrics import Metrics
from samebits.serving.model import Current
from samebits.serving.reference import reference_page
from samebits.serving.responses import Refused, error_response, json_response
from samebits.serving.settings import Settings
from samebits.serving.source import source_of
from samebits.serving.writing import Text, Texts

_OPEN = ("/health", "/ready", *OPEN)
"""Without a token: a load balancer asks for the first two, and the page's files, which hold no data, ask for one."""


def make_app(settings: Settings) -> FastAPI:
    """The application; its model is open when this returns. `app.state.stopping = True` announces its end.

    Raises:
        UserError: for a model that cannot be served.
    """
    limits, metrics = settings.limits, Metrics()
    current = Current(source_of(settings.model, settings.registry), limits.pixels)
    metrics.model.labels(current.served.sha256).set(1)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if current.served.kind is not None:
            batcher = Batcher(current.served.kind.batch, limits.waiting, on_batch=metrics.batch_size.observe)
            metrics.waiting.set_function(lambda: batcher.waiting)
            app.state.batcher = batcher
        watching = asyncio.create_task(_watch(current, metrics, settings.reload_seconds))
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if current.served.kind is not None:
            await batcher.close()

    app = FastAPI(
        title=f"samebits: {settings.model.name}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.stopping = False
    app.add_middleware(Gate, settings=settings, metrics=metrics, open_routes=_OPEN, state=app.state)

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Refused) -> Response:
        return error.response

    @app.exception_handler(EmptyPrompt)
    async def _empty(_: Request, error: EmptyPrompt) -> Response:
        return error_response(422, error.problem)

    @app.exception_handler(UserError)
    async def _cannot(_: Request, error: UserError) -> Response:
        return error_response(500, error.problem)

    @app.exception_handler(HTTPException)
    async def _no_route(_: Request, error: HTTPException) -> Response:
        return error_response(error.status_code, error.detail, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def _gone(_: Request, error: ClientDisconnect) -> Response:
        return error_response(400, "the client has gone")

    @app.get("/health", responses=schema.HEALTH, summary="Whether the process lives")
    async def health() -> Response:
        return json_response(200, {"status": "ok"})

    @app.get("/ready", responses=schema.READY, summary="Whether requests are answered")
    async def ready(request: Request) -> Response:
        stopping = request.app.state.stopping
        found = {"status": "stopping" if stopping else "ready", "model": current.served.about}
        problem = {"problem": current.problem} if current.problem else {}
        return json_response(503 if stopping else 200, found | problem)

    @app.get("/metrics", responses=schema.METRICS, summary="Counters for Prometheus")
    async def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def reference(request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        return HTMLResponse(reference_page(request.app.openapi(), url, token=bool(settings.token)))

    async def predict(request: Request) -> Response:
        served, batcher = current.served, request.app.state.batcher
        assert served.kind is not None
        items, top = await read_samples(request, served.kind, limits)
        try:
            answers = await batcher.answers(served.ask, items, limits.seconds)
        except Busy as busy:
            raise Refused(429, "too many samples wait already", {"Retry-After": str(busy.seconds)}) from None
        except TimeoutError:
            raise Refused(504, f"no answer in {limits.seconds:g} s") from None
        for each in answers:
            if top is not None and each.reading is not None:
                each.reading = replace(each.reading, top=top)
            metrics.samples.labels("error" if each.error else "answer").inc()
        return json_response(200, {"predictions": [each.json() for each in answers], "model": served.sha256})

    texts = Texts(limits)

    async def generate(request: Request) -> Response:
        served = current.served
        assert served.writer is not None
        asked = await read_json(request, limits, schema.Prompt)
        if asked.count(limits) > limits.tokens:
            raise Refused(422, f"tokens: {asked.tokens} are more than {limits.tokens}")
        try:
            text = await texts.write(served.writer, asked)
        except Busy as busy:
            raise Refused(429, "too many texts are being written", {"Retry-After": str(busy.seconds)}) from None
        if asked.stream:
            return StreamingResponse(_events(text), media_type="text/event-stream")
        whole = "".join([piece async for piece in text.pieces()])
        return json_response(200, {"text": whole, "ended": text.ended, "model": served.sha256})

    if current.served.kind is not None:
        route, summary, answer, responses = "/predict", "Answers for samples", predict, schema.PREDICT
    else:
        route, summary, answer, responses = "/generate", "A text, as it is written", generate, schema.GENERATE
    app.post(route, responses=responses, summary=summary)(answer)

    async def one_sample(request: Request) -> Item:
        kind = current.served.kind
        assert kind is not None
        items, _ = await read_samples(request, kind, limits)
        if len(items) != 1:
            raise Refused(422, f"{len(items)} samples: send one")
        return items[0]

    if settings.page:
        app.include_router(page_routes(settings.model, lambda: current.served, one_sample, limits.seconds))

    def openapi() -> dict[str, Any]:
        # Not kept: another model has other columns, and another example.
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        found["paths"][route]["post"]["requestBody"] = schema.body_of(current.served, limits)
        if settings.token:
            found.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, methods in found["paths"].items():
                for each in methods.values():
                    each["security"] = [] if path in _OPEN else [{"token": []}]
        return found

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _watch(current: Current, metrics: Metrics, seconds: float) -> None:
    while seconds:
        await asyncio.sleep(seconds)
        before = current.served.sha256
        if await asyncio.to_thread(current.look):
            metrics.model.remove(before)
            metrics.model.labels(current.served.sha256).set(1)


async def _events(text: Text) -> AsyncIterator[str]:
    """Server-sent events: one per piece of the text, and one at the end."""
    try:
        async for piece in text.pieces():
            yield f"data: {json.dumps({'text': piece}, ensure_ascii=False)}\n\n"
        yield f"event: end\ndata: {json.dumps({'ended': text.ended})}\n\n"
    except UserError as error:
        yield f"event: error\ndata: {json.dumps({'error': error.problem})}\n\n"
