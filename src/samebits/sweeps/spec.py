"""The file of a sweep: its keys, and every problem of it in one message before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.registry import nearest
from samebits.params.read import Problems, validate
from samebits.params.schema import parse_params
from samebits.params.section import Section
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_yaml import read_pipeline
from samebits.sweeps.space import LARGEST_GRID, Dimension, Method, Point, Range, combinations, grid_size, put
from samebits.tracking.journal.replay import numbers

_CHECKED_TOGETHER = 2_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")


class Prune(Section):
    """Stop a trial whose validation is worse than the median of the others at the same epoch.

    Attributes:
        startup: trials that are never stopped.
        warmup: epochs of each trial that are never judged.
    """

    startup: int = Field(default=4, ge=1)
    warmup: int = Field(default=1, ge=0)


class SweepFile(Section):
    """Keys of a sweep's file.

    Attributes:
        method: `grid` tries every combination, `random` draws, `tpe` learns from the trials before (Optuna's
            Tree-structured Parzen Estimator).
        space: parameter to a list of values, or to `{low, high, log, step, points}`; section to a list of sections.
        metric: what is compared, named as in MLflow; a number of validation or training, never of the test split.
        goal: which way is better.
        trials: how many, for random and tpe.
        name: of the sweep, its experiments and its run; else the file's own.
        seed: of the drawing.
        jobs: trials at a time.
        gpus: `auto` hands out the GPUs of this machine, a list those indices, `none` leaves the trials alone.
        target: the stage to run up to; those before it run, too.
        set: parameters that all trials have in common, other than in params.yaml.
        prune: null is off.
        storage: URL of a database that several machines share; else a file below .samebits.
    """

    method: Method = "tpe"
    space: dict[str, Any] = Field(min_length=1)
    metric: str = Field(default="val/loss", min_length=1)
    goal: Literal["minimize", "maximize"] = "minimize"
    trials: int | None = Field(default=None, ge=1)
    name: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)
    jobs: int = Field(default=1, ge=1, le=64)
    gpus: Literal["auto", "none"] | list[int] = "auto"
    target: str = "evaluate"
    set: dict[str, Any] = Field(default_factory=dict)
    prune: Prune | None = None
    storage: str | None = None


@dataclass(frozen=True)
class Sweep:
    """A valid sweep.

    Attributes:
        base: params.yaml with `set` put in, as plain values.
        stages: those that a trial runs, in order.
    """

    name: str
    file: SweepFile
    dimensions: list[Dimension]
    base: dict[str, Any]
    stages: list[str]

    @property
    def budget(self) -> int:
        """How many trials there are to be."""
        return self.file.trials or grid_size(self.dimensions)

    def identity(self) -> dict[str, Any]:
        """What may not change between two starts of a sweep, or its trials could not be compared."""
        kept = ("method", "metric", "goal", "seed", "target", "set")
        dumped = {key: value for key, value in self.file.model_dump().items() if key in kept}
        dumped["space"] = {dimension.key: dimension.describe() for dimension in self.dimensions}
        plain: dict[str, Any] = json.loads(json.dumps(dumped))
        return plain

    def check_point(self, point: Point) -> str:
        """Why a point is no valid set of parameters; empty if it is."""
        return " ".join(_problems_of(self.base, point))


def read_sweep(project: Project, path: Path) -> Sweep:
    """Read and validate a sweep's file against the schema of params.yaml.

    Raises:
        UserError: with every problem of the file in one message.
    """
    problems = Problems()
    if not path.is_file():
        present = ", ".join(sorted(f"sweeps/{each.name}" for each in (project.workspace / "sweeps").glob("*.yaml")))
        raise UserError(f"{path} is no file", f"there are: {present or 'none'}; docs/sweeps.md has an example")
    raw = read_yaml(path)
    file = validate(SweepFile, raw, "", problems)
    params = read_yaml(project.params_file)
    parse_params(params, project.params_file.name)
    known = _known(params)
    lines = [line.removeprefix(".") for line in problems.lines]
    dimensions: list[Dimension] = []
    stages: list[str] = []
    name = path.stem
    space = raw.get("space") if isinstance(raw.get("space"), Mapping) else {}
    constant = raw.get("set") if isinstance(raw.get("set"), Mapping) else {}
    lines += _unknown_keys({"space": space or {}, "set": constant or {}}, known)
    for key, value in (space or {}).items():
        if key in known:
            choose = _section if isinstance(known[key], Mapping) else _dimension
            found = choose(str(key), value, known[key], str(raw.get("method", "tpe")), lines)
            dimensions += [found] if found else []
    base = params
    for key, value in (constant or {}).items():
        if key in known:
            lines += [f"set.{line}" for line in _problems_of(params, {key: value})]
            base = put(base, {key: value})
    for dimension in dimensions:
        for value in dimension.ends():
            lines += [f"space.{line}" for line in _problems_of(params, {dimension.key: value})]
    bad = {line.partition(" ")[0].partition(":")[0].partition(".")[0] for line in lines}
    checkable = file or validate(SweepFile, _without(raw, bad), "", Problems())
    if checkable is not None:
        name = checkable.name or path.stem
        stages = stages_up_to(project, checkable.target, lines)
        alone = _alone(checkable, name, project, stages)
        lines += [line for line in alone if line.partition(" ")[0].rstrip(":") not in bad]
        if file is not None and not lines:
            lines += _together(file, dimensions, base)
    if lines:
        listed = "\n".join(f"  {line}" for line in dict.fromkeys(lines))
        count = len(dict.fromkeys(lines))
        raise UserError(
            f"{path}: {count} problem{'s' if count > 1 else ''}\n{listed}",
            f"edit {path}; docs/sweeps.md explains its keys, docs/parameters.md those of params.yaml",
        )
    assert file is not None
    return Sweep(name, file, dimensions, base, stages)


def _without(raw: Mapping[str, Any], bad: set[str]) -> dict[str, Any]:
    """The keys that are right, so that what else is wrong with them is told in the same message."""
    return {"space": {"seed": [0]}} | {key: value for key, value in raw.items() if key not in bad}


def _unknown_keys(parts: Mapping[str, Mapping[str, Any]], known: Mapping[str, Any]) -> Iterator[str]:
    for part, values in parts.items():
        for key in values:
            if key not in known:
                guess = nearest(str(key), list(known))
                hint = f"; did you mean {guess}?" if guess else ""
                yield f"{part}.{key}: no parameter of params.yaml{hint}"
            elif part == "space" and str(key).partition(".")[0] == "runtime":
                yield f"{part}.{key}: cannot change a result, so there is nothing to compare; put it under `set`"
    places = [(part, str(key)) for part, values in parts.items() for key in values]
    for part, key in places:
        for other, outer in places:
            if (part, key) != (other, outer) and f"{key}.".startswith(f"{outer}.") and (key != outer or part == "set"):
                yield f"{part}.{key}: is in `{other}`, too" + (f" (as part of {outer})" if key != outer else "")


def _known(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every parameter under its dotted key, and every section of some."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            found |= _known(value, f"{prefix}{key}.")
    return found


def _section(key: str, value: Any, _now: Any, _method: str, lines: list[str]) -> Dimension | None:
    """Whole sections to choose from."""
    place = f"space.{key}"
    if not isinstance(value, list) or not value or not all(isinstance(each, Mapping) for each in value):
        lines.append(f"{place}: a section; list what may stand in its place: [{{name: …}}, {{name: …}}]")
        return None
    if len({json.dumps(each, default=str, sort_keys=True) for each in value}) < len(value):
        lines.append(f"{place}: the same section twice")
    return Dimension(key, tuple(json.loads(json.dumps(value, default=str))))


def _dimension(key: str, value: Any, now: Any, method: str, lines: list[str]) -> Dimension | None:
    """A parameter's values; `now` is its value in params.yaml, whose kind tells whole numbers from others."""
    place = f"space.{key}"
    if isinstance(value, list):
        if not value:
            lines.append(f"{place}: an empty list")
            return None
        if len({json.dumps(each, default=str) for each in value}) < len(value):
            lines.append(f"{place} = {value}: the same value twice")
        return Dimension(key, tuple(value))
    if not isinstance(value, Mapping):
        lines.append(f"{place} = {value}: must be a list of values, or a range {{low: …, high: …}}")
        return None
    problems = Problems()
    found = validate(Range, value, place, problems)
    lines += problems.lines
    if found is None:
        return None
    whole = isinstance(now, int) and not isinstance(now, bool)
    if now is not None and (isinstance(now, bool) or not isinstance(now, (int, float))):
        lines.append(f"{place}: params.yaml has {now!r}, which is no number: list the values")
        return None
    before = len(lines)
    if found.low >= found.high:
        lines.append(f"{place}.low = {found.low:g}: must be below high = {found.high:g}")
    if found.log and found.low <= 0:
        lines.append(f"{place}.low = {found.low:g}: must be above 0 with log")
    if found.log and found.step is not None:
        lines.append(f"{place}.step = {found.step:g}: does not go with log")
    if whole and any(number is not None and number % 1 for number in (found.low, found.high, found.step)):
        lines.append(f"{place}: low, high and step must be whole numbers, as params.yaml has {now}")
    if method == "grid" and found.step is None and found.points is None:
        lines.append(f"{place}: a grid needs `step`, `points` or a list of values")
    if found.points is not None and method != "grid":
        lines.append(f"{place}.points = {found.points}: only for method: grid")
    return Dimension(key, range=found, whole=whole) if len(lines) == before else None


def stages_up_to(project: Project, target: str, lines: list[str]) -> list[str]:
    """The stages that `dvc exp run TARGET` runs, in order; what is wrong with the target goes into `lines`."""
    stages = list(read_pipeline(project.workspace))
    if target not in stages:
        lines.append(f"target = {target}: no stage of dvc.yaml (known: {', '.join(stages)})")
        return stages
    return stages[: stages.index(target) + 1]


def _alone(file: SweepFile, name: str, project: Project, stages: list[str]) -> Iterator[str]:
    """Problems of single keys that their kinds do not show."""
    if not NAME.fullmatch(name):
        yield f"name = {name}: letters, digits, - and _, at most 61"
    if file.method == "grid" and file.trials is not None:
        yield f"trials = {file.trials}: a grid has as many as it has combinations; leave it out"
    if file.method != "grid" and file.trials is None:
        yield f"trials: missing; how many for method: {file.method}?"
    if file.prune is not None and not file.metric.startswith("val/"):
        yield f"prune: needs a metric of the validation curve (val/…), not {file.metric}"
    if isinstance(file.gpus, list) and (not file.gpus or min(file.gpus) < 0 or len(set(file.gpus)) < len(file.gpus)):
        yield f"gpus = {file.gpus}: must be different numbers from 0"
    yield from _storage(file.storage)
    if file.metric.startswith(("test/", "interval/")):
        yield f"metric = {file.metric}: the test split is for the last judgement; choose by validation: val/loss"
        return
    seen = {key for path in metric_files(project.workspace, stages) if path.is_file() for key in numbers(path)}
    if seen and file.metric not in seen:
        guess = nearest(file.metric, sorted(seen))
        hint = f"; did you mean {guess}?" if guess else f" (known: {', '.join(sorted(seen))})"
        yield f"metric = {file.metric}: the last run had no such number{hint}"


def _storage(url: str | None) -> Iterator[str]:
    if url is None:
        return
    if "://" not in url:
        yield f"storage = {url}: must be a URL, as postgresql+psycopg://user@host/database"
    elif re.match(r"\w+(\+\w+)?://[^/@\s]*:[^/@\s]+@", url):
        shown = re.sub(r"://.*@", "://…@", url)
        yield f"storage = {shown}: no password in a file that git keeps; use ~/.pgpass, or SAMEBITS_SWEEP_STORAGE"


def _together(file: SweepFile, dimensions: list[Dimension], base: dict[str, Any]) -> Iterator[str]:
    """Problems of combinations: all of a grid, else those of the ends and choices, as far as they can be counted."""
    of: Callable[[Dimension], list[Any]] = Dimension.ends
    if file.method == "grid":
        if (size := grid_size(dimensions)) > LARGEST_GRID:
            yield f"space: {size:,} combinations, more than {LARGEST_GRID:,}; use method: random or tpe"
            return
        of = Dimension.grid
    for count, point in enumerate(combinations(dimensions, of)):
        if count == _CHECKED_TOGETHER:
            return
        for line in _problems_of(base, point):
            yield f"{', '.join(f'{key} = {value}' for key, value in point.items())}: {line}"


def _problems_of(params: Mapping[str, Any], point: Mapping[str, Any]) -> list[str]:
    try:
        parse_params(put(params, point))
    except UserError as error:
        return [line.strip() for line in error.problem.splitlines()[1:]]
    return []


def metric_files(workspace: Path, stages: list[str]) -> list[Path]:
    """The metrics files that these stages write, from dvc.yaml."""
    pipeline = read_pipeline(workspace)
    return [workspace / path for stage in stages if stage in pipeline for path in pipeline[stage].paths("metrics")]
