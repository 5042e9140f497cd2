"""What a verification found, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samebits.base.errors import EXIT_DIFFERENT
from samebits.base.result import Result
from samebits.pipeline.dvc_lock import rerun_fix

_SHOWN_LINES = 20


@dataclass(frozen=True)
class OutputResult:
    """One output of one stage.

    Attributes:
        expected, found: MD5 as dvc.lock has it; `found` is empty for an output that was not written.
        details: where it differs.
    """

    stage: str
    path: str
    expected: str
    found: str
    details: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return self.expected == self.found

    @property
    def word(self) -> str:
        if self.same:
            return "same"
        return "different" if self.found else "not written"


@dataclass
class Verification(Result):
    """Everything that was compared.

    Attributes:
        drift: stage to the code and parameters that differ from dvc.lock's, which explain other bits.
        never_ran: stage to what tells that dvc.lock pairs code and outputs of two runs, as a merge may make it.
        facts: stage to the facts of the environment that differ: (recorded, now).
        unknown: stages whose recorded facts are not there.
    """

    results: list[OutputResult] = field(default_factory=list)
    drift: dict[str, list[str]] = field(default_factory=dict)
    never_ran: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return all(result.same for result in self.results)

    @property
    def exit_code(self) -> int:
        return 0 if self.same else EXIT_DIFFERENT

    def json(self) -> dict[str, Any]:
        return {
            "same": self.same,
            "outputs": [{**vars(each), "bits": each.word} for each in self.results],
            "code_and_parameters": self.drift,
            "never_ran": self.never_ran,
            "environment": {
                stage: {name: {"recorded": was, "here": now} for name, (was, now) in changed.items()}
                for stage, changed in self.facts.items()
            },
            "environment_unknown": self.unknown,
        }

    def lines(self) -> list[str]:
        """The table stage × output × same/different, then what is known of the differences."""
        lines = [*_table(self.results), ""]
        if self.same:
            return [*lines, f"all {len(self.results)} outputs have the same bits"]
        bad = [result for result in self.results if not result.same]
        lines.append(f"{len(bad)} of {len(self.results)} outputs differ; the first: {bad[0].stage}, {bad[0].path}")
        for result in bad:
            shown = result.details[:_SHOWN_LINES]
            lines += [f"  {line}" for line in shown]
            if len(result.details) > len(shown):
                lines.append(f"  {result.path}: {len(result.details) - len(shown)} more differences")
        return [*lines, *self._reasons()]

    def _reasons(self) -> list[str]:
        lines = [
            f"{stage}: dvc.lock pairs what never ran together: {why}\n  (fix: {rerun_fix([stage])})"
            for stage, why in self.never_ran.items()
        ]
        for stage, names in self.drift.items():
            lines.append(f"{stage}: dvc.lock was made with other code or parameters than this commit's:")
            lines += [f"  {name}" for name in names]
        for stage, changed in _grouped(self.facts):
            lines.append(f"{stage}: facts of the environment that differ (recorded -> here):")
            lines += [f"  {name}: {was or '(none)'} -> {now or '(none)'}" for name, (was, now) in changed.items()]
        if self.unknown:
            lines.append(f"{', '.join(self.unknown)}: under which environment dvc.lock was made is not on record here")
        if not lines:
            lines.append(
                "code, parameters and every recorded fact of the environment are the same: the stage itself is not "
                "repeatable, or a fact counts that is not on record (docs/reproducibility.md)"
            )
        return lines


def _grouped(facts: Mapping[str, dict[str, tuple[str, str]]]) -> list[tuple[str, dict[str, tuple[str, str]]]]:
    """Stages with the same differences share a paragraph."""
    groups: list[tuple[list[str], dict[str, tuple[str, str]]]] = []
    for stage, changed in facts.items():
        if not changed:
            continue
        for names, known in groups:
            if known == changed:
                names.append(stage)
                break
        else:
            groups.append(([stage], changed))
    return [(", ".join(names), changed) for names, changed in groups]


def _table(results: list[OutputResult]) -> list[str]:
    rows = [("stage", "output", "bits"), *((each.stage, each.path, each.word) for each in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{stage:<{widths[0]}}  {path:<{widths[1]}}  {word}" for stage, path, word in rows]


def changed_facts(recorded: Mapping[str, str], here: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Facts that differ: name to (recorded, here)."""
    return {
        name: (recorded.get(name, ""), here.get(name, ""))
        for name in sorted(recorded.keys() | here.keys())
        if recorded.get(name) != here.get(name)
    }
