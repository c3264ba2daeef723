"""Samples of texts and probabilities, against which an import verifies itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.random_models import MakeModel

from fastlstm.convert.sample import Sample, check_sample, read_sample
from fastlstm.errors import DataError
from fastlstm.inference import Classifier

LABELS = ("no", "yes")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("s.csv", 'text,no,yes\n"a, ""b""\nc",0.75,0.25\nd\x0be,1,0\n', [[0.75, 0.25], [1, 0]]),
        ("s.csv", 'score,review\n0.25,"a, ""b""\nc"\n0,d\x0be\n', [[np.nan, 0.25], [np.nan, 0]]),
        ("s.csv", '\ufefftext,yes\n"a, ""b""\nc",0.25\nd\x0be,0\n', [[np.nan, 0.25], [np.nan, 0]]),
        ("s.tsv", 'yes\ttext\n0.25\t"a, ""b""\nc"\n0\td\x0be\n', [[np.nan, 0.25], [np.nan, 0]]),
        (
            "s.jsonl",
            '{"text": "a, \\"b\\"\\nc", "probabilities": [0.75, 0.25]}\n\n{"text": "d\\u000be", "yes": 0}\n',
            [[0.75, 0.25], [np.nan, 0]],
        ),
        (
            "s.json",
            '[{"text": "a, \\"b\\"\\nc", "probabilities": {"yes": 0.25}}, {"text": "d\\u000be", "p": 0}]',
            [[np.nan, 0.25], [np.nan, 0]],
        ),
    ],
)
def test_samples_have_a_text_and_a_probability_per_label_or_one(
    tmp_path: Path, name: str, content: str, expected: list[list[float]]
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    sample = read_sample(tmp_path / name, LABELS)
    assert sample.texts == ['a, "b"\nc', "d\x0be"]
    np.testing.assert_array_equal(sample.probabilities, expected)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", ""),
        ("s.csv", "text,yes\n"),
        ("s.csv", "text,yes\na,0.5,1\n"),
        ("s.csv", "text,yes\na,1.5\n"),
        ("s.csv", "text,yes\na,nan\n"),
        ("s.csv", "text,p,q\na,0.5,0.5\n"),
        ("s.csv", "first,second,yes\na,b,0.5\n"),
        ("s.jsonl", "[1]"),
        ("s.jsonl", '{"text": 3, "yes": 0.5}'),
        ("s.jsonl", '{"text": "a", "probabilities": [0.5]}'),
        ("s.csv", b"\xff\xfe"),
    ],
)
def test_files_that_are_not_samples_raise_data_error(tmp_path: Path, name: str, content: str | bytes) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as raised:
        read_sample(tmp_path / name, LABELS)
    assert (raised.value.code, raised.value.path) == ("bad-sample", tmp_path / name)


def test_the_text_that_differs_most_is_named(make_model: MakeModel) -> None:
    classifier = Classifier(make_model())
    texts = ["a good film", "horrible", "not bad"]
    probabilities = classifier.predict_proba(texts).astype(np.float64)
    assert check_sample(classifier, Sample(texts, probabilities), 1e-6) < 1e-6
    probabilities[1] += [0.2, np.nan]
    probabilities[2] += 0.1
    with pytest.raises(DataError) as raised:
        check_sample(classifier, Sample(texts, probabilities), 0.05)
    assert (raised.value.code, raised.value.text, raised.value.count) == ("check-failed", "horrible", 2)
    assert raised.value.difference == pytest.approx(0.2, abs=1e-6)
