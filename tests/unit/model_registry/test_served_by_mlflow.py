"""`mlflow models serve` as docs/howto/use-the-model.md has it: the answer of `predict`, without a network."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samebits.model_registry.model_folder import save_model
from tests.helpers.asked import asked
from tests.helpers.ports import free_port
from tests.helpers.registry import make_model
from tests.helpers.servers import answers, running


@pytest.mark.slow
def test_the_champion_is_served_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    model = make_model(tmp_path / "export" / "model.onnx", 2.0)
    save_model(model, tmp_path / "registered")
    registry = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(registry)
    client.create_registered_model("m")
    client.create_model_version("m", (tmp_path / "registered").as_uri())
    client.set_registered_model_alias("m", "champion", "1")
    file = io.BytesIO()
    Image.fromarray(np.array([[250, 3], [7, 90]], dtype=np.uint8)).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    (wanted,) = asked(model, files=(tmp_path / "a.png",))

    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", "")  # the code lies in the model's folder
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "models:/m@champion"]
    command += ["--env-manager", "local", "--port", str(port)]
    with running(command, tmp_path / "log", lambda: answers(port), cwd=tmp_path):
        body = json.dumps({"dataframe_records": [{"image": base64.b64encode(file.getvalue()).decode()}]})
        asking = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asking, timeout=60) as found:
            (row,) = json.load(found)["predictions"]
    label, probability = wanted.classes[0]
    assert row["prediction"] == label
    assert row["probability"] == pytest.approx(probability, abs=1e-6)
