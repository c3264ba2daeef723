"""`fastlstm explain`: the coloured text, the tables, JSON and the drawn gates."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Command

TEXT = "a great film, with a superb story. not [bold]dull[/bold] <br />at all"


def test_the_answer_the_text_and_the_strongest_tokens_are_shown(command: Command, trained: Path) -> None:
    result = command("explain", TEXT, "--model", trained)
    assert result.status == 0
    assert "tokens that moved it the most; --json has all" in result.err
    first, text, *_ = result.out.splitlines()
    assert first.startswith("good ")
    assert text == TEXT.replace("<br />", " ")
    for words in (
        "token",
        "moved",
        "good after it",
        "superb",
        "clause",
        "a great film,",
    ):
        assert words in result.out
    assert "\x1b" not in result.out
    assert "by n-grams" not in result.out  # it has none


def test_a_model_with_n_grams_shows_what_is_theirs(command: Command) -> None:
    shown = command("explain", "Not bad at all, and the ending is superb.").out
    assert "by the LSTM" in shown
    assert "by n-grams" in shown
    left_out = command("explain", "Not bad at all.", "--method", "occlusion").out
    assert "by n-grams" not in left_out
    assert ", from" not in left_out.splitlines()[0]


def test_another_class_and_another_method(command: Command, trained: Path) -> None:
    good, bad = (
        command("explain", TEXT, "-m", trained, "--json", "--label", label).json for label in ("good", "bad")
    )
    assert bad["logit"] == -good["logit"]
    assert [-token["moved"] for token in bad["tokens"]] == [token["moved"] for token in good["tokens"]]
    without = command("explain", TEXT, "-m", trained, "--json", "--method", "occlusion").json
    assert without["method"] == "occlusion"
    assert [token["token"] for token in without["tokens"]] == [token["token"] for token in good["tokens"]]


def test_json_holds_the_probability_after_each_token(command: Command, trained: Path) -> None:
    found = command("explain", TEXT, "-m", trained, "--json").json
    last = found["tokens"][-1]
    assert last["probability"] == found["probability"] == found["probabilities"]["good"]
    assert found["text"][last["first"] : last["last"]] == last["token"] == "all"
    moved = sum(token["moved"] for token in found["tokens"])
    assert found["start"] + moved == pytest.approx(found["logit"], abs=found["error"] + 1e-5)


def test_standard_input_is_one_text(command: Command, trained: Path) -> None:
    found = command("explain", "-", "-m", trained, "--json", stdin="\ufeffa great\nfilm, schön".encode()).json
    assert [token["token"] for token in found["tokens"]] == ["a", "great", "film", ",", "schön"]
    refused = command("explain", "-", "-m", trained, stdin=b"\xff\xfe")
    assert refused.status == 2
    assert "standard input is not UTF-8 (byte 0)" in refused.err


def test_the_gates_are_drawn(command: Command, trained: Path, tmp_path: Path) -> None:
    result = command("explain", TEXT, "-m", trained, "--plot", tmp_path / "gates.png")
    assert result.status == 0
    assert "gates drawn in" in result.err
    assert (tmp_path / "gates.png").read_bytes().startswith(b"\x89PNG")
    refused = command("explain", TEXT, "-m", trained, "--plot", tmp_path / "other.png", "--layer", "7")
    assert refused.status == 2
    assert "layer is 7; the model has 1" in refused.err
    assert not (tmp_path / "other.png").exists()
    refused = command("explain", TEXT, "-m", trained, "--plot", tmp_path / "none" / "x.png")
    assert refused.status == 1
    assert "can't write" in refused.err


def test_what_is_not_read_of_a_long_text_is_told(command: Command, trained: Path) -> None:
    result = command("explain", "great " * 600, "-m", trained)
    assert result.status == 0
    assert "the text has 600 tokens; the LSTM does not read 100 of them" in result.err


def test_what_is_wrong_is_said(command: Command, trained: Path) -> None:
    assert (
        "unknown label 'goood'; did you mean 'good'"
        in command("explain", "x", "-m", trained, "--label", "goood").err
    )
    assert command("explain", "x", "-m", trained, "--method", "lime").status == 2
    refused = command("explain", "x", "--model", "english")
    assert refused.status == 2
    assert "explain needs a classifier" in refused.err
