"""The code that a registered model's answers need, as one zip in its folder.

It is this release's own code under a package name that no other code has. So it neither hides an installed samebits nor
is hidden by one, and two versions of a model that were registered by two releases run in one process.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import zipfile
from pathlib import Path

import samebits
from samebits.signature.signature import INPUTS

LOADER = "samebits.model_registry.python_function"
_SANDBOX = "samebits.base.sandbox"

_INSTEAD = {
    "samebits": "",
    _SANDBOX: (
        "from pathlib import Path\n\n\n"
        "def require_harmless(kind: str, path: Path) -> None:\n"
        '    """Nothing: whoever loads a folder of MLflow runs the code in it anyway."""\n'
    ),
}
"""Modules that are written differently into the archive."""


def code_archive() -> tuple[str, bytes]:
    """The name of the loader in the archive, and the archive; the same bytes for the same code."""
    texts = _reached([LOADER, *(f"samebits.inference.{kind.predictor}" for kind in INPUTS.values())])
    digest = hashlib.sha256("".join(f"{path}\0{text}\0" for path, text in sorted(texts.items())).encode())
    package = f"samebits_{digest.hexdigest()[:12]}"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, text in sorted(texts.items()):
            member = zipfile.ZipInfo(path.replace("samebits", package, 1))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _renamed(text, package))
    return _renamed(LOADER, package), data.getvalue()


def _renamed(text: str, package: str) -> str:
    return re.sub(r"\bsamebits(?=\.| import )", package, text)


def _reached(start: list[str]) -> dict[str, str]:
    """Path in the package -> text, of each module that these import, also inside functions."""
    root = Path(samebits.__file__).parents[1]
    texts: dict[str, str] = {}
    todo, seen = list(start), set[str]()
    while todo:
        name = todo.pop()
        base = root.joinpath(*name.split("."))
        path = next((each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()), None)
        if name in seen or path is None:
            continue
        seen.add(name)
        text = _INSTEAD.get(name, path.read_text(encoding="utf-8"))
        texts[path.relative_to(root).as_posix()] = text
        todo += [name.rpartition(".")[0]] if "." in name else []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("samebits"):
                todo += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names if alias.name.startswith("samebits.")]
    return texts
