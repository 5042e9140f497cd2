"""The allocator's and cuBLAS's settings that our stages run with, for a script of the benchmark: restart once with
them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from samebits.base.launch import relaunch_once

relaunch_once()
