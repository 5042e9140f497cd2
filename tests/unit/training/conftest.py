"""What the tests of stages share that run in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def restored() -> Iterator[None]:
    """What a stage sets for its whole process is set back."""
    before = torch.get_deterministic_debug_mode()
    yield
    torch.set_deterministic_debug_mode(before)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(1)
