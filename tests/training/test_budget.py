import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.config import PRESETS, Preset, configure
from fastlstm.data import Dataset
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.errors import OptionError, TrainingError
from fastlstm.nn.device import find_device
from fastlstm.nn.runs import Note
from fastlstm.training import budget as ladder
from fastlstm.training.budget import Throughput, measure_throughput
from fastlstm.training.events import CandidateDone, Evaluated, TrainingResult
from fastlstm.training.prepare import prepare
from fastlstm.training.run import run
from fastlstm.training.settings import TrainingJob


@pytest.fixture
def data() -> DataSplits:
    generator = np.random.default_rng(0)
    texts, labels = [], []
    for i in range(120):
        words = generator.choice(
            ["the", "a", "film", "was", "it", "story"], int(generator.integers(3, 15))
        ).tolist()
        words[int(generator.integers(len(words)))] = ("good", "bad")[i % 2]
        texts.append(" ".join(words))
        labels.append(("positive", "negative")[i % 2])
    return load_splits(Dataset(texts, labels), test=0.2)


@pytest.fixture(autouse=True)
def little_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ladder's presets, made small enough for a test, and no large encoder."""
    monkeypatch.setattr("fastlstm.training.budget.bundled_model", lambda _: None)
    sizes: dict[str, Any] = {"hidden_sizes": (4,), "embedding_size": 5, "ngrams": 30, "batch_size": 16}
    little = {}
    for name in ("small", "accurate"):
        model, training = configure(name, {**sizes, "epochs": 2, "pretraining_epochs": 2})
        little[name] = Preset(model=model, training=training, purpose="")
    monkeypatch.setattr(ladder, "PRESETS", {**PRESETS, **little})


def job_of(data: DataSplits, out: Path, budget: float) -> TrainingJob:
    model, training = configure("small", {})
    return TrainingJob(data=data, model=model, training=training, out=out, preset="small", budget=budget)


def fixed_pace(monkeypatch: pytest.MonkeyPatch, pace: Throughput) -> None:
    monkeypatch.setattr(ladder, "measure_throughput", lambda *_: pace)


def test_all_rungs_are_climbed_where_there_is_time(data: DataSplits, tmp_path: Path) -> None:
    events = list(run(job_of(data, tmp_path / "model", 600)))
    rungs = [event for event in events if isinstance(event, CandidateDone)]
    assert [rung.name for rung in rungs] == ["words", "small", "accurate"]
    result = events[-1]
    assert isinstance(result, TrainingResult)
    assert result.baseline is not None
    best = max(rungs, key=lambda rung: (rung.report.accuracy, -rung.report.loss))
    assert any(isinstance(e, Note) and e.text == f"the best on validation: {best.name}" for e in events)
    loaded = fastlstm.load(tmp_path / "model")
    assert loaded.evaluate(data.validation).accuracy == best.report.accuracy
    assert loaded.evaluate(data.measured).accuracy == result.report.accuracy


def test_what_does_not_fit_is_passed_over_and_the_words_are_always_there(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed_pace(monkeypatch, Throughput(10.0, 10.0))
    events = list(run(job_of(data, tmp_path / "model", 5)))
    assert [event.name for event in events if isinstance(event, CandidateDone)] == ["words"]
    assert sum("would take longer" in event.text for event in events if isinstance(event, Note)) == 2
    (measured,) = [event for event in events if isinstance(event, Evaluated) and event.name == "LSTM"]
    assert measured.report.accuracy > 0.9


def test_a_rung_takes_fewer_epochs_where_that_makes_it_fit(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = sum(len(text) for text in data.training.texts) / ladder.CHARACTERS_PER_TOKEN
    fixed_pace(monkeypatch, Throughput(100 / tokens, 1 / tokens))
    job = job_of(data, tmp_path / "model", 1)
    (_, small, _) = ladder._candidates(job.training, None)
    epochs = [ladder._fit_candidate(small, job, seconds) for seconds in (1e4, 170.0, 116.5, 50.0)]
    came = [None if of is None else (of.training.pretraining_epochs, of.training.epochs) for of in epochs]
    assert came == [(2, 2), (1, 2), (1, 1), None]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny language model of the words that `data` is made of."""
    texts = ["the film was good", "a bad story it was", "the story was a good film", "it was the bad film"] * 8
    sizes: dict[str, Any] = {"hidden_sizes": (6,), "embedding_size": 5, "epochs": 1, "streams": 2, "window": 8}
    folder = tmp_path_factory.mktemp("encoder") / "lm"
    fastlstm.train_language_model(texts, folder, validation=0.1, **sizes)
    return folder


def rungs_of(job: TrainingJob) -> list[ladder.Candidate]:
    def found() -> Iterator[Any]:
        yield (yield from ladder._encoder(job))

    *_, encoder = found()
    return list(ladder._candidates(dataclasses.replace(job.training, seed=3), encoder))


def test_a_climb_passes_an_encoder_where_there_is_one(data: DataSplits, tmp_path: Path, encoder: Path) -> None:
    job = dataclasses.replace(job_of(data, tmp_path / "model", 600), encoder=encoder)
    rungs = [event for event in run(job) if isinstance(event, CandidateDone)]
    assert [rung.name for rung in rungs] == ["words", "small", "encoder", "encoder, after reading these texts"]
    words, small, begun, read = rungs_of(job)
    assert words.encoder is small.encoder is None
    assert (begun.training.pretraining_epochs, read.training.pretraining_epochs) == (0, 2)
    for rung in (begun, read):
        assert rung.encoder is not None
        assert (rung.model.hidden_sizes, rung.training.seed) == ((6,), 3)


def test_the_bundled_encoder_is_tried_unasked_where_it_knows_the_words(
    data: DataSplits, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fastlstm.training.budget.bundled_model", lambda name: encoder if name == "english" else None
    )
    job = job_of(data, tmp_path / "model", 600)
    assert [rung.name for rung in rungs_of(job)][2] == "encoder"
    foreign = Dataset(["der Film war gut", "die Story war mies"] * 9, ["positive", "negative"] * 9)
    other = dataclasses.replace(job, data=dataclasses.replace(data, training=foreign))
    assert [rung.name for rung in rungs_of(other)] == ["words", "small", "accurate"]
    (note,) = list(ladder._encoder(other))
    assert re.search(r"does not know \d\d% of the words", note.text)
    monkeypatch.setattr("fastlstm.training.budget.bundled_model", lambda _: None)
    assert [rung.name for rung in rungs_of(job)] == ["words", "small", "accurate"]


def test_an_interrupted_climb_leaves_the_best_so_far(data: DataSplits, tmp_path: Path) -> None:
    events = run(job_of(data, tmp_path / "model", 600))
    for event in events:
        if isinstance(event, CandidateDone) and event.name == "small":
            next(events)  # the best so far is saved before the climb goes on
            break
    events.close()
    assert fastlstm.load(tmp_path / "model").evaluate(data.validation).accuracy > 0.9


def test_a_better_rung_is_right_more_often_or_as_often_and_surer(data: DataSplits, tmp_path: Path) -> None:
    events = list(run(job_of(data, tmp_path / "model", 600)))
    rungs = [event for event in events if isinstance(event, CandidateDone)]
    result = events[-1]
    assert isinstance(result, TrainingResult)
    kept = result.classifier.evaluate(data.validation)
    assert (kept.accuracy, -kept.loss) >= max((r.report.accuracy, -r.report.loss - 1e-6) for r in rungs)


def test_the_pace_is_measured_for_both_kinds_of_reading() -> None:
    model, training = configure("accurate", {"hidden_sizes": (4,), "embedding_size": 5, "vocabulary_size": 50})
    pace = measure_throughput(model, training, 2, find_device("cpu"))
    assert pace.pretraining > 0
    assert pace.training > 0
    assert pace.seconds(training, 100, 10) == pytest.approx(
        pace.pretraining * 100 * training.pretraining_epochs + pace.training * 10 * training.epochs
    )


def test_a_rung_without_pretraining_is_fitted_too(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed_pace(monkeypatch, Throughput(0.0, 1e-6))
    model, training = configure("small", {"pretraining_epochs": 0, "epochs": 3})
    fitted = ladder._fit_candidate(
        ladder.Candidate("small", model, training), job_of(data, tmp_path / "model", 1), 60.0
    )
    assert fitted is not None
    assert (fitted.training.pretraining_epochs, fitted.training.epochs) == (0, 3)


def test_the_record_says_which_rung_it_was_and_in_what_time(
    data: DataSplits, tmp_path: Path, encoder: Path
) -> None:
    job = dataclasses.replace(
        job_of(data, tmp_path / "model", 600), encoder=encoder, data=dataclasses.replace(data, test=None)
    )
    *_, result = run(job)
    assert isinstance(result, TrainingResult)
    record = result.classifier.model.training
    rungs = {"words": None, "small": None, "encoder": "lm", "encoder, after reading these texts": "lm"}
    assert record["encoder"] == rungs[record["preset"]]
    assert record["budget"] == 600
    assert "also chose among the models" in record["results"]["evaluated_on"]


def test_what_a_budget_leaves_to_its_caller_holds_on_every_rung(data: DataSplits, tmp_path: Path) -> None:
    job = job_of(data, tmp_path / "model", 600)
    own: dict[str, Any] = {"threshold_metric": "f1", "calibration": "none", "class_weights": "balanced", "seed": 7}
    asked = dataclasses.replace(job.training, **own)
    for rung in ladder._candidates(asked, None):
        assert {name: getattr(rung.training, name) for name in own} == own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 3}, "epochs was given with a budget, which chooses it"),
        ({"teacher": "somewhere"}, "a student learns for as long as its epochs take"),
        ({"resume": True}, "can't be resumed"),
        ({"budget": "10x"}, "10x"),
    ],
)
def test_what_can_not_be_had_with_a_budget_is_said_before_data_is_read(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        fastlstm.train(tmp_path / "missing.csv", tmp_path / "model", **{"budget": "10m", **given})


def test_a_model_that_inference_reads_otherwise_is_not_saved_on_the_way(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: object) -> None:
        raise TrainingError("inference differs")

    monkeypatch.setattr("fastlstm.training.evaluation.check_parity", differs)
    with pytest.raises(TrainingError, match="inference differs"):
        list(run(job_of(data, tmp_path / "model", 600)))
    assert not (tmp_path / "model").exists()


def test_a_rung_that_goes_astray_does_not_cost_what_was_climbed(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = prepare

    def astray(*arguments: Any, **options: Any) -> Any:
        fitting = original(*arguments, **options)
        if fitting.model_config.hidden_sizes != (1,):

            def epochs() -> Iterator[Any]:
                raise TrainingError("the loss is nan")
                yield

            object.__setattr__(fitting, "epochs", epochs)
        return fitting

    monkeypatch.setattr(ladder, "prepare", astray)
    events = list(run(job_of(data, tmp_path / "model", 600)))
    assert [event.name for event in events if isinstance(event, CandidateDone)] == ["words"]
    assert [e.text for e in events if isinstance(e, Note) and "nan" in e.text] == [
        "small: the loss is nan",
        "accurate: the loss is nan",
    ]
    assert isinstance(events[-1], TrainingResult)


def test_the_record_names_unlabelled_texts_only_where_they_were_read(data: DataSplits, tmp_path: Path) -> None:
    fixed = dataclasses.replace(data, unlabelled=("the film was good", "a story it was"))
    result = list(run(job_of(fixed, tmp_path / "model", 600)))[-1]
    assert isinstance(result, TrainingResult)
    training = result.classifier.model.training
    assert training["data"]["unlabelled_texts"] == (2 if training["config"]["pretraining_epochs"] else 0)
