"""Which tests stay in one of pytest-xdist's processes, with `--dist loadscope`: those of one expensive fixture.

pytest-xdist's own mark for that, `xdist_group`, groups nothing with pytest 9.2: it renames tests by an attribute that
pytest no longer reads (3.8.0).
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    "tests/pipeline/test_golden_steps.py",
    "tests/pipeline/test_language_model.py",
    "tests/pipeline/test_restore.py",
    "tests/pipeline/test_ui.py",
    "tests/team/test_team_server.py",
)
"""Modules whose tests share a fixture that takes long to make and cannot be shared between processes."""


def scope(node_id: str) -> str:
    """Tests of equal scopes run in one process."""
    module = node_id.partition("::")[0]
    return module if module in TOGETHER else node_id


class Scheduling(LoadScopeScheduling):
    """Each test for itself, wherever there is room, but for the modules of `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
