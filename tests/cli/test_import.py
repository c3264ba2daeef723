"""`fastlstm import`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.cli.conftest import Command

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WORDS = ["[UNK]", "good", "bad", "film"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A state dict, net.pt, and its words, words.txt."""
    torch.manual_seed(2)
    parts = {"embedding": torch.nn.Embedding(4, 3), "lstm": torch.nn.LSTM(3, 5), "linear": torch.nn.Linear(5, 1)}
    torch.save(torch.nn.ModuleDict(parts).state_dict(), tmp_path / "net.pt")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    return tmp_path


def test_a_state_dict_becomes_a_model_that_predicts(command: Command, files: Path) -> None:
    done = command(
        "import",
        files / "net.pt",
        "--vocabulary",
        files / "words.txt",
        "--out",
        files / "model",
        "--labels",
        "no, yes",
    )
    assert done.status == 0
    assert "from PyTorch, 201 weights, 5 words of 4 rows, cut as fastlstm; reads 500 tokens" in done.out
    answer = command("predict", "--model", files / "model", "--json", "A good film")
    assert set(json.loads(answer.out)["predictions"][0]["probabilities"]) == {"no", "yes"}
    again = ("import", files / "net.pt", "--vocabulary", files / "words.txt", "--out", files / "model")
    assert command(*again).status == 2
    told = json.loads(command(*again, "--overwrite", "--json").out)
    assert (told["from"], told["labels"], told["vocabulary"]) == ("PyTorch", ["0", "1"], 5)
    assert "imported from PyTorch" in (files / "model" / "README.md").read_text()


def test_what_is_missing_or_wrong_is_said(command: Command, files: Path) -> None:
    net, words = files / "net.pt", files / "words.txt"
    for arguments, why in (
        ((net,), "give --vocabulary"),
        ((words, "--vocabulary", words), "ends in .txt; expected .keras, .h5"),
        ((net, "--vocabulary", words, "--labels", "a,b,c"), "expected 2 different names"),
        ((net, "--vocabulary", words, "--labels", "a,a"), "expected 2 different names"),
        ((net, "--vocabulary", words, "--unknown", "nix"), "'nix' is no word"),
        ((net, "--vocabulary", words, "--padding", "front"), "give --max-tokens"),
        ((net, "--vocabulary", words, "--pooling", "concat"), "choose another --pooling"),
        ((files / "none.pt", "--vocabulary", words), "does not exist"),
    ):
        refused = command("import", *arguments, "--out", files / "model")
        assert (refused.status, refused.err.count("\n")) == (2, 1), refused.err
        assert why in refused.err
        assert not (files / "model").exists()


@pytest.fixture
def padded(command: Command, files: Path) -> Path:
    """A model that reads padding before its texts."""
    done = command(
        "import", files / "net.pt", "--vocabulary", files / "words.txt", "--padding", "front", "--max-tokens", "12",
        "--out", files / "padded",
    )  # fmt: skip
    assert done.status == 0
    return files / "padded"


def test_what_reads_padding_says_so_wherever_it_counts(command: Command, padded: Path) -> None:
    shown = command("explain", "A good, good film", "--model", padded)
    assert "[PAD] x 7" in shown.out
    assert "by n-grams" not in shown.out
    told = command("info", "--model", padded).out
    assert "imported from" in told
    assert "read at the front, up to 12 tokens" in told
    pytest.importorskip("onnx")
    written = command("export", "--model", padded, "--out", padded.parent / "m.onnx")
    assert "fill ids with 0 at the front up to 12" in written.err
    refused = command("export", "--model", padded, "--out", padded.parent / "s.onnx", "--states")
    assert (refused.status, "reads padding" in refused.err) == (2, True)


def test_an_exported_model_says_how_its_texts_are_read(command: Command, padded: Path) -> None:
    onnx = pytest.importorskip("onnx")
    command("export", "--model", padded, "--out", padded.parent / "m.onnx")
    told = {entry.key: entry.value for entry in onnx.load(padded.parent / "m.onnx").metadata_props}
    assert (told["max_tokens"], told["truncate"], told["padding"]) == ("12", "end", "front")
    assert json.loads(told["tokenizer"])["model"]["vocab"]["good"] == 2


def test_rows_without_a_word_and_a_list_of_text_vectorization_are_told(command: Command, files: Path) -> None:
    (files / "few.txt").write_text("[UNK]\ngood")
    told = command("import", files / "net.pt", "--vocabulary", files / "few.txt", "--out", files / "few")
    assert "rows have no word: is it the vocabulary of this model?" in told.err


def test_a_keras_model_and_its_words(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    made = keras.Sequential(
        [keras.Input((9,)), layers.Embedding(5, 3), layers.LSTM(4), layers.Dense(1, activation="sigmoid")]
    )
    made.save(tmp_path / "m.keras")
    (tmp_path / "words.json").write_text(json.dumps(["", "[UNK]", "good", "dont", "film"]))
    done = command(
        "import", tmp_path / "m.keras", "--vocabulary", tmp_path / "words.json", "--out", tmp_path / "m", "--json"
    )
    # A list that begins so is TextVectorization's: its words, its padding, its cutting.
    assert {name: done.json[name] for name in ("words", "padding", "truncate", "max_tokens", "rows")} == {
        "words": "vectorization", "padding": "back", "truncate": "beginning", "max_tokens": 9, "rows": 5,
    }  # fmt: skip
    made.save_weights(tmp_path / "w.weights.h5")
    refused = command("import", tmp_path / "w.weights.h5", "--vocabulary", tmp_path / "words.json", "--out", "x")
    assert (refused.status, "holds weights alone" in refused.err) == (2, True)
