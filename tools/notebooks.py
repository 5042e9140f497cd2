"""The notebooks: notebooks/*.py are their sources, *.ipynb what Jupyter and Colab open, docs/notebooks what they print.

python -m tools.generate --write   write the .ipynb
python tools/notebooks.py          run each in a clone of HEAD, and write docs/notebooks/NAME.md with its pictures
"""

from __future__ import annotations

import base64
import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
PAGES = ROOT / "docs" / "notebooks"
SECONDS = 600
"""The longest that a cell may take."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def sources() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[0-9]*.py"))


def notebook(source: Path) -> Any:
    """A notebook without outputs, the same for the same source."""
    import jupytext

    made = jupytext.read(source)
    made.nbformat_minor = 4  # later ones give each cell a random name
    for cell in made.cells:
        cell.pop("id", None)
    made.metadata = {"kernelspec": made.metadata["kernelspec"], "language_info": {"name": "python"}}
    return made


def text(source: Path) -> str:
    """The .ipynb."""
    import jupytext

    return f"{jupytext.writes(notebook(source), fmt='ipynb').rstrip()}\n"


def stale() -> Iterator[tuple[Path, str]]:
    """The .ipynb that differ from their sources, and what they should be."""
    for source in sources():
        path, wanted = source.with_suffix(".ipynb"), text(source)
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            yield path, wanted


def execute(source: Path, project: Path) -> Any:
    """The notebook with its outputs, run at the root of a project.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    from nbclient import NotebookClient

    made = notebook(source)
    client = NotebookClient(
        made, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(project)}}
    )
    client.execute()
    return made


def page(name: str, executed: Any) -> tuple[str, dict[str, bytes]]:
    """An executed notebook as Markdown, and its pictures by name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in executed.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in _joined(cell.outputs):
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{name}_{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode(data["image/png"])
                parts.append(f"![output]({picture})")
            elif shown := _plain(output.get("text") or data.get("text/plain", "")):
                parts.append(f"```text\n{shown}\n```")
    title, *rest = parts
    link = f"The notebook: [{name}.ipynb](../../notebooks/{name}.ipynb). Below is what it printed."
    return "\n\n".join([title, link, *rest]) + "\n", pictures


def _joined(outputs: list[Any]) -> Iterator[dict[str, Any]]:
    """The outputs of a cell, with what a stream gave piece by piece as one."""
    # What a library warns of the notebook's own machine is of no use to a reader.
    shown = (output for output in outputs if output.get("name") != "stderr")
    for kind, group in itertools.groupby(shown, key=lambda output: output["output_type"]):
        if kind == "stream":
            yield {"text": "".join(output["text"] for output in group)}
        else:
            yield from group


def _plain(output: str) -> str:
    """Text as a terminal shows it in the end: a progress bar is overwritten."""
    lines = [line.rpartition("\r")[2].rstrip() for line in re.split(r"\r*\n", _ESCAPES.sub("", output))]
    return "\n".join(lines).strip("\n")


def run(source: Path) -> None:
    """Run a notebook in a clone of HEAD, and write its page."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "samebits"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
        made, pictures = page(source.stem, execute(source, project))
    PAGES.mkdir(exist_ok=True)
    for old in PAGES.glob(f"{source.stem}_*.png"):
        old.unlink()
    for name, data in pictures.items():
        (PAGES / name).write_bytes(data)
    (PAGES / f"{source.stem}.md").write_text(made.replace(folder, "…"), encoding="utf-8", newline="\n")


def main() -> None:
    for source in sources():
        run(source)
        print(f"{source.stem}: {PAGES.relative_to(ROOT)}/{source.stem}.md")


if __name__ == "__main__":
    main()
