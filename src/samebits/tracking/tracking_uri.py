"""Which MLflow the records go to, and whether it answers; without importing MLflow."""

from __future__ import annotations

import base64
import importlib.metadata
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.paths import Project

_TIMEOUT_S = 5.0
_CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_LOGIN_FIX = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)"
_SCHEMES = ("http", "https", "databricks", "databricks-uc", "uc", "sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Target:
    """Where records go.

    Attributes:
        uri: tracking URI.
        local: whether it is the project's own SQLite store, which we set up.
    """

    uri: str
    local: bool

    @property
    def shown(self) -> str:
        """The URI without user and password."""
        return without_password(self.uri)


def without_password(text: str) -> str:
    """A text in which `scheme://user:password@host` is `scheme://host`."""
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)


def pick_target(project: Project, environ: Mapping[str, str] = os.environ) -> Target:
    """`MLFLOW_TRACKING_URI` if it is set, else SQLite in the main working tree's `mlruns/`."""
    uri = environ.get("MLFLOW_TRACKING_URI", "").strip()
    if uri:
        return Target(uri, local=False)
    return Target(f"sqlite:///{project.mlruns / 'mlflow.db'}", local=True)


def check_scheme(target: Target, environ: Mapping[str, str] = os.environ) -> None:
    """Compare the scheme with those that MLflow or an installed plugin of it takes.

    Raises:
        UserError: for another one, and for a store of files (a path), with MLflow's command to migrate it.
    """
    scheme = re.match(r"([\w-]+)(\+\w+)?:", target.uri)
    # One letter is a drive of Windows.
    if scheme is None or len(scheme[1]) == 1 or scheme[1] == "file":
        if target.uri.startswith("databricks") or environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() == "true":
            return
        folder = target.uri.removeprefix("file://")
        raise UserError(
            f"MLFLOW_TRACKING_URI={target.uri} is a file store, which MLflow no longer writes",
            f"migrate it: mlflow migrate-filestore --source {folder} --target sqlite:///mlflow.db, then set "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db; or unset it for the store in mlruns/",
        )
    plugins = importlib.metadata.entry_points(group="mlflow.tracking_store").names
    if scheme[1] not in _SCHEMES and scheme[1] not in plugins:
        raise UserError(
            f"MLFLOW_TRACKING_URI={target.shown} has an unknown scheme, {scheme[1]}",
            f"use one of {', '.join(_SCHEMES)}, or unset it for the store in mlruns/",
        )


def check_reachable(target: Target, environ: Mapping[str, str] = os.environ) -> None:
    """Ask an HTTP server for one experiment, with the user's credentials. Other kinds of store are not asked.

    Raises:
        UserError: if it does not answer or refuses, or the URI has no scheme that MLflow knows.
    """
    check_scheme(target)
    if not target.uri.startswith(("http://", "https://")):
        return
    fix = (
        "start the server, correct MLFLOW_TRACKING_URI, or set runtime.tracking.required: false to record "
        "in a journal that is sent later"
    )
    bare = without_password(target.uri).rstrip("/")
    request = urllib.request.Request(f"{bare}/api/2.0/mlflow/experiments/search?max_results=1")
    if (credentials := _credentials(target.uri, environ)) is not None:
        request.add_header("Authorization", credentials)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=_tls(bare, environ)):
            return
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            fix = _LOGIN_FIX
        raise UserError(f"MLflow at {bare} refuses: {error.code} {error.reason}", fix) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            problem, fix = _distrust(reason.verify_message)
            raise UserError(f"MLflow at {bare} {problem}", fix) from None
        raise UserError(f"MLflow at {bare} cannot be reached: {reason}", fix) from None


def _tls(uri: str, environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """How MLflow's own client would look at the server's certificate.

    Raises:
        UserError: if the variable that names the authority's certificate names something else.
    """
    if not uri.startswith("https:"):
        return None
    if environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return ssl._create_unverified_context()
    name = next((key for key in (_CERTIFICATE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(key)), "")
    place = environ.get(name) or None
    try:
        if place and Path(place).is_dir():
            context = ssl.create_default_context(capath=place)
        else:
            context = ssl.create_default_context(cafile=place)
        if own := environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"):
            name, place = "MLFLOW_TRACKING_CLIENT_CERT_PATH", own
            context.load_cert_chain(own)
    except OSError as error:
        raise UserError(f"{name}={place} is no certificate: {error.strerror or error}", "name a PEM file") from None
    return context


def _distrust(reason: str) -> tuple[str, str]:
    """Problem and fix for a certificate that does not hold, by OpenSSL's words."""
    problem = f"shows a certificate that is not trusted here ({reason.strip()})"
    if "mismatch" in reason:
        return problem, "use the name that the certificate is for in MLFLOW_TRACKING_URI"
    if "expired" in reason or "not yet valid" in reason:
        return problem, "have the server's certificate renewed, or set this machine's clock"
    return problem, f"set {_CERTIFICATE} to the certificate of the authority that signed it, a PEM file"


def explain(uri: str, text: str) -> str:
    """Why MLflow's client failed, by its words: in one line, with the fix where there is one."""
    where = f"MLflow at {without_password(uri)}"
    text = without_password(text)
    if found := re.search(r"certificate verify failed: ([^('\"]+)", text):
        return f"{where} {'; '.join(_distrust(found[1]))}"
    if found := re.search(r"Could not find a suitable TLS CA certificate bundle, invalid path: (\S+)", text):
        return f"{where} is not asked: there is no certificate at {found[1]}; correct {_CERTIFICATE}"
    if found := re.search(r"too many (5\d\d) error responses", text):
        return f"{where} answers with error {found[1]}: its log says why (database away, disk full)"
    if "Read timed out" in text:
        return f"{where} does not answer in time: its log says why (a slow or full disk behind it)"
    if any(word in text for word in ("Max retries", "Connection refused", "timed out", "Name or service")):
        return f"{where} cannot be reached"
    if "error code 401" in text:
        return f"{where} refuses user and password (401): {_LOGIN_FIX}"
    if "Permission denied" in text:
        return f"{where} denies it to this user (403): its admin gives permissions"
    return f"{where} does not take the records: {text[:500]}"


def _credentials(uri: str, environ: Mapping[str, str]) -> str | None:
    if token := environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}"
    user, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD", "")
    inside = re.match(r"\w+://([^/@]+)@", uri)
    pair = f"{user}:{password}" if user else (urllib.parse.unquote(inside[1]) if inside else "")
    return f"Basic {base64.b64encode(pair.encode()).decode()}" if pair else None
