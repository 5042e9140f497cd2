"""`samebits completion`: the scripts are what shells read, and complete commands of commands and options."""

from __future__ import annotations

import subprocess

import pytest

from samebits.cli.main import main

COMPLETE = """
complete() { :; }
source /dev/stdin
try() { COMP_WORDS=(samebits "$@"); COMP_CWORD=$#; COMPREPLY=(); _shtab_samebits; echo "${COMPREPLY[@]}"; }
"""


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    words = ["verif", "runs stat", "runs status --j", "find b", "audit --seg", "completion f"]
    done = subprocess.run(
        ["bash", "-c", COMPLETE + "\n".join(f"try {each}" for each in words)],
        input=script, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["verify", "status", "--json", "batch-size", "--segments", "fish"]


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_get_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "verify" in capsys.readouterr().out


def test_an_unknown_shell_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "cmd"])
    assert "invalid choice: 'cmd'" in capsys.readouterr().err
