"""`fastlstm doctor`: what this installation has and lacks; with DATA, what labelled texts hold."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fastlstm.cli import show
from fastlstm.cli.installation_report import installation_facts
from fastlstm.cli.options import common, config_options, part, preset_option, table_options
from fastlstm.installation import examine

MOST = 20


@click.command("doctor")
@click.argument("data", metavar="[DATA]", required=False)
@preset_option
@click.option("--validation", default="0.2", show_default=True, metavar="DATA|FRACTION",
              help="What would choose the best epoch: a share of the texts, or data of its own.")  # fmt: skip
@click.option("--test", default=None, metavar="DATA|FRACTION",
              help="What a model would be measured on. [imdb: its test split; else: none]")  # fmt: skip
@config_options("vocabulary_size", "max_tokens", "truncate", "seed")
@click.option("--label-noise/--no-label-noise", default=True,
              help="Look for wrong labels, which takes most of the time. [on]")  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=MOST, show_default=True,
              help="Examples named of each kind.")  # fmt: skip
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR",
              help="Draw class balance, lengths and label noise into this folder.")  # fmt: skip
@table_options
@common
@click.pass_context
def command(context: click.Context, /, data: str | None, plots: Path | None, as_json: bool, **options: Any) -> int:
    """Say what this installation has and what is missing, and check that the kernel computes rightly.

    With DATA, examine labelled texts instead, read and split as fastlstm train with the same options would:
    duplicates, labels that look wrong, class balance, lengths, vocabulary, languages, and what to do about each.
    """
    if data is not None:
        _data(data, plots, as_json, options)
        return 0
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name != "as_json" and parameter.expose_value:
            raise click.UsageError(
                f"{parameter.opts[0]} is about data; give DATA, as in fastlstm doctor reviews.csv."
            )
    return _installation(as_json)


def _installation(as_json: bool) -> int:
    """Prints it; returns the exit status."""
    installation = examine()
    if as_json:
        show.json_object(dataclasses.asdict(installation))
    else:
        show.facts(installation_facts(installation), sys.stdout)
    check = installation.self_check
    return 0 if check is None or check.passed else 1


def _data(data: str, plots: Path | None, as_json: bool, options: Mapping[str, Any]) -> None:
    from fastlstm import atomic, examination
    from fastlstm.cli.examination_report import report
    from fastlstm.cli.progress import Display

    if plots is not None:
        _check_drawing(plots)
    parts = {name: part(options[name]) for name in ("validation", "test") if options[name] is not None}
    with Display(sys.stderr) as display:
        found = examination.examine(data, **{**options, **parts}, say=display.note, progress=display.download)
    if as_json:
        show.json_object(found.to_json())
    else:
        report(found, sys.stdout)
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        for name, content in found.plots().items():
            atomic.write_file(plots / name, content)
        show.note(f"drawn: {plots}")


def _check_drawing(folder: Path) -> None:
    """Raises what would end the command when all else is done."""
    from fastlstm import atomic
    from fastlstm.errors import OptionError
    from fastlstm.plots import require_matplotlib

    require_matplotlib()
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"plots is {str(folder)!r}, which is a file; expected the name of a folder to draw into")
    atomic.check_writable(folder / "classes.png")
