"""`samebits monitor`: inputs in use, or answers that were given, against the training data of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from samebits.base.decimals import rounded_single
from samebits.base.errors import EXIT_DIFFERENT, UserError, listed
from samebits.base.files import write_bytes
from samebits.base.result import Result
from samebits.drift.reference import REFERENCE, Reference, load_reference
from samebits.inference.predictor import Kind, Request
from samebits.inference.request import kind_for
from samebits.monitor import ALPHA, LIMIT
from samebits.monitor.collect import Collected, collect, collect_answers
from samebits.monitor.compare import FEWEST, Finding, judged, missing_name
from samebits.monitor.page import monitor_page
from samebits.signature.kind import InputKind
from samebits.signature.signature import Inputs


@dataclass(frozen=True)
class Limits:
    """What is called drift.

    Attributes:
        effect: size of the difference, 0 to 1, that is too large.
        alpha: how often at most a comparison of samples of the same kind may find drift.
        ignore: names of statistics that may change.
    """

    effect: float = LIMIT
    alpha: float = ALPHA
    ignore: tuple[str, ...] = ()


@dataclass
class Monitored(Result):
    """What was found.

    Attributes:
        samples: all of them; `errors`: those that could not be used.
        findings: the most suspicious first.
        page: that shows them, if one was asked for.
        recorded: the metrics that the model's run got; empty if none did.
    """

    samples: int
    errors: int
    findings: list[Finding]
    limits: Limits
    notes: list[str] = field(default_factory=list)
    page: Path | None = None
    recorded: dict[str, float] = field(default_factory=dict)

    @property
    def drifted(self) -> list[Finding]:
        return [each for each in self.findings if each.drift]

    @property
    def exit_code(self) -> int:
        return EXIT_DIFFERENT if self.drifted else 0

    @property
    def metrics(self) -> dict[str, float]:
        """For the run of the model."""
        return {
            "monitor/samples": float(self.samples),
            "monitor/unreadable": self.errors / self.samples,
            "monitor/drifted": float(len(self.drifted)),
            "monitor/largest_difference": max((each.effect for each in self.findings), default=0.0),
        }

    @property
    def verdict(self) -> str:
        """One line."""
        if not self.drifted:
            return f"no drift: none of {len(self.findings)} statistics"
        return f"drift: {len(self.drifted)} of {len(self.findings)} statistics"

    def lines(self) -> Iterator[str]:
        rows = [("", "statistic", "difference", "p", "in training", "now"), *map(_row, self.findings)]
        widths = [max(len(row[at]) for row in rows) for at in range(5)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            yield "  ".join([*cells, row[5]]).rstrip()
        limits = self.limits
        yield f"{self.verdict}, of {self.samples:,} samples"
        yield f"limits: difference {limits.effect:g}, p {limits.alpha:g} (corrected for {len(self.findings)} tests)"
        yield from (f"note: {note}" for note in self.notes)
        if self.page is not None:
            yield f"page: {self.page}"

    def json(self) -> dict[str, Any]:
        return {
            "drift": bool(self.drifted),
            "samples": self.samples,
            "errors": self.errors,
            "limit": self.limits.effect,
            "alpha": self.limits.alpha,
            "statistics": [_plain(each) for each in self.findings],
            "page": self.page,
            "recorded": self.recorded,
            "notes": self.notes,
        }


def monitor(request: Request, answers: Sequence[Path], limits: Limits, page: Path | None, shown: str) -> Monitored:
    """Compare what is used with what the model was trained on.

    Args:
        request: the inputs, as of `samebits predict`.
        answers: files of answers instead of inputs.
        page: an HTML file to write.
        shown: what the page calls the model.

    Raises:
        UserError: for inputs or a model that cannot be used, fewer than 30 samples, a page that cannot be written, or
            where a name to ignore is none.
    """
    reference = load_reference(request.model.with_name(REFERENCE))
    if answers:
        if request.files or request.text or request.lines:
            raise UserError("inputs and --answers are two things to compare", "leave one out")
        found = collect_answers(answers, reference)
    else:
        found = _of_inputs(request, reference)
    if found.samples < FEWEST:
        raise UserError(
            f"{found.samples:,} samples are too few: below {FEWEST}, nothing can be concluded about drift",
            "collect more, and run it on all of them",
        )
    findings = _watched(found, reference, limits)
    if not findings:
        raise UserError(
            f"nothing is left to compare: the training data had fewer than {FEWEST} samples, or all is ignored",
            "train on more samples, or ignore less",
        )
    result = Monitored(found.samples, found.errors, judged(findings, limits.effect, limits.alpha), limits, found.notes)
    if found.errors:
        result.notes.append(f"{found.errors:,} of {found.samples:,} samples cannot be used (samebits predict says why)")
    if page is not None:
        _write(page, monitor_page(result, reference, shown))
        result.page = page
    return result


def _of_inputs(request: Request, reference: Reference) -> Collected:
    kind = kind_for(request)
    _require_same_model(kind, reference)
    found = collect(kind, _inputs(kind), reference)
    if not found.samples:
        raise kind.nothing_given()
    return found


def _require_same_model(kind: Kind, reference: Reference) -> None:
    if kind.reading.calibration.weights_sha256 != reference.weights_sha256:
        model = kind.request.model
        raise UserError(
            f"{model.with_name(REFERENCE)} is of another model than {model}", "keep the files of one export together"
        )


def _inputs(kind: Kind) -> InputKind:
    """Out of the model's metadata, which hold more."""
    adapter: TypeAdapter[InputKind] = TypeAdapter(Inputs)
    ours = {key: value for key, value in kind.inputs.items() if key not in ("inside_the_model", "input", "dtype")}
    return adapter.validate_json(json.dumps(ours))


def _watched(found: Collected, reference: Reference, limits: Limits) -> list[Finding]:
    """Without those that may change; whether a column is missing belongs to it."""
    known = [each.name for each in (*reference.inputs, *reference.answers)]
    if unknown := [name for name in limits.ignore if name not in known]:
        raise UserError(f"no statistic is called {listed(list(map(repr, unknown)))}", f"there are {listed(known, 40)}")
    ignored = {*limits.ignore, *(missing_name(name) for name in limits.ignore)}
    return [each for each in found.findings() if each.name not in ignored]


def _row(finding: Finding) -> tuple[str, ...]:
    mark = "DRIFT" if finding.drift else ""
    p = f"{finding.adjusted_p:.2g}" if finding.adjusted_p >= 1e-4 else "< 0.0001"
    return mark, finding.name, f"{finding.effect:.3f}", p, finding.before, finding.now


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "group": finding.group,
        "name": finding.name,
        "drift": finding.drift,
        "difference": rounded_single(finding.effect),
        "p": finding.p,
        "adjusted_p": finding.adjusted_p,
        "psi": rounded_single(finding.psi),
        "before": finding.before,
        "now": finding.now,
        "shares": [bar._asdict() for bar in finding.bars],
    }


def _write(page: Path, text: str) -> None:
    try:
        write_bytes(page, text.encode())
    except OSError as error:
        raise UserError(f"cannot write {page}: {error.strerror}", "name another file with --html") from None
