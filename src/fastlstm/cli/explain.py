"""`fastlstm explain`: what moved the answer to a text, token by token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import numpy.typing as npt

from fastlstm import plots
from fastlstm.cli import output
from fastlstm.cli.options import common_options, model_option
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization import atomic
from fastlstm.text.tokenizer import PADDING

if TYPE_CHECKING:
    from rich.text import Text

    from fastlstm.inference.explain.explanation import Explanation

STRONGEST = 15
"""Tokens in the table, and clauses in theirs."""
ERROR = 0.01
"""Of what the logit moved, by how much the tokens' sum may be off without a word."""


@click.command("explain")
@click.argument("text", metavar="TEXT | -")
@model_option
@click.option("--label", metavar="CLASS", help="Explain this class, not the most likely one.")
@click.option(
    "--method",
    type=click.Choice(["gradients", "occlusion"]),
    default="gradients",
    show_default=True,
    help="Integrated gradients; or what the logit falls when a token, or a clause, is left out.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PNG",
    help="Draw heat maps of a layer's gates over the tokens into this file.",
)
@click.option(
    "--layer",
    type=int,
    default=-1,
    help="Which layer and direction, as counted from 0, --plot draws. [the last]",
)
@common_options
def command(
    text: str, model: Classifier, label: str | None, method: str, plot: Path | None, layer: int, as_json: bool
) -> None:
    """Show how much each token of TEXT moved the answer, and the probability after each.

    With - instead, all of standard input is the text.
    """
    if plot is not None:
        plots.require_matplotlib()
    if text == "-":
        text = _standard_input()
    found = model.explain(text, label=label, method=method)
    after = model.trajectory(text)[:, model.labels.index(found.label)]
    if plot is not None:
        atomic.write_file(plot, plots.png(model.gates(text).plot(layer)))
        output.note(f"gates drawn in {plot}")
    if as_json:
        shown = found.to_dict()
        for token, probability in zip(shown["tokens"], after, strict=True):
            token["probability"] = float(probability)
        output.json_object(shown)
        return
    _write(found, after, ngrams=model.model.config.ngrams > 0)


def _standard_input() -> str:
    if sys.stdin is None:
        raise OptionError("- stands for standard input, and there is none; pipe a text in")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8 (byte {error.start}); convert it first") from None


def _write(found: Explanation, after: npt.NDArray[np.float32], *, ngrams: bool) -> None:
    """`ngrams`: whether the model has any."""
    console = output.console(sys.stdout)
    parted = found.method == "gradients" and ngrams
    start = f", from {found.start:+.2f}" if found.method == "gradients" else ""
    console.print(f"{found.label} {found.probability:.1%}  (logit {found.logit:+.2f}{start})")
    console.print(_coloured(found))
    parts = ("by the LSTM", "by n-grams") if parted else ()
    table = output.make_table("token", "moved", *parts, f"{found.label} after it")
    of_text = [k for k in found.strongest(len(found.tokens)) if not _is_padding(found, k)]
    for k in of_text[:STRONGEST]:
        both = (f"{found.words[k]:+.3f}", f"{found.evidence[k]:+.3f}") if parted else ()
        table.add_row(found.tokens[k], f"{found.moved[k]:+.3f}", *both, f"{after[k]:.1%}")
    padding = [k for k in range(len(found.tokens)) if _is_padding(found, k)]
    if padding:
        moved = float(found.moved[padding].sum())
        table.add_row(f"{PADDING} x {len(padding)}", f"{moved:+.3f}", *("" for _ in parts), "")
    console.print(table)
    if len(of_text) > STRONGEST:
        output.note(f"the {STRONGEST} of {len(of_text)} tokens that moved it the most; --json has all")
    if len(found.spans) > 1:
        clauses = output.make_table("clause", "moved")
        order = sorted(range(len(found.spans)), key=lambda k: -abs(found.spans[k].moved))[:STRONGEST]
        for span in (found.spans[k] for k in sorted(order)):
            clauses.add_row(" ".join(span.text.split()), f"{span.moved:+.3f}")
        console.print(clauses)
        if len(found.spans) > STRONGEST:
            output.note(f"the {STRONGEST} of {len(found.spans)} clauses that moved it the most; --json has all")
    if found.error > ERROR * max(1.0, abs(found.logit - found.start)):
        output.note(f"the tokens' sum is {found.error:.2f} off what the logit moved: a text that repeats itself")
    unread = int((~found.read).sum())
    if unread:
        output.note(f"the text has {len(found.tokens)} tokens; the LSTM does not read {unread} of them")


def _is_padding(found: Explanation, token: int) -> bool:
    first, last = found.places[token]
    return bool(first == last) and found.tokens[token] == PADDING


def _coloured(found: Explanation) -> Text:
    """The text, blue behind what moved the answer towards the class, orange behind what moved it away."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from fastlstm.inference.explain.explanation import AWAY_COLOR, TOWARDS_COLOR

    shown = Text(found.text)
    most = float(np.abs(found.moved).max()) or 1.0
    for (first, last), value in zip(found.places, found.moved, strict=True):
        strength = abs(float(value)) / most
        if strength < 0.05:
            continue
        colour = [255 + (channel - 255) * strength for channel in (TOWARDS_COLOR if value > 0 else AWAY_COLOR)]
        style = Style(color="black", bgcolor=Color.from_rgb(*colour))
        shown.stylize(style, int(first), int(last))
    return shown
