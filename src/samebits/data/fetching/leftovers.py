"""Files and folders that systems and tools leave among one's own, in folders and in archives: never classes or samples.

.dvcignore lists the same patterns, so that none of them re-runs `prepare`, and what DVC does not see is never read.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import PurePosixPath

PATTERNS = (
    # Windows
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "~$*",
    # macOS, in archives, too
    "__MACOSX",
    "Network Trash Folder",
    "Temporary Items",
    # network storage
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "#recycle",
    "#snapshot",
    # Linux, editors, Python
    "lost+found",
    "*~",
    "*.swp",
    "__pycache__",
    "*.py[co]",
)
"""Names as globs, in any case. Names that begin with a dot are left over as well."""

_PATTERN = re.compile("|".join(fnmatch.translate(each) for each in PATTERNS), re.IGNORECASE)


def is_leftover(path: str) -> bool:
    """Whether a relative path with forward slashes is left over, or lies in a folder that is."""
    return any(part.startswith(".") or _PATTERN.match(part) for part in PurePosixPath(path).parts)
