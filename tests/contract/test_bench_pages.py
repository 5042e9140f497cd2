"""The pages of measurements are what their raw results render to: no number in them is edited by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.absent import is_left_out
from tests.helpers.workspace import ROOT, stage_environment

# In a process of its own: bench/ is no package, and its modules have names that others may have, too.
RENDER = """
import importlib, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1] + "/bench"]
writer = importlib.import_module("parts." + sys.argv[2])
writer.write(Path(sys.argv[1], "bench", "results"), Path(sys.argv[3]))
assert not {"keras", "lightning", "tensorflow"} & set(sys.modules), "the page needs the peers' libraries"
"""


@pytest.mark.skipif(is_left_out(ROOT / "bench"), reason="bench/ is not in this clone")
@pytest.mark.parametrize(("page", "writer"), [("performance.md", "page"), ("scaling.md", "scaling_page")])
def test_a_page_of_measurements_is_rendered_from_its_results(page: str, writer: str, tmp_path: Path) -> None:
    copy = tmp_path / page
    result = subprocess.run(
        [sys.executable, "-c", RENDER, str(ROOT), writer, str(copy)],
        cwd=tmp_path,
        env=stage_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    for made in tmp_path.rglob("*.md"):
        name = made.relative_to(tmp_path)
        assert made.read_text(encoding="utf-8") == (ROOT / "docs" / name).read_text(encoding="utf-8"), (
            f"docs/{name} is not what bench/results say: write it by python bench/performance.py --page, or scaling.py"
        )


@pytest.mark.skipif(not (ROOT / "bench" / "results" / "serve.json").is_file(), reason="not measured yet")
def test_the_table_of_the_server_is_rendered_from_its_results(tmp_path: Path) -> None:
    copy = tmp_path / "serve.md"
    written = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    copy.write_text(written, encoding="utf-8")
    code = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "bench")!r})
import serve
serve.write_page(json.loads(serve.RESULT.read_text()), Path({str(copy)!r}))
"""
    subprocess.run([sys.executable, "-c", code], env=stage_environment(), check=True, timeout=120)
    assert copy.read_text(encoding="utf-8") == written, "write it anew: python bench/serve.py --page"
