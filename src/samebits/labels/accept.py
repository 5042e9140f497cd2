"""`samebits labels accept`: what a person decided goes into the file of corrections that `prepare` applies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.base.paths import Project
from samebits.data.loading.prepared import read_info
from samebits.data.preparation.corrections import (
    DROP,
    RELABEL,
    Correction,
    corrections_bytes,
    read_corrections,
    refuse_rows,
)
from samebits.params.schema import read_params

Key = tuple[str, str]


def accept(project: Project, file: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Take the rows of a file that a person decided on into the file that `data.corrections` names.

    A decision about a sample replaces an earlier one; one that gives it back the label of the source removes it.

    Returns:
        rows of the file of corrections: `relabelled` and `dropped`; and how many of them are `new`.

    Raises:
        UserError: a file that is missing, without a decision, or with rows that cannot be understood.
    """
    settings = read_params(project.params_file).sections["data"]
    if not file.is_file():
        raise UserError(f"{file} is no file", "name the decisions.csv that the page of samebits labels suspects saved")
    target = project.workspace / settings.corrections
    before = [each for _, each in read_corrections(target, settings.corrections)] if target.is_file() else []
    made = read_corrections(file, file.name, decided=False)
    if not made:
        raise UserError(
            f"{file.name} holds no decision", f"write {RELABEL} or {DROP} into the column action; nothing was changed"
        )
    rows = merged(before, made, file.name, _check_labels(project))
    write_bytes(target, corrections_bytes(rows.values()))
    counts = Counter(each.action for each in rows.values())
    new = len(set(rows.values()) - set(before))
    say(f"{settings.corrections}: {counts[RELABEL]:,} to relabel, {counts[DROP]:,} to drop; {new:,} of these are new")
    say("commit that file; dvc repro applies it")
    return {"relabelled": counts[RELABEL], "dropped": counts[DROP], "new": new, "file": settings.corrections}


def merged(
    before: Sequence[Correction],
    made: Sequence[tuple[int, Correction]],
    shown: str,
    problem_of: Callable[[Correction], str] = lambda _: "",
) -> dict[Key, Correction]:
    """Corrections with new decisions, by content and id.

    Args:
        made: each with its line.
        shown: what their file is called.
        problem_of: why a row's label is none of the data; empty if it is.

    Raises:
        UserError: for a sample that stands twice, a label that was another one, or one that the data do not have.
    """
    rows: dict[Key, Correction] = {(each.sha256, each.id): each for each in before}
    seen: dict[Key, int] = {}
    problems: list[tuple[int, str]] = []
    for line, each in made:
        key = (each.sha256, each.id)
        old = rows.get(key)
        if key in seen:
            problems.append((line, f"{each.id} stands in line {seen[key]}, too"))
            continue
        seen[key] = line
        if old and each.was not in (old.was, old.label):
            problems.append((line, f"{each.id} was {each.was!r}; its correction is from {old.was!r} to {old.label!r}"))
        elif reason := problem_of(each):
            problems.append((line, f"{each.id}: {reason}"))
        elif each.action == RELABEL and each.label == (old or each).was:
            if not old:
                problems.append((line, f"{each.id} is {each.was!r} already"))
            rows.pop(key, None)
        else:
            rows[key] = each._replace(was=(old or each).was)
    refuse_rows(problems, shown)
    return rows


def _check_labels(project: Project) -> Callable[[Correction], str]:
    """Whether the prepared data can have a label; without such data, prepare says it."""
    if not (project.prepared / "dataset.json").is_file():
        return lambda _: ""
    signature = read_info(project.prepared).signature

    def problem(row: Correction) -> str:
        if row.action != RELABEL:
            return ""
        try:
            signature.target.corrected(row.label, signature.classes)
        except ValueError as error:
            return str(error)
        return ""

    return problem
