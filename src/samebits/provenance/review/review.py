"""Compare the results of the workspace with those of a base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.base.git import commit_of, head_commit
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.pipeline.dvc_cache import open_objects
from samebits.pipeline.summary import MetricValue
from samebits.provenance.review.markdown import markdown
from samebits.provenance.review.version import Version, read_version
from samebits.provenance.verify.copies import copy_commit, scratch

DATA, MODEL = "data/prepared", "models/checkpoint"


@dataclass(frozen=True)
class Change:
    """A metric on both sides.

    Attributes:
        base, here: None where there is none, or it is stale.
        difference: here - base; None where the two cannot be compared.
        verdict: `better`, `worse` or `same`; empty where they cannot be compared.
        apart: whether the intervals do not overlap; None without both intervals.
    """

    base: MetricValue | None
    here: MetricValue | None
    difference: float | None
    verdict: str
    apart: bool | None


@dataclass(frozen=True)
class Review(Result):
    """Both sides."""

    base: Version
    here: Version

    @property
    def same_data(self) -> bool | None:
        """Whether both have the same prepared data; None where that is unknown."""
        before, after = self.base.output(DATA), self.here.output(DATA)
        return before == after if before and after else None

    @property
    def same_model(self) -> bool | None:
        """Whether both have the same checkpoint, bit for bit; None where that is unknown."""
        before, after = self.base.output(MODEL), self.here.output(MODEL)
        return before == after if before and after else None

    @property
    def metrics(self) -> dict[str, Change]:
        """By name, in the order in which they decide."""
        names = dict.fromkeys([*self.here.metrics, *self.base.metrics])
        return {name: self._change(self.base.metrics.get(name), self.here.metrics.get(name)) for name in names}

    def _change(self, base: MetricValue | None, here: MetricValue | None) -> Change:
        if base is None or here is None or not self.same_data:
            return Change(base, here, None, "", None)
        gain = here.value - base.value
        better = gain > 0 if here.better == "higher" else gain < 0
        verdict = "same" if not gain else "better" if better else "worse"
        apart = None
        if None not in (base.low, base.high, here.low, here.high):
            apart = bool(here.low > base.high or here.high < base.low)  # type: ignore[operator]
        return Change(base, here, gain, verdict, apart)

    @property
    def stages(self) -> dict[str, str]:
        """Stage to `stale`, `new`, `ran` (another entry in dvc.lock than the base's) or `as in the base`."""
        found = {}
        for name in dict.fromkeys([*self.here.stages, *self.here.stale]):
            if name in self.here.stale:
                found[name] = "stale"
            elif name not in self.base.stages:
                found[name] = "new"
            else:
                found[name] = "as in the base" if self.base.stages[name] == self.here.stages[name] else "ran"
        return found

    @property
    def params(self) -> dict[str, tuple[Any, Any]]:
        """Parameters that differ: key to (base, here)."""
        before, after = self.base.params, self.here.params
        keys = dict.fromkeys([*before, *after])
        return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}

    def lines(self) -> list[str]:
        return markdown(self)

    def json(self) -> dict[str, Any]:
        return {
            "base": _side(self.base),
            "here": _side(self.here),
            "same_data": self.same_data,
            "same_model": self.same_model,
            "metrics": {name: asdict(change) for name, change in self.metrics.items()},
            "no_better_than_baseline": self.here.worse,
            "stages": self.stages,
            "params": {key: {"base": _shown(was), "here": _shown(now)} for key, (was, now) in self.params.items()},
        }


def _side(version: Version) -> Mapping[str, Any]:
    return {
        "name": version.name,
        "commit": version.commit,
        "edited": version.edited,
        "stale": version.stale,
        "unchecked": version.unchecked,
    }


def _shown(value: Any) -> Any:
    return value if isinstance(value, str | int | float | list | None) else str(value)


def review(project: Project, base: str, picture: Path | None = None) -> Review:
    """Compare.

    Args:
        base: a commit, tag or branch.
        picture: a PNG file to draw the curves into.

    Raises:
        UserError: if git has no such revision, or the picture cannot be written.
    """
    root = project.workspace
    head = head_commit(root)
    commit = commit_of(root, base)
    if not commit:
        raise UserError(
            f"git knows no revision {base!r} here",
            "name a commit, tag or branch; in a CI job, fetch the history: fetch-depth: 0, GIT_DEPTH: 0",
        )
    objects = open_objects(root)
    with scratch(project, "review") as folder:
        tree = copy_commit(root, commit, folder / "base")
        if not (tree / "dvc.yaml").is_file():
            raise UserError(f"{base} has no dvc.yaml: it is before the pipeline", "name a later one")
        aside = folder / "aside"
        before = read_version(project, tree, base, commit, objects, aside)
        found = Review(before, read_version(project, root, "here", head, objects, aside))
    if picture is not None:
        _draw(found, picture)
    return found


def _draw(found: Review, picture: Path) -> None:
    from samebits.provenance.review.curves import curves_picture

    try:
        write_bytes(picture, curves_picture(found.base.curves or [], found.here.curves or [], found.base.name))
    except OSError as error:
        raise UserError(f"{picture} cannot be written: {error.strerror}", "name another file") from None
