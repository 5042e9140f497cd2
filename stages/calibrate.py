"""models/calibration.json: temperature, intervals and limits, fitted on the validation split. Run by `dvc repro`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))  # a queued experiment runs its own code, not the installed one

from samebits.base.launch import relaunch_once

if __name__ == "__main__":
    relaunch_once()
    from samebits.stage import run_stage

    raise SystemExit(run_stage("calibrate", "samebits.calibration.calibrate:calibrate", ROOT))
