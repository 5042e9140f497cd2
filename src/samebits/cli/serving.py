"""`samebits serve` and `samebits demo`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.cli.options import positive, project_here, say


def _serve(arguments: argparse.Namespace) -> None:
    from samebits.serving.run import serve
    from samebits.serving.settings import Limits, Settings

    usual = Limits()
    limits = Limits(
        body=arguments.max_body << 20 if arguments.max_body else usual.body,
        inputs=arguments.max_inputs or usual.inputs,
        waiting=arguments.max_waiting or usual.waiting,
        seconds=arguments.seconds or usual.seconds,
        tokens=arguments.max_tokens or usual.tokens,
    )
    token = _token(Path(arguments.token_file)) if arguments.token_file else ""
    settings = Settings(
        _model(arguments), arguments.host, arguments.port, token, arguments.reload, not arguments.no_page, limits
    )
    serve(settings, say)


def _demo(arguments: argparse.Namespace) -> None:
    from samebits.serving.run import serve
    from samebits.serving.settings import Settings

    def opened(url: str) -> None:
        if not arguments.no_open:
            _open(url)

    serve(Settings(_model(arguments), port=arguments.port), say, opened)


def _model(arguments: argparse.Namespace) -> Path:
    return Path(arguments.model) if arguments.model else project_here().exported / "model.onnx"


def _open(url: str) -> threading.Thread | None:
    """Show a page in the browser, where there is a screen for one: a browser in the terminal would take that.

    Returns:
        what waits for it: some browsers come back when they end.
    """
    import webbrowser

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        say(f"there is no screen here: open {url} in a browser")
        return None
    waiting = threading.Thread(target=webbrowser.open, args=(url,), daemon=True)
    waiting.start()
    return waiting


def _token(path: Path) -> str:
    try:
        found = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"--token-file {path} cannot be read: {error}", "name a file with the token alone") from None
    if not found:
        raise UserError(f"--token-file {path} is empty", "write a token into it: openssl rand -hex 24")
    return found


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add it to the command line; `add` makes one of a name, a function and a text."""
    serve = add(commands, "serve", _serve, "answer HTTP requests with the exported model")
    serve.add_argument("--model", help="an exported ONNX file (default: models/export/model.onnx)")
    serve.add_argument("--host", default="127.0.0.1", help="to listen at (default: this machine alone)")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    serve.add_argument("--token-file", metavar="FILE", help="with the token that requests must bring")
    serve.add_argument(
        "--reload", type=float, default=5.0, metavar="S", help="seconds between looks for a new model file (5)"
    )
    serve.add_argument("--no-page", action="store_true", help="without the page for people at /")
    serve.add_argument("--seconds", type=float, metavar="S", help="for one answer (default: 30)")
    serve.add_argument("--max-body", type=positive, metavar="MIB", help="of a request (default: 16)")
    serve.add_argument("--max-inputs", type=positive, metavar="N", help="samples of a request (default: 256)")
    serve.add_argument("--max-waiting", type=positive, metavar="N", help="samples that may wait (default: 1024)")
    serve.add_argument("--max-tokens", type=positive, metavar="N", help="of a generated text (default: 1024)")

    demo = add(commands, "demo", _demo, "try the exported model on a page of one's own browser")
    demo.add_argument("--model", help="an exported ONNX file (default: models/export/model.onnx)")
    demo.add_argument("--port", type=int, default=0, help="to listen at (default: a free one)")
    demo.add_argument("--no-open", action="store_true", help="only say where the page is")
