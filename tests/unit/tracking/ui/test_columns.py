from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from samebits.tracking.ui.columns import TAG, share_view


class Client:
    """Keeps an experiment's tags."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.writes = 0

    def get_experiment(self, _: str) -> Any:
        return SimpleNamespace(tags=dict(self.tags))

    def set_experiment_tag(self, _: str, name: str, value: str) -> None:
        self.writes += 1
        self.tags[name] = value


def test_the_view_is_written_once_and_named_in_the_address() -> None:
    client: Any = Client()
    assert share_view(client, "0") == "viewStateShareKey=samebits"
    share_view(client, "0")
    assert client.writes == 1
    columns = json.loads(client.tags[TAG])["selectedColumns"]
    assert "metrics.`test/accuracy`" in columns
    assert "params.`train.optimizer.lr`" in columns
