"""Notes: codes, JSON, and when texts of unknown words are reported."""

from __future__ import annotations

from fastlstm.notes import MIN_KNOWN, Note, known_words_note, training_data_note


def test_note_has_a_json_form() -> None:
    assert Note("a text", "a-code").to_json() == {"code": "a-code", "text": "a text"}


def test_texts_of_mostly_unknown_words_have_a_note() -> None:
    assert known_words_note(MIN_KNOWN, "the model", "reviews.csv") is None
    note = known_words_note(0.031, "the encoder english", "reviews.csv")
    assert note is not None
    assert note.code == "few-known-words"
    for value in ("3.1%", "the encoder english", "reviews.csv"):
        assert value in note.text


def test_texts_with_the_name_of_the_training_data_have_a_note() -> None:
    record = {"data": {"train": "reviews.csv"}}
    note = training_data_note(record, "reviews.csv")
    assert note is not None
    assert note.code == "same-name-as-training-data"
    assert training_data_note(record, "others.csv") is None
    assert training_data_note({"data": {"train": "dataset"}}, "dataset") is None  # of texts in memory
    assert training_data_note({"data": "imported"}, "imported") is None
