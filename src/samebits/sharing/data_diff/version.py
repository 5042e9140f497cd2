"""A prepared data set at a git revision: its manifest, its description and single samples, read through DVC.

Nothing is checked out. What is not in the local cache is streamed from the remote.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from samebits.base.errors import UserError
from samebits.sharing.remote.captured_logs import captured_logs
from samebits.sharing.remote.objects import files_at, whole_message
from samebits.signature.array_preview import array_text
from samebits.signature.sample_text import row_text, token_text
from samebits.signature.tokens import TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREPARED = "data/prepared"
WORKSPACE = "workspace"
_COLUMNS = ("id", "split", "sha256", "shard", "row")


@dataclass
class Version:
    """One version.

    Attributes:
        name: the revision, as it was asked for.
        info: `dataset.json`.
        samples: a row per sample: id, split, target (NaN where there is none), source, sha256, shard, row.
    """

    name: str
    info: dict[str, Any]
    samples: pd.DataFrame
    _fs: Any = field(repr=False)
    _arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False)

    @property
    def inputs(self) -> dict[str, Any]:
        """What a sample is: `kind`, and what belongs to it."""
        signature = self.info.get("signature")
        if signature:
            return dict(signature["inputs"])
        statistics = self.info.get("statistics", {})  # the first version of the format: images alone
        return {"kind": "image", "shape": self.info["shape"], **statistics}

    @property
    def classes(self) -> list[str]:
        """Names of the classes; none where the target is no class."""
        signature = self.info.get("signature")
        return list(signature["target"].get("classes", ()) if signature else self.info["classes"])

    def label(self, target: float | str) -> str:
        """A target for people: the class's name, the number, or what else the manifest says."""
        if isinstance(target, str):
            return target
        if np.isnan(target):
            return ""
        classes = self.classes
        return classes[int(target)] if classes else f"{target:g}"

    def sample(self, split: str, shard: int, row: int) -> npt.NDArray[Any]:
        """One stored sample: images uint8 or uint16 [C, H, W], tokens [L], table rows float32 [columns]."""
        entry = self.info["shards"][split][shard]
        name = entry.get("inputs") or entry["images"]
        if name not in self._arrays:
            data = _read(self._fs, f"{PREPARED}/{name}", self.name)
            self._arrays = {name: np.load(io.BytesIO(data), allow_pickle=False)}  # one shard in memory at a time
        array: npt.NDArray[Any] = self._arrays[name][row]
        return array

    def tokenizer(self) -> Tokenizer | None:
        """Of texts; None where it cannot be read."""
        from tokenizers import Tokenizer

        try:
            return Tokenizer.from_str(_read(self._fs, f"{PREPARED}/{TOKENIZER}", self.name).decode())
        except Exception:  # the library raises a bare Exception
            return None


def open_version(folder: Path, revision: str) -> Version:
    """Read a version's description and manifest.

    Args:
        folder: root of the project.
        revision: a commit, tag, branch or experiment; `workspace` for what lies there now.

    Raises:
        UserError: if there is no such revision, it has no prepared data, or these are nowhere to be had.
    """
    import pyarrow.parquet as pq
    from dvc.scm import RevError, SCMError

    try:
        with captured_logs():
            fs = files_at(folder, None if revision == WORKSPACE else revision)
    except (RevError, SCMError) as error:
        raise _unknown(revision) from error
    try:
        info = json.loads(_read(fs, f"{PREPARED}/dataset.json", revision))
        manifest = pq.read_table(io.BytesIO(_read(fs, f"{PREPARED}/manifest.parquet", revision))).to_pandas()
    except ValueError as error:
        raise UserError(
            f"{PREPARED} at {revision} is damaged: {error}", "make it anew there: dvc repro prepare"
        ) from error
    samples = manifest.rename(columns={"label": "target"})
    missing = [name for name in _COLUMNS if name not in samples]
    if missing or not isinstance(info, dict) or "shards" not in info:
        raise UserError(
            f"{PREPARED} at {revision} is no data set of ours (no column {', '.join(missing) or 'shards'})",
            "compare revisions at which stage prepare made it",
        )
    for name, default in (("target", np.nan), ("source", "")):
        if name not in samples:
            samples[name] = default
    samples["target"] = samples["target"].astype("float64")
    return Version(revision, info, samples, fs)


def _unknown(revision: str) -> UserError:
    return UserError(
        f"git knows no revision {revision!r}", "name a commit, tag or branch (git tag; git log), or `workspace`"
    )


def _read(fs: Any, path: str, revision: str) -> bytes:
    from dvc.scm import RevError, SCMError

    try:
        with captured_logs():
            return bytes(fs.read_bytes(path))
    except (RevError, SCMError) as error:  # DVC looks a revision up when it first reads from it
        raise _unknown(revision) from error
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is not to be had at {revision}: stage prepare has not run there, or its data are neither in "
            "the cache nor on the remote",
            f"git checkout {revision}, then samebits receive (or dvc repro prepare)",
        ) from error
    except Exception as error:  # whatever a remote's plugin raises
        raise UserError(
            f"{path} at {revision} cannot be read: {whole_message(error) or type(error).__name__}",
            "correct what it names; samebits doctor looks at the remote",
        ) from error


def texts(version: Version, rows: Iterable[npt.NDArray[Any]], longest: int = 300) -> list[str]:
    """Samples that are no pictures as text: a table row's columns, a text's tokens; these as numbers where the
    tokeniser cannot be read."""
    inputs = version.inputs
    if inputs["kind"] == "table":
        return [row_text(inputs["columns"], row)[:longest] for row in rows]
    if inputs["kind"] == "array":
        return [array_text(row) for row in rows]
    tokenizer = version.tokenizer()
    if tokenizer is None:
        return [" ".join(map(str, row.tolist()))[:longest] for row in rows]
    return [token_text(tokenizer.decode, row, inputs.get("pad"), longest) for row in rows]
