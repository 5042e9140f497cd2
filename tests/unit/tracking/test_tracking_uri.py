from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.tracking_uri import Target, check_reachable, check_scheme, explain, pick_target, without_password

RIGHT = "Basic " + base64.b64encode(b"me:pw").decode()


class Door(BaseHTTPRequestHandler):
    """Answers those who know the password."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers.get("Authorization") == RIGHT else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    door = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=door.serve_forever)
    thread.start()
    yield f"127.0.0.1:{door.server_port}"
    door.shutdown()
    thread.join()
    door.server_close()


def test_the_environment_wins_over_the_own_store(project: Project) -> None:
    assert pick_target(project, {"MLFLOW_TRACKING_URI": "http://x"}) == Target("http://x", local=False)
    own = pick_target(project, {})
    assert own.local
    assert own.uri == f"sqlite:///{project.home}/mlruns/mlflow.db"


def test_passwords_are_not_shown() -> None:
    assert Target("https://me:pw@host/x", local=False).shown == "https://host/x"
    assert without_password("a http://u:p@h:1/x and postgresql://u:p@h/db") == "a http://h:1/x and postgresql://h/db"


def test_the_right_password_opens(server: str) -> None:
    check_reachable(
        Target(f"http://{server}", local=False),
        {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pw"},  # pragma: allowlist secret
    )
    check_reachable(Target(f"http://me:pw@{server}", local=False), {})


@pytest.mark.parametrize(
    "environ",
    # pragma: allowlist nextline secret
    [{}, {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "wrong"}, {"MLFLOW_TRACKING_TOKEN": "t"}],
)
def test_a_wrong_password_says_what_to_set(server: str, environ: dict[str, str]) -> None:
    with pytest.raises(UserError, match="refuses: 401") as raised:
        check_reachable(Target(f"http://{server}", local=False), environ)
    assert "MLFLOW_TRACKING_USERNAME" in raised.value.fix


def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        check_reachable(Target("http://me:pw@127.0.0.1:9", local=False), {})


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"])
def test_a_certificate_that_is_none_is_named(tmp_path: Path, variable: str) -> None:
    for place in (tmp_path / "missing.pem", tmp_path / "wrong.pem"):
        (tmp_path / "wrong.pem").write_text("no certificate")
        with pytest.raises(UserError, match=f"{variable}={place} is no certificate"):
            check_reachable(Target("https://127.0.0.1:9", local=False), {variable: str(place)})


FAILED = "API request to https://u:pw@h/api failed with exception HTTPSConnectionPool(host='h', port=443): "
RETRIES = FAILED + "Max retries exceeded with url: /api/2.0/mlflow (Caused by "
VERIFY = "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RETRIES + "NewConnectionError('Connection refused'))", "https://h cannot be reached"),
        (RETRIES + VERIFY + "unable to get local issuer certificate (_ssl.c:1010)')))", "set MLFLOW_TRACKING_SERVER"),
        (RETRIES + VERIFY + "Hostname mismatch, certificate is not valid for 'h'. (_ssl.c:1)')))", "use the name that"),
        (RETRIES + VERIFY + "certificate has expired (_ssl.c:1010)')))", "renewed"),
        (RETRIES + "ResponseError('too many 503 error responses'))", "error 503: its log says why"),
        (RETRIES + "ReadTimeoutError('Read timed out. (read timeout=10)'))", "does not answer in time"),
        ("API request failed with error code 401 != 200. Response body: 'You are not'", "set MLFLOW_TRACKING_USERNAME"),
        ("failed with error code 403 != 200. Response body: 'Permission denied'", "its admin gives permissions"),
        ("Could not find a suitable TLS CA certificate bundle, invalid path: /x.pem", "no certificate at /x.pem"),
        ("the moon is full", "does not take the records: the moon is full"),
    ],
)
def test_what_mlflows_client_met_is_told_with_its_fix(text: str, told: str) -> None:
    line = explain("https://u:pw@h", text)
    assert told in line
    assert line.startswith("MLflow at https://h ")
    assert "pw" not in line


def test_a_database_is_not_asked() -> None:
    check_reachable(Target("postgresql://nowhere/x", local=False), {})


@pytest.mark.parametrize(
    "uri", ["sqlite:///a.db", "postgresql+psycopg2://h/db", "databricks", "databricks://profile", "https://h"]
)
def test_a_scheme_that_mlflow_takes(uri: str) -> None:
    check_scheme(Target(uri, local=False))


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown scheme, htp") as caught:
        check_reachable(Target("htp://me:pw@host", local=False))
    assert "https" in caught.value.fix
    assert "pw" not in str(caught.value)
