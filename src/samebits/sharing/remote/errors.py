"""What a storage server's error means, in one sentence with its fix; no credential gets into it.

The plugins raise errors of botocore, asyncssh, aiohttp, httpx and the system, wrapped in each other. The innermost
that we know decides. None of these libraries is imported: each is optional.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from samebits.base.errors import UserError
from samebits.base.redaction import without_secrets

_CREDENTIALS = "put the right ones into .dvc/config.local (dvc remote modify --local …); docs/remotes.md has each kind"
_RETRY = "try again when it is back; what is already there is not sent again"
_ROOM = "make room there or raise the quota, then run this again; what is already there is not sent again"

# kind of error -> (message, fix)
FAULTS: dict[str, tuple[str, str]] = {
    "credentials": ("refuses the credentials", _CREDENTIALS),
    "no credentials": ("wants credentials, and there are none", _CREDENTIALS),
    "forbidden": (
        "does not allow this",
        "ask its owner for the right to list, read and write, or name another remote with --remote",
    ),
    "ended": (
        "refuses the credentials, which are those of a session: it has ended, or they are wrong",
        "get new ones from your provider (as `aws sso login`), then run this again",
    ),
    "expired": (
        "says that the token has expired",
        "get a new one from your provider (as `aws sso login`), then run this again",
    ),
    "clock": (
        "says that this machine's clock is wrong",
        "set the clock (timedatectl set-ntp true); signatures carry the time and are refused if it is 15 minutes off",
    ),
    "bucket": ("has no such bucket or folder", "make it there, or correct the address: dvc remote modify NAME url …"),
    "host key": (
        "does not show the host key that known_hosts has for it",
        "if the server was set up anew, ask its owner for the new key and replace the line (ssh-keygen -R HOST, then "
        "ssh-keyscan); else somebody may be listening: do not go on",
    ),
    "full": ("is full", _ROOM),
    "down": ("cannot be reached", f"check the address and the network; {_RETRY}"),
    "slow": ("does not answer in time", f"check the network, or give it more time with --timeout; {_RETRY}"),
    "read-only": ("can be read but not written", "share to another remote (--remote), this kind is for receiving"),
    "failed": ("answers with an error of its own", f"ask whoever runs it (a full disk is a usual reason); {_RETRY}"),
}

_S3_CODES = {
    "InvalidAccessKeyId": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "InvalidToken": "credentials",
    "AccessDenied": "forbidden",
    "AllAccessDisabled": "forbidden",
    "ExpiredToken": "expired",
    "ExpiredTokenException": "expired",
    "TokenRefreshRequired": "expired",
    "RequestTimeTooSkewed": "clock",
    "RequestExpired": "clock",
    "NoSuchBucket": "bucket",
    "QuotaExceeded": "full",
    "XMinioStorageFull": "full",
    "InsufficientStorage": "full",
    "SlowDown": "failed",
    "InternalError": "failed",
    "ServiceUnavailable": "failed",
}
_STATUS = {
    401: "credentials", 403: "forbidden", 404: "bucket", 405: "read-only", 501: "read-only", 507: "full",
    500: "failed", 502: "down", 503: "failed", 504: "slow",
}  # fmt: skip
_ERRNO = {
    errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EFBIG: "full",
    errno.EACCES: "forbidden", errno.EPERM: "forbidden", errno.EROFS: "read-only",
    errno.ECONNREFUSED: "down", errno.EHOSTUNREACH: "down", errno.ENETUNREACH: "down", errno.ECONNRESET: "down",
    errno.EPIPE: "down", errno.ETIMEDOUT: "slow",
}  # fmt: skip
_TYPES = {
    "NoCredentialsError": "no credentials",
    "PartialCredentialsError": "no credentials",
    "ProfileNotFound": "no credentials",
    "TokenRetrievalError": "expired",
    "UnauthorizedSSOTokenError": "expired",
    "EndpointConnectionError": "down",
    "ClientConnectorError": "down",
    "ConnectError": "down",
    "ConnectionClosedError": "down",
    "ConnectionLost": "down",
    "ServerDisconnectedError": "down",
    "SFTPConnectionLost": "down",
    "SFTPNoConnection": "down",
    "gaierror": "down",
    "ConnectTimeoutError": "slow",
    "ReadTimeoutError": "slow",
    "ConnectTimeout": "slow",
    "ReadTimeout": "slow",
    "ServerTimeoutError": "slow",
    "TimeoutError": "slow",
    "HostKeyNotVerifiable": "host key",
    "PermissionDenied": "credentials",  # asyncssh: no method of authentication was accepted
    "KeyImportError": "credentials",
    "KeyEncryptionError": "credentials",
    "SFTPPermissionDenied": "forbidden",
    "SFTPNoSpaceOnFilesystem": "full",
    "SFTPQuotaExceeded": "full",
    "InsufficientStorage": "full",
    "ForbiddenOperation": "forbidden",
    # OpenSSH's SFTP says "Failure" and no more where a write fails; the usual reason is a full disk.
    "SFTPFailure": "full",
    "AuthError": "credentials",
}


@dataclass(frozen=True)
class Classified:
    """One recognised failure of a remote.

    Attributes:
        kind: a key of `FAULTS`, or `unknown`.
        detail: the library's own first line, without credentials.
    """

    kind: str
    detail: str


class RemoteError(UserError):
    """A `UserError` about a remote; `kind` names the error."""

    def __init__(self, kind: str, problem: str, fix: str) -> None:
        super().__init__(problem, fix)
        self.kind = kind


def classify(error: BaseException) -> Classified:
    """Classify an exception by the first known link in its chain of causes."""
    detail = _first_line(error)
    for link in _chain(error):
        kind = _kind_of(link)
        if kind:
            return Classified(kind, _first_line(link) or detail)
    return Classified("unknown", detail)


def explain(error: BaseException, where: str, is_session: Callable[[], bool] = lambda: False) -> RemoteError:
    """The message for a user.

    Args:
        error: what a plugin raised.
        where: the remote, as `remote 'team' (s3://bucket/path)`.
        is_session: whether the credentials end by themselves; asked where they are refused.
    """
    fault = classify(error)
    if fault.kind == "credentials" and is_session():
        fault = Classified("ended", fault.detail)
    if fault.kind == "unknown":
        return RemoteError("unknown", f"{where} failed: {fault.detail}", f"see docs/remotes.md; {_RETRY}")
    text, fix = FAULTS[fault.kind]
    detail = f" ({fault.detail})" if fault.detail else ""
    return RemoteError(fault.kind, f"{where} {text}{detail}", fix)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, innermost first: the outer ones only say that something failed."""
    links: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in links:
        links.append(at)
        links += [each for each in getattr(at, "exceptions", ()) if isinstance(each, BaseException)]
        at = at.__cause__ or at.__context__
    return iter(reversed(links))


def _kind_of(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        # HEAD has no body: its code is the bare status.
        return _S3_CODES.get(code) or _STATUS.get(int(code) if code.isdigit() else status or 0)
    for name in ("status_code", "status"):
        status = getattr(response, name, None) or getattr(error, name, None)
        if isinstance(status, int) and status in _STATUS:
            return _STATUS[status]
    for kind in type(error).__mro__:
        if kind.__name__ in _TYPES:
            return _TYPES[kind.__name__]
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]
    text = str(error)
    if isinstance(error, OSError) and "Connect call failed" in text:
        return "down"
    # webdav4 has the status in its text alone.
    if found := re.search(r"received (\d{3})\b", text):
        return _STATUS.get(int(found[1]))
    return None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return without_secrets(text)[:300]
