"""What looks like a credential, in every kind of text that is looked at."""

from __future__ import annotations

import json

import pytest

from samebits.base.redaction import (
    first_secret,
    secrets_in,
    secrets_in_dvc_config,
    secrets_in_notebook,
    without_secrets,
)

PLANTED = [
    "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "a1" * 18,
    "glpat-" + "a1" * 10,
    "AIza" + "a" * 35,
    "hf_" + "a1" * 15,
    "sk-" + "a1" * 14,
    "AccountKey=" + "a1" * 30,
    "https://store.blob.core/x?sp=r&sig=" + "a1" * 20,
    "xoxb-" + "1" * 12,
    "s3://key:" + "se1cret@bucket.org/x",
]


@pytest.mark.parametrize("secret", PLANTED)
def test_a_secret_is_found_in_any_text_and_blotted_out(secret: str) -> None:
    text = f"first\nx = {secret}\n"
    assert [number for number, _ in secrets_in(text)] == [2]
    assert first_secret(text) == 2
    assert first_secret(without_secrets(text)) is None


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter22",
        "secret_access_key = abcDEF123456",
        '  "api_key": "abcdef12345",',
        "+  auth_token: x1234567890",
    ],
)
def test_a_value_given_to_a_password_is_one_in_settings_and_patches(line: str) -> None:
    assert secrets_in(line) == []
    assert secrets_in(line, assigned=True) == [(1, "a password or key")]
    assert first_secret(line) == 1
    assert first_secret(without_secrets(line)) is None


@pytest.mark.parametrize(
    "line",
    [
        "password: ${PASSWORD1}",
        "password = getpass(1)",
        "token_count: 123456789",
        "api_key = os.environ['KEY1']",
        "lr: 0.1",
    ],
)
def test_what_is_none_passes(line: str) -> None:
    assert secrets_in(line, assigned=True) == []


def test_a_line_can_say_that_it_is_meant_but_not_to_what_leaves_unasked() -> None:
    line = "AKIA" + "ABCDEFGHIJKLMNOP  # pragma: allowlist secret"
    assert secrets_in(line) == []
    assert first_secret(line) == 1


def test_options_of_dvc_remotes() -> None:
    text = "['remote \"a\"']\n  url = s3://b\n  session_token = x\n['remote \"b\"']\n  url = ssh://h\n  password = y\n"
    assert secrets_in_dvc_config(text) == [("'remote \"a\"'", "session_token"), ("'remote \"b\"'", "password")]


def notebook(source: object, output: object = "") -> str:
    outputs = [{"output_type": "stream", "text": output}, {"data": {"image/png": "AKIA" + "ABCDEFGHIJKLMNOP"}}]
    return json.dumps({"cells": [{"source": "1"}, {"source": source, "outputs": outputs}]})


@pytest.mark.parametrize("value", ['password = "hunter22"', ["pass\n", 'password = "hunter22"\n']])
def test_cells_of_notebooks_are_read_as_they_were_typed(value: object) -> None:
    assert secrets_in_notebook(notebook(value)) == [("cell 2, code", "a password or key")]
    assert secrets_in_notebook(notebook("x", value)) == [("cell 2, output", "a password or key")]


def test_a_picture_in_a_notebook_is_no_text() -> None:
    assert secrets_in_notebook(notebook("x")) == []


@pytest.mark.parametrize("text", ["[]", "{", "3"])
def test_what_is_no_notebook_is_not_called_clean(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        secrets_in_notebook(text)
