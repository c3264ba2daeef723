from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastlstm import plots
from fastlstm.errors import MissingDependencyError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def curves(epochs: int = 3) -> Figure:
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


def course(trials: int = 5) -> Figure:
    reached = {number: 1 / number for number in range(1, trials, 2)}
    without = list(range(2, trials, 2))
    return plots.search_course(reached, without, name="loss on validation", higher_is_better=False)


def importances() -> Figure:
    return plots.importances({"dropout": 0.2, "learning-rate": 0.7, "epochs": 0.1})


@pytest.mark.parametrize("draw", [curves, report, course, importances])
def test_a_figure_becomes_the_same_png_every_time(draw: Callable[[], Figure]) -> None:
    content = plots.png(draw())
    assert content.startswith(PNG_SIGNATURE)
    assert plots.png(draw()) == content


def test_learning_curves_show_loss_and_accuracy() -> None:
    figure = curves()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["training", "validation", "kept"]


@pytest.mark.parametrize("epochs", [1, 20, 21, 300])
def test_few_and_many_epochs_are_drawn(epochs: int) -> None:
    assert plots.png(curves(epochs)).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize(("classes", "numbers"), [(2, 4), (20, 400), (21, 0), (200, 0)])
def test_only_few_classes_are_drawn_with_numbers(classes: int, numbers: int) -> None:
    figure = report(classes)
    confusion = figure.axes[0]
    assert len(confusion.texts) == numbers
    assert plots.png(figure).startswith(PNG_SIGNATURE)


def test_a_confusion_matrix_names_its_classes_and_counts() -> None:
    confusion = report(3).axes[0]
    assert [label.get_text() for label in confusion.get_yticklabels()] == ["class 0", "class 1", "class 2"]
    assert (confusion.get_xlabel(), confusion.get_ylabel()) == ("predicted", "true")
    assert "," in confusion.texts[0].get_text() or len(confusion.texts[0].get_text()) <= 3


@pytest.mark.parametrize("label", ["$5 - $10", "$^$", "a_b^c", "\\frac", "two\nlines", "", "_hidden"])
def test_any_class_name_is_drawn_as_it_is(label: str) -> None:
    figure = Figure()
    plots.draw_confusion(figure.subplots(), [label, "other"], np.eye(2, dtype=np.int64))
    assert plots.png(figure).startswith(PNG_SIGNATURE)
    assert not figure.axes[0].get_xticklabels()[0].get_parse_math()


@pytest.mark.parametrize("draw", [curves, report, plots.require_matplotlib])
def test_without_matplotlib_the_pip_command_is_told(
    monkeypatch: pytest.MonkeyPatch, draw: Callable[[], object]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    expected = r"drawing needs matplotlib, which is not installed; run: pip install 'fastlstm\[plot\]'"
    with pytest.raises(MissingDependencyError, match=expected) as caught:
        draw()
    assert isinstance(caught.value, ImportError)


def test_with_matplotlib_nothing_is_missing() -> None:
    plots.require_matplotlib()


def test_class_names_in_chinese_are_drawn_without_warnings() -> None:
    figure = plots.report(
        labels=["好评", "差评"],
        confusion=np.array([[3, 1], [0, 2]]),
        confidence=[0.7],
        accuracy=[0.8],
        texts=[6],
        calibration_error=0.1,
    )
    assert plots.png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("classes", [2, 21])
def test_class_balance_has_a_bar_for_each_class_and_part(classes: int) -> None:
    labels = [f"$class {k}" for k in range(classes)]
    figure = plots.class_balance(
        labels, {part: list(range(classes)) for part in ("training", "validation", "test")}
    )
    (axes,) = figure.axes
    assert len(axes.patches) == 3 * classes
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize(("limit", "lines"), [(3, 1), (14, 1), (500, 0)])
def test_a_limit_far_beyond_all_texts_is_not_drawn(limit: int, lines: int) -> None:
    figure = plots.text_lengths([1, 5, 2], 10, limit)
    (axes,) = figure.axes
    assert len(axes.lines) == lines
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("texts", [[0, 0, 5], [700, 20, 36_000], [1]])
def test_probabilities_of_labels_are_drawn(texts: list[int]) -> None:
    figure = plots.label_probabilities(texts)
    assert figure.axes[0].get_xlim() == (0, 1)
    assert plots.png(figure).startswith(PNG_SIGNATURE)


@pytest.mark.parametrize(
    ("higher_is_better", "best"), [(True, [0.5, 0.5, 0.8]), (False, [0.5, 0.2, 0.2])], ids=["accuracy", "loss"]
)
def test_a_search_s_best_so_far_never_gets_worse(higher_is_better: bool, best: list[float]) -> None:
    figure = plots.search_course({1: 0.5, 2: 0.2, 4: 0.8}, [3], name="it", higher_is_better=higher_is_better)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert np.array_equal(lines["best so far"].get_ydata(), best)
    assert np.array_equal(lines["given up"].get_xdata(), [3])


def test_a_search_of_many_trials_is_drawn_without_a_tick_for_each() -> None:
    assert len(course(5).axes[0].get_xticks()) == 4
    assert len(course(100).axes[0].get_xticks()) < 20


def test_the_option_that_mattered_most_is_on_top() -> None:
    names = [label.get_text() for label in importances().axes[0].get_yticklabels()]
    assert names == ["epochs", "dropout", "learning-rate"]
