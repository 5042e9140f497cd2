"""The benchmark's clock, which lies with the peers since they cannot import ours."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from clock import Clock, add_arguments

__all__ = ["Clock", "add_arguments"]
