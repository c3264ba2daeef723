"""`fastlstm import`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Command

torch = pytest.importorskip("torch")
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
        ((net, "--vocabulary", words, "--labels", "a,b,c"), "expected 2 names"),
        ((net, "--vocabulary", words, "--labels", "a,a"), "expected 2 names"),
        ((net, "--vocabulary", words, "--unknown", "nix"), "'nix' is no word"),
        ((net, "--vocabulary", words, "--padding", "front"), "give --max-tokens"),
        ((net, "--vocabulary", words, "--pooling", "concat"), "choose another --pooling"),
        ((files / "none.pt", "--vocabulary", words), "does not exist"),
    ):
        refused = command("import", *arguments, "--out", files / "model")
        assert (refused.status, refused.err.count("\n")) == (2, 1), refused.err
        assert why in refused.err
        assert not (files / "model").exists()
