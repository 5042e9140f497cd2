"""What the project set out to reach, beside what was measured: the table at the head of docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from parts import accuracy, input, language, latency, overhead, peak, resnet9, startup, text, together, training
from parts.base import Row, ratio, ratio_range, summary, table

Line = tuple[str, str, str, bool]
"""What is compared, what was measured, the goal, whether it is reached."""


def lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """The table, a column per processor; bold is what does not reach the goal.

    Args:
        found: what was measured, by processor and part; parts that were not are left out.
    """
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for processor, parts in found.items():
        for part, of in _PARTS.items():
            for what, value, goal, ok in of(parts[part]) if part in parts else ():
                cells.setdefault((what, goal), {})[processor] = value if ok else f"**{value}**"
    body = [[what, goal, *(row.get(each, "") for each in found)] for (what, goal), row in cells.items()]
    why = "Bold: not reached; why, in [experiments](experiments.md#goals-of-speed). Empty: not measured there."
    return ["## Goals", "", *table(["", "goal", *found], body), "", why]


def against_the_best(parts: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """What is trained, and our speed as a multiple of the fastest peer's."""
    trained = {"training": training.SUBJECTS, "resnet9": resnet9.SUBJECTS, "language": language.SHAPES}
    for part, subjects in trained.items():
        rows = parts.get(part, {}).get("rows", [])
        peers = {row["name"] for row in rows} - {training.OURS}
        for subject in subjects:
            rates = [summary(rows, peer, "rate", subject) for peer in peers]
            if measured := [median for median, _, _, n in rates if n]:
                yield subject, summary(rows, training.OURS, "rate", subject)[0] / max(measured)


def _times(what: str, rows: list[Row], first: str, second: str, subject: str, goal: float, key: str = "rate") -> Line:
    """A ratio of medians that shall not be below the goal; NaN, where a contender failed, is no success."""
    value = ratio(rows, first, second, key, subject)
    shown = ratio_range(rows, first, second, key, subject).replace(" (", "× (")
    return what, shown, f"{goal:g}×", value >= goal


def _training(found: dict[str, Any], subjects: training.Subjects = training.SUBJECTS) -> Iterator[Line]:
    for subject in subjects:
        for peer, goal in training.GOALS.items():
            what = f"training, {subject}: samples/s against {peer}"
            yield _times(what, found["rows"], training.OURS, peer, subject, goal)


def _resnet9(found: dict[str, Any]) -> Iterator[Line]:
    return _training(found, resnet9.SUBJECTS)


def _peak(found: dict[str, Any]) -> Iterator[Line]:
    shares = peak.shares(found["rows"])["convolution"]
    if shares:
        value = statistics.median(shares)
        yield "training ResNet-18: share of the bf16 convolutions' peak", f"{value:.0%}", "75%", value >= 0.75


def _input(found: dict[str, Any]) -> Iterator[Line]:
    rows: list[Row] = found["rows"]
    for subject in (input.GREY, input.RGB):
        what = f"input pipeline, {subject}: images/s against torchvision + DataLoader"
        yield _times(what, rows, input.OURS, input.PIL, subject, input.GOALS[subject])
    value = input.with_prepare(rows) / summary(rows, input.FOLDER, "rate", input.JPEG)[0]
    goal = input.GOALS[input.JPEG]
    yield "input pipeline, a folder of JPEGs: `prepare` and 10 epochs", f"{value:.2f}×", f"{goal}×", value >= goal


def _startup(found: dict[str, Any]) -> Iterator[Line]:
    for kind in (startup.WARM, startup.COLD):
        value, *_, n = summary(found["rows"], training.OURS, "first_step_seconds", kind)
        if n:
            yield f"start of `stages/train.py` to the end of the first step, {kind}", f"{value:.1f} s", "4 s", value < 4


def _overhead(found: dict[str, Any]) -> Iterator[Line]:
    spent = (summary(found["rows"], overhead.PROFILED, f"{phase}_percent")[0] for phase in ("logging", "checkpoint"))
    value = sum(spent)
    yield "recording, saved states and progress, share of the loop", f"{value:.1f}%", "2%", value < 2


def _latency(found: dict[str, Any]) -> Iterator[Line]:
    rows: list[Row] = found["rows"]
    for subject in dict.fromkeys(row["subject"] for row in rows):
        if subject.endswith(" 1"):
            what = f"answers, {subject}: ONNX against eager PyTorch"
            yield _times(what, rows, latency.EAGER, latency.ONNX, subject, 3, "milliseconds")
        elif summary(rows, latency.INT8, "rate", subject)[3]:
            yield _times(f"answers, {subject}: int8 against fp32", rows, latency.INT8, latency.ONNX, subject, 2)


def _text(found: dict[str, Any]) -> Iterator[Line]:
    what = f"fine-tuning BERT: mails/s against {text.GOAL}"
    yield _times(what, found["rows"], text.OURS, text.GOAL, text.SUBJECT, 2)


def _language(found: dict[str, Any]) -> Iterator[Line]:
    for subject in language.SHAPES:
        what = f"language model, {subject}: tokens/s against {language.LOOP}"
        yield _times(what, found["rows"], language.OURS, language.LOOP, subject, 2)


def _accuracy(found: dict[str, Any]) -> Iterator[Line]:
    for title, wanted in accuracy.WANTED.values():
        if times := accuracy.times(found["rows"], title):
            value, more = times
            what = f"time to {wanted:.1%} on {title} against {accuracy.PEER}"
            there = accuracy.always_reached(found["rows"], title, wanted)
            yield what, f"{'more than ' if more else ''}{value:.1f}×", "5×", value >= 5 and there


def _together(found: dict[str, Any]) -> Iterator[Line]:
    value = together.share(found["rows"], training.OURS)
    yield "two trainings at once, the sum of their samples/s against one alone", f"{value:.2f}×", "0.9×", value >= 0.9


_PARTS: dict[str, Callable[[dict[str, Any]], Iterator[Line]]] = {
    "training": _training,
    "resnet9": _resnet9,
    "peak": _peak,
    "input": _input,
    "startup": _startup,
    "overhead": _overhead,
    "latency": _latency,
    "text": _text,
    "language": _language,
    "accuracy": _accuracy,
    "accuracy_fashion": _accuracy,
    "together": _together,
}
