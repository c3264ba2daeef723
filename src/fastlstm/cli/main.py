"""The `fastlstm` command: it imports the subcommand, and turns every error into one line and an exit status."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from fastlstm import __version__
from fastlstm.cli.escaping import one_line, print_line
from fastlstm.errors import FastLSTMError, suggest

COMMANDS = {
    "Train": {
        "train": "train a classifier on labelled texts and evaluate it",
        "tune": "search for the best hyperparameters",
        "distill": "train a classifier on the probabilities of another",
        "calibrate": "fit the probabilities of a saved model to new data",
    },
    "Use": {
        "predict": "predict the class of texts",
        "score": "predict the texts of a table of any size",
        "stream": "classify a text while it arrives on standard input",
        "explain": "show how much each token contributed to a prediction",
        "evaluate": "evaluate a model on labelled texts",
        "serve": "serve models over HTTP, with a web page",
    },
    "Inspect": {
        "check": "check a dataset before training",
        "info": "describe a model and its training",
        "doctor": "check the installation, or compare runtimes on a model",
    },
    "Exchange": {
        "import": "convert a Keras or PyTorch model to fastlstm",
        "export": "convert a model to ONNX or PyTorch",
    },
    "Language": {
        "lm": "train and use language models",
    },
}
"""Panel -> command -> one line of help."""
NAMES = [name for commands in COMMANDS.values() for name in commands]
MODULES = {"import": ("import_model", "command"), "distill": ("train", "distill_command")}
"""Module and attribute of the commands that are not `command` in the module of their name."""
TEXT_COMMANDS = ("predict", "explain", "generate")
"""Commands whose arguments are texts."""
EXIT_INTERRUPTED = 130


class Commands(click.Group):
    """Commands whose modules are imported only when called, so that `predict` does not import PyTorch."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return NAMES

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in NAMES:
            return None
        module, attribute = MODULES.get(name, (name, "command"))
        command: click.Command = getattr(importlib.import_module(f"fastlstm.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in NAMES and not args[0].startswith("-"):
            raise click.UsageError(f"unknown command {args[0]!r}; {suggest(args[0], NAMES)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for panel, commands in COMMANDS.items():
            with formatter.section(panel):
                formatter.write_dl(list(commands.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastlstm")
def group() -> None:
    """Train and serve LSTM text classifiers on ordinary CPUs."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Exit status: 0 success, 1 failure while working, 2 wrong use or bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    try:
        status = group.main(arguments, prog_name="fastlstm", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        fail(_one_line(error), error.exit_code, "usage", arguments)
    except FastLSTMError as error:
        fail(str(error), error.exit_status, error.code, arguments)
    except (KeyboardInterrupt, click.Abort):
        fail("interrupted", EXIT_INTERRUPTED, "interrupted", arguments)
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(f"{error.filename or 'input or output'}: {error.strerror or error}", 1, "io", arguments)
    except Exception as error:  # noqa: BLE001 -- a bug, still reported on one line
        fail(f"internal error: {error!r}; please report it with what --debug prints", 1, "internal", arguments)


def fail(message: str, status: int, code: str, arguments: Sequence[str]) -> NoReturn:
    """Print the message and its code on one line of standard error, after the traceback with `--debug`, and exit."""
    from fastlstm.data.urls import without_credentials

    if "--debug" in arguments:
        traceback.print_exc()
    message = " ".join(map(without_credentials, message.split(" ")))  # a surplus argument may be a URL
    label = "" if code == "interrupted" else f"error[{code}]: "
    print_line(one_line(f"fastlstm: {label}{message}"), sys.stderr)
    sys.exit(status)


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        message = _unknown_option(error.option_name, error.ctx.command)
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and error.ctx.info_name in TEXT_COMMANDS:
        message += f" Put -- before a text that starts with -: {error.ctx.command_path} -- '-5 stars'."
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message} Run: {error.ctx.command_path} --help"
    return message


def _unknown_option(name: str, command: click.Command) -> str:
    from fastlstm.cli.suggestions import suggest_option

    fields = [field for parameter in command.params for field in getattr(parameter, "fields", ())]
    suggestion = suggest_option(name, command, fields)
    return f"No such option: {name}." + ("" if suggestion is None else f" Did you mean {suggestion}?")
