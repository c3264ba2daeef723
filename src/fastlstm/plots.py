"""Plots with matplotlib (the `plot` extra), without changing its global state."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Mapping, Sequence
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
    # Chinese, Japanese and Korean, with Chinese forms first
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti"),
    *("Noto Sans CJK TC", "Noto Sans TC", "Microsoft JhengHei", "PingFang TC", "AR PL UMing CN", "AR PL UKai CN"),
    *("Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic", "Hiragino Sans", "IPAexGothic", "TakaoGothic"),
    *("Noto Sans CJK KR", "Noto Sans KR", "Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic"),
    # other scripts, and emoji without color: matplotlib cannot draw bitmaps
    *("Noto Sans Thai", "Tahoma", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Lao"),
    *("Noto Sans Khmer", "Noto Sans Myanmar", "Noto Sans Tamil", "Noto Sans Bengali", "Noto Emoji", "Symbola"),
    *("Arial Unicode MS", "Droid Sans Fallback", "Unifont"),
)
"""Fonts of class names and tokens, in order of preference: matplotlib's default font has no Chinese characters."""
MAX_MISSING_SHOWN = 5
"""Characters without a font that a note names."""
MAX_LABELLED_CLASSES = 20
"""With more classes, plots omit class names, and confusion matrices omit numbers."""
MAX_TICKS = 20
"""With more epochs or trials, matplotlib chooses the ticks of their axis."""
MAX_LIMIT_RATIO = 1.5
"""A length limit beyond this multiple of the longest texts is not drawn, since it would compress the histogram."""


def learning_curves(
    epochs: Sequence[int], losses: Sequence[Sequence[float]], accuracies: Sequence[Sequence[float]], best: int
) -> Figure:
    """Plot loss and accuracy by epoch.

    Args:
        epochs: Numbers of the epochs.
        losses: Training and validation loss, one value per epoch each.
        accuracies: Training and validation accuracy, one value per epoch each.
        best: The epoch whose model was kept.
    """
    figure = _figure(9, 3.6)
    for axes, curves, name in zip(figure.subplots(1, 2), (losses, accuracies), ("loss", "accuracy"), strict=True):
        for curve, label, color in zip(curves, ("training", "validation"), (BLUE, ORANGE), strict=True):
            axes.plot(epochs, curve, marker="o", label=label, color=color)
        axes.axvline(best, color="grey", linestyle=":", label="best epoch")
        axes.set(xlabel="epoch", ylabel=name)
        if len(epochs) <= MAX_TICKS:
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
    """Plot a confusion matrix and a reliability diagram side by side; see `Report` for the arguments."""
    figure = _figure(10, 4.4)
    left, right = figure.subplots(1, 2)
    draw_confusion(left, labels, confusion)
    draw_reliability(right, confidence, accuracy, texts, calibration_error)
    _set_fonts(figure)
    return figure


def draw_confusion(axes: Axes, labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> None:
    """Draw the fraction of each true class (row) by predicted class (column), with the numbers of texts."""
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    if len(labels) > MAX_LABELLED_CLASSES:
        return
    names = [_replace_missing(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), names, parse_math=False)
    for (row, column), count in np.ndenumerate(confusion):
        color = "white" if fractions[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color)


def draw_reliability(
    axes: Axes,
    confidence: Sequence[float],
    accuracy: Sequence[float],
    texts: Sequence[int],
    calibration_error: float,
) -> None:
    """Draw accuracy by confidence; on the diagonal, predictions are perfectly calibrated."""
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
    axes.plot(confidence, accuracy, marker="o", color=BLUE, label="model")
    axes.bar(
        confidence, np.array(texts) / sum(texts), width=0.03, color=ORANGE, alpha=0.5, label="fraction of texts"
    )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="confidence",
        ylabel="accuracy",
        title=f"Reliability (calibration error {calibration_error:.1%})",
    )
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)


def class_balance(labels: Sequence[str], texts: Mapping[str, Sequence[int]]) -> Figure:
    """Plot the number of texts per class as bars; `texts`: part -> one number per label."""
    figure = _figure(9, 3.6)
    axes = figure.subplots()
    width = 0.8 / len(texts)
    for k, ((part, counts), color) in enumerate(zip(texts.items(), (BLUE, ORANGE, "grey"), strict=False)):
        axes.bar(np.arange(len(labels)) + (k + 0.5) * width - 0.4, counts, width, label=part, color=color)
    axes.set(ylabel="texts", title="Texts per class")
    if len(labels) <= MAX_LABELLED_CLASSES:
        names = [_replace_missing(label) for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=30, ha="right", parse_math=False)
    axes.legend()
    axes.grid(axis="y", alpha=0.3)
    _set_fonts(figure)
    return figure


def text_lengths(counts: Sequence[int], max_length: float, limit: int) -> Figure:
    """Plot a histogram of text lengths, and the number of tokens that the model reads.

    Args:
        counts: Number of texts in each of equal bins from 0 to `max_length` tokens.
        max_length: Upper end of the histogram, in tokens.
        limit: Number of tokens that the model reads per text.
    """
    figure = _figure(9, 3.6)
    axes = _histogram(figure, counts, max_length)
    axes.set(xlabel="tokens", ylabel="texts", title=f"Text lengths (limit: {limit:,} tokens)")
    if limit <= MAX_LIMIT_RATIO * max_length:
        axes.axvline(limit, color=ORANGE, label="limit")
        axes.legend()
    return figure


def label_probabilities(counts: Sequence[int]) -> Figure:
    """Plot a histogram of the probability of each text's label; `counts`: texts in equal bins from 0 to 1."""
    figure = _figure(9, 3.6)
    axes = _histogram(figure, counts, 1)
    axes.set(
        xlim=(0, 1),
        yscale="log",
        xlabel="probability of the label (cross-validated bag of words)",
        ylabel="texts",
        title="Label probabilities (labels on the left may be wrong)",
    )
    return figure


def search_progress(
    values: Mapping[int, float], unfinished: Sequence[int], *, name: str, higher_is_better: bool
) -> Figure:
    """Plot the result of each trial of a hyperparameter search, and the best one so far.

    Args:
        values: Number of a trial -> its metric.
        unfinished: Numbers of the trials that were stopped early or failed.
        name: Name of the metric.
        higher_is_better: Whether the best trial has the highest metric.
    """
    figure = _figure(9, 3.6)
    axes = figure.subplots()
    trials, results = list(values), list(values.values())
    best = (np.maximum if higher_is_better else np.minimum).accumulate(results)
    axes.plot(trials, results, "o", color=BLUE, label="trial")
    axes.step(trials, best, where="post", color=ORANGE, label="best so far")
    if unfinished:
        bottom = axes.get_xaxis_transform()  # y is a fraction of the frame, for any scale
        axes.plot(unfinished, [0.02] * len(unfinished), "x", color="grey", transform=bottom, label="unfinished")
    axes.set(xlabel="trial", ylabel=name)
    last = max([*trials, *unfinished])
    if last <= MAX_TICKS:
        axes.set_xticks(range(1, last + 1))
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def importances(fractions: Mapping[str, float]) -> Figure:
    """Plot the importance of each option in a hyperparameter search; the values sum to 1."""
    figure = _figure(9, 3.6)
    axes = figure.subplots()
    ascending = sorted(fractions.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ascending], [fraction for _, fraction in ascending], color=BLUE)
    axes.set(xlabel="relative importance (PED-ANOVA)", title="Option importance")
    axes.grid(axis="x", alpha=0.3)
    return figure


def gates(
    tokens: Sequence[str], values: Mapping[str, npt.NDArray[np.float32]], units: Sequence[int], title: str
) -> Figure:
    """Plot one heat map of tokens by units per gate or state.

    Args:
        tokens: The tokens.
        values: Name -> [tokens, units], from -1 (orange) through 0 (white) to 1 (blue); clipped, since cells may
            exceed 1.
        units: Index of each unit in the layer.
        title: Title of the figure.
    """
    from matplotlib.colors import LinearSegmentedColormap

    columns = 2
    figure = _figure(max(6.0, 0.22 * len(tokens) + 2) * columns, 2.6 * -(-len(values) // columns))
    colormap = LinearSegmentedColormap.from_list("gates", [ORANGE, "white", BLUE])
    image = None
    grid = figure.subplots(-(-len(values) // columns), columns)
    names = [_replace_missing(token) for token in tokens]
    for axes, (name, activations) in zip(grid.flat, values.items(), strict=False):
        image = axes.imshow(activations.T, cmap=colormap, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        axes.set_title(name)
        axes.set_ylabel("unit")
        axes.set_yticks(range(0, len(units), 4), [str(unit) for unit in units[::4]], fontsize=6)
        axes.set_xticks(range(len(tokens)), names, rotation=90, fontsize=7, parse_math=False)
    figure.suptitle(_replace_missing(title))
    if image is not None:
        figure.colorbar(image, ax=figure.axes, shrink=0.6)
    _set_fonts(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Return the figure as PNG, without date and version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def require_matplotlib() -> None:
    """Raise `MissingDependencyError` if matplotlib is not installed. Called before a long run."""
    _figure(1, 1)


def missing_font_note(texts: Iterable[str]) -> str | None:
    """Return a note about the characters of class names or tokens that plots show as boxes; None if all have a font."""
    characters = _characters()
    missing = list(dict.fromkeys(c for text in texts for c in text if c.isprintable() and ord(c) not in characters))
    if not missing:
        return None
    shown = " ".join(missing[:MAX_MISSING_SHOWN]) + (" ..." if len(missing) > MAX_MISSING_SHOWN else "")
    return (
        f"no installed font has {len(missing):,} of the characters in the plots ({shown}), which appear as boxes; "
        "install a font for them, such as Noto Sans CJK for Chinese"
    )


def _histogram(figure: Figure, counts: Sequence[int], upper: float) -> Axes:
    axes: Axes = figure.subplots()
    axes.stairs(counts, np.linspace(0, upper, len(counts) + 1), fill=True, color=BLUE)
    axes.grid(alpha=0.3)
    return axes


def _set_fonts(figure: Figure) -> None:
    """Draw all texts of the figure with the installed fonts of `FONTS`; matplotlib's own settings do not change."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontfamily(_installed_fonts())


def _replace_missing(text: str) -> str:
    """Return the text with a box in place of each character that no installed font of `FONTS` has.

    Otherwise, matplotlib draws a box too, with a warning for each of them.
    """
    characters = _characters()
    return "".join(c if ord(c) in characters or c == "\n" else "\N{WHITE SQUARE}" for c in text)


@functools.cache
def _installed_fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return tuple(font for font in FONTS if font in installed)


@functools.cache
def _characters() -> frozenset[int]:
    """Return the code points that the installed fonts of `FONTS` have."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(point for font in _installed_fonts() for point in get_font(findfont(font)).get_charmap())


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("plotting", "matplotlib", "plot") from None
    return Figure(figsize=(width, height), layout="constrained")
