"""models/checkpoint: the weights and what is needed to use them. Run by `dvc repro`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))  # a queued experiment runs its own code, not the installed one

from samebits.base.launch import relaunch_once, require_environment

if __name__ == "__main__":
    require_environment()
    from samebits.training.launch import arithmetic_variables

    relaunch_once(arithmetic_variables(ROOT / "params.yaml"))
    from samebits.stage import run_stage

    raise SystemExit(run_stage("train", "samebits.training.train:train", ROOT))
