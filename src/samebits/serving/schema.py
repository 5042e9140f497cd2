"""What requests and responses look like: the two bodies in JSON, and OpenAPI with examples that this model takes."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from samebits.inference.sampling import Sampling
from samebits.serving.model import Served
from samebits.serving.settings import Limits

_USUAL = Sampling()
_LONGEST_EXAMPLE = 1 << 14


def _as_integer(value: Any) -> Any:
    """In JSON Schema 2.0 is an integer, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Natural = Annotated[int, Field(ge=0), BeforeValidator(_as_integer)]
_Positive = Annotated[int, Field(ge=1), BeforeValidator(_as_integer)]


class Samples(BaseModel):
    """Samples to answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: list[Any] = Field(min_length=1)
    top: _Positive | None = Field(None, description="classes to give (default: 3)")


class Prompt(BaseModel):
    """A text to go on from."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str
    tokens: _Positive = Field(200, description="how many at most")
    temperature: float = Field(_USUAL.temperature, ge=0, allow_inf_nan=False, description="0: the most probable token")
    top_k: _Positive | None = Field(_USUAL.top_k, description="draw from that many of the most probable tokens")
    top_p: float = Field(_USUAL.top_p, gt=0, le=1, description="draw from this share of probability")
    seed: _Natural = Field(_USUAL.seed, description="the same one gives the same text")
    stream: bool = Field(True, description="server-sent events; false: one document")

    def count(self, limits: Limits) -> int:
        """Tokens to write, at most."""
        return self.tokens if "tokens" in self.model_fields_set else min(self.tokens, limits.tokens)

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "what is wrong"}},
}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_NUMBER = {"type": ["number", "null"]}
_ANSWER = {
    "type": "object",
    "description": "as of `samebits predict --format json`",
    "required": ["name", "shown", "classes", "values", "notes", "error"],
    "properties": {
        "name": {"type": "string"},
        "shown": {"type": "string", "description": "for people"},
        "classes": {
            "type": "array",
            "description": "the most probable first",
            "items": {
                "type": "object",
                "required": ["label", "probability"],
                "properties": {"label": {"type": "string"}, "probability": _NUMBER},
            },
        },
        "values": {"type": "array", "items": _NUMBER, "description": "of an answer that is none of labels"},
        "interval": {"type": "array", "items": {"type": "array", "items": _NUMBER}},
        "label_set": _TEXTS,
        "ood_score": _NUMBER,
        "spans": {"type": "array", "items": {"type": "object"}, "description": "of a model that tags words"},
        "notes": _TEXTS,
        "error": {"type": ["string", "null"], "description": "why this sample has no answer"},
    },
}


def _object(**properties: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": {name: {"type": kind} for name, kind in properties.items()},
    }


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


Responses = dict[int | str, dict[str, Any]]

_ADMITTED: Responses = {
    401: _response("a token is needed", _ERROR),
    421: _response("without a token, another name than localhost was asked", _ERROR),
    429: _response("too much is in progress or waits; `Retry-After` says when to try again", _ERROR),
}
_ASKED: Responses = {
    **_ADMITTED,
    400: _response("the body cannot be read", _ERROR),
    408: _response("the body came too slowly", _ERROR),
    413: _response("too large, or too many samples", _ERROR),
    415: _response("another content type", _ERROR),
    422: _response("another form than the one asked for", _ERROR),
    500: _response("the model cannot be run", _ERROR),
    504: _response("no answer in time", _ERROR),
}
_STATUS = _object(status="string")
HEALTH: Responses = {200: _response("yes", _STATUS), 421: _ADMITTED[421]}
READY: Responses = {
    200: _response("yes, and what is served; `problem`: why a newer model is not", _STATUS),
    503: _response("no: the server stops", _STATUS),
    421: _ADMITTED[421],
}
METRICS: Responses = {
    200: {"description": "in Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **_ADMITTED,
}
PREDICT: Responses = {
    200: _response(
        "an answer per sample, in order; one that cannot be used has an `error`",
        {
            "type": "object",
            "required": ["predictions", "model"],
            "properties": {
                "predictions": {"type": "array", "items": _ANSWER},
                "model": {"type": "string", "description": "SHA-256 of the file that answered"},
            },
        },
    ),
    **_ASKED,
}
GENERATE: Responses = {
    200: {
        "description": 'the text; with `stream`, an event `data: {"text": …}` per piece, and `event: end`',
        "content": {
            "application/json": {"schema": _object(text="string", ended="string", model="string")},
            "text/event-stream": {"schema": _object(data="string")},
        },
    },
    **_ASKED,
}


def body_of(served: Served, limits: Limits) -> dict[str, Any]:
    """What /predict or /generate takes, with an example that this model answers."""
    if served.kind is None:
        assert served.writer is not None
        schema = Prompt.model_json_schema()
        tokens = schema["properties"]["tokens"]
        tokens |= {"maximum": limits.tokens, "default": min(tokens["default"], limits.tokens)}
        if served.writer.separator is None:  # nothing to begin with but the prompt
            schema["properties"]["prompt"]["minLength"] = 1
        example = {"prompt": "The whale", "tokens": min(40, limits.tokens)}
        return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}
    schema = Samples.model_json_schema()
    schema["properties"]["inputs"] |= {"maxItems": limits.inputs, "description": served.kind.of_value.__doc__ or ""}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    one = served.kind.example()
    if len(json.dumps(one)) <= _LONGEST_EXAMPLE:
        content["application/json"]["example"] = {"inputs": [one]}
    if served.about["inputs"] != "table":
        files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
        properties = {"files": files, "top": {"type": "integer", "minimum": 1, "maximum": 999_999}}
        schema = {"type": "object", "required": ["files"], "properties": properties, "additionalProperties": False}
        content["multipart/form-data"] = {"schema": schema}
    return {"required": True, "content": content}
