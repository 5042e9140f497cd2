"""What an audit found, and how sure it makes of what was not looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from samebits.base.errors import EXIT_DIFFERENT, listed
from samebits.base.result import Result

_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
_SHOWN_LINES = 20


def detection(segments: int, checked: int, forged: int) -> float:
    """The probability that a random choice of `checked` of so many segments holds at least one of the forged ones.

    1 - C(segments - forged, checked) / C(segments, checked): the choice is without replacement.
    """
    return 1.0 - math.comb(segments - forged, checked) / math.comb(segments, checked)


@dataclass
class Audit(Result):
    """Everything that was compared.

    Attributes:
        segments: how many the training has.
        checked: (first step, last step) of those that were computed again.
        drawn: whether chance chose them.
        different: what was compared, in the order of the training, to how it differs.
        facts: facts of the environment that differ: name to (recorded, here). None: not on record.
    """

    segments: int
    checked: list[tuple[int, int]]
    drawn: bool
    different: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, tuple[str, str]] | None = None

    @property
    def same(self) -> bool:
        return not self.different

    @property
    def exit_code(self) -> int:
        return 0 if self.same else EXIT_DIFFERENT

    def json(self) -> dict[str, Any]:
        facts = None if self.facts is None else {
            name: {"recorded": was, "here": now} for name, (was, now) in self.facts.items()
        }  # fmt: skip
        return {
            "same": self.same,
            "segments": self.segments,
            "checked": [{"from": start, "to": end} for start, end in self.checked],
            "drawn": self.drawn,
            "different": self.different,
            "environment": facts,
        }

    def lines(self) -> list[str]:
        """Each segment, then how sure that makes; or how they differ, and what explains it."""
        shown = [f"steps {start:,} to {end:,}" for start, end in self.checked]
        parts = ["first state", *shown, "last state and model"]
        width = max(map(len, parts))
        table = [f"{part:<{width}}  {'different' if part in self.different else 'same'}" for part in parts]
        return [*table, "", *(self._certainty() if self.same else self._differences())]

    def _certainty(self) -> list[str]:
        n, m = self.segments, len(self.checked)
        lines = [f"{m} of {n} segments were computed again; all of it has the same bits"]
        if self.facts:
            lines.append(f"though the environment is another than the training's: {listed(list(self.facts))}")
        if m == n:
            return [*lines, "no segment was left out: the training made this model from its seed"]
        if not self.drawn:
            return [*lines, "they were named, not drawn by chance: this says nothing of the others"]
        counts = sorted({1, *(math.ceil(share * n) for share in _SHARES)})
        lines.append(f"had some of the {n} been forged, this audit would have found it with probability")
        lines += [f"  {f:>6,} forged ({f / n:.1%}): {detection(n, m, f):.1%}" for f in counts if f <= n]
        lines.append("by 1 - C(n - f, m) / C(n, m): m of n segments checked, f of them forged")
        return lines

    def _differences(self) -> list[str]:
        lines = []
        for name, details in self.different.items():
            lines.append(f"{name}:")
            lines += [f"  {line}" for line in details[:_SHOWN_LINES]]
        if self.facts is None:
            lines.append("under which environment the model was trained is not on record here")
        elif self.facts:
            lines.append(
                "the environment is another than the training's, which may explain it (recorded -> here); "
                "repeat the audit on hardware of the recorded kind:"
            )
            lines += [f"  {name}: {was or '(none)'} -> {now or '(none)'}" for name, (was, now) in self.facts.items()]
        else:
            lines.append(
                "every recorded fact of the environment is the same here: what differs was not computed by this code "
                "from these data"
            )
        return lines
