"""Speed, side by side: ours against the trainers a user would pick instead, on this machine, in one run.

    make bench                                             all but time to an accuracy, three rounds: over an hour
    python bench/performance.py --only training,input --rounds 3
    python bench/performance.py --only accuracy,accuracy_fashion    tens of minutes a run
    python bench/performance.py --only stages --rounds 3   each stage of several recipes; --recipes mnist,bikeshare
    python bench/performance.py --quick                    a few steps of each, to see that it works; no page

Parts measured at different times are kept as JSON in bench/results, by processor, which is committed;
docs/performance.md and a page for each processor are written from all of them. The peers get an environment of their
own in .bench/venv, made when a part has peers. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]

from parts import page
from parts.base import RESULTS, STATE, Options, facts, processor
from parts.environment import ensure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"parts, with commas: {', '.join(page.PARTS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30.0, help="time to an accuracy: the longest run of a peer")
    parser.add_argument("--recipes", default="", help="of the part stages, with commas (default: five kinds of data)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the page from what is there, and measure nothing")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else [part for part in page.PARTS if part not in page.LONG]
    if unknown := set(wanted) - set(page.PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; known: {', '.join(page.PARTS)}")
    results = STATE / "quick" if arguments.quick else RESULTS
    here = results / processor()
    failed: list[str] = []
    if not arguments.page:
        if not page.OURS_ALONE.issuperset(wanted):
            ensure()
        recipes = tuple(filter(None, arguments.recipes.split(",")))
        options = Options(arguments.rounds, arguments.quick, arguments.minutes, recipes)
        for part in wanted:
            try:
                measure(part, options, here)
            except (Exception, SystemExit) as error:  # one part that fails must not cost the hours of the others
                traceback.print_exception(error)
                failed.append(part)
    target = results / "performance.md" if arguments.quick else ROOT / "docs" / "performance.md"
    page.write(results, target)
    print(f"written: {target}")
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


def measure(part: str, options: Options, results: Path) -> None:
    """Measure one part and keep what was found."""
    began = time.monotonic()
    limit = f" --minutes {options.minutes:g}" if part.startswith("accuracy") else ""
    if part == "stages" and options.recipes:
        limit = f" --recipes {','.join(options.recipes)}"
    about = facts() | {"command": f"python bench/performance.py --only {part} --rounds {options.rounds}{limit}"}
    found = importlib.import_module(f"parts.{part}").measure(options)
    about["minutes"] = round((time.monotonic() - began) / 60, 1)
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{part}.json").write_text(json.dumps({"about": about, **found}, indent=1) + "\n", encoding="utf-8")
    print(f"{part}: {about['minutes']} minutes", flush=True)


if __name__ == "__main__":
    main()
