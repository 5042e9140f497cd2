"""How long the slow tests take, so that the long ones start first; `make durations` writes the file after a run.

python -m tests.helpers.durations REPORT.xml…     from pytest's --junitxml
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "durations.json"

_LEAST_S = 5.0


def read(file: Path = FILE) -> dict[str, float]:
    """Seconds by a test's `module::name`; those that are not there take little."""
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def key(node_id: str) -> str:
    """A test's name in the file, as in a report: `tests.a.test_b::test_c[d]` for `tests/a/test_b.py::test_c[d]`."""
    path, _, name = node_id.partition("::")
    return f"{path.removesuffix('.py').replace('/', '.')}::{name}"


def in_reports(reports: Iterable[Path]) -> dict[str, float]:
    """The longer tests of these reports, the longest first."""
    cases = (case for report in reports for case in ET.parse(report).iter("testcase"))
    seconds = {f"{case.get('classname')}::{case.get('name')}": float(case.get("time", 0)) for case in cases}
    longest = sorted(seconds.items(), key=lambda each: -each[1])
    return {name: round(time) for name, time in longest if time >= _LEAST_S}


if __name__ == "__main__":
    FILE.write_text(json.dumps(in_reports(map(Path, sys.argv[1:])), indent=1) + "\n", encoding="utf-8")
