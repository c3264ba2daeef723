"""Figures: their axes, labels and PNG files."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastlstm import plots
from fastlstm.errors import MissingDependencyError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


SCRIPTS = {
    "Chinese": "很好",
    "Thai": "ดีมาก",
    "Arabic": "جيد",
    "emoji": "👍🏽👩\u200d👧",
    "control": "a\x00\x1b\u202e\ud800",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_labels_and_tokens_in_every_script_are_drawn_without_warnings(script: str) -> None:
    label = SCRIPTS[script]
    confusion = np.array([[5, 1], [2, 7]])
    figure = plots.report(
        labels=[label, "b"], confusion=confusion, confidence=[0.4], accuracy=[0.3], texts=[5], calibration_error=0.1
    )
    assert plots.png(figure).startswith(PNG_SIGNATURE)
    assert plots.png(plots.class_balance([label, "b"], {"training": [3, 4]})).startswith(PNG_SIGNATURE)
    values = {"input": np.zeros((1, 4), np.float32)}
    assert plots.png(plots.gates([label], values, range(4), label)).startswith(PNG_SIGNATURE)


def test_characters_without_a_font_are_noted() -> None:
    assert plots.missing_font_note(["plain", "é"]) is None
    assert plots.missing_font_note(["a\x1b\u200d"]) is None
    tangut = [chr(point) for point in range(0x17000, 0x17010)]  # no font of the list has them
    note = plots.missing_font_note(["plain", "".join(tangut), "".join(tangut)])
    assert note is not None
    assert all((character in note) == (k < plots.MAX_MISSING_SHOWN) for k, character in enumerate(tangut))
    assert str(len(tangut)) in note


def learning_curves(epochs: int = 3) -> Figure:
    steps = list(range(1, epochs + 1))
    falling = [1 / step for step in steps]
    return plots.learning_curves(steps, (falling, falling[::-1]), (falling[::-1], falling), best=2)


def report(classes: int = 3) -> Figure:
    confusion = np.random.default_rng(0).integers(0, 5000, (classes, classes))
    confusion[-1] = 0
    return plots.report(
        labels=[f"class {k}" for k in range(classes)],
        confusion=confusion,
        confidence=[0.4, 0.7, 0.95],
        accuracy=[0.3, 0.75, 0.9],
        texts=[5, 20, 75],
        calibration_error=0.051,
    )


def search_progress(trials: int = 5) -> Figure:
    values = {number: 1 / number for number in range(1, trials, 2)}
    unfinished = list(range(2, trials, 2))
    return plots.search_progress(values, unfinished, name="loss on validation", higher_is_better=False)


def importances() -> Figure:
    return plots.importances({"dropout": 0.2, "learning-rate": 0.7, "epochs": 0.1})


@pytest.mark.parametrize("draw", [learning_curves, report, search_progress, importances])
def test_png_is_deterministic(draw: Callable[[], Figure]) -> None:
    content = plots.png(draw())
    assert content.startswith(PNG_SIGNATURE)
    assert plots.png(draw()) == content


def test_learning_curves_show_loss_and_accuracy() -> None:
    figure = learning_curves()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["training", "validation", "best epoch"]


@pytest.mark.parametrize("epochs", [1, 20, 21, 300])
def test_learning_curves_of_any_number_of_epochs_are_drawn(epochs: int) -> None:
    assert plots.png(learning_curves(epochs)).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize(("classes", "numbers"), [(2, 4), (20, 400), (21, 0), (200, 0)])
def test_confusion_matrix_of_many_classes_has_no_numbers(classes: int, numbers: int) -> None:
    figure = report(classes)
    confusion = figure.axes[0]
    assert len(confusion.texts) == numbers
    assert plots.png(figure).startswith(PNG_SIGNATURE)


def test_confusion_matrix_has_class_names_and_counts() -> None:
    confusion = report(3).axes[0]
    assert [label.get_text() for label in confusion.get_yticklabels()] == ["class 0", "class 1", "class 2"]
    assert (confusion.get_xlabel(), confusion.get_ylabel()) == ("predicted", "true")
    assert "," in confusion.texts[0].get_text() or len(confusion.texts[0].get_text()) <= 3


@pytest.mark.parametrize("label", ["$5 - $10", "$^$", "a_b^c", "\\frac", "two\nlines", "", "_hidden"])
def test_class_names_are_drawn_literally(label: str) -> None:
    figure = Figure()
    plots.draw_confusion(figure.subplots(), [label, "other"], np.eye(2, dtype=np.int64))
    assert plots.png(figure).startswith(PNG_SIGNATURE)
    assert not figure.axes[0].get_xticklabels()[0].get_parse_math()


@pytest.mark.parametrize("draw", [learning_curves, report, plots.require_matplotlib])
def test_missing_matplotlib_raises_missing_dependency_error(
    monkeypatch: pytest.MonkeyPatch, draw: Callable[[], object]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError) as raised:
        draw()
    assert isinstance(raised.value, ImportError)
    assert (raised.value.package, raised.value.extra) == ("matplotlib", "plot")


def test_require_matplotlib_passes_if_it_is_installed() -> None:
    plots.require_matplotlib()


def test_chinese_class_names_are_drawn_without_warnings() -> None:
    figure = plots.report(
        labels=["好评", "差评"],
        confusion=np.array([[3, 1], [0, 2]]),
        confidence=[0.7],
        accuracy=[0.8],
        texts=[6],
        calibration_error=0.1,
    )
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("classes", [2, 21])
def test_class_balance_has_one_bar_per_class_and_split(classes: int) -> None:
    labels = [f"$class {k}" for k in range(classes)]
    figure = plots.class_balance(
        labels, {split: list(range(classes)) for split in ("training", "validation", "test")}
    )
    (axes,) = figure.axes
    assert len(axes.patches) == 3 * classes
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize(("limit", "lines"), [(3, 1), (14, 1), (500, 0)])
def test_limit_far_beyond_all_texts_is_not_drawn(limit: int, lines: int) -> None:
    figure = plots.text_lengths([1, 5, 2], 10, limit)
    (axes,) = figure.axes
    assert len(axes.lines) == lines
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("counts", [[0, 0, 5], [700, 20, 36_000], [1]])
def test_label_probabilities_are_drawn(counts: list[int]) -> None:
    figure = plots.label_probabilities(counts)
    assert figure.axes[0].get_xlim() == (0, 1)
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize(
    ("higher_is_better", "best"), [(True, [0.5, 0.5, 0.8]), (False, [0.5, 0.2, 0.2])], ids=["accuracy", "loss"]
)
def test_search_progress_shows_the_best_trial_so_far(higher_is_better: bool, best: list[float]) -> None:
    figure = plots.search_progress(
        {1: 0.5, 2: 0.2, 4: 0.8}, [3], name="accuracy", higher_is_better=higher_is_better
    )
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert np.array_equal(lines["best so far"].get_ydata(), best)
    assert np.array_equal(lines["unfinished"].get_xdata(), [3])


def test_search_progress_of_many_trials_has_few_ticks() -> None:
    assert len(search_progress(5).axes[0].get_xticks()) == 4
    assert len(search_progress(100).axes[0].get_xticks()) < 20


def test_most_important_option_is_on_top() -> None:
    names = [label.get_text() for label in importances().axes[0].get_yticklabels()]
    assert names == ["epochs", "dropout", "learning-rate"]
