"""`fastlstm train`: what it prints, what it saves, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tests.cli.conftest import SMALL, Command, reviews, write_csv

import fastlstm
from fastlstm.data.splits import load_splits
from fastlstm.errors import DataError
from fastlstm.kernel import KernelInfo
from fastlstm.serialization.classifier import read_classifier


def test_training_without_the_kernel_is_said(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.nn.runs.find_kernel", lambda: KernelInfo(None, "it was not built", None))
    result = command("train", data, "--out", tmp_path / "model", "--no-baseline", "--device", "cpu", *SMALL)
    assert result.status == 0
    assert "no compiled kernel, PyTorch trains, slower: it was not built; see fastlstm doctor" in result.err


def test_it_trains_measures_and_saves(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--max-tokens", "20")
    assert result.status == 0
    assert "bag of words" in result.out
    assert f"saved: {tmp_path / 'model'}" in result.out
    for words in ("in all", "training on 96 texts", "epoch 1/2", "validation loss", "tokens/s", "longer than 20"):
        assert words in result.err
    assert {file.name for file in (tmp_path / "model").iterdir()} == {
        "README.md", "config.json", "golden.json", "history.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip
    assert not list(tmp_path.glob("*.checkpoint"))
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history] == [1, 2]


def test_json_is_one_object_with_the_figures_at_the_top(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--json")
    assert 0 <= result.json["accuracy"] <= 1
    assert result.json["baseline"]["accuracy"] > 0.9
    assert [c["label"] for c in result.json["classes"]] == ["bad", "good"]
    assert len(result.json["history"]) == 2
    assert "which also chose the epoch" in result.json["measured_on"]


def test_own_test_data_is_what_the_figures_are_measured_on(command: Command, data: Path, tmp_path: Path) -> None:
    test = write_csv(tmp_path / "test.csv", reviews(30, seed=9))
    arguments = ["train", data, "--out", tmp_path / "model", *SMALL, "--json", "--no-baseline", "--test"]
    assert command(*arguments, test).json["measured_on"] == "test.csv"
    held_out = command(*arguments, "0.25", "--overwrite").json
    assert (held_out["texts"], held_out["measured_on"]) == (30, "a held-out 25% of the texts")
    assert held_out["baseline"] is None


def test_validation_data_can_be_given(command: Command, data: Path, tmp_path: Path) -> None:
    validation = write_csv(tmp_path / "validation.csv", reviews(20, seed=9))
    result = command(
        "train", data, "--out", tmp_path / "model", *SMALL, "--validation", validation, "--no-baseline"
    )
    assert "training on 120 texts (cpu), choosing the epoch on 20" in result.err


def test_texts_that_stand_in_both_parts_are_counted(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--no-baseline", "--test", data)
    assert "of the 120 texts measured on stand in training too" in result.err


def test_columns_with_other_names_and_many_classes(command: Command, tmp_path: Path) -> None:
    rows = [(f"word{label} and more words {i}", str(label)) for i in range(15) for label in (1, 2, 10)]
    data = write_csv(tmp_path / "d.csv", rows, header=("review", "stars"))
    result = command(
        "train", data, "--out", tmp_path / "model", *SMALL, "--text-column", "review", "--label-column", "stars",
    )  # fmt: skip
    assert result.status == 0
    assert fastlstm.load(tmp_path / "model").labels == ("1", "2", "10")


def test_every_shape_of_model_trains_and_predicts_alike_in_both_runtimes(
    command: Command, data: Path, tmp_path: Path
) -> None:
    """The run itself compares PyTorch's and NumPy's probabilities, and fails where they differ."""
    shapes: list[list[str]] = [
        ["--bidirectional", "--pooling", "concat", "--hidden-sizes", "5,3", "--dropout", "0.2"],
        ["--pooling", "max", "--activation", "softmax", "--truncate", "both", "--max-tokens", "7"],
        ["--pooling", "mean", "--class-weights", "balanced", "--schedule", "cosine"],
    ]
    for shape in shapes:
        result = command("train", data, "--out", tmp_path / "model", "--overwrite", *SMALL, *shape, "--no-baseline")
        assert result.status == 0, result.err


def test_plots_are_drawn_into_the_model(command: Command, data: Path, tmp_path: Path) -> None:
    assert command("train", data, "--out", tmp_path / "model", *SMALL, "--no-baseline", "--plots").status == 0
    for name in ("learning_curves.png", "report.png"):
        assert (tmp_path / "model" / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_training_twice_with_one_seed_gives_the_same_files(command: Command, data: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        command("train", data, "--out", tmp_path / name, *SMALL, "--no-baseline", "--seed", "3")
        folder = tmp_path / name
        contents.append([(folder / file).read_bytes() for file in ("model.safetensors", "tokenizer.json")])
    assert contents[0] == contents[1]


def test_the_vocabulary_comes_from_the_training_texts_alone(command: Command, data: Path, tmp_path: Path) -> None:
    validation = write_csv(tmp_path / "v.csv", [("unheard great", "good"), ("unheard dull", "bad")])
    command("train", data, "--out", tmp_path / "m", *SMALL, "--validation", validation, "--no-baseline")
    tokenizer = read_classifier(tmp_path / "m").tokenizer
    assert tokenizer.token_to_id("unheard") is None
    assert tokenizer.token_to_id("great") is not None


def test_an_older_model_is_replaced_only_when_asked(command: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["train", data, "--out", out, *SMALL, "--no-baseline"]
    assert command(*arguments).status == 0
    before = (out / "model.safetensors").read_bytes()
    refused = command(*arguments, "--seed", "1")
    assert (refused.status, refused.out) == (2, "")
    assert "holds a model already; pass --overwrite" in refused.err
    assert (out / "model.safetensors").read_bytes() == before
    assert command(*arguments, "--seed", "1", "--overwrite").status == 0
    assert (out / "model.safetensors").read_bytes() != before


def test_nothing_but_a_model_is_ever_replaced(command: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    result = command("train", data, "--out", out, *SMALL, "--overwrite")
    assert result.status == 2
    assert "is not a fastlstm model, so it is never written over" in result.err
    assert (out / "thesis.txt").read_text() == "years of work"


def test_python_and_the_command_line_train_the_same_model(command: Command, data: Path, tmp_path: Path) -> None:
    command("train", data, "--out", tmp_path / "one", *SMALL, "--no-baseline")
    result = fastlstm.train(
        data,
        tmp_path / "two",
        preset="tutorial",
        baseline=False,
        hidden_sizes=(7,),
        embedding_size=5,
        epochs=2,
        batch_size=16,
    )
    weights = [safetensors.numpy.load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert result.folder == tmp_path / "two"
    assert result.baseline is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "tutorail"], "unknown preset 'tutorail'; did you mean 'tutorial'?"),
        (["--pooling", "maxx"], "unknown pooling 'maxx'; did you mean 'max'?"),
        (["--epoch", "3"], "--epochs"),
        (["--epochs", "0"], "epochs is 0; expected at least 1"),
        (["--epochs", "many"], "'many' is not a valid integer"),
        (["--learning-rate", "nan"], "learning-rate is nan"),
        (["--hidden-sizes", "64;32"], "hidden-sizes is '64;32'; expected whole numbers such as 64,32"),
        (["--vocabulary-size", "5000"], "vocabulary-size is 5000, and the training texts have 19 different words"),
        (["--text-column", "txt"], "column 'txt' not found in reviews.csv; it has: text, label"),
        (["--validation", "1.5"], "1.5"),
        (["--validation", "gone.csv"], "gone.csv"),
        (["--resume"], "nothing to resume"),
        (["--device", "cudaa"], "unknown device 'cudaa'; did you mean 'cuda'?"),
    ],
)
def test_wrong_use_is_one_line_status_2_and_writes_nothing(
    command: Command, data: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    result = command("train", data, "--out", tmp_path / "model", *arguments)
    assert (result.status, result.out) == (2, "")
    assert words in result.err.splitlines()[-1]
    assert result.err.splitlines()[-1].startswith("fastlstm: ")
    assert "Traceback" not in result.err
    assert [file.name for file in tmp_path.iterdir()] == ["reviews.csv"]


def test_cuda_without_a_gpu_is_refused(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = command("train", data, "--out", tmp_path / "model", "--device", "cuda")
    assert result.status == 2
    assert "cuda was asked for and PyTorch finds no CUDA device" in result.err


BAD_DATA: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty"),
    "header-only.csv": (b"text,label\n", "empty"),
    "one-class.csv": (b"text,label\ngood film,1\nfine film,1\n", "one class only"),
    "missing-text.csv": (b"text,label\ngood film,1\n,0\n", "row 2"),
    "numeric.csv": (b"text,label\ngood film,1\n17,0\n", "row 2"),
    "not-utf8.csv": (b"text,label\ngood film,1\nb\xe4d film,0\n", "row 2"),
    "ragged.csv": (b"text,label\ngood film,1\nbad, film,0\n", "line 3"),
    "what.docx": (b"PK", ".csv"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_one_line_status_2_and_writes_nothing(command: Command, tmp_path: Path, name: str) -> None:
    content, words = BAD_DATA[name]
    (tmp_path / name).write_bytes(content)
    result = command("train", tmp_path / name, "--out", tmp_path / "model")
    assert (result.status, result.out) == (2, "")
    assert words in result.err.splitlines()[-1]
    assert len(result.err.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_missing_file_is_named(command: Command, tmp_path: Path) -> None:
    result = command("train", tmp_path / "gone.csv", "--out", tmp_path / "model")
    assert result.status == 2
    assert "gone.csv" in result.err


def test_a_label_of_the_test_data_that_training_lacks_is_refused_before_training(
    command: Command, data: Path, tmp_path: Path
) -> None:
    test = write_csv(tmp_path / "test.csv", [("great film", "good"), ("dull film", "bda")])
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--test", test)
    assert result.status == 2
    assert (
        "text 2 of test.csv has the label 'bda', which was never seen in training; did you mean 'bad'?"
        in result.err
    )
    assert "epoch" not in result.err


def test_a_target_that_cannot_be_written_fails_before_training_with_status_1(command: Command, data: Path) -> None:
    result = command("train", data, "--out", "/proc/model", *SMALL)
    assert (result.status, result.out) == (1, "")
    assert "can't write /proc/model" in result.err
    assert "epoch" not in result.err


def test_a_full_disk_leaves_the_older_model_as_it_was(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    arguments = ["train", data, "--out", out, *SMALL, "--no-baseline"]
    command(*arguments)
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastlstm.serialization.atomic._replace_folder", full)
    result = command(*arguments, "--overwrite", "--seed", "1")
    assert result.status == 1
    assert "No space left on device; what stood there is untouched" in result.err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "model.checkpoint", "reviews.csv"]


def test_labels_are_printed_as_they_are(command: Command, tmp_path: Path) -> None:
    rows = [
        (f"{word} film {i}", label) for i in range(9) for word, label in (("great", "[/joy]"), ("dull", ":smile:"))
    ]
    data = write_csv(tmp_path / "d.csv", rows)
    result = command("train", data, "--out", tmp_path / "model", *SMALL)
    assert result.status == 0
    assert "[/joy]" in result.out
    assert ":smile:" in result.out


def test_a_file_that_is_no_checkpoint_is_never_written_over(command: Command, data: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "model.checkpoint"
    thesis.write_text("years of work")
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--overwrite")
    assert result.status == 2
    assert "is not a checkpoint of fastlstm, so it is never written over" in result.err
    assert thesis.read_text() == "years of work"


def test_a_target_without_a_name_is_refused(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (".", "/"):
        result = command("train", data, "--out", out, *SMALL)
        assert result.status == 2
        assert "expected the name of a folder to make" in result.err


def test_records_in_memory_are_checked_and_the_test_part_is_the_same_for_every_seed(tmp_path: Path) -> None:
    texts, labels = zip(*reviews(60, seed=0), strict=True)
    records = fastlstm.Dataset(list(texts), list(labels))
    tests = [load_splits(records, test=0.2, seed=seed).test for seed in (0, 1)]
    assert tests[0] == tests[1]
    with pytest.raises(DataError, match=r"row 2 of records: the text is empty"):
        fastlstm.train(fastlstm.Dataset(["fine", " "], ["0", "1"]), tmp_path / "model")
    with pytest.raises(DataError, match=r"expected a file's or folder's name, or fastlstm\.Records"):
        fastlstm.train((texts, labels), tmp_path / "model")  # type: ignore[arg-type]  # the mistake under test
