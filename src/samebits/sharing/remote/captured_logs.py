"""Capture the log lines of DVC and of its plugins, for one message of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from samebits.base.redaction import without_secrets

_LOGGERS = ("dvc", "dvc_data", "dvc_objects", "dvc_ssh", "dvc_webdav", "dvc_http", "asyncssh", "fsspec")


class CapturedErrors(logging.Handler):
    """Errors that DVC logs and does not raise: one for each file that was not transferred."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors: list[BaseException] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])
        self.texts.append(without_secrets(record.getMessage()))


@contextmanager
def captured_logs() -> Iterator[CapturedErrors]:
    """Keep DVC's and the plugins' log lines off the screen, and collect them for one message of ours."""
    captured = CapturedErrors()
    before = []
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.propagate, logger.handlers[:]))
        logger.propagate = False
        logger.handlers = [captured]
    try:
        yield captured
    finally:
        for logger, propagate, handlers in before:
            logger.propagate = propagate
            logger.handlers = handlers
