"""`fastlstm explain`: print how much each token contributes to a prediction."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from fastlstm import plots
from fastlstm._typing import FloatArray
from fastlstm.cli import output
from fastlstm.cli.escaping import one_line, printable
from fastlstm.cli.options import PanelCommand, common_options, model_option, option
from fastlstm.cli.standard_input import read_text, standard_input
from fastlstm.cli.text_arguments import find_problem, note_names
from fastlstm.inference import Classifier
from fastlstm.serialization import atomic
from fastlstm.text.tokenizer import PADDING

if TYPE_CHECKING:
    from rich.text import Text

    from fastlstm.inference.explain.explanation import Explanation

UNKNOWN_MARK = " (unknown)"
"""Marks a token that is not in the vocabulary."""
BLANK = "(blank text)"
"""Stands for the only token of a text without words."""
MAX_ROWS = 15
"""Rows of the table of tokens and of the table of clauses."""
MAX_ERROR = 0.01
"""Error of the attributions' sum, relative to the change of the logit, above which a note is printed."""
MIN_COLOR_STRENGTH = 0.05
"""Tokens with a weaker color are not colored."""


@click.command("explain", cls=PanelCommand)
@click.argument("text", metavar="TEXT | -")
@model_option
@option("--label", metavar="CLASS", panel="Explanation", help="Class to explain. [default: the predicted one]")
@option(
    "--method",
    type=click.Choice(["gradients", "occlusion"]),
    default="gradients",
    show_default=True,
    panel="Explanation",
    help="Integrated gradients, or leave out each token.",
)
@option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PNG",
    panel="Output",
    help="Plot a layer's gates to this file.",
)
@option("--label-unknown", is_flag=True, panel="Output", help="Also label a text without any known word.")
@option("--layer", type=int, default=-1, panel="Output", help="Layer to plot, counted from 0. [default: the last]")
@common_options
def command(
    text: str,
    model: Classifier,
    label: str | None,
    method: str,
    plot: Path | None,
    label_unknown: bool,
    layer: int,
    as_json: bool,
) -> None:
    """Print how much each token of TEXT contributes to the prediction, and the probability after each token.

    With -, TEXT is read from standard input. A text without any known word has the label - (JSON: null).
    """
    if plot is not None:
        plots.require_matplotlib()
    if text == "-":
        text = read_text(standard_input())
    else:
        note_names([text], "fastlstm explain", "its content")
    explanation = model.explain(text, label=label, method=method, label_unknown=label_unknown)
    trajectory = model.trajectory(text)[:, model.labels.index(explanation.explained_label)]
    if plot is not None:
        atomic.write_file(plot, plots.png(model.gates(text).plot(layer)))
        output.note(f"wrote {plot}")
        output.note_missing_fonts(tokens=explanation.tokens)
    if problem := find_problem(text, explanation.known):
        problem.note_text("the text", has_label=explanation.label is not None)
    if as_json:
        fields = explanation.to_dict()
        for token, probability in zip(fields["tokens"], trajectory, strict=True):
            token["probability"] = float(probability)
        output.json_object(fields)
        return
    _print(explanation, trajectory, has_ngrams=model.saved.config.ngrams > 0, is_linear=model.saved.is_linear)


def _print(explanation: Explanation, trajectory: FloatArray, *, has_ngrams: bool, is_linear: bool) -> None:
    is_gradients = explanation.method == "gradients"
    baseline = f", baseline {explanation.baseline_logit:+.2f}" if is_gradients else ""
    console = output.console(sys.stdout)
    logit = f"logit {explanation.logit:+.2f}{baseline}"
    explained = f"{one_line(explanation.explained_label)} {explanation.probability:.1%}"
    console.print(
        f"{output.NO_LABEL}  ({explained}, {logit})" if explanation.label is None else f"{explained}  ({logit})"
    )
    console.print(_color_text(explanation))
    _print_tokens(explanation, trajectory, with_parts=is_gradients and has_ngrams)
    if len(explanation.clauses) > 1:
        _print_clauses(explanation)
    if explanation.error > MAX_ERROR * max(1.0, abs(explanation.logit - explanation.baseline_logit)):
        output.note(f"the attributions sum to the logit only up to {explanation.error:.2f}; the text is repetitive")
    unused = int((~explanation.used).sum())
    if unused and not is_linear:
        output.note(f"the text has {len(explanation.tokens)} tokens; the LSTM does not read {unused} of them")


def _print_tokens(explanation: Explanation, trajectory: FloatArray, *, with_parts: bool) -> None:
    """Print the strongest tokens; `with_parts`, also the parts of the LSTM and of n-grams."""
    part_names = ("LSTM", "n-grams") if with_parts else ()
    table = output.make_table("token", "attribution", *part_names, f"{explanation.explained_label} after it")
    attributions = explanation.attributions
    padding = [k for k in range(len(explanation.tokens)) if _is_padding(explanation, k)]
    tokens = [k for k in explanation.strongest(len(explanation.tokens)) if k not in padding]
    for k in tokens[:MAX_ROWS]:
        parts = (f"{explanation.lstm[k]:+.3f}", f"{explanation.ngrams[k]:+.3f}") if with_parts else ()
        name = (explanation.tokens[k].strip() or BLANK) + ("" if explanation.known_tokens[k] else UNKNOWN_MARK)
        table.add_row(name, f"{attributions[k]:+.3f}", *parts, f"{trajectory[k]:.1%}")
    if padding:
        total = float(attributions[padding].sum())
        table.add_row(f"{PADDING} x {len(padding)}", f"{total:+.3f}", *("" for _ in part_names), "")
    output.console(sys.stdout).print(table)
    if len(tokens) > MAX_ROWS:
        output.note(f"the strongest {MAX_ROWS} of {len(tokens)} tokens; --json prints all")


def _print_clauses(explanation: Explanation) -> None:
    table = output.make_table("clause", "attribution")
    clauses = explanation.clauses
    strongest = sorted(range(len(clauses)), key=lambda k: -abs(clauses[k].attribution))[:MAX_ROWS]
    for clause in (clauses[k] for k in sorted(strongest)):
        table.add_row(" ".join(clause.text.split()), f"{clause.attribution:+.3f}")
    output.console(sys.stdout).print(table)
    if len(clauses) > MAX_ROWS:
        output.note(f"the strongest {MAX_ROWS} of {len(clauses)} clauses; --json prints all")


def _is_padding(explanation: Explanation, token: int) -> bool:
    start, end = explanation.char_spans[token]
    return bool(start == end) and explanation.tokens[token] == PADDING


def _color_text(explanation: Explanation) -> Text:
    """Return the text with tokens colored by attribution, blue for positive, orange for negative ones.

    Unknown tokens are underlined.
    """
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from fastlstm.inference.explain.explanation import NEGATIVE_COLOR, POSITIVE_COLOR, color_strength

    text = Text(printable(explanation.text))
    # Escape sequences are longer than the characters that they replace.
    starts = np.cumsum([0, *(len(printable(character)) for character in explanation.text)])
    for (start, end), value, is_known in zip(
        starts[explanation.char_spans], explanation.attributions, explanation.known_tokens, strict=True
    ):
        if not is_known:
            text.stylize("underline", int(start), int(end))
        strength = color_strength(float(value))
        if strength < MIN_COLOR_STRENGTH:
            continue
        rgb = [255 + (channel - 255) * strength for channel in (POSITIVE_COLOR if value > 0 else NEGATIVE_COLOR)]
        text.stylize(Style(color="black", bgcolor=Color.from_rgb(*rgb)), int(start), int(end))
    return text
