"""A computation here and as on another kind of machine: other instruction sets, one core, another user's settings.

`python -m tests.helpers.other_machine prepare|judge KIND FOLDER` is what runs in a process of its own, since torch and
numpy read these variables when they are loaded. ONNX Runtime has no such variable.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.helpers.workspace import ROOT

ELSEWHERE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL",
    "JSIMD_FORCENONE": "1",
    "OMP_NUM_THREADS": "1",
}

KINDS = ("image", "regression", "classes", "bert", "bag", "gpt")


def here_and_elsewhere(action: str, kind: str, *folders: Path) -> None:
    """Run it in the first folder as this machine does, in the second as another one would, side by side.

    Raises:
        AssertionError: with the output of a process that failed.
    """
    running = []
    for folder, change in zip(folders, ({}, ELSEWHERE), strict=True):
        command = [sys.executable, "-m", "tests.helpers.other_machine", action, kind, str(folder)]
        path = os.pathsep.join([str(ROOT), *(each for each in sys.path if each)])
        environment = {**os.environ, "PYTHONPATH": path, **change}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        running.append(subprocess.Popen(command, env=environment, **pipes))
    for process in running:
        said, _ = process.communicate()
        assert process.returncode == 0, said


def prepare(kind: str, folder: Path) -> None:
    """A project with prepared data and a checkpoint; see the helpers of each kind."""
    from samebits.models import bert, embedding_bag, gpt
    from tests.helpers.image_project import make_context
    from tests.helpers.table_project import make_table_context
    from tests.helpers.text_project import make_running_text_context, make_text_context, save_untrained

    classes = {"name": "classification", "label_smoothing": 0.0}
    if kind == "image":
        make_context(folder)
    elif kind == "regression":
        make_table_context(folder)
    elif kind == "classes":
        rows = "\n".join(f"{k},{k * k % 97},{'abc'[k % 3]}" for k in range(300))
        make_table_context(folder, f"first,second,kind\n{rows}\n", target="kind")
    elif kind == "bert":
        model = bert.Settings(name="bert", layers=2, width=32, heads=2, hidden=64, positions=24)
        save_untrained(make_text_context(folder), model, classes)
    elif kind == "bag":
        save_untrained(make_text_context(folder), embedding_bag.Settings(name="embedding_bag"), classes)
    else:
        model = gpt.Settings(name="gpt", layers=2, heads=2, width=32)
        save_untrained(make_running_text_context(folder), model, {"name": "language_model"})


def judge(kind: str, folder: Path) -> None:
    """Evaluation and export of the project's checkpoint, in every format of its kind."""
    from samebits.base.paths import Project
    from samebits.evaluation.evaluate import evaluate
    from samebits.export.export import export
    from samebits.inference import latency
    from samebits.params.calibration import CalibrationParams
    from samebits.params.evaluate import EvaluateParams
    from samebits.params.export import ExportParams
    from samebits.params.runtime import RuntimeParams
    from samebits.tracking.journal.tracker import NullTracker

    latency._SECONDS = 0.0
    context: Any = SimpleNamespace(
        name="stage",
        project=Project(folder, folder),
        runtime=RuntimeParams(),
        tracker=NullTracker(),
        stop=SimpleNamespace(requested=False),
        say=print,
    )
    if os.environ.get("OMP_NUM_THREADS") == "1" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    evaluate(EvaluateParams(bootstrap=100, batch_size=16, mistakes=5), CalibrationParams(), context=context)
    int8 = {"int8": True, "int8_samples": 40, "int8_loss": 1.0} if kind == "image" else {}
    export(ExportParams(batch_sizes=[1, 7], **int8), context=context)  # type: ignore[arg-type]


if __name__ == "__main__":
    {"prepare": prepare, "judge": judge}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
