"""Whether an S3 remote is entered with the credentials of a session, which end by themselves.

Amazon says `ExpiredToken` when they have ended. Others say that there is no such key (SeaweedFS 4.48), which is what
they say of a wrong one, too; so the message has to name both.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

_ASKED_S = 10.0
"""Longest wait for the provider's chain, which may ask a server."""


def is_session(fs: Any) -> bool:
    """Whether a file system of DVC's signs with a session token: from its configuration, or from the provider's chain.

    Asked after the server has refused something: what cannot be found out is not said.
    """
    if fs.protocol != "s3":
        return False
    with suppress(Exception):
        s3 = fs.fs
        if s3.key:
            return bool(s3.token)
        # The plugin works in an event loop of a thread of its own.
        found = asyncio.run_coroutine_threadsafe(s3.session.get_credentials(), s3.loop).result(_ASKED_S)
        return bool(found and found.token)
    return False
