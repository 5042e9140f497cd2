"""From the body of a request to samples or a prompt, within the limits."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from samebits.inference.items import Item
from samebits.inference.predictor import Kind
from samebits.serving.responses import Refused
from samebits.serving.schema import Samples
from samebits.serving.settings import Limits

Body = TypeVar("Body", bound=BaseModel)
Found = TypeVar("Found")

_LARGE = 1 << 16
"""Bytes from which a body is parsed in a thread: it may take longer than other requests should wait."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def read_samples(request: Request, kind: Kind, limits: Limits) -> tuple[list[Item], int | None]:
    """The samples of a request, and how many classes it asks for.

    Raises:
        Refused: with what is wrong.
    """
    content = _content_type(request)
    if content == "multipart/form-data":
        values, top = await _read_parts(request, limits)
        return await _parsed(sum(len(each) for _, each in values), lambda: _items(kind, values)), top
    body = await _read_body(request, limits)
    if content != "application/json":
        raise Refused(415, "send application/json or multipart/form-data", {"Accept": "application/json"})

    def items() -> tuple[list[Item], int | None]:
        found = parse_json(body, Samples)
        _require_few(len(found.inputs), limits)
        return _items(kind, [(f"inputs[{place}]", each) for place, each in enumerate(found.inputs)]), found.top

    return await _parsed(len(body), items)


async def read_json(request: Request, limits: Limits, kind: type[Body]) -> Body:
    """The body of a request that takes JSON alone; raises Refused."""
    body = await _read_body(request, limits)
    if _content_type(request) != "application/json":
        raise Refused(415, "send application/json", {"Accept": "application/json"})
    return await _parsed(len(body), lambda: parse_json(body, kind))


def parse_json(body: bytes, kind: type[Body]) -> Body:
    """A document of a kind; raises Refused."""
    try:
        found = json.loads(body, parse_constant=_no_constant)
        if _SURROGATE.search(body):
            json.dumps(found, ensure_ascii=False).encode()  # half a character cannot be written again
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}"[:300]) from None
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Refused(422, f"{place[:100]}: {first['msg']}"[:300]) from None


def _items(kind: Kind, values: list[tuple[str, Any]]) -> list[Item]:
    return [kind.of_value(value, name) for name, value in values]


async def _parsed(size: int, parse: Callable[[], Found]) -> Found:
    return await asyncio.to_thread(parse) if size > _LARGE else parse()


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _require_few(count: int, limits: Limits) -> None:
    if count > limits.inputs:
        raise Refused(413, f"{count} samples are more than {limits.inputs}: send several requests")


async def _read_parts(request: Request, limits: Limits) -> tuple[list[tuple[str, bytes]], int | None]:
    body = await _read_body(request, limits)

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, whole(), max_files=limits.inputs + 1, max_fields=2, max_part_size=limits.body
    )
    parser.spool_max_size = limits.body  # in memory
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, LookupError, ValueError) as error:
        raise Refused(400, f"the parts cannot be read: {error}"[:300]) from None
    values: list[tuple[str, bytes]] = []
    top = None
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            values.append((part.filename or f"files[{len(values)}]", await part.read()))
        elif name == "top" and part.isascii() and part.isdecimal() and len(part) < 7 and int(part):
            top = int(part)
        else:
            raise Refused(422, f"{name[:60]!r} is no file, and not top, a whole number from 1")
    if not values:
        raise Refused(422, "there is no sample")
    _require_few(len(values), limits)
    return values, top


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


async def _read_body(request: Request, limits: Limits) -> bytes:
    """All of it; refused as soon as it is too long."""
    too_long = Refused(413, f"the body has more than {limits.body / (1 << 20):g} MiB", {"Connection": "close"})
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.body:
        raise too_long
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"the body did not come in {limits.seconds:g} s", {"Connection": "close"}) from None
    return b"".join(parts)
