"""The baseline: as good as a bag of words can be, on any texts."""

from __future__ import annotations

import pytest

from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.training.linear import MIN_TEXTS_FOR_PRUNING, baseline_report


def test_it_learns_words_and_pairs_of_words_for_two_classes_and_more() -> None:
    for classes in ({"great": "good", "dull": "bad"}, {"great": "good", "dull": "bad", "plain": "so-so"}):
        texts = [f"{word} film number {i}" for i in range(9) for word in classes]
        records = Dataset(texts, [classes[text.split()[0]] for text in texts])
        report = baseline_report(records, records, tuple(records.class_names))
        assert report.accuracy == 1
        assert report.loss < 0.7
    pairs = Dataset(["not good", "good not", "not bad", "bad not"] * 5, ["0", "1", "1", "0"] * 5)
    assert baseline_report(pairs, pairs, ("0", "1")).accuracy == 1


def test_a_chinese_character_is_a_word() -> None:
    training = Dataset([f"这部电影很{word}看{end}" for word in "好坏" for end in "吧呢啊吗"], ["1"] * 4 + ["0"] * 4)
    test = Dataset(["我觉得很好玩", "我觉得很坏的"], ["1", "0"])
    assert baseline_report(training, test, ("0", "1")).accuracy == 1


def test_many_texts_without_a_common_word_are_no_fault() -> None:
    texts = [f"word{i}" for i in range(MIN_TEXTS_FOR_PRUNING)]
    records = Dataset(texts, ["0", "1"] * (MIN_TEXTS_FOR_PRUNING // 2))
    assert baseline_report(records, records, ("0", "1")).texts == MIN_TEXTS_FOR_PRUNING


def test_an_unknown_label_is_refused() -> None:
    records = Dataset(["a", "b"], ["0", "1"])
    with pytest.raises(DataError) as raised:
        baseline_report(records, Dataset(["a"], ["2"]), ("0", "1"))
    assert (raised.value.code, raised.value.label) == ("unknown-label", "2")
