"""The pages of the site: docs/ and README.md as they are, and every file of this repository that they link to.

python tools/site.py          lay out build/docs
python tools/site.py --build  then build build/site; a warning, such as a link that leads nowhere, is an error

Links of docs/ lead to files of the repository, so that they work on a git server, too. In the site a linked Markdown
file becomes a page, a linked source file a page that shows it, and any other file can be downloaded. mkdocs.yml has the
navigation.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "docs"

_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)]*)?(\))")
_FENCE = re.compile(r"^\s*(```+|~~~+)")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "bash", "": "text"}
"""Of files that are shown as a page, by their ending; others are copied."""


def lay_out(root: Path, pages: Path) -> None:
    """Write the pages into a folder, which is emptied first."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(root / "docs", pages)
    waiting = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    written = set(waiting)
    while waiting:
        source = waiting.pop()
        target = pages / _place(source.relative_to(root))
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix not in {".md", *_LANGUAGES}:
            shutil.copyfile(source, target)
            continue
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".md":
            text, linked = _with_links(text, source, root)
            new = [each for each in linked if each not in written]
            written.update(new)
            waiting += new
        else:
            text = _as_page(text, source.relative_to(root))
        target.write_text(text, encoding="utf-8", newline="\n")


def _place(path: Path) -> PurePosixPath:
    """Where a file of the repository is in the site."""
    place = PurePosixPath(path.as_posix())
    if place == PurePosixPath("README.md"):
        return PurePosixPath("index.md")
    if place.parts[0] == "docs":
        return place.relative_to("docs")
    return PurePosixPath("source", f"{place}.md" if place.suffix in _LANGUAGES else place)


def _with_links(text: str, source: Path, root: Path) -> tuple[str, list[Path]]:
    """The text with its links as they are in the site, and the files outside docs/ that it links to."""
    linked: list[Path] = []
    here = _place(source.relative_to(root)).parent

    def moved(match: re.Match[str]) -> str:
        file = Path(os.path.normpath(source.parent / match[2]))
        if not file.is_file() or not file.is_relative_to(root):
            return match[0]  # the build names it
        if not file.is_relative_to(root / "docs"):
            linked.append(file)
        place = os.path.relpath(_place(file.relative_to(root)), here).replace(os.sep, "/")
        return f"{match[1]}{place}{match[3] or ''}{match[4]}"

    lines, fence = [], ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        lines.append(line if fence or mark else _LINK.sub(moved, line))
    return "".join(lines), linked


def _as_page(text: str, path: Path) -> str:
    head = f"---\nsearch:\n  exclude: true\n---\n\n# `{path.as_posix()}`\n\n"
    return f'{head}``````` {{ .{_LANGUAGES[path.suffix]} linenums="1" }}\n{text}```````\n'


def main() -> int:
    lay_out(ROOT, PAGES)
    if "--build" not in sys.argv:
        return 0
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_COLOR": "1"}).returncode


if __name__ == "__main__":
    raise SystemExit(main())
