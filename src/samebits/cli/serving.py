"""`samebits serve`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.cli.model import add_model_option, model_of, registry_of
from samebits.cli.options import positive, say, seconds


def _serve(arguments: argparse.Namespace) -> None:
    from samebits.serving.run import serve
    from samebits.serving.settings import Limits, Settings

    model = model_of(arguments)
    limits = Limits(
        body=arguments.max_body << 20,
        inputs=arguments.max_inputs,
        pixels=arguments.max_megapixels * 1_000_000,
        waiting=arguments.max_waiting,
        seconds=arguments.seconds,
        tokens=arguments.max_tokens,
        drain_seconds=arguments.drain,
    )
    settings = Settings(
        model=model,
        host=arguments.host,
        port=arguments.port,
        token=_token(Path(arguments.token_file)) if arguments.token_file else "",
        reload_seconds=arguments.reload,
        registry=registry_of(model),
        page=not arguments.no_page,
        limits=limits,
    )
    serve(settings, say)


def _token(path: Path) -> str:
    try:
        found = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds other characters than those of ASCII"
        raise UserError(f"--token-file {path} cannot be read: {reason}", "name a file with the token alone") from None
    if not found:
        raise UserError(f"--token-file {path} is empty", "write a token into it: openssl rand -hex 24")
    return found


def _seconds_or_0(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else seconds(text)


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add it to the command line; `add` makes one of a name, a function and a text."""
    from samebits.serving.settings import Limits

    usual = Limits()
    serve = add(commands, "serve", _serve, "answer HTTP requests with the exported model")
    add_model_option(serve)
    serve.add_argument("--host", default="127.0.0.1", help="to listen at (default: this machine alone)")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    serve.add_argument("--token-file", metavar="FILE", help="with the token that requests must bring")
    serve.add_argument(
        "--reload",
        type=_seconds_or_0,
        default=5.0,
        metavar="SECONDS",
        help="between looks for another file or version; 0: never (default: 5)",
    )
    serve.add_argument("--no-page", action="store_true", help="without the page for people at /")
    serve.add_argument(
        "--drain",
        type=_seconds_or_0,
        default=usual.drain_seconds,
        metavar="SECONDS",
        help="after SIGTERM in which requests are still taken (default: 1)",
    )
    for option, kind, default, name, text in (
        ("--seconds", seconds, usual.seconds, "SECONDS", "for one answer"),
        ("--max-body", positive, usual.body >> 20, "MIB", "of a request"),
        ("--max-inputs", positive, usual.inputs, "N", "samples of a request"),
        ("--max-megapixels", positive, usual.pixels // 1_000_000, "N", "millions of pixels of an image"),
        ("--max-waiting", positive, usual.waiting, "N", "samples that may wait"),
        ("--max-tokens", positive, usual.tokens, "N", "of a generated text"),
    ):
        serve.add_argument(option, type=kind, default=default, metavar=name, help=f"{text} (default: {default:g})")
