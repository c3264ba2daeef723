"""`fastlstm train --encoder` and `fastlstm distill`: classifiers that start from other models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.command_line import Command
from tests.helpers.language_models import FIELDS, write_labelled_texts, write_texts

import fastlstm
from fastlstm.data import Dataset
from fastlstm.errors import ResumeError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training.events import EpochResult


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.txt")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_texts(tmp_path_factory.mktemp("labelled") / "reviews.csv")


@pytest.fixture(scope="module")
def encoder(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model."""
    return fastlstm.train_language_model(texts, tmp_path_factory.mktemp("encoder") / "lm", **FIELDS).folder


def test_a_classifier_starts_from_a_language_model(
    command: Command, labelled: Path, encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    result = command(
        "train", labelled, "--encoder", encoder, "--out", out, "--epochs", "2", "--set", "ngrams=20", "--json"
    )  # fmt: skip
    assert result.status == 0, result.err
    config = json.loads((out / "config.json").read_text())
    assert config["model"]["hidden_sizes"] == [7]
    assert config["training"]["config"]["pretraining_epochs"] == 0
    assert config["training"]["encoder"] == "lm"
    assert "the language model `lm`" in (out / "README.md").read_text()
    assert fastlstm.load(out).predict(["a film good", "the bad"]) == ["positive", "negative"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--encoder", "ENCODER", "--set", "embedding_size=9"], "conflicting-options"),
        (["--encoder", "nowhere"], "model-not-found"),
        (["--budget", "soon"], "bad-option-value"),
        (["--budget", "10m", "--resume"], "conflicting-options"),
        (["--budget", "10m", "--preset", "tutorial"], "conflicting-options"),
        (["--budget", "10m", "--preset", "small"], "conflicting-options"),
        (["--preset", "accurate", "--unlabelled", "nowhere.txt"], "file-not-found"),
        (["--unlabelled", "nowhere.txt"], "unlabelled-unused"),
        (["--encoder", "ENCODER", "--unlabelled", "nowhere.txt"], "unlabelled-unused"),
        (["--validation", "imdb"], "test-split-as-validation"),
    ],
)
def test_conflicting_or_missing_inputs_are_rejected(
    command: Command, labelled: Path, encoder: Path, tmp_path: Path, options: list[str], code: str
) -> None:
    arguments = [str(encoder) if option == "ENCODER" else option for option in options]
    result = command("train", labelled, "--out", tmp_path / "x", *arguments)
    assert (result.status, result.code) == (2, code)
    assert not (tmp_path / "x").exists()


def test_a_student_is_trained_on_its_teacher_s_labels_of_unlabelled_texts(
    command: Command, labelled: Path, texts: Path, tmp_path: Path
) -> None:
    shape = ["--preset", "tutorial", "--set", "hidden_sizes=6", "--set", "embedding_size=5", "--no-baseline"]
    assert command("train", labelled, "--out", tmp_path / "teacher", *shape, "--epochs", "8").status == 0
    student = command(
        "distill", tmp_path / "teacher", labelled, "--unlabelled", texts, "--out", tmp_path / "student",
        *shape, "--epochs", "3", "--set", "ngrams=10",
    )  # fmt: skip
    assert student.status == 0, student.err
    assert "124 texts" in student.err
    loaded = fastlstm.load(tmp_path / "student")
    assert loaded.labels == fastlstm.load(tmp_path / "teacher").labels
    in_python = fastlstm.distill(
        tmp_path / "teacher", labelled, tmp_path / "again", unlabelled=texts, preset="tutorial", baseline=False,
        hidden_sizes=(6,), embedding_size=5, epochs=3, ngrams=10,
    )  # fmt: skip
    for name, array in loaded.saved.weights.items():
        np.testing.assert_array_equal(in_python.classifier.saved.weights[name], array)
    card = (tmp_path / "student" / "README.md").read_text()
    for words in ("60 texts without labels", "the teacher `teacher`", "10 words and word pairs"):
        assert words in card


SHAPE = [
    "--preset",
    "tutorial",
    "--set",
    "hidden_sizes=6",
    "--set",
    "embedding_size=5",
    "--no-baseline",
    "--epochs",
    "2",
]


def test_a_student_of_a_python_object_reports_agreement(command: Command, labelled: Path, tmp_path: Path) -> None:
    names = fastlstm.read_dataset(labelled).class_names
    teacher = tmp_path / "teacher.py"
    teacher.write_text("def score(texts):\n    return [[0.25, 0.75] for _ in texts]\n")
    result = command(
        "distill", f"{teacher}:score", labelled, "--teacher-labels", ",".join(names), "--out", tmp_path / "student",
        *SHAPE, "--json",
    )  # fmt: skip
    assert result.status == 0, result.err
    agreement = json.loads(result.out)["agreement"]
    assert agreement["labelled"] == agreement["texts"] > 0
    record = fastlstm.load(tmp_path / "student").saved.training
    assert (record["teacher"], record["label_weight"], record["agreement"]) == ("score", 0.5, agreement)
    card = (tmp_path / "student" / "README.md").read_text()
    for value in (agreement["agreement"], agreement["teacher_accuracy"], agreement["student_accuracy"]):
        assert f"{value:.2%}" in card


def test_labels_of_their_own_select_the_epoch_where_there_are_any(labelled: Path, tmp_path: Path) -> None:
    data = fastlstm.read_dataset(labelled)
    first, second = data.class_names
    rows = [
        {
            "text": text,
            "p": {first: 0.9 if label == first else 0.2, second: 0.1 if label == first else 0.8, "other": 0},
        }
        | ({"label": label} if number % 2 else {})
        for number, (text, label) in enumerate(zip(data.texts, data.labels, strict=True))
    ]
    options = {"preset": "tutorial", "hidden_sizes": (6,), "embedding_size": 5, "epochs": 1, "validation": 0.5}
    mixed = fastlstm.distill(None, rows, tmp_path / "mixed", probability_column="p", **options)
    assert mixed.agreement is not None
    assert 0 < mixed.agreement.labelled < mixed.agreement.texts
    assert mixed.report.texts == mixed.agreement.labelled
    assert mixed.report.accuracy == mixed.agreement.student_accuracy
    assert mixed.agreement.teacher_accuracy == 1
    assert mixed.classifier.labels == (first, second, "other") if second < "other" else mixed.classifier.labels
    assert "teacher-validates" not in [note.code for note in mixed.notes]
    soft = [{"text": row["text"], "p": row["p"]} for row in rows]
    hard = fastlstm.distill(
        None, soft, tmp_path / "hard", probability_column="p", **{**options, "validation": labelled}
    )
    assert hard.agreement is None
    assert "agreement-unknown" in [note.code for note in hard.notes]
    assert hard.report.texts == len(data)


def test_a_student_of_probabilities_in_the_data(command: Command, labelled: Path, tmp_path: Path) -> None:
    data, scored = fastlstm.read_dataset(labelled), tmp_path / "scored.jsonl"
    first, second = data.class_names
    rows = [
        {"text": text, "p": {first: 0.9 if label == first else 0.2, second: 0.1 if label == first else 0.8}}
        for text, label in zip(data.texts, data.labels, strict=True)
    ]
    scored.write_text("\n".join(json.dumps(row) for row in rows))
    result = command(
        "distill", scored, "--probability-column", "p", "--out", tmp_path / "student", *SHAPE, "--json"
    )
    assert result.status == 0, result.err
    output = json.loads(result.out)
    assert output["agreement"]["labelled"] == 0
    assert output["agreement"]["teacher_accuracy"] is None
    assert "teacher-validates" in [note["code"] for note in output["notes"]]
    hard = tmp_path / "hard"
    assert command("train", labelled, "--out", hard, *SHAPE).status == 0
    weights = fastlstm.load(tmp_path / "student").saved.weights
    assert any(
        not np.array_equal(array, weights[name]) for name, array in fastlstm.load(hard).saved.weights.items()
    )


def test_distill_does_not_offer_cross_validation(command: Command) -> None:
    assert "cross" in command("train", "--help").out
    assert "cross" not in command("distill", "--help").out


def test_a_resumed_student_of_another_teacher_is_refused(labelled: Path, tmp_path: Path) -> None:
    names = fastlstm.read_dataset(labelled).class_names
    options = {
        "preset": "tutorial", "hidden_sizes": (6,), "embedding_size": 5, "baseline": False, "teacher_labels": names,
    }  # fmt: skip

    def teacher(probability: float) -> Callable[[list[str]], list[list[float]]]:
        return lambda texts: [[1 - probability, probability]] * len(texts)

    def stop(event: object) -> None:
        if isinstance(event, EpochResult):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastlstm.distill(teacher(0.25), labelled, tmp_path / "student", watch=stop, **options)
    with pytest.raises(ResumeError) as raised:
        fastlstm.distill(teacher(0.5), labelled, tmp_path / "student", resume=True, **options)
    assert raised.value.setting == "soft labels"
    result = fastlstm.distill(teacher(0.25), labelled, tmp_path / "student", resume=True, **options)
    assert result.agreement is not None


def test_texts_without_labels_are_enough_with_a_teacher(command: Command, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "beside_the_teacher.py").write_text("SHARE = 0.75\n")
    (tmp_path / "teacher.py").write_text(
        "from beside_the_teacher import SHARE\n"
        "def score(texts):\n"
        "    print('teaching')\n"
        "    return [{'pos': p, 'neg': 1 - p} for p in (SHARE if len(t) % 2 else 0.25 for t in texts)]\n"
    )
    result = command(
        "distill", f"{tmp_path / 'teacher.py'}:score", "--unlabelled", texts, "--out", tmp_path / "student", *SHAPE,
        "--json",
    )  # fmt: skip
    assert result.status == 0, result.err
    report = json.loads(result.out)
    assert report["agreement"]["labelled"] == 0
    assert report["agreement"]["texts"] == report["texts"] > 0
    record = fastlstm.load(tmp_path / "student").saved.training
    count = len(texts.read_text().splitlines())
    assert record["data"]["train_texts"] + record["data"]["validation_texts"] == count
    labelled = Dataset(texts.read_text().splitlines()[:30], ["pos", "neg"] * 15)
    tested = fastlstm.distill(
        lambda batch: [{"pos": 0.75, "neg": 0.25}] * len(batch), out=tmp_path / "tested", unlabelled=texts,
        test=labelled, preset="tutorial", hidden_sizes=(6,), embedding_size=5, baseline=False, epochs=1,
    )  # fmt: skip
    assert tested.agreement is not None
    assert (tested.agreement.labelled, tested.agreement.teacher_accuracy) == (30, 0.5)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "usage"),
        (["--unlabelled", "texts.txt"], "usage"),
        (["--teacher", "math:sqrt"], "no-training-texts"),
        (["DATA"], "teacher-missing"),
        (["nowhere.py:score", "DATA"], "bad-teacher"),
        (["math:sqrt", "DATA"], "teacher-failed"),
        (["builtins:len", "DATA"], "bad-teacher-output"),
        (["math:pi", "DATA"], "bad-option-value"),
        (["math:sqrt", "DATA", "--probability-columns", "a,b"], "conflicting-options"),
        (["DATA", "--probability-columns", "a,b", "--teacher-labels", "a,b"], "bad-option-value"),
        (["DATA", "--teacher", "math:sqrt"], "teacher-failed"),
        (["DATA", "--teacher", "math:sqrt", "--teacher-labels", "a=,b="], "bad-option-value"),
        (["SAVED", "DATA", "--teacher-labels", "a,b"], "bad-option-value"),
        (["math:sqrt", "DATA", "--teacher", "math:sqrt"], "usage"),
    ],
)
def test_a_bad_teacher_is_rejected(
    command: Command, labelled: Path, tiny_model: SavedModel, tmp_path: Path, arguments: list[str], code: str
) -> None:
    Classifier(tiny_model).save(tmp_path / "saved")
    paths = {"DATA": labelled, "SAVED": tmp_path / "saved"}
    arguments = [str(paths.get(argument, argument)) for argument in arguments]
    result = command("distill", *arguments, "--out", tmp_path / "x")
    assert (result.status, result.code) == (2, code)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("model", [[], None, {}, {"direction": ["forward"]}])
def test_an_encoder_with_a_damaged_configuration_is_corrupt(
    command: Command, labelled: Path, encoder: Path, tmp_path: Path, model: object
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(encoder, broken)
    config = json.loads((broken / "config.json").read_bytes())
    (broken / "config.json").write_text(json.dumps({**config, "model": model}), encoding="utf-8")
    result = command("train", labelled, "--out", tmp_path / "x", "--encoder", broken)
    assert (result.status, result.code) == (2, "corrupt-model")
