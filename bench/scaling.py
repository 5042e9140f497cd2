"""How time, memory and the number of objects grow with the data; writes docs/scaling.md.

    python bench/scaling.py                                   all parts, about 20 minutes
    python bench/scaling.py --only prepare,memory --rounds 2  some; the page keeps what was measured before
    python bench/scaling.py --quick                           small sizes, to see that it works; no page
    python bench/scaling.py --page                            the page from what is there

Raw results lie in bench/results. The limit of memory is a control group, which takes root.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]

from parts import scaling_data, scaling_dvc, scaling_page, scaling_points
from parts.base import RESULTS, STATE, Options, facts

PARTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "prepare": scaling_data.prepare,
    "train": scaling_data.train,
    "memory": scaling_data.memory,
    "dvc": scaling_dvc.measure,
    "points": scaling_points.points,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"parts, with commas: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    results = STATE / "quick" if arguments.quick else RESULTS
    results.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for part in [] if arguments.page else wanted:
        began = time.monotonic()
        about = facts() | {"command": f"python bench/scaling.py --only {part} --rounds {arguments.rounds}"}
        try:
            found = PARTS[part](Options(arguments.rounds, arguments.quick, 30.0))
        except (Exception, SystemExit) as error:  # one part that fails must not cost the others
            traceback.print_exception(error)
            failed.append(part)
            continue
        about["minutes"] = round((time.monotonic() - began) / 60, 1)
        text = json.dumps({"about": about, **found}, indent=1) + "\n"
        (results / f"scaling-{part}.json").write_text(text, encoding="utf-8")
        print(f"{part}: {about['minutes']} minutes", flush=True)
    target = results / "scaling.md" if arguments.quick else ROOT / "docs" / "scaling.md"
    scaling_page.write(results, target)
    print(f"written: {target}")
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
