"""A model or a tokeniser from outside, tried once in a process of its own, with limits of memory and time.

ONNX Runtime and `tokenizers` are native libraries: on a file that was tampered with they may crash, allocate without
bound or never come back, and no exception tells. What has gone through here is loaded in the caller's own process,
and not tried again.

    python -m samebits.base.sandbox model|tokenizer FILE
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from samebits.base.errors import EXIT_USER_ERROR, UserError
from samebits.base.files import sha256_file, write_bytes
from samebits.base.paths import user_cache

SECONDS = 60.0
"""For loading and one run, at most; and as long again for each 256 MiB of the file."""
_MEMORY = 8 << 30
"""Bytes of address space, and four times the file."""
_LARGEST_TOKEN = 1 << 24
_LARGEST_INPUT = 1 << 27
_TYPES = {"uint8": "uint8", "int32": "int32", "int64": "int64", "float": "float32"}
_TEXTS = (
    "",
    "a",
    "The quick brown fox, 12,345 times.\n" * 50,
    "a" * 2000,
    " " * 2000,
    "\u00e9\u732b\U0001f600\u0301" * 200,
)


def require_harmless(kind: str, path: Path) -> None:
    """Try a file in a process of its own.

    Args:
        kind: `model` for an .onnx file, `tokenizer` for a tokenizer.json.

    Raises:
        UserError: if it cannot be loaded and run within the limits; the problem is the reason, in one line.
    """
    _tried(kind, path, sha256_file(path), SECONDS)


@functools.lru_cache(maxsize=64)
def _tried(kind: str, path: Path, digest: str, seconds: float) -> None:
    marker = _marker(kind, digest)
    if marker is not None and marker.exists():
        return
    seconds *= 1 + (path.stat().st_size >> 28)
    command = [sys.executable, "-P", "-m", "samebits.base.sandbox", kind, str(path.absolute())]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=seconds, text=True, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"it takes more than {seconds:g} s to load it and run it once") from None
    if done.returncode == EXIT_USER_ERROR:
        raise UserError((done.stdout.strip().splitlines() or ["no reason was given"])[-1])
    if done.returncode:
        raise UserError(f"it makes the library that reads it crash (exit code {done.returncode})")
    if marker is not None:
        with contextlib.suppress(OSError):  # it is tried again, then
            write_bytes(marker, b"")


def _marker(kind: str, digest: str) -> Path | None:
    """A file in the user's cache that is there if such bytes went through here before, with this release of the library
    that reads them: starting a process for each command would take longer than the answer."""
    library = {"model": "onnxruntime", "tokenizer": "tokenizers"}[kind]
    try:
        return user_cache() / "tried" / f"{digest}-{library}-{metadata.version(library)}"
    except (RuntimeError, metadata.PackageNotFoundError):  # a user without a home
        return None


def _try_model(path: Path) -> None:
    import math

    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given: dict[str, Any] = {}
    for each in session.get_inputs():
        kind = _TYPES.get(each.type.removeprefix("tensor(").removesuffix(")"))
        # A named axis may have any length; a cache of keys and values begins empty.
        shape = [size if isinstance(size, int) else int(size != "past") for size in each.shape]
        if kind is None or math.prod(shape) > _LARGEST_INPUT:
            raise ValueError(f"its input {each.name} is {each.type} {each.shape}")
        given[each.name] = np.zeros(shape, dtype=kind)
    session.run(None, given)


def _try_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    known = tokenizer.get_vocab(with_added_tokens=True).values()
    if not known:
        raise ValueError("its vocabulary is empty")
    if max(known) >= _LARGEST_TOKEN:
        raise ValueError(f"it has a token of the number {max(known):,}, {_LARGEST_TOKEN - 1:,} is the largest allowed")
    for special in (True, False):
        for encoding in tokenizer.encode_batch(list(_TEXTS), add_special_tokens=special):
            if max(encoding.ids, default=0) > max(known):
                raise ValueError(f"it gives token {max(encoding.ids):,}, its vocabulary ends at {max(known):,}")
            tokenizer.decode(encoding.ids)


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    with contextlib.suppress(ValueError, OSError):  # a system that does not limit address space, as macOS
        resource.setrlimit(resource.RLIMIT_AS, (min([_MEMORY + 4 * size, *known]), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def main() -> int:
    """The child: 0 if the file is harmless, 2 with the reason on stdout, anything else for a crash."""
    kind, path = sys.argv[1], Path(sys.argv[2])
    _limit_memory(path.stat().st_size)
    try:
        {"model": _try_model, "tokenizer": _try_tokenizer}[kind](path)
    except BaseException as error:  # a panic of the Rust library is a BaseException
        lines = str(error).strip().splitlines() or [type(error).__name__]
        print(lines[0][:300])
        return EXIT_USER_ERROR
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
