"""A small disk that a test can fill: a tmpfs, where root may mount one."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

_MIB = 1 << 20


class Disk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @classmethod
    def mount(cls, mib: int = 256) -> Disk | None:
        """None where it cannot be mounted (no root, or a container without the right to)."""
        # Outside of pytest's folders, which only their owner may enter; PostgreSQL is another user.
        folder = Path(tempfile.mkdtemp(prefix="samebits-disk-"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", str(folder)]
        try:
            mounted = subprocess.run(command, capture_output=True).returncode == 0
        except FileNotFoundError:
            mounted = False
        if mounted:
            return cls(folder)
        folder.rmdir()
        return None

    def fill(self) -> None:
        """Write until the last page is taken."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (_MIB, 4096):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        self._filler.unlink()

    def unmount(self) -> None:
        # Lazily: a killed server may take a moment to let its files go.
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()
