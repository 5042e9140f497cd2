"""What `samebits predict` is asked about, one by one: files, what lies in folders, what a pattern matches, stdin."""

from __future__ import annotations

import glob
import marshal
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed

STDIN = Path("-")


@dataclass(slots=True)  # not frozen: that takes as long again to make, and there may be millions
class Item:
    """One sample that is asked about.

    Attributes:
        name: for people and as its id in the answers.
        value: what the predictor of the kind reads: a path, a text, a row.
        file: that `value` is read from later; None where `value` is all.
        error: why it cannot be used; empty if nothing is known to be wrong.
    """

    name: str
    value: Any = None
    file: Path | None = None
    error: str = ""

    @property
    def mark(self) -> bytes:
        """Changes where the sample does: its content, or size and time of the file that holds it."""
        if self.file is None:
            value = tuple(self.value.values()) if isinstance(self.value, dict) else self.value
            return _bytes((self.name, self.error, value))
        try:
            found = self.file.stat()
            return _bytes((self.name, self.error, str(self.file), found.st_size, found.st_mtime_ns))
        except OSError as error:
            return _bytes((self.name, self.error, str(self.file), error.errno))


def _bytes(value: Any) -> bytes:
    try:
        return marshal.dumps(value, 2)  # later versions of the format write what an object shares, too
    except ValueError:  # a date
        return repr(value).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Given:
    """A file that is asked about.

    Attributes:
        below: the folder that was named, where it was found in one.
        shown: what it is called in answers.
    """

    path: Path
    shown: str
    below: Path | None = None


def _matching(pattern: str) -> list[str]:
    """Files; folders only where nothing else matches, since `**` matches both a folder and what lies in it."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207, Path.glob takes no absolute pattern
    return [each for each in found if not Path(each).is_dir()] or found


class Files:
    """The files behind the arguments of the command line, in their order; those of a folder sorted by name.

    Args:
        arguments: files, folders, patterns (`*`, `?`, `[`, `**`), and `-` for stdin.
        takes: whether a file in a folder is one to ask about, by its name.
        stdin: the ending of a file that holds what `-` does: what is read there is kept in one, since it is read more
            than once.

    Raises:
        UserError: for a file that is not there, a pattern that matches none, `-` twice.
    """

    def __init__(self, arguments: Sequence[Path], takes: Callable[[str], bool], stdin: str) -> None:
        self._takes = takes
        self._stdin: tempfile.TemporaryDirectory[str] | None = None
        self.left_out = 0
        self._given: list[Given] = []
        absent = []
        for path in arguments:
            if path == STDIN:
                self._given.append(Given(self._kept(stdin), str(STDIN)))
            elif path.exists():
                self._given.append(Given(path, str(path)))
            elif glob.has_magic(str(path)) and (found := _matching(str(path))):
                self._given += [Given(Path(each), each) for each in found]
            else:
                absent.append(str(path))
        if absent:
            nothing = all(map(glob.has_magic, absent))
            raise UserError(
                f"{listed(absent)} {'matches nothing' if nothing else 'does not exist'}", "look at the spelling"
            )

    @property
    def named(self) -> list[Given]:
        """Those that are named, not found in a folder."""
        return [each for each in self._given if not each.path.is_dir()]

    def __iter__(self) -> Iterator[Given]:
        self.left_out = 0
        for each in self._given:
            if each.path.is_dir():
                for path in self._below(each.path):
                    yield Given(path, str(path), each.path)
            else:
                yield each

    def holds(self, path: Path) -> bool:
        """Whether a file is one of these, or will be one once it is there."""
        real = Path(os.path.realpath(path))
        for each in self._given:
            asked = Path(os.path.realpath(each.path))
            if asked == real or (each.path.is_dir() and asked in real.parents and self._takes(path.name)):
                return True
        return False

    def _below(self, folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
        """A folder at a time: a tree of a million files is never held whole. Hidden files are left out, and so are
        links to a folder that they lie in."""
        real = os.path.realpath(folder)
        if real in above:
            return
        try:
            entries = sorted((each.name, each.is_dir()) for each in os.scandir(folder))
        except OSError:
            yield folder  # reading it says why
            return
        for name, is_folder in entries:
            if name.startswith("."):
                continue
            if is_folder:
                yield from self._below(folder / name, (*above, real))
            elif self._takes(name):
                yield folder / name
            else:
                self.left_out += 1

    def _kept(self, ending: str) -> Path:
        if self._stdin is not None:
            raise UserError("- stands twice, and stdin can be read once", "name it once")
        self._stdin = tempfile.TemporaryDirectory(prefix="samebits-stdin-")
        path = Path(self._stdin.name) / f"stdin{ending}"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return path
