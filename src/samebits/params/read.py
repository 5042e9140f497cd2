"""params.yaml to typed sections, with every problem reported at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from samebits.base.errors import UserError
from samebits.base.registry import nearest

T = TypeVar("T", bound=BaseModel)

_MOST_LINES = 100

_RENAMED = {
    "data.bad_limit": "data.max_rejected_fraction",
    "data.image.size": "data.image.resolution: one number, or [height, width]",
    "data.table.target_kind": "data.target_kind",
    "data.table.split": "data.split_column",
    "data.text.given": "data.split_column",
    **{f"data.{kind}.{key}": f"data.{key}_column" for kind in ("table", "text") for key in ("group", "time")},
    **{f"data.{kind}.separator": "data.csv.separator" for kind in ("table", "text")},
    **{f"data.{kind}.encoding": "data.encoding" for kind in ("table", "text")},
}
"""Keys of earlier versions, and what they are called now."""


class Problems:
    """Collects what is wrong, so that one run shows all of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, key: str, value: object, allowed: str, known: list[str] | None = None) -> None:
        """Note one problem. `known` are the keys or names that would have been right here."""
        guess = nearest(key.rpartition(".")[2], known) if known else None
        hint = f"; did you mean {guess}?" if guess else ""
        shown = "" if value is _ABSENT else f" = {_short(value)}"
        self.lines.append(f"{key}{shown}: {allowed}{hint}")

    def raise_if_any(self, place: str) -> None:
        if self.lines:
            count = f"{len(self.lines)} problem{'s' if len(self.lines) > 1 else ''}"
            listed = "\n".join(f"  {line}" for line in self.lines[:_MOST_LINES])
            if len(self.lines) > _MOST_LINES:
                listed += f"\n  and {len(self.lines) - _MOST_LINES:,} more"
            raise UserError(f"{place}: {count}\n{listed}", f"edit {place}; docs/parameters.md lists every key")


class _Absent:
    pass


_ABSENT = _Absent()


def validate(model: type[T], value: object, key: str, problems: Problems) -> T | None:
    """One section, or None with its problems noted under `key`."""
    if value is None:
        value = {}
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        locations = [item["loc"] for item in errors]
        for item in errors:
            if _of_its_kind(item["loc"], value, locations):
                _note(item, model, value, key, problems)
        return None


def _is_branch(part: object, here: object) -> bool:
    """Whether a part of a location is pydantic's name of a branch of a union, as `dict[str,float]`: no key."""
    return isinstance(part, str) and "[" in part and not (isinstance(here, Mapping) and part in here)


def _of_its_kind(location: tuple[str | int, ...], value: object, locations: Collection[tuple[str | int, ...]]) -> bool:
    """False for what another branch of a union has to say: whoever writes a mapping means no name."""
    here = value
    for at, part in enumerate(location):
        if _is_branch(part, here):
            branches = {str(each[at]) for each in locations if len(each) > at and each[:at] == location[:at]}
            wanted = "dict" if isinstance(here, Mapping) else "list" if isinstance(here, list) else "literal"
            if not any(each.startswith(wanted) for each in branches):
                wanted = "literal"
            return str(part).startswith(wanted)
        here = _below(here, part)
    return True


def _below(here: object, part: str | int) -> object:
    """The value at one part of a location; the value itself where that is the tag of a union."""
    if isinstance(here, Mapping):
        return here if part not in here and part == here.get("name") else here.get(part)
    return here[part] if isinstance(here, list) and isinstance(part, int) and part < len(here) else here


def _note(item: Mapping[str, Any], model: type[BaseModel], value: object, key: str, problems: Problems) -> None:
    """Turn one pydantic error into key, value, what is allowed."""
    # A discriminated union puts its tag into the location; only real keys of the file are shown.
    path: list[str] = []
    here: object = value
    for part in item["loc"]:
        tag = isinstance(here, Mapping) and part not in here and part == here.get("name")
        if not tag and not _is_branch(part, here):
            path.append(str(part))
            here = _below(here, part)
    full = ".".join([key, *path])
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden" and full in _RENAMED:
        problems.add(full, item["input"], f"is now called {_RENAMED[full]}")
    elif kind == "extra_forbidden":
        known = _known_keys(model, value, path[:-1])
        problems.add(full, item["input"], f"unknown key (known: {', '.join(known)})", known)
    elif kind == "missing":
        problems.add(full, _ABSENT, "missing, and it has no default")
    elif kind == "union_tag_not_found":
        problems.add(f"{full}.name", _ABSENT, f"missing; one of {context.get('expected_tags', 'the known names')}")
    elif kind == "union_tag_invalid":
        expected = [name.strip().strip("'") for name in str(context["expected_tags"]).split(",")]
        problems.add(f"{full}.name", context["tag"], f"must be one of {', '.join(expected)}")
    elif kind in ("model_type", "dict_type", "model_attributes_type"):
        problems.add(full, item["input"], "must be a section with keys of its own")
    else:
        said = item["msg"].removeprefix("Value error, ")
        whole = isinstance(item["input"], Mapping) and not item["loc"]  # keys that do not go together
        problems.add(full, _ABSENT if whole else item["input"], said[:1].lower() + said[1:])


def _known_keys(model: type[BaseModel], value: object, path: list[str]) -> list[str]:
    """The keys that are allowed at `path` below a model, following nested sections and named unions."""
    candidates: list[type[BaseModel]] = [model]
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
        name = value.get("name") if isinstance(value, Mapping) else None
        inner: list[type[BaseModel]] = []
        for candidate in candidates:
            field = candidate.model_fields.get(part)
            inner += _models_of(field.annotation) if field else []
        named = [each for each in inner if name is not None and name in _names_of(each)]
        candidates = named or inner
    return sorted({field for candidate in candidates for field in candidate.model_fields})


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _models_of(argument)]


def _names_of(model: type[BaseModel]) -> tuple[object, ...]:
    field = model.model_fields.get("name")
    return tuple(getattr(field.annotation, "__args__", ())) if field else ()


_YAML_WORDS = {None: "null", True: "true", False: "false"}


def _short(value: object) -> str:
    """As params.yaml has it."""
    text = _YAML_WORDS[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
