"""The peers' own environment, `.bench/venv`, from `bench/peers/requirements.txt`; made anew when that file changes."""

from __future__ import annotations

import shutil
import subprocess
import sys

from parts.base import BENCH, PEER_PYTHON, STATE

_FILE = BENCH / "peers" / "requirements.txt"


def ensure() -> None:
    """Make or renew the environment. Takes minutes and 7 GB the first time (torch's wheel brings CUDA)."""
    mark = STATE / "venv" / "installed.txt"
    if mark.is_file() and mark.read_bytes() == _FILE.read_bytes():
        return
    print(f"making the peers' environment in {PEER_PYTHON.parents[1]}", flush=True)
    shutil.rmtree(STATE / "venv", ignore_errors=True)
    STATE.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", STATE / "venv"], check=True)
    subprocess.run([PEER_PYTHON, "-m", "pip", "install", "--quiet", "-r", _FILE], check=True)
    mark.write_bytes(_FILE.read_bytes())
