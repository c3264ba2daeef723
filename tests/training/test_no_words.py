"""Texts without any word are reported as such, wherever a vocabulary is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import fastlstm
from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.training.linear import baseline_report

BREAKS = Dataset(["<br />", "<br /><br />"] * 20, ["good", "bad"] * 20, "breaks.csv")
CALLS: dict[str, Callable[[Path], object]] = {
    "train": lambda out: fastlstm.train(BREAKS, out),
    "train with a budget": lambda out: fastlstm.train(BREAKS, out, budget=5),
    "estimator": lambda _: fastlstm.LSTMClassifier().fit(BREAKS.texts, BREAKS.labels),
    "language model": lambda out: fastlstm.train_language_model(BREAKS.texts, out),
    "check": lambda _: fastlstm.check(BREAKS),
    "baseline": lambda _: baseline_report(BREAKS, BREAKS, ("good", "bad")),
}


@pytest.mark.parametrize("name", CALLS)
def test_texts_without_words_raise_data_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        CALLS[name](tmp_path / "model")
    assert raised.value.code == "no-words"
    assert list(tmp_path.iterdir()) == []
