"""Whether a candidate may become the champion: one row a condition, all of which must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samebits.metrics.registry import directions

CALIBRATION = "calibration_error"


@dataclass(frozen=True)
class Limits:
    """What the champion's successor may cost.

    Attributes:
        latency_ratio: of the median milliseconds for one input, candidate to champion, both measured here in turn.
        size_ratio: of the files' bytes.
        latency_ms, size_bytes: absolute ones, for the first champion, too; None is off.
    """

    latency_ratio: float = 1.25
    size_ratio: float = 1.5
    latency_ms: float | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class Facts:
    """What the gate knows of a model. It is kept as JSON with the registered version.

    Attributes:
        values: of the test split, by name (`accuracy`).
        intervals: confidence intervals of some of them, low and high.
        confidence: of these intervals.
        data: digest of the prepared data: train, validation and test split.
        test: digest of the test split.
        size: bytes of the ONNX file.
        sha256: of the ONNX file.
        better: of metrics of the user's own, which end is.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confidence: float
    data: str
    test: str
    size: int
    sha256: str
    better: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, value: Mapping[str, Any]) -> Facts:
        """The inverse of `dataclasses.asdict` over JSON. Raises KeyError or TypeError for anything else."""
        intervals = {name: (float(low), float(high)) for name, (low, high) in value["intervals"].items()}
        return cls(**{**value, "intervals": intervals})


@dataclass(frozen=True)
class Row:
    """A condition: what the champion has, what the candidate has, whether it holds."""

    name: str
    champion: str
    candidate: str
    holds: bool
    note: str = ""


def pick_metric(
    values: Mapping[str, float], wanted: str | None = None, own: Mapping[str, str] | None = None
) -> str | None:
    """The number that decides: the wanted one if it is there, else the first of `directions(own)` that is."""
    known = [name for name in directions(own) if name in values]
    return (wanted if wanted in known else None) if wanted else next(iter(known), None)


def judge(
    candidate: Facts,
    champion: Facts | None,
    latency: tuple[float, float | None],
    limits: Limits,
    metric: str,
) -> list[Row]:
    """All conditions. Without a champion only the absolute limits count.

    Args:
        latency: median milliseconds for one input, of the candidate and of the champion.
    """
    mine, theirs = latency
    rows: list[Row] = []
    if champion is not None:
        rows += [
            Row("data", champion.data[:12], candidate.data[:12], candidate.data == champion.data, "the same version"),
            Row("test split", champion.test[:12], candidate.test[:12], candidate.test == champion.test, "the same"),
            _better(candidate, champion, metric),
        ]
        if CALIBRATION in champion.values or CALIBRATION in candidate.values:
            rows.append(_calibrated(candidate, champion))
    rows.append(_within("latency, ms", mine, theirs, limits.latency_ratio, limits.latency_ms, "one input, one thread"))
    size = None if champion is None else float(champion.size)
    absolute = None if limits.size_bytes is None else float(limits.size_bytes)
    rows.append(
        _within(
            "size, KiB",
            candidate.size / 1024,
            size and size / 1024,
            limits.size_ratio,
            absolute and absolute / 1024,
            "model.onnx",
        )
    )
    return rows


def _better(candidate: Facts, champion: Facts, metric: str) -> Row:
    """Better by more than the confidence interval: each value lies outside the other's interval."""
    better = directions(candidate.better)[metric]
    sign = 1.0 if better == "higher" else -1.0
    new, old = candidate.values.get(metric), champion.values.get(metric)
    if new is None or old is None:
        return Row(metric, _text(old), _text(new), False, "is missing")
    mine, theirs = candidate.intervals.get(metric), champion.intervals.get(metric)
    if mine is None or theirs is None:
        return Row(metric, _text(old), _text(new), False, "has no confidence interval")
    # The interval's end that is nearer to the other value.
    worst, best = (mine[0], theirs[1]) if sign > 0 else (mine[1], theirs[0])
    holds = sign * (new - best) > 0 and sign * (worst - old) > 0
    before, now = _spread(old, theirs), _spread(new, mine)
    return Row(metric, before, now, holds, f"{better} by more than the {candidate.confidence:.0%} interval")


def _spread(value: float, interval: tuple[float, float]) -> str:
    return f"{_text(value)} [{_text(interval[0])}, {_text(interval[1])}]"


def _calibrated(candidate: Facts, champion: Facts) -> Row:
    """No worse: not above the champion's interval, or its value where it has none."""
    new, old = candidate.values.get(CALIBRATION), champion.values.get(CALIBRATION)
    if new is None or old is None:
        return Row(CALIBRATION, _text(old), _text(new), False, "is missing")
    most = max(old, champion.intervals.get(CALIBRATION, (old, old))[1])
    return Row(CALIBRATION, _text(old), _text(new), new <= most, f"at most {_text(most)}")


def _within(name: str, new: float, old: float | None, ratio: float, absolute: float | None, note: str) -> Row:
    bounds = [bound for bound in (None if old is None else old * ratio, absolute) if bound is not None]
    if not bounds:
        return Row(name, "", _text(new), True, note)
    return Row(name, _text(old), _text(new), new <= min(bounds), f"at most {_text(min(bounds))}; {note}")


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def passes(rows: list[Row]) -> bool:
    return all(row.holds for row in rows)


def table(rows: list[Row]) -> str:
    """For the terminal."""
    cells = [("", "condition", "champion", "candidate", "wanted")]
    cells += [("ok" if row.holds else "NO", row.name, row.champion, row.candidate, row.note) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(f"  {line}".rstrip() for line in lines)
