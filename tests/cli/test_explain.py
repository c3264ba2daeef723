"""`fastlstm explain`: colored text, tables, JSON and plots of gates."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.command_line import Command

TEXT = "a great film, with a superb story. not [bold]dull[/bold] <br />at all"


def test_output_has_the_prediction_the_text_and_both_tables(command: Command, trained: Path) -> None:
    result = command("explain", TEXT, "--model", trained)
    assert result.status == 0
    assert "15 of 20 tokens" in result.err
    first, text, *_ = result.out.splitlines()
    assert first.startswith("good ")
    assert text == TEXT
    for cell in ("token", "attribution", "good after it", "superb", "clause", "a great film,"):
        assert cell in result.out
    assert "\x1b" not in result.out
    assert "n-grams" not in result.out  # the model has none


def test_contributions_of_ngrams_are_shown_for_gradients(command: Command) -> None:
    gradients = command("explain", "Not bad at all, and the ending is superb.").out
    assert "LSTM" in gradients
    assert "n-grams" in gradients
    occlusion = command("explain", "Not bad at all.", "--method", "occlusion").out
    assert "n-grams" not in occlusion
    assert "baseline" in gradients.splitlines()[0]
    assert "baseline" not in occlusion.splitlines()[0]


def test_label_and_method_options(command: Command, trained: Path) -> None:
    good, bad = (
        command("explain", TEXT, "-m", trained, "--json", "--label", label).json for label in ("good", "bad")
    )
    assert bad["logit"] == -good["logit"]
    assert [-token["attribution"] for token in bad["tokens"]] == [token["attribution"] for token in good["tokens"]]
    occlusion = command("explain", TEXT, "-m", trained, "--json", "--method", "occlusion").json
    assert occlusion["method"] == "occlusion"
    assert [token["token"] for token in occlusion["tokens"]] == [token["token"] for token in good["tokens"]]


def test_json_contains_the_probability_after_each_token(command: Command, trained: Path) -> None:
    explanation = command("explain", TEXT, "-m", trained, "--json").json
    last = explanation["tokens"][-1]
    assert last["probability"] == explanation["probability"] == explanation["probabilities"]["good"]
    assert explanation["text"][last["start"] : last["end"]] == last["token"] == "all"
    total = explanation["baseline_logit"] + sum(token["attribution"] for token in explanation["tokens"])
    assert total == pytest.approx(explanation["logit"], abs=explanation["error"] + 1e-5)
    for token in explanation["tokens"]:
        assert token["lstm"] + token["ngrams"] == pytest.approx(token["attribution"])
        assert token["used"]
    assert explanation["clauses"][0]["text"] == "a great film,"


def test_standard_input_is_one_text(command: Command, trained: Path) -> None:
    stdin = "\ufeffa great\nfilm, schön".encode()
    explanation = command("explain", "-", "-m", trained, "--json", stdin=stdin).json
    assert [token["token"] for token in explanation["tokens"]] == ["a", "great", "film", ",", "schön"]


def test_standard_input_that_is_not_utf8_is_an_error(command: Command, trained: Path) -> None:
    result = command("explain", "-", "-m", trained, stdin=b"\xff\xfe")
    assert (result.status, result.code) == (2, "not-utf8")
    assert "byte 0" in result.err


def test_plot_writes_the_gates(command: Command, trained: Path, tmp_path: Path) -> None:
    result = command("explain", TEXT, "-m", trained, "--plot", tmp_path / "gates.png")
    assert result.status == 0
    assert str(tmp_path / "gates.png") in result.err
    assert (tmp_path / "gates.png").read_bytes().startswith(b"\x89PNG")


def test_plot_of_an_unknown_layer_is_rejected(command: Command, trained: Path, tmp_path: Path) -> None:
    result = command("explain", TEXT, "-m", trained, "--plot", tmp_path / "gates.png", "--layer", "7")
    assert (result.status, result.code) == (2, "bad-option-value")
    assert not (tmp_path / "gates.png").exists()


def test_plot_to_a_missing_folder_is_a_write_error(command: Command, trained: Path, tmp_path: Path) -> None:
    result = command("explain", TEXT, "-m", trained, "--plot", tmp_path / "missing" / "gates.png")
    assert (result.status, result.code) == (1, "write-failed")


def test_a_note_counts_the_tokens_that_the_lstm_does_not_read(command: Command, trained: Path) -> None:
    result = command("explain", "great " * 600, "-m", trained)
    assert result.status == 0
    assert "has 600 tokens" in result.err
    assert "100 of them" in result.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--label", "goood"], "bad-option-value"),
        (["--method", "lime"], "usage"),
    ],
)
def test_unknown_labels_and_methods_are_rejected(
    command: Command, trained: Path, arguments: list[str], code: str
) -> None:
    result = command("explain", "x", "-m", trained, *arguments)
    assert (result.status, result.code) == (2, code)
    assert arguments[1] in result.err


def test_a_language_model_is_rejected(command: Command) -> None:
    result = command("explain", "x", "--model", "english")
    assert (result.status, result.code) == (2, "wrong-model-kind")
