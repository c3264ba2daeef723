"""A server's process, or several: uvicorn, its logs as JSON lines, and a stop that lets requests end."""

from __future__ import annotations

import datetime
import json
import logging
import logging.config
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from fastlstm.server.app import make_app
from fastlstm.server.settings import Settings
from fastlstm.server.supervisor import supervise

LOG = logging.getLogger("fastlstm.server")
_USUAL = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}


class JSONLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what else a record was given."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


class NoAddresses(logging.Filter):
    """Leaves out uvicorn's lines on conversations, which hold whatever stands in their addresses."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is told."""
        return not (record.name == "uvicorn.error" and "WebSocket" in str(record.msg))


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JSONLines}},
    "filters": {"no addresses": {"()": NoAddresses}},
    "handlers": {
        "standard error": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["no addresses"]}
    },
    "loggers": {
        name: {"handlers": ["standard error"], "level": "INFO", "propagate": False}
        for name in ("fastlstm.server", "uvicorn.error")
    },
}


def serve(settings: Settings, listening: socket.socket, on_loaded: Callable[[], object] = lambda: None) -> None:
    """Serves until SIGTERM or Ctrl-C, then lets requests end for `drain_seconds`.

    `on_loaded`: called once the models are there.

    Raises what `fastlstm.load` raises of the models.
    """
    app = make_app(settings)
    on_loaded()
    if settings.workers == 1:
        _serve(app, settings, listening)
        return
    del app  # it has shown that all can be read
    logging.config.dictConfig(LOGGING)
    supervise(_serve_beside, settings, listening)


def _serve_beside(settings: Settings, listening: socket.socket) -> None:
    logging.config.dictConfig(LOGGING)
    try:
        app = make_app(settings)
    except Exception:
        LOG.exception("a worker can't begin")
        sys.exit(1)
    _serve(app, settings, listening)


def _serve(app: FastAPI, settings: Settings, listening: socket.socket) -> None:
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
        """Of a signal before uvicorn listens to them, and of the one that stopped it, which it raises again."""
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run(sockets=[listening])
