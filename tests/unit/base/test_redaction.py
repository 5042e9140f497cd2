"""What looks like a credential, in every kind of text that is looked at."""

from __future__ import annotations

import pytest

from samebits.base.redaction import first_secret, without_secrets

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
    assert first_secret(text) == 2
    assert first_secret(without_secrets(text)) is None


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter22",
        "secret_access_key = abcDEF123456",
        '  "api_key": "abcdef12345",',  # pragma: allowlist secret
        "+  auth_token: x1234567890",
    ],
)
def test_a_value_given_to_a_password_is_one_in_settings_and_patches(line: str) -> None:
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
    assert first_secret(line) is None


def test_a_remark_excepts_nothing_that_leaves_the_machine_unasked() -> None:
    assert first_secret("AKIA" + "ABCDEFGHIJKLMNOP  # pragma: allowlist secret") == 1
