"""Responses in JSON, and the exception of a request that is not answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from samebits.base.result import json_text


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        code: of HTTP.
        problem: what is wrong.
        headers: of the response.
    """

    def __init__(self, code: int, problem: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.code, self.problem, self.headers = code, problem, headers

    @property
    def response(self) -> Response:
        return error_response(self.code, self.problem, self.headers)


def json_response(code: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(json_text(content, indent=None), code, headers, media_type="application/json")


def error_response(code: int, problem: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_response(code, {"error": problem}, headers)
