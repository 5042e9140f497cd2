"""The process that reads shards of `data/prepared` from a DVC remote for a training (`samebits.data.loading.remote`).

    python -m samebits.sharing.shards WORKSPACE REMOTE TIMEOUT

On stdin a line of JSON for each file: name, sha256, bytes and where it goes; on stdout one for each that is there,
`{"sha256": …}`, or `{"error": …, "fix": …}`. A file gets its name when it is whole and checked. It ends with stdin, and
with exit code 2 where the remote stalls in the middle of a transfer.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from samebits.base.boundary import as_user_error
from samebits.base.errors import EXIT_BUG, UserError
from samebits.base.files import fsync_folder, sha256_file
from samebits.base.redaction import without_secrets
from samebits.data.fetching.http import Network
from samebits.data.fetching.verified import PlaceError
from samebits.sharing.remote.objects import open_repo
from samebits.sharing.remote.remote import Remote, open_remote

_AT_ONCE = 4


def serve(workspace: Path, name: str, timeout: float, requests: Iterable[str]) -> None:
    """Answer every request. Transfers that run when the requests end are not waited for.

    Args:
        timeout: seconds for the remote's first answer; four times as long without a byte is a stall.

    Raises:
        UserError: if there is no such remote, or it has no list of the prepared files.
    """
    with open_repo(workspace) as repo:
        remote = open_remote(repo, name, timeout=timeout)
        objects = listing(repo, remote, workspace / "data" / "prepared")
        _answer({"ready": remote.shown})
        pool = ThreadPoolExecutor(_AT_ONCE)
        for line in requests:
            pool.submit(_fetch, remote, objects, *json.loads(line))
        pool.shutdown(wait=False, cancel_futures=True)


def listing(repo: Any, remote: Remote, prepared: Path) -> dict[str, str]:
    """The files of `data/prepared` as dvc.lock has it: their paths below it and their MD5.

    Raises:
        UserError: if there is no such output, or the remote lacks its list.
    """
    found = [out for out in repo.index.outs if Path(out.fs_path) == prepared and out.hash_info]
    if not found:
        raise UserError(f"dvc.lock has no output {prepared}", "run the stage where the data are: dvc repro prepare")
    oid = str(found[0].hash_info.value)
    data = remote.read(oid)
    if data is None:
        raise _absent(remote, f"list of {prepared} ({oid})")
    return {each["relpath"]: each["md5"] for each in json.loads(data)}


def _absent(remote: Remote, what: str) -> UserError:
    if remote.url.startswith(("http://", "https://")):  # its plugin takes every failure for an object that is not there
        try:
            Network().require(remote.url)
        except PlaceError as error:
            return UserError(f"{remote.shown}: {error}", "start it, or look at the network")
    return UserError(f"{remote.shown} has no {what}", "whoever has the data: samebits share")


def _fetch(remote: Remote, objects: dict[str, str], name: str, sha256: str, size: int, where: str) -> None:
    target = Path(where)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if name not in objects:
            raise UserError(
                f"data/prepared/{name} is not in the list that dvc.lock names, so dataset.json is of other data",
                "take both of one commit: git checkout dvc.lock, dvc pull data/prepared/dataset.json",
            )
        if not remote.download(objects[name], unfinished, size):
            raise _absent(remote, f"data/prepared/{name} (object {objects[name]})")
        if sha256_file(unfinished) != sha256:
            raise UserError(
                f"data/prepared/{name} on {remote.shown} is not the file that dataset.json names",
                "take dataset.json of the commit of dvc.lock: dvc pull data/prepared/dataset.json",
            )
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
        fsync_folder(target.parent)
    except Exception as error:
        unfinished.unlink(missing_ok=True)
        known = error if isinstance(error, UserError) else as_user_error(error, (target.parent,))
        problem, fix = (known.problem, known.fix) if known else (f"{type(error).__name__}: {error}", "")
        _answer({"error": without_secrets(problem), "fix": without_secrets(fix)})
        return
    _answer({"sha256": sha256})


_writing = threading.Lock()


def _answer(document: dict[str, Any]) -> None:
    with _writing:
        print(json.dumps(document), flush=True)


def main() -> int:
    """Serve stdin to its end."""
    workspace, name, timeout = sys.argv[1:]
    try:
        serve(Path(workspace), name, float(timeout), sys.stdin)
    except UserError as error:
        _answer({"error": without_secrets(error.problem), "fix": without_secrets(error.fix)})
        return EXIT_BUG
    return 0


if __name__ == "__main__":
    # No tidy end: a transfer would be waited for, and who asked for it has gone.
    os._exit(main())
