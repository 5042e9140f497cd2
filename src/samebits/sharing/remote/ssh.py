"""SSH remotes whose host key is checked.

DVC's plugin switches that check off (sshfs passes `known_hosts=None` to asyncssh), so that anybody between here and
the server could take the data and give others: with `dvc push` and `dvc pull` alone it stays so. share and receive
use this class in the plugin's place.
"""

from __future__ import annotations

from typing import Any

from dvc_ssh import SSHFileSystem


class CheckedSSHFileSystem(SSHFileSystem):  # type: ignore[misc]
    """DVC's own, with the host keys of the user's and the system's known_hosts."""

    def _prepare_credentials(self, **config: Any) -> dict[str, Any]:
        login: dict[str, Any] = super()._prepare_credentials(**config)
        # asyncssh's own default: ~/.ssh/known_hosts.
        login["known_hosts"] = ()
        return login
