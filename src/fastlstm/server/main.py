"""Server processes: uvicorn, logging as JSON lines, and graceful shutdown."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import logging.config
import re
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from fastlstm.kernel import find_kernel
from fastlstm.precision import AUTO, fastest_precision
from fastlstm.server.app import make_app
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.settings import Settings
from fastlstm.server.supervisor import supervise

LOG = logging.getLogger("fastlstm.server")
UNPRINTABLE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
"""Characters that JSON leaves as they are, but that control a terminal, reorder or hide text, or cannot be encoded."""
STANDARD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}


class JSONFormatter(logging.Formatter):
    """Format a log record as one JSON object per line: time, level, logger, message, and the `extra` fields.

    Control characters and others that a terminal does not show are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        line = json.dumps(fields, ensure_ascii=False, default=str)
        return line if line.isascii() and "\x7f" not in line else UNPRINTABLE.sub(_escape, line)


def _escape(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"


class DropWebSocketLines(logging.Filter):
    """Drop uvicorn's log lines on WebSocket connections: they contain query strings, which may contain texts."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep the record."""
        return not (record.name == "uvicorn.error" and "WebSocket" in str(record.msg))


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JSONFormatter}},
    "filters": {"no WebSocket lines": {"()": DropWebSocketLines}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["no WebSocket lines"]}
    },
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False}
        for name in ("fastlstm.server", "uvicorn.error")
    },
}


def serve(settings: Settings, listener: socket.socket, on_loaded: Callable[[], object] = lambda: None) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests in progress within `drain_seconds`.

    Args:
        settings: Models and limits.
        listener: Bound socket to accept connections from.
        on_loaded: Called once all models are loaded.

    Raise the errors of `fastlstm.load`.
    """
    app = make_app(settings)
    on_loaded()
    if settings.workers == 1:
        _run(app, settings, listener)
        return
    if settings.precision == AUTO:  # chosen here, so that all workers give the same answers
        settings = dataclasses.replace(settings, precision=_fastest_precision(app.state.registry))
    del app  # each worker loads the models again; here they were only checked
    logging.config.dictConfig(LOGGING)
    supervise(_serve_worker, settings, listener)


def _fastest_precision(registry: ModelRegistry) -> str:
    """Return the fastest precision for all models together."""
    sizes = [size for model in registry for size in model.current.classifier.saved.config.hidden_sizes]
    return fastest_precision("inference", sizes, find_kernel())


def _serve_worker(settings: Settings, listener: socket.socket) -> None:
    logging.config.dictConfig(LOGGING)
    try:
        app = make_app(settings)
    except Exception:
        LOG.exception("worker failed to start")
        sys.exit(1)
    _run(app, settings, listener)


def _run(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        ws_max_size=settings.max_body_bytes,
        ws_max_queue=1,
        ws_per_message_deflate=False,
        backlog=2048,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # For signals before uvicorn installs its own handlers, and for the one that uvicorn re-raises after shutdown.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run(sockets=[listener])
