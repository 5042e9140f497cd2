"""How much a test does: `make test-full` asks for all of it, continuous integration for less."""

from __future__ import annotations

import os

FULL = os.environ.get("TEST_FULL") == "1"
"""Whether tests take the larger of their two numbers (of kills, of made-up inputs)."""
