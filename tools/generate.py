"""The pages and notebooks that are made from the code.

python -m tools.generate          say which are not what the code gives; exit code 1 if any
python -m tools.generate --write  write them (contract tests compare)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tools import document_api, document_commands, document_params, document_source, notebooks

ROOT = Path(__file__).resolve().parents[1]


def stale() -> Iterator[tuple[Path, str]]:
    """Files that are not what the code gives, and what they should be."""
    for tool in (document_params, document_commands, document_api):
        wanted = tool.page()
        if not tool.PAGE.is_file() or tool.PAGE.read_text(encoding="utf-8") != wanted:
            yield tool.PAGE, wanted
    yield from document_source.stale()
    yield from notebooks.stale()


def main() -> int:
    write, found = "--write" in sys.argv, False
    for path, wanted in stale():
        found = True
        if write:
            path.write_text(wanted, encoding="utf-8", newline="\n")
        print(f"{path.relative_to(ROOT)}: {'written' if write else 'is not what the code gives'}")
    return int(found and not write)


if __name__ == "__main__":
    raise SystemExit(main())
