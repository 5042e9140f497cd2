"""The commands about same bits for `samebits`: verify, audit, sign, restore, trace, golden, packages, wheels."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.result import Result, Said
from samebits.cli.options import command_group, positive, project_here, remote_options, say


def _verify(arguments: argparse.Namespace) -> Result:
    project = project_here()
    if arguments.steps is not None:
        from samebits.provenance.golden.golden import verify_steps

        said = Said()
        return said.ended(same=verify_steps(project, arguments.steps, say=said.noting(say)))
    from samebits.provenance.verify.pipeline import verify

    return verify(project, arguments.stage, keep=arguments.keep, say=say)


def _audit(arguments: argparse.Namespace) -> Result:
    from samebits.provenance.audit.audit import audit, find_model
    from samebits.provenance.audit.signing import check_signature, signature_of

    project = project_here()
    model = find_model(project, Path(arguments.model) if arguments.model else None)
    if arguments.root and arguments.root.lower() != model.record.root:
        raise UserError(
            f"{model.shown} has the root {model.record.root}, not {arguments.root}",
            "the model is not of the training that was committed to",
        )
    signature = Path(arguments.signature) if arguments.signature else signature_of(model.folder)
    if arguments.key:
        check_signature(model.folder, Path(arguments.key), signature)
        say(f"audit: {signature}: every file of {model.folder} is signed by the owner of {arguments.key}")
    elif arguments.signature or signature.is_file():
        say(f"audit: {signature} is not checked: name the trainer's public key with --key")
    return audit(project, model, count=arguments.segments, starts=arguments.start, keep=arguments.keep, say=say)


def _review(arguments: argparse.Namespace) -> Result:
    from samebits.provenance.review.review import review

    return review(project_here(), arguments.base, Path(arguments.curves) if arguments.curves else None)


def _sign(arguments: argparse.Namespace) -> None:
    from samebits.provenance.audit.signing import sign, signature_of

    folder = Path(arguments.folder) if arguments.folder else project_here().checkpoint
    signature = Path(arguments.signature) if arguments.signature else signature_of(folder)
    root = sign(folder, Path(arguments.key), signature)
    say(f"signed: {folder}, root {root}; commit {signature}, and give your public key to whoever checks it")


def _restore(arguments: argparse.Namespace) -> Result:
    from samebits.provenance.restore.restore import restore

    into, environment = (Path(each) if each else None for each in (arguments.into, arguments.environment))
    if arguments.online and not environment:
        raise UserError("--online is for the environment", "name a folder for it: --environment DIR")
    said = Said()
    same = restore(
        project_here(), arguments.name, into, check=arguments.verify, environment=environment, online=arguments.online,
        say=said.noting(say),
    )  # fmt: skip
    return said.ended(same=same)


def _wheels_keep(arguments: argparse.Namespace) -> None:
    from samebits.provenance.wheels.keep import keep

    keep(
        project_here(), arguments.commit, without=arguments.without, dry_run=arguments.dry_run, remote=arguments.remote,
        git_remote=arguments.git_remote, quick=arguments.quick, timeout=arguments.timeout, say=say,
    )  # fmt: skip


def _trace(arguments: argparse.Namespace) -> Result:
    from samebits.provenance.restore.trace import trace_file

    return trace_file(project_here(), Path(arguments.file))


def _golden(arguments: argparse.Namespace) -> Result:
    from samebits.pipeline.recipes import recipe_names
    from samebits.provenance.golden.golden import record, record_all

    project = project_here()
    if arguments.all == bool(arguments.recipes):
        raise UserError("name recipes, or --all of them", f"known: {', '.join(recipe_names(project.workspace))}")
    said = Said()
    how = {"mode": arguments.reproducibility, "replace": arguments.replace, "say": said.noting(say)}
    if len(arguments.recipes) == 1:
        return said.ended(same=record(project, arguments.recipes[0], **how))
    return said.ended(same=record_all(project, arguments.recipes or recipe_names(project.workspace), **how))


def _packages(arguments: argparse.Namespace) -> Result:
    from samebits.pipeline.packages import PACKAGES, differences, differences_text, write_packages

    workspace = project_here().workspace
    said = Said()
    if arguments.write:
        write_packages(workspace, said.noting(say))
    elif found := differences(workspace):
        raise UserError(*differences_text(found))
    else:
        said.noting(say)(f"{PACKAGES} is as installed")
    return said


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add them to the command line; `add` makes one of a name, a function and texts."""
    codes = "Exit code: 0 if all bits are the same, 1 if some differ, 2 if it could not be found out."
    verify = add(commands, "verify", _verify, "run the commit again in a clean copy, and compare every bit", codes)
    what = verify.add_mutually_exclusive_group()
    what.add_argument("--stage", action="append", default=[], help="only this stage (may be repeated)")
    what.add_argument(
        "--steps", type=positive, metavar="N", help="only N training steps, against this hardware's golden trace"
    )
    verify.add_argument("--keep", action="store_true", help="leave the copy below .samebits/verify")

    audit = add(commands, "audit", _audit, "compute random stretches of the training again, and compare them", codes)
    audit.add_argument("model", nargs="?", help="a checkpoint's folder or weights (default: models/checkpoint)")
    audit.add_argument(
        "--segments", type=positive, default=5, metavar="N", help="how many, drawn by chance (default: 5)"
    )
    audit.add_argument(
        "--start", type=int, action="append", default=[], metavar="STEP",
        help="the segment that begins there, in place of chance (may be repeated)",
    )  # fmt: skip
    audit.add_argument("--root", metavar="HEX", help="the root that was committed to, as you were told it before")
    audit.add_argument("--key", metavar="PEM", help="the trainer's public key, to check the signature with")
    audit.add_argument("--signature", metavar="FILE", help="default: beside the folder, as models/checkpoint.sig")
    audit.add_argument("--keep", action="store_true", help="leave the copy below .samebits/audit")

    look = add(commands, "review", _review, "results against those of another commit, as Markdown for a pull request")
    look.add_argument("base", metavar="BASE", help="a commit, tag or branch, as main")
    look.add_argument("--curves", metavar="PNG", help="a picture to draw the curves of both into")

    sign = add(commands, "sign", _sign, "sign the checkpoint and the record of its training with your private key")
    sign.add_argument("folder", nargs="?", help="default: models/checkpoint")
    sign.add_argument("--key", required=True, metavar="PEM", help="your private key: PEM, elliptic curve")
    sign.add_argument("--signature", metavar="FILE", help="default: beside the folder, as models/checkpoint.sig")

    restore = add(commands, "restore", _restore, "code, data and model of a run in a fresh worktree", codes)
    restore.add_argument("name", metavar="RUN_ID|EXP_NAME|COMMIT", help="a name of a run or a branch will do, too")
    restore.add_argument("--into", metavar="DIR", help="a folder that is not there yet (default: beside the project)")
    restore.add_argument("--verify", action="store_true", help="run it again in a clean copy, and compare every bit")

    restore.add_argument("--environment", metavar="DIR", help="install its requirements.lock there, from kept files")
    restore.add_argument("--online", action="store_true", help="packages that were not kept come from pip's index")

    trace = add(commands, "trace", _trace, "the run, commit, data and parameters behind a model file")
    trace.add_argument("file", metavar="FILE", help="model.onnx, model.pt2 or model.safetensors")

    golden = add(commands, "golden", _golden, "record this hardware's golden trace, or check it", codes)
    golden.add_argument("recipes", nargs="*", metavar="RECIPE", help="as `mnist` for recipes/mnist.yaml")
    golden.add_argument("--all", action="store_true", help="every recipe whose data can be had, one after the other")
    golden.add_argument(
        "--reproducibility", choices=("strict", "portable", "portable-v4"), default="strict",
        help="strict: of this kind of hardware; portable: of every processor of the class",
    )  # fmt: skip
    golden.add_argument("--replace", action="store_true", help="write it anew, after a change that was meant")

    packages = add(commands, "packages", _packages, "compare the installed packages with packages.yaml")
    packages.add_argument("--write", action="store_true", help="write the installed releases into it")

    wheels = command_group(commands, "wheels", "files to install an environment from")
    text = "keep the files of requirements.lock, for this system and Python, on the DVC remote"
    keep = add(wheels, "keep", _wheels_keep, text)
    keep.add_argument("commit", nargs="?", metavar="COMMIT", help="whose lock (default: the one here)")
    keep.add_argument("--without", action="append", default=[], metavar="NAME", help="leave out, as 'nvidia-*'")
    keep.add_argument("--dry-run", action="store_true", help="say how much it is, and stop")
    keep.add_argument("--git-remote", metavar="NAME", help="where the tag goes (default: origin)")
    keep.add_argument("--quick", action="store_true", help="compare sizes only; do not read the files back")
    remote_options(keep)
