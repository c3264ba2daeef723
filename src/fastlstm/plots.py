"""Numbers -> figures, by matplotlib (the `plot` extra), without touching its global state."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE = "#2f6db5", "#d9822b"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
)
"""Where a character of a class name is looked for, in this order: matplotlib's own font has no Chinese."""
LABELLED_CLASSES = 20
"""More classes than this and a confusion matrix is drawn without numbers and names."""


def learning_curves(
    epochs: Sequence[int], losses: Sequence[Sequence[float]], accuracies: Sequence[Sequence[float]], best: int
) -> Figure:
    """Loss and accuracy by epoch. `losses` and `accuracies`: two curves each, training and validation."""
    figure = _figure(9, 3.6)
    for axes, curves, name in zip(figure.subplots(1, 2), (losses, accuracies), ("loss", "accuracy"), strict=True):
        for curve, label, colour in zip(curves, ("training", "validation"), (BLUE, ORANGE), strict=True):
            axes.plot(epochs, curve, marker="o", label=label, color=colour)
        axes.axvline(best, color="grey", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=name)
        if len(epochs) <= 20:
            axes.set_xticks(list(epochs))
        axes.legend()
        axes.grid(alpha=0.3)
    return figure


def report(
    *,
    labels: Sequence[str],
    confusion: npt.NDArray[np.int64],
    confidence: Sequence[float],
    accuracy: Sequence[float],
    texts: Sequence[int],
    calibration_error: float,
) -> Figure:
    """A confusion matrix and a reliability diagram side by side."""
    figure = _figure(10, 4.4)
    with _fonts():
        left, right = figure.subplots(1, 2)
        draw_confusion(left, labels, confusion)
        draw_reliability(right, confidence, accuracy, texts, calibration_error)
    return figure


def draw_confusion(axes: Axes, labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> None:
    """Shares of each true class (a row) by predicted class (a column), with the numbers of texts."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    if len(labels) > LABELLED_CLASSES:
        return
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)


def draw_reliability(
    axes: Axes,
    confidence: Sequence[float],
    accuracy: Sequence[float],
    texts: Sequence[int],
    calibration_error: float,
) -> None:
    """How often predictions of a confidence are right; on the diagonal, the confidence can be trusted."""
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    axes.plot(confidence, accuracy, marker="o", color=BLUE, label="model")
    axes.bar(confidence, np.array(texts) / sum(texts), width=0.03, color=ORANGE, alpha=0.5, label="share of texts")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="confidence",
        ylabel="share that is right",
        title=f"Reliability, calibration error {calibration_error:.1%}",
    )
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)


def class_balance(labels: Sequence[str], texts: Mapping[str, Sequence[int]]) -> Figure:
    """Bars of each class's number of texts, part by part; `texts`: part -> one number a label."""
    figure = _figure(9, 3.6)
    with _fonts():
        axes = figure.subplots()
        width = 0.8 / len(texts)
        for k, ((part, counts), colour) in enumerate(zip(texts.items(), (BLUE, ORANGE, "grey"), strict=False)):
            axes.bar(np.arange(len(labels)) + (k + 0.5) * width - 0.4, counts, width, label=part, color=colour)
        axes.set(ylabel="texts", title="Texts of each class")
        if len(labels) <= LABELLED_CLASSES:
            axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right", parse_math=False)
        axes.legend()
        axes.grid(axis="y", alpha=0.3)
    return figure


def text_lengths(texts: Sequence[int], to: float, limit: int) -> Figure:
    """A histogram of text lengths, `texts` in equal bins from 0 to `to` tokens, and the limit of what is read.

    A limit far beyond the texts is not drawn: it would squeeze them.
    """
    figure = _figure(9, 3.6)
    axes = _histogram(figure, texts, to)
    axes.set(xlabel="tokens", ylabel="texts", title=f"Lengths of texts; the limit is {limit:,} tokens")
    if limit <= 1.5 * to:
        axes.axvline(limit, color=ORANGE, label="limit")
        axes.legend()
    return figure


def label_probabilities(texts: Sequence[int]) -> Figure:
    """A histogram of the probability that each text's label has, `texts` in equal bins from 0 to 1."""
    figure = _figure(9, 3.6)
    axes = _histogram(figure, texts, 1)
    axes.set(
        xlim=(0, 1),
        yscale="log",
        xlabel="probability of the label, by a bag of words that has not read the text",
        ylabel="texts",
        title="On the left the labels that look wrong",
    )
    return figure


def search_course(
    values: Mapping[int, float], without: Sequence[int], *, name: str, higher_is_better: bool
) -> Figure:
    """What each trial of a search reached, and the best so far.

    Args:
        values: number of a trial -> what it reached, called `name`.
        without: the numbers of trials that were given up.
        name: what is drawn upwards.
        higher_is_better: whether the best is the highest.
    """
    figure = _figure(9, 3.6)
    axes = figure.subplots()
    numbers, reached = list(values), list(values.values())
    best = (np.maximum if higher_is_better else np.minimum).accumulate(reached)
    axes.plot(numbers, reached, "o", color=BLUE, label="trial")
    axes.step(numbers, best, where="post", color=ORANGE, label="best so far")
    if without:
        floor = axes.get_xaxis_transform()  # their place upwards is the frame's foot, whatever the scale
        axes.plot(without, [0.02] * len(without), "x", color="grey", transform=floor, label="given up")
    axes.set(xlabel="trial", ylabel=name)
    if max([*numbers, *without]) <= 20:
        axes.set_xticks(range(1, max([*numbers, *without]) + 1))
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def importances(shares: Mapping[str, float]) -> Figure:
    """Bars of how much each option mattered in a search, the most on top; `shares` sum to 1."""
    figure = _figure(9, 3.6)
    axes = figure.subplots()
    ordered = sorted(shares.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ordered], [share for _, share in ordered], color=BLUE)
    axes.set(xlabel="share of the differences between trials", title="Which options mattered")
    axes.grid(axis="x", alpha=0.3)
    return figure


def gates(
    tokens: Sequence[str], values: Mapping[str, npt.NDArray[np.float32]], units: Sequence[int], title: str
) -> Figure:
    """Heat maps over the tokens, one a name: `values` [tokens, units], from -1 (orange) by 0 (white) to 1 (blue).

    What lies beyond -1..1, as cells may, is drawn as its end.
    """
    from matplotlib.colors import LinearSegmentedColormap

    columns = 2
    figure = _figure(max(6.0, 0.22 * len(tokens) + 2) * columns, 2.6 * -(-len(values) // columns))
    colours = LinearSegmentedColormap.from_list("gates", [ORANGE, "white", BLUE])
    image = None
    grid = figure.subplots(-(-len(values) // columns), columns)
    with _fonts():
        for axes, (name, of) in zip(grid.flat, values.items(), strict=False):
            image = axes.imshow(of.T, cmap=colours, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
            axes.set_title(name)
            axes.set_ylabel("unit")
            axes.set_yticks(range(0, len(units), 4), [str(units[at]) for at in range(0, len(units), 4)], fontsize=6)
            axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=7)
        figure.suptitle(title)
        if image is not None:
            figure.colorbar(image, ax=figure.axes, shrink=0.6)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content, without a date or a version in it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no installed font has it: a box must do
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def require_matplotlib() -> None:
    """Raises `MissingDependencyError` if nothing can be drawn, so that a long run needn't end in it."""
    _figure(1, 1)


def _histogram(figure: Figure, counts: Sequence[int], to: float) -> Axes:
    axes: Axes = figure.subplots()
    axes.stairs(counts, np.linspace(0, to, len(counts) + 1), fill=True, color=BLUE)
    axes.grid(alpha=0.3)
    return axes


def _fonts() -> contextlib.AbstractContextManager[None]:
    """Text made inside is drawn with those of `FONTS` that are installed."""
    import matplotlib
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return matplotlib.rc_context({"font.family": [font for font in FONTS if font in installed]})


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("drawing", "matplotlib", "plot") from None
    return Figure(figsize=(width, height), layout="constrained")
