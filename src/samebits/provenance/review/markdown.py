"""A review as Markdown, for the comment of a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from samebits.base.decimals import shown
from samebits.pipeline.summary import MetricValue
from samebits.provenance.review.curves import curves_text
from samebits.provenance.review.version import Version

if TYPE_CHECKING:
    from samebits.provenance.review.review import Change, Review

MARK = "<!-- samebits review -->"
"""The first line, by which a later run finds the comment to write anew."""

_MOST = 40
"""Rows of a table; a comment may have 65,536 characters on GitHub."""


def markdown(review: Review) -> list[str]:
    """Lines: metrics, what is stale, stages, parameters, curves."""
    here, base = review.here, review.base
    edits = ", with changes that are not committed" if here.edited else ""
    lines = [MARK, f"### Results of {here.commit[:10]}{edits}, against {code(base.name)} ({base.commit[:10]})", ""]
    lines += _stale(here, "here")
    lines += _stale(base, "at the base")
    lines += _metrics(review)
    lines += _facts(review)
    lines += _stages(review)
    lines += _params(review)
    return [*lines, *_curves(review)]


def code(value: object) -> str:
    """A text from the repository as code, in which it can be no markup, mention or end of a cell."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text[:200]}`" if text else ""


def _stale(version: Version, where: str) -> Iterator[str]:
    if version.stale:
        yield f"**No results {where} of:**"
        yield ""
        yield from (f"- {code(stage)}: {code(why)}" for stage, why in version.stale.items())
        yield ""
        if where == "here":
            yield (
                "What dvc.lock has of these stages is of other code, data or parameters, and is not shown. "
                "Run `dvc repro`, and commit `dvc.lock` and `reports`."
            )
            yield ""


def _metrics(review: Review) -> Iterator[str]:
    changes = review.metrics
    if not changes:
        yield "There are no metrics of the test split on either side."
        yield ""
        return
    yield "| test split | base | here | difference | | baseline |"
    yield "|---|---:|---:|---:|---|---:|"
    for name, change in changes.items():
        baseline = next((side.baseline for side in (change.here, change.base) if side is not None), None)
        cells = [code(name), _value(change.base), _value(change.here), _difference(change), _verdict(change)]
        yield f"| {' | '.join([*cells, '' if baseline is None else shown(baseline)])} |"
    yield ""
    if review.here.worse:
        yield f"**No better than without looking at an input** in {', '.join(map(code, review.here.worse))}."
        yield ""
    if review.same_data is False:
        yield (
            "**The prepared data differ**, and perhaps the test samples: the numbers are not compared. "
            "`samebits data diff BASE` says what changed."
        )
        yield ""
    elif any(change.verdict for change in changes.values()):
        yield (
            "In parentheses: intervals over the test samples. They do not hold what another seed would change: a "
            "difference of one run each is no proof."
        )
        yield ""


def _value(value: MetricValue | None) -> str:
    if value is None:
        return "–"
    interval = "" if value.low is None or value.high is None else f" ({shown(value.low)} to {shown(value.high)})"
    return f"{shown(value.value)}{interval}"


def _difference(change: Change) -> str:
    if change.difference is None:
        return "–"
    return "0" if not change.difference else f"{'+' if change.difference > 0 else '−'}{shown(abs(change.difference))}"


def _verdict(change: Change) -> str:
    overlap = {True: ", intervals apart", False: ", intervals overlap", None: ""}[change.apart]
    return change.verdict + (overlap if change.verdict in ("better", "worse") else "")


def _facts(review: Review) -> Iterator[str]:
    words = {True: "the same", False: "different", None: "not known on both sides"}
    bits = ", bit for bit" if review.same_model else ""
    yield f"Prepared data: {words[review.same_data]}. Checkpoint: {words[review.same_model]}{bits}."
    yield ""
    for version, where in ((review.here, "here"), (review.base, "at the base")):
        if version.unchecked:
            names = ", ".join(map(code, version.unchecked))
            yield f"Neither {where} nor kept by DVC, so that dvc.lock's word is taken for them: {names}."
            yield ""


def _stages(review: Review) -> Iterator[str]:
    if review.stages:
        yield f"Stages: {', '.join(f'{code(name)} {state}' for name, state in review.stages.items())}."
        yield ""


def _params(review: Review) -> Iterator[str]:
    changed = review.params
    if not changed:
        yield "No parameter differs."
        yield ""
        return
    yield "| parameter | base | here |"
    yield "|---|---|---|"
    for key, (was, now) in list(changed.items())[:_MOST]:
        yield f"| {code(key)} | {_param(was)} | {_param(now)} |"
    if len(changed) > _MOST:
        yield f"| and {len(changed) - _MOST} more | | |"
    yield ""


def _param(value: Any) -> str:
    return "–" if value is None else code(value)


def _curves(review: Review) -> Iterator[str]:
    sides = ((review.base, "the base"), (review.here, "this version"))
    for version, where in sides:
        if version.curves is None:
            yield f"Curves of {where} are not in DVC's cache here: `dvc fetch --all-commits reports/train/curves.csv`."
            yield ""
    lines = list(curves_text(review.base.curves or [], review.here.curves or []))
    if lines:
        yield "<details><summary>Curves: the base is blue, this version orange</summary>"
        yield ""
        yield from lines
        yield "</details>"
