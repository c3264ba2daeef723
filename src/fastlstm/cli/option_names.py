"""Names of Python arguments in messages, as options of the command.

Messages of the package mark the names of Python arguments with backticks: "pass `overwrite=True` to replace it". The
command line shows "pass --overwrite to replace it".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fastlstm.config import ModelConfig, TrainingConfig, option_fields
from fastlstm.errors import FastLSTMError

FIELDS = frozenset(field.name for kind in (ModelConfig, TrainingConfig) for field in option_fields(kind))
"""Fields of a classifier that --set sets, unless they have an option of their own."""

_ARGUMENT = re.compile(r"`([a-z][a-z_]*)(?:=([^`]*))?`")


def with_options(message: str, command: click.Command | None) -> str:
    """Return the message with each marked argument as an option of `command`, or as a field of --set."""
    if "`" not in message:
        return message
    options: dict[str, str] = {}
    for parameter in command.params if command is not None else ():
        if isinstance(parameter, click.Option) and parameter.name is not None:
            options[parameter.name] = max(parameter.opts, key=len)

    def option(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        if name not in options and name in FIELDS:
            return f"--set {name}" if value is None else f"--set {name}={_plain(value)}"
        flag = options.get(name, f"--{name.replace('_', '-')}")
        return flag if value in (None, "True") else f"{flag} {_plain(value)}"

    return _ARGUMENT.sub(option, message)


def current_command() -> click.Command | None:
    """Return the command that is running, if any."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.command


@contextmanager
def option_names(command: click.Command) -> Iterator[None]:
    """Write the arguments in the message of an error as options of `command`."""
    try:
        yield
    except FastLSTMError as error:
        error.args = (with_options(str(error), command), *error.args[1:])
        raise


def _plain(value: str) -> str:
    """Return a Python literal as the command line takes it."""
    return {"True": "true", "False": "false"}.get(value, value.strip("'\""))
