"""`models/training_state`: the state that a finished training keeps (`train.keep_state`), as an output of the stage.

It says nothing of the hardware (reports/facts.json does), so that equal bits are equal outputs. A training that keeps
none writes the folder, too, since DVC misses an output that is not there.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path, PurePosixPath

from samebits.base.files import json_bytes, read_json, write_bytes, write_json
from samebits.pipeline.dvc_hashes import listing_md5
from samebits.training.resume.saved import COMPLETE, COUNTERS, STATE, write_complete

_NOTHING = json_bytes({})
_NOTHING_MD5 = hashlib.md5(_NOTHING, usedforsecurity=False).hexdigest()
NOTHING_KEPT = listing_md5([(PurePosixPath(COMPLETE), _NOTHING_MD5)]) + ".dir"
"""DVC's hash of the folder where no state is kept."""


def write_kept(folder: Path, state: Path | None) -> None:
    """Write the output: a copy of a saved state, or none."""
    shutil.rmtree(folder, ignore_errors=True)
    if state is None:
        write_bytes(folder / COMPLETE, _NOTHING)
        return
    counters = read_json(state / COUNTERS)
    inputs = counters["training"]["inputs"]
    counters["training"]["inputs"] = {name: value for name, value in inputs.items() if name != "hardware"}
    write_bytes(folder / STATE, (state / STATE).read_bytes())
    write_json(folder / COUNTERS, counters)
    write_complete(folder)
