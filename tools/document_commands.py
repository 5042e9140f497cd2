"""docs/commands.md from the parser of `samebits`, so that it cannot go stale.

`python -m tools.generate --write` writes it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from samebits.cli.help import EXAMPLES, GROUPS
from samebits.cli.main import parser

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

HEAD = """\
# Commands

Every command of `samebits`, from its parser (`make generate` writes this page). Each has `--help`, which says the same
in the terminal. A command that prints a result takes `--json`, too: [Commands in scripts](scripting.md) has the keys of
each, and the exit codes.
"""


def page() -> str:
    """The whole page."""
    commands = dict(_subcommands(parser()))
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts.append(f"## To {title}\n" if not title.startswith("to ") else f"## {title}\n")
        parts += [_section(f"samebits {name}", commands[name]) for name in names]
    return "\n".join(parts)


def _subcommands(of: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _section(name: str, command: argparse.ArgumentParser) -> str:
    inner = list(_subcommands(command))
    if inner:
        return "\n".join(_section(f"{name} {each}", sub) for each, sub in inner)
    described = [action for action in command._actions if not _is_of_all(action)]
    shown = " ".join([name, *map(_usage, described)])
    text = command.description or ""
    lines = [
        f"### {name.removeprefix('samebits ')}",
        "",
        f"{text[:1].upper()}{text[1:]}.".replace("?.", "?"),
        "",
        f"    {shown}",
        "",
    ]
    if described:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{_names(action)}` | {_meaning(action)} |" for action in described] + [""]
    more = (command.epilog or "").partition("examples:")[0].strip()
    if more:
        lines += [more, ""]
    examples = EXAMPLES.get(name.removeprefix("samebits "), ())
    if examples:
        lines += ["```bash", *examples, "```", ""]
    return "\n".join(lines)


def _is_of_all(action: argparse.Action) -> bool:
    return action.dest in {"help", "json"}


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    return metavar.upper().replace("|", " or ")  # a bar ends a cell, and is not escaped in code alike everywhere


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {_value(action)}"


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        optional = action.nargs in {"*", "?"}
        shown = _value(action) + ("..." if action.nargs in {"*", "+"} else "")
        return f"[{shown}]" if optional else shown
    shown = action.option_strings[0] + ("" if action.nargs == 0 else f" {_value(action)}")
    return shown if action.required else f"[{shown}]"


def _meaning(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%").replace("|", "\\|")
