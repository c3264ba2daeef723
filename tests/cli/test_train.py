"""`fastlstm train`: what it prints, what it saves, and what it rejects."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tests.helpers.command_line import SMALL, Command, reviews, write_csv

import fastlstm
from fastlstm.cli.progress import MAX_EPOCH_LINES
from fastlstm.data.splits import VALIDATION_DESCRIPTION
from fastlstm.kernel import KernelInfo
from fastlstm.notes import Note
from fastlstm.serialization.classifier import read_classifier

FILES = {"README.md", "config.json", "golden.json", "history.json", "model.safetensors", "tokenizer.json"}


def test_model_is_trained_evaluated_and_saved(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "model", *SMALL)
    assert result.status == 0
    assert {"model", "n-gram", "good", "bad", str(tmp_path / "model")} <= set(result.out.split())
    assert {file.name for file in (tmp_path / "model").iterdir()} == FILES
    assert not list(tmp_path.glob("*.checkpoint"))
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    lines = result.err.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch ")] == ["1/2", "2/2"]


def test_many_epochs_have_fewer_lines(command: Command, data: Path, tmp_path: Path) -> None:
    small = ["--preset", "tutorial", "--set", "hidden_sizes=2", "--set", "embedding_size=2", "--no-baseline"]
    result = command("train", data, "--out", tmp_path / "model", *small, "--epochs", str(3 * MAX_EPOCH_LINES))
    epochs = [int(epoch) for epoch in re.findall(r"^epoch (\d+)/", result.err, re.MULTILINE)]
    trained = len(json.loads((tmp_path / "model" / "history.json").read_text()))
    assert trained > 6
    assert epochs == [1, *range(3, trained + 1, 3)]


def test_notes_and_sizes_are_printed_on_standard_error(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "one", *SMALL, "--set", "max_tokens=20", "--test", data,
                     "--validation", "0.2")  # fmt: skip
    events: list[object] = []
    options = {"preset": "tutorial", "epochs": 2, "hidden_sizes": (7,), "embedding_size": 5, "max_tokens": 20}
    fastlstm.train(data, tmp_path / "two", test=data, validation=0.2, watch=events.append, **options)
    notes = {event.code: event.text for event in events if isinstance(event, Note)}
    codes = {"data", "vocabulary-capped", "texts-truncated", "texts-overlap"}
    assert codes <= notes.keys()
    assert {notes[code] for code in codes} <= set(result.err.splitlines())
    (line,) = [line for line in result.err.splitlines() if line.startswith("training on ")]
    assert [word for word in line.split() if word.isdigit()] == ["96", "24", "120"]


def test_missing_kernel_is_reported(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.nn.runs.find_kernel", lambda: KernelInfo(None, "it was not built", None))
    result = command("train", data, "--out", tmp_path / "model", "--no-baseline", "--device", "cpu", *SMALL)
    assert result.status == 0
    assert "it was not built" in result.err


def test_json_is_one_object_with_the_report_at_the_top(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--validation", "0.2", "--json")
    assert 0 <= result.json["accuracy"] <= 1
    assert result.json["baseline"]["accuracy"] > 0.9
    assert [c["label"] for c in result.json["classes"]] == ["bad", "good"]
    assert len(result.json["history"]) == 2
    assert result.json["evaluated_on"] == VALIDATION_DESCRIPTION.replace("`test`", "--test")


def test_figures_are_those_of_the_test_texts(command: Command, data: Path, tmp_path: Path) -> None:
    test = write_csv(tmp_path / "test.csv", reviews(30, seed=9))
    arguments = ["train", data, "--out", tmp_path / "model", *SMALL, "--json", "--no-baseline", "--test"]
    assert command(*arguments, test).json["evaluated_on"] == "test.csv"
    held_out = command(*arguments, "0.25", "--overwrite").json
    assert (held_out["texts"], held_out["baseline"]) == (30, None)
    assert "25%" in held_out["evaluated_on"]


def test_validation_texts_can_be_given(command: Command, data: Path, tmp_path: Path) -> None:
    validation = write_csv(tmp_path / "validation.csv", reviews(20, seed=9))
    arguments = ["--out", tmp_path / "model", *SMALL, "--validation", validation, "--no-baseline", "--json"]
    assert command("train", data, *arguments).json["texts"] == 20
    record = read_classifier(tmp_path / "model").training["data"]
    assert (record["train_texts"], record["validation_texts"]) == (120, 20)


def test_columns_can_be_named_and_classes_can_be_many(command: Command, tmp_path: Path) -> None:
    rows = [(f"word{label} and more words {i}", str(label)) for i in range(15) for label in (1, 2, 10)]
    data = write_csv(tmp_path / "d.csv", rows, header=("review", "stars"))
    columns = ["--text-column", "review", "--label-column", "stars"]
    assert command("train", data, "--out", tmp_path / "model", *SMALL, *columns).status == 0
    assert fastlstm.load(tmp_path / "model").labels == ("1", "2", "10")


@pytest.mark.parametrize(
    "fields",
    [
        ["bidirectional=true", "pooling=concat", "hidden_sizes=5,3", "dropout=0.2"],
        ["pooling=max", "activation=softmax", "truncate=both", "max_tokens=7"],
        ["pooling=mean", "class_weights=balanced", "schedule=cosine"],
    ],
    ids=" ".join,
)
def test_inference_agrees_with_training_for_every_shape(
    command: Command, data: Path, tmp_path: Path, fields: list[str]
) -> None:
    """The run itself compares the probabilities of both and fails if they differ."""
    sets = [word for field in fields for word in ("--set", field)]
    result = command("train", data, "--out", tmp_path / "model", *SMALL, *sets, "--no-baseline")
    assert result.status == 0, result.err


def test_plots_are_saved_with_the_model(command: Command, data: Path, tmp_path: Path) -> None:
    assert command("train", data, "--out", tmp_path / "model", *SMALL, "--no-baseline", "--plots").status == 0
    for name in ("learning_curves.png", "report.png"):
        assert (tmp_path / "model" / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_same_seed_gives_same_files(command: Command, data: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        command("train", data, "--out", tmp_path / name, *SMALL, "--no-baseline", "--seed", "3")
        folder = tmp_path / name
        contents.append([(folder / file).read_bytes() for file in ("model.safetensors", "tokenizer.json")])
    assert contents[0] == contents[1]


def test_vocabulary_is_that_of_the_training_texts(command: Command, data: Path, tmp_path: Path) -> None:
    validation = write_csv(tmp_path / "v.csv", [("unheard great", "good"), ("unheard dull", "bad")])
    command("train", data, "--out", tmp_path / "m", *SMALL, "--validation", validation, "--no-baseline")
    tokenizer = read_classifier(tmp_path / "m").tokenizer
    assert tokenizer.token_to_id("unheard") is None
    assert tokenizer.token_to_id("great") is not None


def test_existing_model_is_replaced_only_with_overwrite(command: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["train", data, "--out", out, *SMALL, "--no-baseline"]
    assert command(*arguments).status == 0
    before = (out / "model.safetensors").read_bytes()
    result = command(*arguments, "--seed", "1")
    assert (result.status, result.out, result.code) == (2, "", "output-exists")
    assert (out / "model.safetensors").read_bytes() == before
    assert command(*arguments, "--seed", "1", "--overwrite").status == 0
    assert (out / "model.safetensors").read_bytes() != before


def test_folder_that_is_not_a_model_is_never_replaced(command: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    result = command("train", data, "--out", out, *SMALL, "--overwrite")
    assert (result.status, result.code) == (2, "output-not-a-model")
    assert (out / "thesis.txt").read_text() == "years of work"


def test_file_that_is_not_a_checkpoint_is_never_replaced(command: Command, data: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "model.checkpoint"
    thesis.write_text("years of work")
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--overwrite")
    assert (result.status, result.code) == (2, "not-a-checkpoint")
    assert thesis.read_text() == "years of work"


def test_python_and_command_line_train_the_same_model(command: Command, data: Path, tmp_path: Path) -> None:
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
    ("arguments", "code", "named"),
    [
        (["--preset", "tutorail"], "usage", "tutorail"),
        (["--epoch", "3"], "usage", "--epochs"),
        (["--epochs", "many"], "usage", "many"),
        (["--device", "cudaa"], "usage", "cudaa"),
        (["--set", "pooling=maxx"], "bad-option-value", "'max'"),
        (["--epochs", "0"], "bad-option-value", "epochs"),
        (["--learning-rate", "nan"], "bad-option-value", "learning_rate"),
        (["--set", "hidden_sizes=64;32"], "bad-option-value", "64;32"),
        (["--set", "vocabulary_size=5000"], "vocabulary-too-large", "5000"),
        (["--text-column", "txt"], "missing-column", "'txt'"),
        (["--validation", "1.5"], "bad-fraction", "1.5"),
        (["--validation", "gone.csv"], "file-not-found", "gone.csv"),
        (["--resume"], "no-checkpoint", "--resume"),
    ],
)
def test_wrong_use_is_one_line_with_status_2_and_writes_nothing(
    command: Command, data: Path, tmp_path: Path, arguments: list[str], code: str, named: str
) -> None:
    result = command("train", data, "--out", tmp_path / "model", *arguments)
    assert (result.status, result.out, result.code) == (2, "", code)
    last = result.err.splitlines()[-1]
    assert last.startswith("fastlstm: ")
    assert named in last
    assert "Traceback" not in result.err
    assert [file.name for file in tmp_path.iterdir()] == ["reviews.csv"]


def test_device_cuda_without_gpu_is_rejected(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = command("train", data, "--out", tmp_path / "model", "--device", "cuda")
    assert (result.status, result.code) == (2, "device-unavailable")


BAD_DATA: dict[str, tuple[bytes, str, str]] = {
    "empty.csv": (b"", "empty-dataset", "empty.csv"),
    "header-only.csv": (b"text,label\n", "empty-dataset", "header-only.csv"),
    "one-class.csv": (b"text,label\ngood film,1\nfine film,1\n", "one-class", "one-class.csv"),
    "missing-text.csv": (b"text,label\ngood film,1\n,0\n", "empty-text", "line 3"),
    "numeric.csv": (b"text,label\n12,1\n17,0\n", "numeric-text", "'text'"),
    "not-utf8.csv": (b"text,label\ngood film,1\nb\xe4d film,0\n", "not-utf8", "line 3"),
    "ragged.csv": (b"text,label\ngood film,1\nbad, film,0\n", "bad-csv-row", "line 3"),
    "what.docx": (b"PK", "unknown-format", ".csv"),
}
"""File name -> content, code of the error, and the place that its message names."""


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_one_line_with_status_2_and_writes_nothing(command: Command, tmp_path: Path, name: str) -> None:
    content, code, place = BAD_DATA[name]
    (tmp_path / name).write_bytes(content)
    result = command("train", tmp_path / name, "--out", tmp_path / "model")
    assert (result.status, result.out, result.code) == (2, "", code)
    assert place in result.err
    assert len(result.err.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_missing_file_is_named(command: Command, tmp_path: Path) -> None:
    result = command("train", tmp_path / "gone.csv", "--out", tmp_path / "model")
    assert (result.status, result.code) == (2, "file-not-found")
    assert "gone.csv" in result.err


def test_unknown_label_of_test_texts_is_rejected_before_training(
    command: Command, data: Path, tmp_path: Path
) -> None:
    test = write_csv(tmp_path / "test.csv", [("great film", "good"), ("dull film", "bda")])
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--test", test)
    assert (result.status, result.code) == (2, "unknown-label")
    for value in ("test.csv", "'bda'", "'bad'"):
        assert value in result.err
    assert "epoch 1/2" not in result.err


def test_output_that_cannot_be_written_fails_before_training_with_status_1(command: Command, data: Path) -> None:
    result = command("train", data, "--out", "/proc/model", *SMALL)
    assert (result.status, result.out, result.code) == (1, "", "write-failed")
    assert "/proc/model" in result.err
    assert "epoch 1/2" not in result.err


def test_full_disk_leaves_existing_model_unchanged(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    arguments = ["train", data, "--out", out, *SMALL, "--no-baseline"]
    command(*arguments)
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)  # only folders are renamed, so checkpoints are still written
    result = command(*arguments, "--overwrite", "--seed", "1")
    assert (result.status, result.code) == (1, "write-failed")
    assert "No space left on device" in result.err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "model.checkpoint", "reviews.csv"]


def test_labels_are_printed_without_markup(command: Command, tmp_path: Path) -> None:
    rows = [
        (f"{word} film {i}", label) for i in range(9) for word, label in (("great", "[/joy]"), ("dull", ":smile:"))
    ]
    data = write_csv(tmp_path / "d.csv", rows)
    result = command("train", data, "--out", tmp_path / "model", *SMALL)
    assert result.status == 0
    assert "[/joy]" in result.out
    assert ":smile:" in result.out


@pytest.mark.parametrize("out", [".", "/"])
def test_output_without_a_name_is_rejected(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("train", data, "--out", out, *SMALL)
    assert (result.status, result.code) == (2, "bad-output")
