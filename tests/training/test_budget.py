from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.helpers.training import make_dataset, make_settings, make_splits

import fastlstm
from fastlstm.config import PRESETS, Preset, configure
from fastlstm.data import Dataset
from fastlstm.data.splits import FOLDS, DataSplits
from fastlstm.errors import OptionError, TrainingError
from fastlstm.nn.device import find_device
from fastlstm.notes import Note
from fastlstm.training import budget
from fastlstm.training.budget import (
    Candidate,
    FittedCandidate,
    Throughput,
    find_encoder_candidate,
    limit_epochs,
    list_candidates,
    measure_throughput,
)
from fastlstm.training.cross_validation import cross_validate
from fastlstm.training.evaluation import BUDGET_DESCRIPTION
from fastlstm.training.events import (
    CandidateDone,
    EpochResult,
    Evaluated,
    Prepared,
    StepDone,
    TrainingResult,
)
from fastlstm.training.prepare import OutOfFold, PreparedRun, prepare
from fastlstm.training.run import run
from fastlstm.training.settings import TrainingSettings


@pytest.fixture
def data() -> DataSplits:
    return make_splits()


@pytest.fixture(autouse=True)
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the presets by small models, and hide the bundled encoder."""
    monkeypatch.setattr(budget, "bundled_model", lambda _: None)
    sizes: dict[str, Any] = {"hidden_sizes": (4,), "embedding_size": 5, "ngrams": 30, "batch_size": 16}
    presets = {}
    for name in ("small", "accurate"):
        model, training = configure(name, {**sizes, "epochs": 2, "pretraining_epochs": 2})
        presets[name] = Preset(model=model, training=training, purpose="")
    monkeypatch.setattr(budget, "PRESETS", {**PRESETS, **presets})


@pytest.fixture
def settings(data: DataSplits, tmp_path: Path) -> TrainingSettings:
    return make_settings(data, tmp_path / "model", budget=600)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny language model of the words of `data`."""
    texts = ["the film was good", "a bad story it was", "the story was a good film", "it was the bad film"] * 8
    sizes: dict[str, Any] = {"hidden_sizes": (6,), "embedding_size": 5, "epochs": 1, "streams": 2, "window": 8}
    folder = tmp_path_factory.mktemp("encoder") / "lm"
    fastlstm.train_language_model(texts, folder, validation=0.1, **sizes)
    return folder


def fix_throughput(monkeypatch: pytest.MonkeyPatch, throughput: Throughput) -> None:
    monkeypatch.setattr(budget, "measure_throughput", lambda *_: throughput)


def candidates_of(settings: TrainingSettings, data: DataSplits) -> list[Candidate]:
    def find() -> Iterator[Any]:
        yield (yield from find_encoder_candidate(settings, data))

    *_, encoder = find()
    return list(list_candidates(dataclasses.replace(settings.training, seed=3), encoder))


def outcome(events: Generator[Any, None, Any]) -> list[Any]:
    """Return the events, and last the result."""

    def run_all() -> Iterator[Any]:
        yield (yield from events)

    return list(run_all())


def notes_of(events: list[Any], code: str) -> list[Note]:
    return [event for event in events if isinstance(event, Note) and event.code == code]


def candidates_done(events: list[Any]) -> list[CandidateDone]:
    return [event for event in events if isinstance(event, CandidateDone)]


def test_best_of_all_candidates_is_saved(settings: TrainingSettings, data: DataSplits) -> None:
    events = list(run(settings))
    candidates = candidates_done(events)
    assert [candidate.name for candidate in candidates] == ["small", "n-grams", "accurate"]
    result = events[-1]
    assert isinstance(result, TrainingResult)
    assert result.baseline is not None
    assert len(notes_of(events, "best-candidate")) == 1
    loaded = fastlstm.load(settings.out)
    (best,) = [candidate for candidate in candidates if candidate.name == loaded.saved.training["preset"]]
    assert loaded.evaluate(data.validation).accuracy == best.report.accuracy
    assert loaded.evaluate(data.evaluation).accuracy == result.report.accuracy


def test_slow_candidates_are_skipped_but_not_the_first(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_throughput(monkeypatch, Throughput(10.0, 10.0))
    events = list(run(make_settings(data, tmp_path / "model", budget=5)))
    assert [candidate.name for candidate in candidates_done(events)] == ["n-grams"]
    assert len(notes_of(events, "candidate-skipped")) == 2
    assert len(notes_of(events, "linear-model")) == 1
    (evaluated,) = [event for event in events if isinstance(event, Evaluated) and event.name == "model"]
    assert evaluated.report.accuracy > 0.9


@pytest.mark.parametrize(("seconds", "epochs"), [(1e4, (2, 2)), (170.0, (1, 2)), (116.5, (1, 1)), (50.0, None)])
def test_epochs_are_reduced_to_fit_the_time(
    settings: TrainingSettings,
    data: DataSplits,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    epochs: tuple[int, int] | None,
) -> None:
    tokens = sum(len(text) for text in data.training.texts) / budget.CHARACTERS_PER_TOKEN
    fix_throughput(monkeypatch, Throughput(100 / tokens, 1 / tokens))
    small, _, _ = list_candidates(settings.training, None)
    limited = limit_epochs(small, settings, data, seconds)
    assert (None if limited is None else (limited.training.pretraining_epochs, limited.training.epochs)) == epochs


def test_given_encoder_is_a_candidate(settings: TrainingSettings, data: DataSplits, encoder: Path) -> None:
    settings = dataclasses.replace(settings, encoder=encoder)
    names = [candidate.name for candidate in candidates_done(list(run(settings)))]
    assert names == ["small", "n-grams", "encoder", "encoder with pretraining"]
    small, linear, without, pretrained = candidates_of(settings, data)
    assert linear.encoder is small.encoder is None
    assert (linear.is_linear, small.is_linear) == (True, False)
    assert (without.training.pretraining_epochs, pretrained.training.pretraining_epochs) == (0, 2)
    for candidate in (without, pretrained):
        assert candidate.encoder is not None
        assert (candidate.model.hidden_sizes, candidate.training.seed) == ((6,), 3)


def test_bundled_encoder_is_a_candidate_if_it_knows_the_words(
    settings: TrainingSettings, data: DataSplits, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "bundled_model", lambda name: encoder if name == "english" else None)
    assert [candidate.name for candidate in candidates_of(settings, data)][2] == "encoder"
    german = Dataset(["der Film war gut", "die Story war mies"] * 9, ["positive", "negative"] * 9)
    other = dataclasses.replace(data, training=german)
    assert [candidate.name for candidate in candidates_of(settings, other)] == ["small", "n-grams", "accurate"]
    (note,) = list(find_encoder_candidate(settings, other))
    assert note.code == "encoder-skipped"
    monkeypatch.setattr(budget, "bundled_model", lambda _: None)
    assert [candidate.name for candidate in candidates_of(settings, data)] == ["small", "n-grams", "accurate"]


def test_interrupted_run_leaves_best_model_so_far(settings: TrainingSettings, data: DataSplits) -> None:
    events = run(settings)
    for event in events:
        if isinstance(event, CandidateDone) and event.name == "small":
            next(events)  # the candidate is saved before the next event
            break
    events.close()
    assert fastlstm.load(settings.out).evaluate(data.validation).accuracy > 0.9


@pytest.mark.parametrize(
    ("gained", "lost", "replaces"),
    [(0, 0, False), (4, 0, False), (5, 0, True), (5, 2, False), (9, 1, True), (0, 9, False)],
)
def test_best_candidate_is_replaced_only_by_a_clearly_better_one(gained: int, lost: int, replaces: bool) -> None:
    def candidate(correct: list[bool]) -> FittedCandidate:
        unused: Any = None
        return FittedCandidate("", unused, unused, unused, unused, np.array(correct), 0.0)

    first = candidate([False] * gained + [True] * lost + [True] * 20)
    second = candidate([True] * gained + [False] * lost + [True] * 20)
    assert second.is_better_than(first) == replaces
    assert first.is_better_than(None)


def test_default_preset_comes_first_if_the_time_is_enough_and_equals_its_plain_run(
    settings: TrainingSettings, data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FittedCandidate, "is_better_than", lambda _, other: other is None)
    *_, result = run(settings)
    assert isinstance(result, TrainingResult)
    saved = result.classifier.saved
    assert saved.training["preset"] == "small"
    plain = fastlstm.train(
        data, tmp_path / "plain", preset="small", hidden_sizes=(4,), embedding_size=5, ngrams=30, batch_size=16,
        epochs=2, pretraining_epochs=2, baseline=False,
    ).classifier.saved  # fmt: skip
    for name in plain.weights.keys() - {"output.bias", "wide.weight"}:  # a plain run fits n-grams on all texts
        np.testing.assert_array_equal(saved.weights[name], plain.weights[name], err_msg=name)


@pytest.fixture
def first_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first candidate win, and not start from a language model."""
    presets = vars(budget)["PRESETS"]
    small = presets["small"]
    plain = dataclasses.replace(small, training=dataclasses.replace(small.training, pretraining_epochs=0))
    monkeypatch.setattr(budget, "PRESETS", {**presets, "small": plain})
    monkeypatch.setattr(FittedCandidate, "is_better_than", lambda _, other: other is None)


@pytest.mark.usefixtures("first_is_best")
def test_the_best_candidate_is_trained_again_on_all_texts_with_the_choices_of_validation(
    data: DataSplits, tmp_path: Path
) -> None:
    data = dataclasses.replace(data, test=None)
    events = list(run(make_settings(data, tmp_path / "model", budget=600)))
    assert len(notes_of(events, "trained-on-all")) == 1
    result = events[-1]
    assert isinstance(result, TrainingResult)
    done = candidates_done(events)[0]
    assert result.report == done.report
    calibration = result.classifier.saved.training["calibration"]
    assert calibration["validation_texts"] == len(data.validation)
    known = set(result.classifier.saved.tokenizer.get_vocab())
    assert {word for text in data.validation.texts for word in text.split() if word.isalpha()} <= known
    record = result.classifier.saved.training["data"]
    assert record["trained_on_validation"]
    assert record["train_texts"] == len(data.training) + len(data.validation)
    assert [event.training.epochs for event in events if isinstance(event, Prepared)][-1] == 2


@pytest.mark.usefixtures("first_is_best")
def test_a_note_says_that_no_time_is_left_to_train_on_all_texts(data: DataSplits, tmp_path: Path) -> None:
    settings = make_settings(data, tmp_path / "model", budget=600)
    *_, best = outcome(budget.select_best(settings, data, 600))
    events = outcome(budget.train_on_all(best, best.seconds_on_all / 2))
    assert [event.code for event in events[:-1]] == ["not-trained-on-all"]
    assert events[-1] is None


@pytest.mark.usefixtures("first_is_best")
def test_few_texts_are_cross_validated_as_in_a_plain_run(tmp_path: Path) -> None:
    few = make_dataset(60)
    events = list(run(TrainingSettings.create(few, tmp_path / "model", {"budget": 600})))
    candidates = candidates_done(events)
    assert [candidate.name for candidate in candidates] == ["small", "n-grams"]
    assert [candidate.report.texts for candidate in candidates] == [60, 60]
    assert len(notes_of(events, "cross-validation")) == 2
    assert notes_of(events, "trained-on-all") == []
    result = events[-1]
    assert isinstance(result, TrainingResult)
    saved = result.classifier.saved
    assert (saved.training["data"]["train_texts"], saved.training["data"]["folds"]) == (60, FOLDS)
    plain = fastlstm.train(
        few, tmp_path / "plain", preset="small", hidden_sizes=(4,), embedding_size=5, ngrams=30, batch_size=16,
        epochs=2,
    )  # fmt: skip
    assert (plain.report, plain.evaluated_on) == (result.report, result.evaluated_on)
    for name, array in plain.classifier.saved.weights.items():
        np.testing.assert_array_equal(saved.weights[name], array, err_msg=name)


@pytest.mark.parametrize(("preparing", "fold", "finished"), [(3.0, 0.0, 0), (0.0, 20.0, 1)])
def test_cross_validation_of_a_candidate_ends_with_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preparing: float, fold: float, finished: int
) -> None:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    def slow_prepare(*args: Any, **options: Any) -> PreparedRun:
        wait(preparing)
        return prepare(*args, **options)

    def slow_folds(*args: Any, **options: Any) -> Generator[Note, None, OutOfFold]:
        notes = cross_validate(*args, **options)
        while True:
            try:
                note = next(notes)
            except StopIteration as end:
                result: OutOfFold = end.value
                return result
            wait(fold if note.code == "fold-finished" else 0.0)
            yield note

    fix_throughput(monkeypatch, Throughput(0.0, 0.0))
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now))
    monkeypatch.setattr(budget, "prepare", slow_prepare)
    monkeypatch.setattr(budget, "cross_validate", slow_folds)
    events = list(run(TrainingSettings.create(make_dataset(60), tmp_path / "model", {"budget": 10})))
    assert [candidate.name for candidate in candidates_done(events)] == ["n-grams"]
    assert len(notes_of(events, "budget-exhausted")) == 1
    assert len(notes_of(events, "fold-finished")) == finished + FOLDS


@pytest.mark.usefixtures("first_is_best")
def test_early_exit_is_fitted_on_texts_that_the_model_has_not_seen(data: DataSplits, tmp_path: Path) -> None:
    events = list(run(make_settings(data, tmp_path / "model", budget=600, early_exit=True)))
    assert notes_of(events, "trained-on-all") == []
    record = fastlstm.load(tmp_path / "model").saved.training["data"]
    assert (record["trained_on_validation"], record["train_texts"]) == (False, len(data.training))


def test_linear_model_is_called_linear(data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fix_throughput(monkeypatch, Throughput(10.0, 10.0))
    settings = make_settings(data, tmp_path / "model", budget=5, plots=True)
    events = list(run(settings))
    result = events[-1]
    assert isinstance(result, TrainingResult)
    assert result.history == ()
    assert [event.is_linear for event in events if isinstance(event, Prepared)] == [True]
    assert not [event for event in events if isinstance(event, StepDone | EpochResult)]
    loaded = fastlstm.load(settings.out)
    assert loaded.saved.is_linear
    assert loaded.can_stream
    assert (loaded.saved.training["preset"], loaded.saved.training["epochs"]) == ("n-grams", 0)
    card = (settings.out / "README.md").read_text(encoding="utf-8")
    assert "linear model" in card
    assert "LSTM 1" not in card
    assert [path.name for path in (settings.out / "plots").iterdir()] == ["report.png"]
    assert loaded.evaluate(data.evaluation).accuracy == result.report.accuracy


def test_throughput_is_measured_for_pretraining_and_training() -> None:
    model, training = configure("accurate", {"hidden_sizes": (4,), "embedding_size": 5, "vocabulary_size": 50})
    throughput = measure_throughput(model, training, 2, find_device("cpu"))
    assert throughput.pretraining > 0
    assert throughput.training > 0
    assert throughput.seconds(training, 100, 10) == pytest.approx(
        throughput.pretraining * 100 * training.pretraining_epochs + throughput.training * 10 * training.epochs
    )


def test_candidate_without_pretraining_is_limited_too(
    settings: TrainingSettings, data: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_throughput(monkeypatch, Throughput(0.0, 1e-6))
    model, training = configure("small", {"pretraining_epochs": 0, "epochs": 3})
    limited = limit_epochs(Candidate("small", model, training), settings, data, 60.0)
    assert limited is not None
    assert (limited.training.pretraining_epochs, limited.training.epochs) == (0, 3)


def test_record_contains_candidate_and_budget(data: DataSplits, tmp_path: Path, encoder: Path) -> None:
    without_test = dataclasses.replace(data, test=None)
    *_, result = run(make_settings(without_test, tmp_path / "model", budget=600, encoder=encoder))
    assert isinstance(result, TrainingResult)
    record = result.classifier.saved.training
    encoders = {"n-grams": None, "small": None, "encoder": "lm", "encoder with pretraining": "lm"}
    assert record["encoder"] == encoders[record["preset"]]
    assert record["budget"] == 600
    assert record["results"]["evaluated_on"] == BUDGET_DESCRIPTION


def test_budget_fields_apply_to_all_candidates(settings: TrainingSettings) -> None:
    own: dict[str, Any] = {"threshold_metric": "f1", "calibration": "none", "class_weights": "balanced", "seed": 7}
    for candidate in list_candidates(dataclasses.replace(settings.training, **own), None):
        assert {name: getattr(candidate.training, name) for name in own} == own


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"epochs": 3}, "conflicting-options"),
        ({"teacher": "somewhere"}, "conflicting-options"),
        ({"resume": True}, "conflicting-options"),
        ({"preset": "accurate"}, "conflicting-options"),
        ({"preset": "small"}, "conflicting-options"),
        ({"budget": "10x"}, "bad-option-value"),
    ],
)
def test_options_that_exclude_a_budget_raise_option_error(
    options: dict[str, Any], code: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError) as raised:
        fastlstm.train(tmp_path / "missing.csv", tmp_path / "model", **{"budget": "10m", **options})
    assert raised.value.code == code
    if code == "conflicting-options":
        assert raised.value.options == (*options, "budget")


def test_candidate_that_fails_parity_is_not_saved(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TrainingError("inference differs", code="parity")

    monkeypatch.setattr(budget, "check_parity", fail)
    with pytest.raises(TrainingError) as raised:
        list(run(settings))
    assert raised.value.code == "parity"
    assert not settings.out.exists()


def test_diverged_candidate_does_not_end_the_run(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare_to_diverge(*arguments: Any, **options: Any) -> Any:
        prepared = prepare(*arguments, **options)
        if prepared.model_config.hidden_sizes != (1,):

            def epochs() -> Iterator[Any]:
                raise TrainingError("the loss is nan", code="diverged")
                yield

            object.__setattr__(prepared, "epochs", epochs)
        return prepared

    monkeypatch.setattr(budget, "prepare", prepare_to_diverge)
    events = list(run(settings))
    assert [candidate.name for candidate in candidates_done(events)] == ["n-grams"]
    assert len(notes_of(events, "candidate-failed")) == 2
    assert isinstance(events[-1], TrainingResult)


def test_record_counts_unlabelled_texts_only_if_used(data: DataSplits, tmp_path: Path) -> None:
    unlabelled = dataclasses.replace(data, unlabelled=("the film was good", "a story it was"))
    *_, result = run(make_settings(unlabelled, tmp_path / "model", budget=600))
    assert isinstance(result, TrainingResult)
    record = result.classifier.saved.training
    assert record["data"]["unlabelled_texts"] == (2 if record["config"]["pretraining_epochs"] else 0)
