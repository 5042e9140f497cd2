"""`samebits demo`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable

from samebits.cli.model import add_model_option, model_of, registry_of
from samebits.cli.options import say


def _demo(arguments: argparse.Namespace) -> None:
    from samebits.serving.run import serve
    from samebits.serving.settings import Settings

    def opened(url: str) -> None:
        if not arguments.no_open:
            open_page(url)

    model = model_of(arguments)
    serve(Settings(model, port=arguments.port, registry=registry_of(model)), say, opened)


def open_page(url: str) -> threading.Thread | None:
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


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add it to the command line; `add` makes one of a name, a function and a text."""
    demo = add(commands, "demo", _demo, "try the exported model on a page in the browser")
    add_model_option(demo)
    demo.add_argument("--port", type=int, default=0, help="to listen at (default: a free one)")
    demo.add_argument("--no-open", action="store_true", help="only say where the page is")
