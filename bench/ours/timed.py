"""Runs a Python command as a child, and notes what it took: `python timed.py NOTES stages/train.py`.

Appends a JSON line to NOTES: `name` of the script, wall `seconds`, and `cpu_seconds` of the process and of the children
it waited for. Without a stage's sender, which outlives it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    notes, *words = sys.argv[1:]
    started = time.perf_counter()
    code = subprocess.run([sys.executable, *words]).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    row = {
        "name": Path(words[0]).stem,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }
    with Path(notes).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
