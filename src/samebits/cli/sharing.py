"""The commands of this package for `samebits`: share, receive, gc, doctor, data diff."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from samebits.base.errors import UserError, listed
from samebits.base.result import Result
from samebits.cli.options import command_group, project_here, remote_options, seconds


def _share(arguments: argparse.Namespace) -> None:
    if arguments.state is not None:
        from samebits.sharing.state import share_state

        share_state(
            project_here(), arguments.state, remote=arguments.remote, git_remote=arguments.git_remote,
            timeout=arguments.timeout,
        )  # fmt: skip
        return
    if arguments.experiment:
        from samebits.sharing.experiments import share_experiment

        share_experiment(
            project_here(), arguments.experiment, remote=arguments.remote, git_remote=arguments.git_remote,
            quick=arguments.quick, timeout=arguments.timeout,
        )  # fmt: skip
        return
    from samebits.sharing.share import share

    share(project_here().home, remote=arguments.remote, quick=arguments.quick, timeout=arguments.timeout)


def _receive(arguments: argparse.Namespace) -> None:
    only = [PurePosixPath(each).as_posix() for each in arguments.outputs]
    if only and (arguments.state is not None or arguments.experiment):
        raise UserError("--state and --experiment are received whole", f"leave out {listed(only)}")
    if arguments.state is not None:
        from samebits.sharing.state import receive_state

        receive_state(
            project_here(), arguments.state, remote=arguments.remote, git_remote=arguments.git_remote,
            timeout=arguments.timeout,
        )  # fmt: skip
        return
    if arguments.experiment:
        from samebits.sharing.experiments import receive_experiment

        receive_experiment(
            project_here(), arguments.experiment, remote=arguments.remote, git_remote=arguments.git_remote,
            timeout=arguments.timeout,
        )  # fmt: skip
        return
    from samebits.sharing.receive import receive

    receive(
        project_here().home, only=only, remote=arguments.remote, force=arguments.force, timeout=arguments.timeout
    )  # fmt: skip


def _gc(arguments: argparse.Namespace) -> None:
    from samebits.sharing.gc import collect

    collect(
        project_here().home, workspace_only=arguments.workspace, cloud=arguments.cloud, remote=arguments.remote,
        force=arguments.force, timeout=arguments.timeout,
    )  # fmt: skip


def _doctor(arguments: argparse.Namespace) -> Result:
    from samebits.sharing.doctor.doctor import doctor

    return doctor(project_here(), arguments.timeout)


def _data_diff(arguments: argparse.Namespace) -> Result:
    from samebits.sharing.data_diff.command import data_diff

    project = project_here()
    page = Path(arguments.html) if arguments.html else project.state / "data-diff.html"
    return data_diff(project.home, arguments.old, arguments.new, page)


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add them to the command line; `add` makes one of a name, a function and a text."""
    share = add(commands, "share", _share, "push data, model and reports, and prove that the remote has them whole")
    share.add_argument("--quick", action="store_true", help="compare sizes only; do not read the objects back")
    receive = add(commands, "receive", _receive, "pull data, model and reports, and check every hash")
    receive.add_argument("outputs", nargs="*", metavar="OUTPUT", help="of dvc.yaml, as data/prepared (default: all)")
    receive.add_argument("--force", action="store_true", help="overwrite outputs that were changed here")
    doctor = add(commands, "doctor", _doctor, "check Python, torch, DVC, git, the remote, MLflow and the disk")
    doctor.add_argument("--timeout", type=seconds, default=30.0, metavar="SECONDS", help="for a remote's first answer")
    data = command_group(commands, "data", "look at the prepared data")
    diff = add(data, "diff", _data_diff, "what changed between two versions of the prepared data")
    diff.add_argument("old", metavar="A", help="a commit, tag, branch or experiment")
    diff.add_argument("new", metavar="B", nargs="?", default="workspace", help="another (default: the workspace)")
    diff.add_argument("--html", metavar="FILE", help="the page to write (default: .samebits/data-diff.html)")
    gc = add(commands, "gc", _gc, "delete data that no branch, tag or experiment needs")
    gc.add_argument("--workspace", action="store_true", help="keep only what the workspace needs")
    gc.add_argument("--cloud", action="store_true", help="on the remote, too")
    gc.add_argument("--force", action="store_true", help="although something else still needs it")
    for command in (share, receive):
        what = command.add_mutually_exclusive_group()
        what.add_argument("--experiment", metavar="NAME", help="a DVC experiment with its MLflow run")
        what.add_argument(
            "--state", metavar="NAME", nargs="?", const="", help="the state of an interrupted training (one: no name)"
        )
        command.add_argument("--git-remote", metavar="NAME", help="where these go by git (default: origin)")
    for command in (share, receive, gc):
        remote_options(command)
