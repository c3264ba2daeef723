"""The `fastlstm` command: finds the sub-command, and turns every failure into one line and an exit status."""

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
from fastlstm.errors import FastLSTMError, suggest

COMMANDS = {
    "train": "train a classifier on labelled texts, and measure it",
    "tune": "search the options that suit some texts best",
    "predict": "tell the class of texts",
    "explain": "show what moved the answer to a text, token by token",
    "stream": "read standard input as one text, and tell changes of the answer as they come",
    "serve": "serve models over HTTP, with a page to look into them",
    "export": "write a classifier for other runtimes: ONNX, PyTorch",
    "import": "make a classifier of a Keras model or a PyTorch state dict",
    "verify": "run a model through every runtime that is installed, and compare them",
    "evaluate": "measure a model on labelled texts; a language model on any",
    "calibrate": "fit a saved model's probabilities to other labelled texts",
    "distill": "train a small classifier on what a large one says",
    "pretrain": "train a language model on texts without labels",
    "generate": "write text with a language model",
    "info": "say what a model is and how it was trained",
    "doctor": "say what this installation has and what is missing",
}
MODULES = {"import": "import_model"}
"""Of commands whose names a module can't have."""
TEXT_COMMANDS = ("predict", "explain", "generate")
"""The commands that take texts."""
EXIT_INTERRUPTED = 130


class Commands(click.Group):
    """Imports a command's module only when it is called: `predict` never waits for what `train` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module = MODULES.get(name, name)
        command: click.Command = importlib.import_module(f"fastlstm.cli.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"unknown command {args[0]!r}; {suggest(args[0], COMMANDS)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastlstm")
def group() -> None:
    """LSTM text classifiers that train in minutes and answer in milliseconds on an ordinary CPU."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 failed while working, 2 wrong use or bad input."""
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
    except BrokenPipeError:  # the reader of our output has gone, as `head` does: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(f"{error.filename or 'input or output'}: {error.strerror or error}", 1, "io", arguments)
    except Exception as error:  # noqa: BLE001 -- the last resort: a fault of ours, still told in one line
        fail(f"internal error: {error!r}; please report it with what --debug prints", 1, "internal", arguments)


def fail(message: str, status: int, code: str, arguments: Sequence[str]) -> NoReturn:
    """Print the message and its code on one line of standard error, after the traceback with `--debug`, and exit."""
    if "--debug" in arguments:
        traceback.print_exc()
    label = "" if code == "interrupted" else f"error[{code}]: "
    print(f"fastlstm: {label}{message}", file=sys.stderr)
    sys.exit(status)


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and error.ctx.info_name in TEXT_COMMANDS:
        message += f" A text that begins with - stands behind --, as in: {error.ctx.command_path} -- '-5 stars'."
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message} Run: {error.ctx.command_path} --help"
    return message
