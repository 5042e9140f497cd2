"""One process tree, measured: seconds, CPU seconds, the most memory it held; within a real limit of memory if asked.

Memory is what the processes hold themselves (anonymous pages). Pages of mapped files are counted apart: the system
takes them back when it needs them. A limit counts both, files in the page cache included.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from parts.base import _TIED, ROOT, Row, _busy

_CGROUP = Path("/sys/fs/cgroup")
_EVERY_S = 0.05


class NoLimit(Exception):
    """This machine does not let us set a limit of memory."""


def measure(
    command: Sequence[str | Path],
    *,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    limit_mib: int | None = None,
    stops: Sequence[int] = (0,),
    timeout: float = 540.0,
) -> Row:
    """Run a command to its end.

    Args:
        limit_mib: memory of the whole tree, page cache included.
        stops: exit codes of a run that went well.

    Returns:
        `seconds`, `cpu_seconds` (of the process and its ended children), `own_mib` and `files_mib` at their highest,
        `limit_mib`, what its last JSON line said, or `failed`: its exit code.

    Raises:
        NoLimit: if a limit is asked for that cannot be set.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_TIED)}
    before, machine = resource.getrusage(resource.RUSAGE_CHILDREN), _busy()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, _group(limit_mib) as group:
        started, began = time.time(), time.perf_counter()
        words = [str(word) for word in command]
        if group is not None:
            words = ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *words]
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=kept | {"BENCH_STARTED": repr(started)} | dict(environment or {}),
            stdout=out,
            stderr=err,
        )
        own = files = 0.0
        while process.poll() is None:
            now = _memory(process.pid)
            own, files = max(own, now[0]), max(files, now[1])
            if time.perf_counter() - began > timeout:
                process.kill()
            time.sleep(_EVERY_S)
        seconds = time.perf_counter() - began
        out.seek(0)
        err.seek(0)
        said = [line for line in out.read().splitlines() if line.startswith("{")]
        tail = err.read()[-1500:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row: Row = {
        "seconds": seconds,
        "cpu_seconds": used,
        "others_cores": round(max(0.0, (_busy() - machine - used) / seconds), 2),
        "own_mib": own,
        "files_mib": files,
        "limit_mib": limit_mib,
    }
    if process.returncode not in stops:
        print(f"{words[-3:]}: exit code {process.returncode}\n{tail}", flush=True)
        return row | {"failed": process.returncode}
    last: dict[str, Any] = json.loads(said[-1]) if said else {}
    return last | row


def _memory(pid: int) -> tuple[float, float]:
    """MiB of anonymous and of file pages of a process and its descendants."""
    own = files = 0
    with contextlib.suppress(psutil.Error):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
                found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
                own += int(found.get("RssAnon", 0))
                files += int(found.get("RssFile", 0)) + int(found.get("RssShmem", 0))
    return own / 1024, files / 1024


@contextlib.contextmanager
def _group(limit_mib: int | None) -> Iterator[Path | None]:
    """A control group with a limit of memory; of version 1 or 2, whichever the machine has."""
    if limit_mib is None:
        yield None
        return
    one = _CGROUP / "memory"
    parent, file = (one, "memory.limit_in_bytes") if one.is_dir() else (_CGROUP, "memory.max")
    group = parent / f"samebits-bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / file).write_text(str(limit_mib << 20), encoding="ascii")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise NoLimit(f"{group}: {error}") from None
    try:
        yield group
    finally:
        for _ in range(100):  # until its last process is gone: a sender may live a little longer
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.5)


def forget_cached(folder: Path) -> None:
    """Take a folder's files out of the page cache, so that reading them counts, and counts against a limit."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
