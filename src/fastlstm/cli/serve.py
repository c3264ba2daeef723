"""`fastlstm serve`: models over HTTP."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from fastlstm.cli.output import note
from fastlstm.errors import InputError, OptionError
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.pretrained import DEFAULT_CLASSIFIER, find_model

TOKEN = "FASTLSTM_TOKEN"
"""The variable with the token that requests must bear."""
LIMITS = {
    "max_body_bytes": "Bytes of a request.",
    "max_texts": "Texts of a request.",
    "max_characters": "Characters of a text.",
    "max_requests": "Requests answered at a time.",
    "max_streams": "Conversations (WS /stream) open at a time.",
    "queue_texts": "Texts that wait for a model.",
    "batch_texts": "Texts that a model reads together.",
    "workers": "Processes that serve; the limits are those of each.",
}
TIMES = {
    "body_seconds": "In which a request's body must have come.",
    "reload_seconds": "How often a model's folder is looked at; 0: never.",
    "drain_seconds": "How long requests may take to end when the server is stopped.",
}


def _limits(function: Callable[..., Any]) -> Callable[..., Any]:
    from fastlstm.server.settings import Settings

    defaults = {f.name: f.default for f in fields(Settings)}
    for kind, options in ((float, TIMES), (int, LIMITS)):
        for name, what in reversed(options.items()):
            flag = f"--{name.replace('_', '-')}"
            function = click.option(flag, type=kind, default=defaults[name], show_default=True, help=what)(function)
    return function


@click.command("serve")
@click.option(
    "--model", "-m", "served", multiple=True, metavar="[NAME=]DIR",
    help="A model to serve; may be given several times. [the bundled English sentiment model]",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=int, default=8000, show_default=True, help="The port to listen on; 0: any free one.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], show_default=True,
              help="What the LSTM's products are taken of.")  # fmt: skip
@click.option("--early-exit", type=float, metavar="P", help="Read texts no further than needed, as predict does.")
@_limits
@click.option("--log-texts", is_flag=True, help="Let log lines hold the texts of requests.")
@click.option("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error.")
def command(
    served: Sequence[str], host: str, port: int, precision: str, early_exit: float | None, log_texts: bool,
    **limits: Any,
) -> None:  # fmt: skip
    """Serve models over HTTP, with a page to look into them at /.

    A token in the environment variable FASTLSTM_TOKEN must be borne by every request.
    """
    from fastlstm import server  # noqa: F401 -- first: it says how to install what is missing
    from fastlstm.server.main import serve
    from fastlstm.server.settings import Settings

    settings = Settings(
        models=_named(served),
        precision=precision,
        early_exit=early_exit,
        token=os.environ.get(TOKEN),
        log_texts=log_texts,
        **limits,
    )
    with _listen(host, port) as listening:
        address, actual = listening.getsockname()[:2]
        told = f"serving {', '.join(settings.models)} on http://{address}:{actual}"
        serve(settings, listening, lambda: note(told))


def _named(served: Sequence[str]) -> dict[str, Path]:
    """Name -> folder; a folder without a name has its own."""
    found: dict[str, Path] = {}
    for given in served or (DEFAULT_CLASSIFIER,):
        name, separator, folder = given.partition("=")
        if not separator:
            name, folder = Path(given).name, given
        if name in found:
            raise OptionError(f"two models are called {name}; give one another name: --model NAME={folder}")
        found[name] = find_model(folder)
    return found


def _listen(host: str, port: int) -> socket.socket:
    """Bound before any model is loaded, so that a port in use is told at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with contextlib.ExitStack() as unless_bound:
            listening = unless_bound.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            unless_bound.pop_all()
    except (OSError, OverflowError) as error:
        raise InputError(f"can't listen on {host}:{port}: {error}; choose another --port or --host") from None
    return listening
