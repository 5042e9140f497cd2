"""Single states of a training, from DVC's cache or its remote, held against the record of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.pipeline.dvc_cache import Objects, dvc, missing_text
from samebits.pipeline.dvc_hashes import read_md5
from samebits.pipeline.dvc_lock import LOCK
from samebits.training.commitment.record import AuditState
from samebits.training.commitment.states import link_or_copy
from samebits.training.resume.saved import COUNTERS, STATE, state_folder

STATES = "models/states"


class CommittedStates:
    """The states that a commit's dvc.lock has, of which any one can be fetched alone.

    Args:
        copy: of the commit; it shares the project's cache.
        digest: of `models/states` in dvc.lock.
        into: a folder for those that are asked for.
    """

    def __init__(self, copy: Path, objects: Objects, digest: str, into: Path) -> None:
        self._copy = copy
        self._objects = objects
        self._digest = digest
        self.into = into

    def fetch(self, entries: Iterable[AuditState]) -> dict[int, str]:
        """Put states below `into`.

        Returns:
            step to what is wrong, of those whose files are not the ones that the record commits to.

        Raises:
            UserError: for what is neither in the cache nor on the remote, or is damaged in the cache.
        """
        wanted = {entry.step: entry for entry in entries if not state_folder(self.into, entry.step).exists()}
        files = self._files(wanted)
        forged: dict[int, str] = {}
        for step, entry in wanted.items():
            folder = state_folder(self.into, step)
            folder.mkdir(parents=True)
            for name, expected in ((STATE, entry.tensors), (COUNTERS, entry.counters)):
                digest = files[f"{folder.name}/{name}"]
                found = self._objects.path(digest)
                if read_md5(found) != digest:
                    raise UserError(f"{found} is damaged in DVC's cache", f"remove it, then dvc fetch {STATES}")
                link_or_copy(found, folder / name)
                if sha256_file(folder / name) != expected:
                    forged[step] = f"{name} of step {step} is not the file that the record commits to"
        return forged

    def _files(self, wanted: Mapping[int, AuditState]) -> dict[str, str]:
        """Path below the states' folder to MD5, of the wanted ones, all of them in the cache.

        Raises:
            UserError: naming what cannot be had.
        """
        folders = [state_folder(Path(), step).name for step in wanted]
        names = [f"{folder}/{name}" for folder in folders for name in (STATE, COUNTERS)]
        said = ""
        if self._missing(names):
            said = self._fetch(folders)
        if not self._listing():
            # DVC keeps the listing of a folder only from a fetch in which nothing was missing.
            for folder in folders:
                self._fetch([folder])
        if missing := self._missing(names):
            raise UserError(
                missing_text(missing, said),
                "dvc push where they were made; a state that is kept back is not checked, so do not trust this model",
            )
        return self._listing()

    def _fetch(self, folders: Iterable[str]) -> str:
        return dvc(self._copy, "fetch", *(f"{STATES}/{folder}" for folder in folders)).stderr.strip()

    def _listing(self) -> dict[str, str]:
        return self._objects.files(self._digest) or {}

    def _missing(self, names: Iterable[str]) -> dict[str, str]:
        files = self._listing()
        paths = {name: files.get(name, "") for name in names}
        return {
            f"{STATES}/{name}": digest or f"not in {LOCK}'s {self._digest}"
            for name, digest in paths.items()
            if not digest or not self._objects.path(digest).is_file()
        }
