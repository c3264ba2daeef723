"""`fastlstm serve`: serve models over HTTP."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from fastlstm.cli.options import DEFAULT_PRECISION, PRECISION_HELP, Function, PanelCommand, option
from fastlstm.cli.output import note
from fastlstm.errors import InputError, OptionError
from fastlstm.precision import INFERENCE_PRECISIONS
from fastlstm.pretrained import DEFAULT_CLASSIFIER, find_model

TOKEN_VARIABLE = "FASTLSTM_TOKEN"
"""Environment variable with the bearer token that requests must send."""
SETTINGS = {
    "reload_seconds": ("Model", "Interval of checks for changed models; 0: never."),
    "workers": ("Server", "Number of worker processes."),
    "max_body_bytes": ("Limits", "Maximum size of a request body."),
    "max_texts": ("Limits", "Maximum texts per request."),
    "max_characters": ("Limits", "Maximum characters per text."),
    "max_requests": ("Limits", "Maximum concurrent requests."),
    "max_streams": ("Limits", "Maximum open streams."),
    "queue_texts": ("Limits", "Maximum queued texts per model."),
    "queue_seconds": ("Limits", "Maximum estimated waiting time per model."),
    "batch_texts": ("Limits", "Maximum texts per batch."),
    "body_seconds": ("Limits", "Timeout for receiving a request body."),
    "drain_seconds": ("Limits", "Timeout for requests in progress when stopping."),
}
"""Fields of `Settings` -> panel and help of their options."""


def _settings_options(function: Function) -> Function:
    """Add an option for each of `SETTINGS`, with the default of `Settings`."""
    from fastlstm.server.settings import Settings

    defaults = {field.name: field.default for field in fields(Settings)}
    for name, (panel, text) in reversed(SETTINGS.items()):
        default = defaults[name]
        flag = f"--{name.replace('_', '-')}"
        function = option(flag, type=type(default), default=default, show_default=True, panel=panel, help=text)(
            function
        )
    return function


@click.command("serve", cls=PanelCommand)
@option(
    "--model", "-m", "models", multiple=True, metavar="[NAME=]DIR", panel="Model",
    help="Model to serve; repeatable. [default: bundled model]",
)  # fmt: skip
@option(
    "--precision", type=click.Choice(INFERENCE_PRECISIONS), default=DEFAULT_PRECISION, show_default=True,
    panel="Model", help=PRECISION_HELP,
)  # fmt: skip
@option("--min-agreement", type=float, metavar="P", panel="Model", help="Stop reading early at this agreement.")
@option("--host", default="127.0.0.1", show_default=True, panel="Server", help="Address or name to listen on.")
@option(
    "--port", type=int, default=8000, show_default=True, panel="Server", help="Port to listen on; 0: any free port."
)
@option(
    "--cors-origin", "cors_origins", multiple=True, metavar="ORIGIN", panel="Server",
    help="Allow web pages of this origin; repeatable; *: all.",
)  # fmt: skip
@_settings_options
@option("--log-texts", is_flag=True, panel="Output", help="Include the texts of requests in the log.")
@option("--debug", is_flag=True, expose_value=False, panel="Output", help="Print tracebacks.")
def command(models: Sequence[str], host: str, port: int, **settings: Any) -> None:
    """Serve models over HTTP, with a web page at /.

    If FASTLSTM_TOKEN is set, requests must send it as a bearer token.
    """
    from fastlstm import server  # noqa: F401 -- first, for its error about missing packages
    from fastlstm.server.main import serve
    from fastlstm.server.settings import Settings

    server_settings = Settings(models=_model_folders(models), token=os.environ.get(TOKEN_VARIABLE), **settings)
    with _listen(host, port) as listener:
        message = f"serving {', '.join(server_settings.models)} on {server_url(*listener.getsockname()[:2])}"
        serve(server_settings, listener, lambda: note(message))


def _model_folders(models: Sequence[str]) -> dict[str, Path]:
    """Return the folders by name. The default name is the folder's."""
    folders: dict[str, Path] = {}
    for model in models or (DEFAULT_CLASSIFIER,):
        name, separator, folder = model.partition("=")
        if not separator:
            name, folder = Path(model).name, model
        if name in folders:
            raise OptionError(
                f"two models are named {name}; rename one with --model NAME={folder}",
                code="duplicate-model-name",
                model=name,
            )
        folders[name] = find_model(folder)
    return folders


def server_url(host: str, port: int) -> str:
    """Return the URL of a server at an address, which is in brackets if it is IPv6."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Called before models are loaded, so that a port in use is reported at once.

    An IPv6 address may be in brackets, as in a URL.
    """
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with contextlib.ExitStack() as on_error:
            listener = on_error.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            on_error.pop_all()
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(
            f"cannot listen on {server_url(host, port)}: {error}; choose another --port or --host",
            code="cannot-listen",
            host=host,
            port=port,
        ) from None
    return listener
