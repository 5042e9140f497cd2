"""Errors of storage libraries as faults with a name: by their own classes where these are installed."""

from __future__ import annotations

import errno
import socket

import asyncssh
import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from samebits.sharing.remote.errors import FAULTS, classify, explain


def s3_error(code: str, status: int = 403) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
    )


def http_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("PUT", "http://127.0.0.1/x")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (s3_error("InvalidAccessKeyId"), "credentials"),
        (s3_error("SignatureDoesNotMatch"), "credentials"),
        (s3_error("AccessDenied"), "forbidden"),
        (s3_error("403"), "forbidden"),
        (s3_error("404", 404), "bucket"),
        (s3_error("NoSuchBucket", 404), "bucket"),
        (s3_error("ExpiredToken", 400), "expired"),
        (s3_error("RequestTimeTooSkewed"), "clock"),
        (s3_error("SomethingNew", 507), "full"),
        (s3_error("SomethingNew", 418), "unknown"),
        (NoCredentialsError(), "no credentials"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "down"),
        (caused(PermissionError("Access Denied"), s3_error("ExpiredToken", 400)), "expired"),
        (caused(OSError(22, "No"), s3_error("QuotaExceeded", 400)), "full"),
        (asyncssh.PermissionDenied("no key fits"), "credentials"),
        (asyncssh.HostKeyNotVerifiable("not trusted"), "host key"),
        (asyncssh.ConnectionLost("lost"), "down"),
        (asyncssh.sftp.SFTPPermissionDenied("no"), "forbidden"),
        (asyncssh.sftp.SFTPFailure("Failure"), "full"),
        (http_error(401), "credentials"),
        (http_error(405), "read-only"),
        (http_error(507), "full"),
        (http_error(503), "failed"),
        (httpx.ConnectError("refused"), "down"),
        (httpx.ReadTimeout("slow"), "slow"),
        (OSError(errno.ENOSPC, "No space left on device"), "full"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "full"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only"),
        (PermissionError(errno.EACCES, "Permission denied"), "forbidden"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "down"),
        (socket.gaierror(-2, "Name or service not known"), "down"),
        (TimeoutError("slow"), "slow"),
        (caused(RuntimeError("wrapped"), caused(ValueError("again"), OSError(errno.ENOSPC, "full"))), "full"),
        (RuntimeError("something else"), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_error_has_its_name(error: Exception, kind: str) -> None:
    assert classify(error).kind == kind


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first).kind == "unknown"


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_has_a_message_and_a_fix(kind: str) -> None:
    text, fix = FAULTS[kind]
    assert text
    assert fix


def test_no_credential_gets_into_a_message() -> None:
    error = OSError("cannot open https://ann:planted-1234@host.org/x?password=planted-9876 AKIA" + "ABCDEFGHIJKLMNOP")
    message = str(explain(error, "remote 'team' (s3://bucket)"))
    assert "planted" not in message
    assert "AKIA" not in message
    assert message.startswith("remote 'team' (s3://bucket) failed: ")
    assert "fix:" in message


def test_only_the_first_line_of_an_error_is_shown() -> None:
    assert classify(OSError(errno.ENOSPC, "full\nand\nmore")).detail.count("\n") == 0
