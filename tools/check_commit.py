"""Two checks before a commit: no credentials in tracked files, no large files beside DVC.

    python tools/check_commit.py secrets FILE…    exit 1 if a file holds what looks like a key or a password
    python tools/check_commit.py sizes FILE…      exit 1 if a file is larger than 1 MiB

Keys and passwords of known shapes are refused in any file. In parameters and other settings, notebooks (outputs
too) and patches, so is a value given to a name like `password`; in .dvc/config, every option that carries one.
A line that is meant can say so with `pragma: allowlist secret`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from samebits.base.redaction import secrets_in, secrets_in_dvc_config, secrets_in_notebook

LARGEST_BYTES = 1 << 20

ASSIGNED_IN = frozenset(
    {".yaml", ".yml", ".toml", ".ini", ".cfg", ".env", ".json", ".patch", ".diff", ".properties"}
)  # fmt: skip
"""Files whose `password: …` is a password; in code it is as often a name."""


def check_secrets(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    assigned = path.suffix in ASSIGNED_IN or path.name == ".env"
    problems = [f"{path}:{number}: {kind}" for number, kind in secrets_in(text, assigned=assigned)]
    if path.suffix == ".ipynb":
        try:
            problems += [f"{path}: {where}: {kind}" for where, kind in secrets_in_notebook(text)]
        except ValueError:
            problems.append(f"{path}: cannot be read as a notebook, so nobody knows what is in it")
    if path.parts[-2:] == (".dvc", "config"):
        problems += [
            f"{path}: [{section}] {option}: give it with `dvc remote modify --local`, which writes .dvc/config.local"
            for section, option in secrets_in_dvc_config(text)
        ]
    return problems


def check_size(path: Path) -> list[str]:
    size = path.stat().st_size
    if size <= LARGEST_BYTES:
        return []
    return [f"{path}: {size / 2**20:.1f} MiB is too much for git; make it an output of a stage, or `dvc add` it"]


def main(arguments: list[str]) -> int:
    checks = {"secrets": check_secrets, "sizes": check_size}
    if not arguments or arguments[0] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    problems = [problem for name in arguments[1:] for problem in checks[arguments[0]](Path(name))]
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
