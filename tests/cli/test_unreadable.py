"""Bundled models have a note about texts in other languages; for Chinese it names the model that reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.command_line import Command

from fastlstm.cli.predict import MAX_NOTED
from fastlstm.cli.stream import STEP
from fastlstm.pretrained import CHINESE_CLASSIFIER, DEFAULT_CLASSIFIER

REMEDY = f"--model {CHINESE_CLASSIFIER}"
TEXT = "这部电影不错"


@pytest.mark.parametrize("name", ["predict", "explain"])
def test_chinese_text_without_a_model_has_one_note_and_no_label(command: Command, name: str) -> None:
    result = command(name, TEXT, "--json")
    assert (result.status, len(result.err.splitlines())) == (0, 1)
    assert REMEDY in result.err
    prediction = result.json["predictions"][0] if name == "predict" else result.json
    assert (prediction["label"], prediction["known"]) == (None, 0)
    assert command(name, TEXT).out.split()[0] == "-"


def test_chinese_stream_without_a_model_has_one_note_and_no_label(command: Command) -> None:
    result = command("stream", "--json", stdin=TEXT.encode())
    assert (result.status, len(result.err.splitlines())) == (0, 1)
    assert REMEDY in result.err
    assert result.json["changes"][-1]["label"] is None


def test_known_punctuation_gives_a_label_and_the_note(command: Command) -> None:
    result = command("predict", f"{TEXT}!", "--json")
    assert result.json["predictions"][0]["label"] is not None
    assert REMEDY in result.err


@pytest.mark.parametrize(
    "text", ["A wonderful film.", "The title 霸王别姬 is Chinese, the review is not", "とても良い映画", "12345"]
)
def test_other_texts_have_no_such_note(command: Command, text: str) -> None:
    assert REMEDY not in command("predict", text).err


def test_a_given_model_has_no_such_note(command: Command, trained: Path) -> None:
    assert REMEDY not in command("predict", TEXT, "-m", trained).err


def test_the_english_model_has_the_note_when_it_is_named(command: Command) -> None:
    assert REMEDY in command("predict", TEXT, "-m", DEFAULT_CLASSIFIER).err


def test_many_chinese_lines_are_counted_at_the_end(command: Command) -> None:
    *notes, total = command("predict", "-", stdin=f"{TEXT}\n".encode() * 20).err.splitlines()
    assert len(notes) == MAX_NOTED
    assert "20 of 20 lines" in total
    assert REMEDY in total


def test_a_stream_is_cut_after_8_words_or_chinese_characters() -> None:
    assert STEP.findall("这部电影不错但是我不喜欢") == ["这部电影不错但是", "我不喜欢"]
    assert STEP.findall("one two 这部电影 three four five\n") == ["one two 这部电影 three four ", "five\n"]


@pytest.mark.parametrize(("text", "label"), [(TEXT, "positive"), ("房间很脏,服务也很差", "negative")])
def test_the_chinese_model_labels_chinese_texts(command: Command, text: str, label: str) -> None:
    result = command("predict", "-m", CHINESE_CLASSIFIER, text)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"{label}\t")


@pytest.mark.parametrize("text", ["This is a great phone", "これは素晴らしい映画です", "정말 좋은 영화"])
def test_the_chinese_model_has_a_note_about_other_languages(command: Command, text: str) -> None:
    result = command("predict", "-m", CHINESE_CLASSIFIER, text)
    assert (result.status, len(result.err.splitlines())) == (0, 1)


@pytest.mark.parametrize("text", ["iPhone很好", "好の电影"])
def test_the_chinese_model_has_no_note_about_mixed_texts(command: Command, text: str) -> None:
    assert command("predict", "-m", CHINESE_CLASSIFIER, text).err == ""


@pytest.mark.parametrize(
    "text", ["Der Film war furchtbar, ich will mein Geld zurück.", "Фильм не был интересным, very boring"]
)
def test_a_text_of_many_unknown_words_has_a_note(command: Command, trained: Path, text: str) -> None:
    for name in ("predict", "explain"):
        result = command(name, text)
        assert (result.status, len(result.err.splitlines())) == (0, 1)
    assert len(command("stream", stdin=text.encode()).err.splitlines()) == 1
    assert command("predict", f"{text} good film", "-m", trained).err == ""


@pytest.mark.parametrize(
    "text", ["Gremblo wuzzits", "Absolutely loved it, Grzegorz Brzęczyszczykiewicz is a genius."]
)
def test_few_unknown_words_have_no_note(command: Command, text: str) -> None:
    assert "reads English only" not in command("predict", text).err
