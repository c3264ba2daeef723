"""`fastlstm import`, and how the other commands treat imported models."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.command_line import Command

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
# Raised by Keras on PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WORDS = ["[UNK]", "good", "bad", "film"]


@pytest.fixture
def state_dict(tmp_path: Path) -> Path:
    """A state dict with one LSTM layer; its vocabulary, words.txt, is in the same folder."""
    torch.manual_seed(2)
    parts = {"embedding": torch.nn.Embedding(4, 3), "lstm": torch.nn.LSTM(3, 5), "linear": torch.nn.Linear(5, 1)}
    torch.save(torch.nn.ModuleDict(parts).state_dict(), tmp_path / "net.pt")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    return tmp_path / "net.pt"


@pytest.fixture
def vocabulary(state_dict: Path) -> Path:
    return state_dict.parent / "words.txt"


def test_imported_state_dict_predicts(command: Command, state_dict: Path, vocabulary: Path, tmp_path: Path) -> None:
    result = command(
        "import", state_dict, "--vocabulary", vocabulary, "--out", tmp_path / "model", "--labels", "no, yes"
    )
    assert result.status == 0
    for figure in ("PyTorch", "201 weights", "5 words for 4 embedding rows", "all tokens"):
        assert figure in result.out
    prediction = command("predict", "--model", tmp_path / "model", "--json", "A good film")
    assert set(prediction.json["predictions"][0]["probabilities"]) == {"no", "yes"}
    assert "imported from PyTorch" in (tmp_path / "model" / "README.md").read_text()


def test_json_describes_the_imported_model(
    command: Command, state_dict: Path, vocabulary: Path, tmp_path: Path
) -> None:
    result = command("import", state_dict, "--vocabulary", vocabulary, "--out", tmp_path / "model", "--json")
    assert result.json == {
        "out": str(tmp_path / "model"), "from": "PyTorch", "labels": ["0", "1"], "vocabulary": 5, "rows": 4,
        "words": 3, "words_found": 3, "weights": 201, "max_tokens": None, "truncate": "end", "padding": "none",
        "unknown_words": "keep", "tokenization": "fastlstm", "check": None, "notes": [],
    }  # fmt: skip


def test_existing_model_is_replaced_only_with_overwrite(
    command: Command, state_dict: Path, vocabulary: Path, tmp_path: Path
) -> None:
    arguments = ("import", state_dict, "--vocabulary", vocabulary, "--out", tmp_path / "model")
    assert command(*arguments).status == 0
    result = command(*arguments)
    assert (result.status, result.code) == (2, "output-exists")
    assert command(*arguments, "--overwrite").status == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), "missing-vocabulary"),
        (("--vocabulary", "words.txt", "--labels", "a,b,c"), "bad-labels"),
        (("--vocabulary", "words.txt", "--labels", "a,a"), "bad-labels"),
        (("--vocabulary", "words.txt", "--unknown", "nix"), "unknown-word-not-found"),
        (("--vocabulary", "words.txt", "--padding", "front"), "missing-max-tokens"),
        (("--vocabulary", "words.txt", "--pooling", "concat"), "pooling-mismatch"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(
    command: Command,
    state_dict: Path,
    options: tuple[str, ...],
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("import", state_dict, *options, "--out", tmp_path / "model")
    assert (result.status, result.code, result.err.count("\n")) == (2, code, 1)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("name", "code"), [("words.txt", "unknown-format"), ("missing.pt", "usage")])
def test_wrong_files_are_one_line_and_status_2(
    command: Command, vocabulary: Path, name: str, code: str, tmp_path: Path
) -> None:
    result = command("import", tmp_path / name, "--vocabulary", vocabulary, "--out", tmp_path / "model")
    assert (result.status, result.code, result.err.count("\n")) == (2, code, 1)
    assert not (tmp_path / "model").exists()


@pytest.fixture
def padded_model(command: Command, state_dict: Path, vocabulary: Path, tmp_path: Path) -> Path:
    """A model that reads padding before its texts."""
    result = command(
        "import", state_dict, "--vocabulary", vocabulary, "--padding", "front", "--max-tokens", "12",
        "--out", tmp_path / "padded",
    )  # fmt: skip
    assert result.status == 0
    return tmp_path / "padded"


def test_explain_shows_padding_that_the_model_reads(command: Command, padded_model: Path) -> None:
    result = command("explain", "A good, good film", "--model", padded_model)
    assert "[PAD] x 7" in result.out
    assert "n-gram" not in result.out


def test_info_describes_origin_and_padding(command: Command, padded_model: Path) -> None:
    result = command("info", "--model", padded_model)
    assert "PyTorch" in result.out
    assert "12 tokens" in result.out


def test_export_of_states_is_rejected_for_models_that_read_padding(command: Command, padded_model: Path) -> None:
    pytest.importorskip("onnx")
    result = command("export", "--model", padded_model, "--out", padded_model.parent / "s.onnx", "--states")
    assert (result.status, result.code) == (2, "unsupported-states")


def test_exported_metadata_describe_tokenization_and_padding(command: Command, padded_model: Path) -> None:
    onnx = pytest.importorskip("onnx")
    command("export", "--model", padded_model, "--out", padded_model.parent / "m.onnx")
    metadata = {entry.key: entry.value for entry in onnx.load(padded_model.parent / "m.onnx").metadata_props}
    assert (metadata["max_tokens"], metadata["truncate"], metadata["padding"]) == ("12", "end", "front")
    assert json.loads(metadata["tokenizer"])["model"]["vocab"]["good"] == 2


def test_embedding_rows_without_a_word_are_noted(command: Command, state_dict: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("[UNK]\ngood")
    result = command("import", state_dict, "--vocabulary", tmp_path / "few.txt", "--out", tmp_path / "few")
    assert result.status == 0
    assert "1 embedding rows" in result.err


@pytest.fixture
def keras_model() -> Any:
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((9,)), layers.Embedding(5, 3), layers.LSTM(4), layers.Dense(1, activation="sigmoid")]
    )


def test_keras_model_with_a_text_vectorization_vocabulary_uses_its_conventions(
    command: Command, keras_model: Any, tmp_path: Path
) -> None:
    keras_model.save(tmp_path / "m.keras")
    (tmp_path / "words.json").write_text(json.dumps(["", "[UNK]", "good", "dont", "film"]))
    result = command(
        "import", tmp_path / "m.keras", "--vocabulary", tmp_path / "words.json", "--out", tmp_path / "m", "--json"
    )
    assert {name: result.json[name] for name in ("tokenization", "padding", "truncate", "max_tokens", "rows")} == {
        "tokenization": "vectorization", "padding": "back", "truncate": "beginning", "max_tokens": 9, "rows": 5,
    }  # fmt: skip


def test_pooling_of_a_keras_model_is_rejected(command: Command, keras_model: Any, tmp_path: Path) -> None:
    keras_model.save(tmp_path / "m.keras")
    result = command("import", tmp_path / "m.keras", "--pooling", "max", "--out", tmp_path / "m")
    assert (result.status, result.code) == (2, "conflicting-options")


def test_keras_weights_without_layers_are_rejected(command: Command, keras_model: Any, tmp_path: Path) -> None:
    keras_model.save_weights(tmp_path / "w.weights.h5")
    result = command("import", tmp_path / "w.weights.h5", "--out", tmp_path / "m")
    assert (result.status, result.code) == (2, "weights-only")


def test_tokenizer_of_keras_is_read_with_its_rule(command: Command, keras_model: Any, tmp_path: Path) -> None:
    keras_model.save(tmp_path / "m.keras")
    config = {"num_words": 4, "filters": ".", "lower": True, "split": " ", "char_level": False, "oov_token": None,
              "word_index": json.dumps({"good": 1, "bad": 2, "film": 3, "rare": 4})}  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps({"class_name": "Tokenizer", "config": config}))
    arguments = ("import", tmp_path / "m.keras", "--vocabulary", tmp_path / "t.json", "--out", tmp_path / "m")
    result = command(*arguments, "--json")
    values = {name: result.json[name] for name in ("tokenization", "unknown_words", "words", "words_found")}
    assert values == {"tokenization": "model", "unknown_words": "drop", "words": 3, "words_found": 3}
    prediction = command("predict", "--model", tmp_path / "m", "--json", "A good film.", "good film")
    first, second = (entry["probabilities"] for entry in prediction.json["predictions"])
    assert first == second
    refused = command(*arguments, "--overwrite", "--tokenization", "spaces")
    assert (refused.status, refused.code) == (2, "conflicting-options")


def test_words_that_the_tokenization_never_finds_are_noted_with_a_better_rule(
    command: Command, state_dict: Path, tmp_path: Path
) -> None:
    (tmp_path / "cased.txt").write_text("[UNK]\nGood\ndon't\nfilm")
    result = command(
        "import", state_dict, "--vocabulary", tmp_path / "cased.txt", "--out", tmp_path / "m", "--json"
    )
    assert (result.json["words"], result.json["words_found"], len(result.json["notes"])) == (3, 1, 1)
    assert "spaces" in result.json["notes"][0]


def test_import_verifies_itself_against_a_sample(
    command: Command, state_dict: Path, vocabulary: Path, tmp_path: Path
) -> None:
    arguments = ("import", state_dict, "--vocabulary", vocabulary, "--labels", "no,yes")
    assert command(*arguments, "--out", tmp_path / "m").status == 0
    entries = command("predict", "--model", tmp_path / "m", "--json", "good film", "bad", "bad film")
    rows = [{"text": entry["text"], **entry["probabilities"]} for entry in entries.json["predictions"]]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = command(*arguments, "--out", tmp_path / "n", "--check", tmp_path / "s.jsonl", "--json")
    assert result.json["check"]["texts"] == 3
    assert result.json["check"]["max_difference"] < 1e-5
    rows[1]["yes"] += 0.01
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = command(*arguments, "--out", tmp_path / "o", "--check", tmp_path / "s.jsonl")
    assert (result.status, result.code) == (2, "check-failed")
    assert "bad" in result.err
    assert not (tmp_path / "o").exists()
    result = command(*arguments, "--out", tmp_path / "o", "--check", tmp_path / "s.jsonl", "--tolerance", "0.02")
    assert result.status == 0


@pytest.mark.parametrize("options", [("--padding", "front"), ("--truncate", "end"), ("--max-tokens", "3")])
def test_options_that_contradict_the_text_vectorization_of_the_model_are_rejected(
    command: Command, keras_model: Any, tmp_path: Path, options: tuple[str, str]
) -> None:
    keras_model.save(tmp_path / "m.keras")
    vectorization = {
        "name": "text", "standardize": "lower", "split": "whitespace", "output_mode": "int", "ngrams": None,
        "output_sequence_length": 9, "vocabulary": ["good", "film"],
    }  # fmt: skip
    with zipfile.ZipFile(tmp_path / "m.keras") as source, zipfile.ZipFile(tmp_path / "n.keras", "w") as target:
        config = json.loads(source.read("config.json"))
        config["config"]["layers"][0]["config"].update(batch_shape=[None, 1], dtype="string")
        config["config"]["layers"].insert(1, {"class_name": "TextVectorization", "config": vectorization})
        target.writestr("config.json", json.dumps(config))
        target.writestr("model.weights.h5", source.read("model.weights.h5"))
    result = command("import", tmp_path / "n.keras", "--out", tmp_path / "m", *options)
    assert (result.status, result.code) == (2, "conflicting-options")
    result = command("import", tmp_path / "n.keras", "--out", tmp_path / "m", "--json")
    assert (result.json["max_tokens"], result.json["tokenization"]) == (9, "vectorization-lower")
