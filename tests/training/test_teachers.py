"""Teachers of other libraries: what they may return, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training.teacher_import import find_teacher
from fastlstm.training.teachers import ExternalTeacher, PyTorchTeacher

TEXTS = ["a good film", "a bad film"]
EXPECTED = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)


def pipeline(texts: list[str]) -> list[list[dict[str, Any]]]:
    """Return what a pipeline of Hugging Face returns: the most probable class first."""
    scores = {TEXTS[0]: 0.75, TEXTS[1]: 0.5}
    rows = [{"positive": scores.get(text, 0.5), "negative": 1 - scores.get(text, 0.5)} for text in texts]
    return [[{"label": name, "score": score} for name, score in row.items()] for row in rows]


@pytest.mark.parametrize(
    "output",
    [
        EXPECTED,
        EXPECTED.tolist(),
        torch.from_numpy(EXPECTED).requires_grad_(),
        np.array([0.75, 0.5]),
        np.array([[0.75], [0.5]]),
        [{"positive": 0.75, "negative": 0.25}, {"negative": 0.5, "positive": 0.5}],
        [torch.tensor(row, requires_grad=True) for row in EXPECTED.tolist()],
        iter(EXPECTED),
        pandas.DataFrame(EXPECTED),
        pandas.DataFrame(EXPECTED[:, ::-1], columns=["positive", "negative"]),
        polars.DataFrame({"positive": EXPECTED[:, 1], "negative": EXPECTED[:, 0]}),
        pandas.Series([0.75, 0.5]),
    ],
)
def test_arrays_and_mappings_are_probabilities(output: Any) -> None:
    teacher = ExternalTeacher(lambda _: output, ("negative", "positive"))
    probabilities = teacher.predict_proba(TEXTS)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, EXPECTED)


def test_values_that_rounding_made_negative_are_zero() -> None:
    teacher = ExternalTeacher(lambda _: [[1.00000001, -1e-8], [0.5, 0.5]], ("negative", "positive"))
    np.testing.assert_array_equal(teacher.predict_proba(TEXTS), [[1, 0], [0.5, 0.5]])
    teacher = ExternalTeacher(lambda _: np.array([1.0000001, 0.5]), ("negative", "positive"))
    np.testing.assert_array_equal(teacher.predict_proba(TEXTS), [[0, 1], [0.5, 0.5]])


def test_a_generator_that_raises_is_a_failed_teacher() -> None:
    def rows(texts: list[str]) -> Iterator[list[float]]:
        yield [0.3, 0.7]
        raise ValueError(texts)

    with pytest.raises(DataError) as raised:
        ExternalTeacher(rows, ("negative", "positive")).predict_proba(TEXTS)
    assert raised.value.code == "teacher-failed"


def test_a_teacher_may_change_its_list() -> None:
    def consume(texts: list[str]) -> list[list[float]]:
        return [[0.5, 0.5] for _ in range(len(texts)) if texts.pop()]

    texts = list(TEXTS)
    assert ExternalTeacher(consume, ("negative", "positive")).predict_proba(texts).shape == (len(TEXTS), 2)
    assert texts == list(TEXTS)


def test_a_teacher_that_exits_has_failed() -> None:
    with pytest.raises(DataError) as raised:
        ExternalTeacher(lambda _: sys.exit(), ("negative", "positive")).predict_proba(TEXTS)
    assert raised.value.code == "teacher-failed"


def test_a_teacher_without_a_row_for_a_text_has_no_classes() -> None:
    with pytest.raises(DataError) as raised:
        _ = ExternalTeacher(lambda texts: pipeline(texts)[:-1]).labels
    assert raised.value.code == "bad-teacher-output"


def test_a_pipeline_names_its_classes() -> None:
    teacher = ExternalTeacher(pipeline)
    assert teacher.labels == ("positive", "negative")
    np.testing.assert_allclose(teacher.predict_proba(TEXTS), EXPECTED[:, ::-1])


def test_a_pipeline_of_scikit_learn_is_a_teacher() -> None:
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0])
    teacher = ExternalTeacher(model)
    assert teacher.labels == ("0", "1")
    np.testing.assert_allclose(teacher.predict_proba(TEXTS), model.predict_proba(TEXTS), rtol=1e-6)


def test_names_of_the_model_are_mapped_to_class_names() -> None:
    names = {"LABEL_0": "negative", "LABEL_1": "positive"}

    def rows(texts: list[str]) -> list[dict[str, float]]:
        return [{"LABEL_1": 0.75, "LABEL_0": 0.25} for _ in texts]

    teacher = ExternalTeacher(rows, names)
    assert teacher.labels == ("positive", "negative")
    np.testing.assert_allclose(teacher.predict_proba(TEXTS), [[0.75, 0.25]] * 2)
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0])
    assert ExternalTeacher(model, {"0": "bad", "1": "good"}).labels == ("bad", "good")
    assert ExternalTeacher(model, {0: 5, 1: 7}).labels == ("5", "7")


@pytest.mark.parametrize(
    "row", [{"label": "positive", "score": 0.75}, [{"label": "positive", "score": 0.75}]], ids=["top_k=1", "list"]
)
def test_a_pipeline_that_returns_one_label_is_refused(row: Any) -> None:
    with pytest.raises(DataError) as raised:
        ExternalTeacher(lambda texts: [row] * len(texts)).predict_proba(TEXTS)
    assert raised.value.code == "bad-teacher-output"


@pytest.mark.parametrize(
    "output",
    [
        [[0.5, 0.4], [0.5, 0.5]],
        [[1.5, -0.5], [0.5, 0.5]],
        [[np.nan, 0.5], [0.5, 0.5]],
        [[0.5, 0.5]],
        [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]],
        [{"negative": 1.0}, {"negative": 1.0}],
        [{"negative": "much", "positive": 0.5}] * 2,
        np.full((2, 2, 2), 0.5),
        ["good", "bad"],
        "ab",
        {0: [0.1, 0.1], 1: [0.9, 0.9]},
        None,
        0.5,
    ],
)
def test_other_output_raises_data_error(output: Any) -> None:
    with pytest.raises(DataError) as raised:
        ExternalTeacher(lambda _: output, ("negative", "positive")).predict_proba(TEXTS)
    assert raised.value.code == "bad-teacher-output"


def test_an_array_without_class_names_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        ExternalTeacher(lambda texts: EXPECTED[: len(texts)]).predict_proba(TEXTS)
    assert raised.value.code == "teacher-labels-unknown"


def test_an_object_that_is_no_model_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        ExternalTeacher(3)
    assert (raised.value.code, raised.value.option) == ("bad-option-value", "teacher")


def test_teacher_in_pytorch_has_the_same_probabilities(tiny_model: SavedModel) -> None:
    texts = ["what a story", "the end", "good", "a film that is bad " * 30]
    probabilities = PyTorchTeacher(tiny_model, torch.device("cpu")).predict_proba(texts)
    np.testing.assert_allclose(probabilities, Classifier(tiny_model).predict_proba(texts), atol=1e-5)


def test_a_reference_names_an_object_of_a_file_or_module(tmp_path: Path) -> None:
    file = tmp_path / "teachers.py"
    lines = (
        "from __future__ import annotations", "from dataclasses import dataclass",
        "@dataclass", "class Scale:", "    x: int",
        "def score(texts):", "    return [[0.5, 0.5]] * len(texts)",
    )  # fmt: skip
    file.write_text("\n".join(lines))
    assert find_teacher(f"{file}:score")(["a"]) == [[0.5, 0.5]]
    assert find_teacher("math:sqrt")(9) == 3


@pytest.mark.parametrize(
    "reference", ["no_such_module:score", "math:no_such_name", "missing.py:score", "missing.py", ":score"]
)
def test_a_reference_to_nothing_raises_option_error(reference: str) -> None:
    with pytest.raises(OptionError) as raised:
        find_teacher(reference)
    assert (raised.value.code, raised.value.teacher) == ("bad-teacher", reference)
