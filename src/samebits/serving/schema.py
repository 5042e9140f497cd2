"""What requests and responses look like, for OpenAPI; and the request for a text."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from samebits.base.errors import UserError
from samebits.inference.generate import require_sampling
from samebits.inference.sampling import Sampling
from samebits.serving.model import Served
from samebits.serving.settings import Limits

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what is wrong"}},
}


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _errors(**codes: str) -> dict[int | str, dict[str, Any]]:
    return {int(code.removeprefix("e")): _response(text, _ERROR) for code, text in codes.items()}


_TOKEN = {"e401": "a token is needed"}
_BODY = {
    **_TOKEN,
    "e400": "the body cannot be read",
    "e408": "the body came too slowly",
    "e413": "too large, or too many samples",
    "e422": "another form than the one asked for",
    "e429": "too much waits; `Retry-After` says when to try again",
    "e500": "the model cannot be run",
}

STATUS: dict[int | str, dict[str, Any]] = {
    200: _response("yes", {"type": "object", "properties": {"status": {"type": "string"}}})
}
READY: dict[int | str, dict[str, Any]] = {
    200: _response("yes, and what is served", {"type": "object"}),
    503: _response("no: the server stops", {"type": "object"}),
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "in Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **_errors(**_TOKEN),
}
PREDICT: dict[int | str, dict[str, Any]] = {
    200: _response(
        "an answer per sample, in order; one that cannot be used has an `error`",
        {
            "type": "object",
            "required": ["predictions", "model"],
            "properties": {
                "predictions": {
                    "type": "array",
                    "items": {"type": "object", "description": "as of `samebits predict --format json`"},
                },
                "model": {"type": "string", "description": "SHA-256 of the model's file"},
            },
        },
    ),
    **_errors(**_BODY, e415="neither JSON nor multipart", e504="no answer in time"),
}
GENERATE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'the text; with `stream`, events `data: {"text": …}`, and `event: end`',
        "content": {
            "application/json": {"schema": {"type": "object", "properties": {"text": {"type": "string"}}}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
    **_errors(**_BODY),
}
GENERATE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["prompt"],
                    "additionalProperties": False,
                    "properties": {
                        "prompt": {"type": "string"},
                        "tokens": {"type": "integer", "minimum": 1, "default": 200},
                        "temperature": {"type": "number", "minimum": 0, "default": 0.8},
                        "top_k": {"type": ["integer", "null"], "minimum": 1},
                        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.95},
                        "seed": {"type": "integer", "minimum": 0, "default": 0},
                        "stream": {"type": "boolean", "default": True},
                    },
                },
                "example": {"prompt": "The whale", "tokens": 40},
            }
        },
    }
}


def predict_body(served: Served) -> dict[str, Any]:
    """The body of /predict, with an example of what this model takes."""
    assert served.kind is not None
    value = example(served.kind.inputs)
    shown = value if len(json.dumps(value)) < 2000 else "base64 of an image file, or nested lists of numbers"
    content: dict[str, Any] = {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "additionalProperties": False,
                "properties": {
                    "inputs": {"type": "array", "minItems": 1, "description": (served.kind.of_value.__doc__ or "")},
                    "top": {"type": "integer", "minimum": 1, "description": "classes to give (default: 3)"},
                },
            },
            "example": {"inputs": [shown]},
        }
    }
    if served.about["inputs"] != "table":
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        }
    return {"requestBody": {"required": True, "content": content}}


def example(inputs: dict[str, Any]) -> Any:
    """A value that a model of such inputs takes, of no meaning."""
    match inputs.get("kind", "image"):
        case "tokens":
            return "Some text"
        case "table":
            names = dict.fromkeys(each.get("source") or each["name"] for each in inputs["columns"])
            return dict.fromkeys(names)
        case "array":
            return np.zeros(inputs["shape"], dtype=inputs["stored_dtype"]).tolist()
    file = io.BytesIO()
    _, height, width = inputs["shape"]
    Image.new("L" if inputs["shape"][0] == 1 else "RGB", (width, height)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True)
class Prompt:
    """A request for a text."""

    prompt: str
    tokens: int
    sampling: Sampling
    stream: bool

    @classmethod
    def of(cls, found: Any, limits: Limits) -> Prompt | str:
        """Of the body; or what is wrong with it."""
        if not isinstance(found, dict):
            return "the body is no object"
        schema = GENERATE_BODY["requestBody"]["content"]["application/json"]["schema"]["properties"]
        if unknown := found.keys() - schema.keys():
            return f"unknown keys: {', '.join(sorted(unknown))[:200]}; there are {', '.join(schema)}"
        values = {name: found.get(name, each.get("default")) for name, each in schema.items()}
        kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
        for name, value in values.items():
            asked = schema[name]["type"]
            if value is None and (isinstance(asked, list) and "null" in asked):
                continue
            kind = asked[0] if isinstance(asked, list) else asked
            if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean"):
                return f"{name} is no {kind}"
        if values["tokens"] > limits.tokens:
            return f"tokens is {values['tokens']}, and {limits.tokens} are the most"
        sampling = Sampling(
            temperature=float(values["temperature"]),
            top_k=values["top_k"],
            top_p=float(values["top_p"]),
            seed=values["seed"],
        )
        try:
            require_sampling(sampling, values["tokens"])
        except UserError as error:
            return error.problem.replace("--", "")
        return cls(values["prompt"], values["tokens"], sampling, values["stream"])
