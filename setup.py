"""The wheel also carries the files of this repository that projects are made of: tool.samebits of pyproject.toml."""

import shutil
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithRelease(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the package finds them in the clone around it
        target = Path(self.build_lib) / "samebits" / "release"
        shutil.rmtree(target, ignore_errors=True)
        patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["samebits"]["release"]
        for pattern in patterns:
            found = [file for file in ROOT.glob(pattern) if file.is_file()]
            if not found:
                raise FileNotFoundError(f"{pattern} of tool.samebits.release is not here")
            for file in found:
                copy = target / file.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)


setup(cmdclass={"build_py": BuildWithRelease})
