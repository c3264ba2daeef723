"""A language model's run: which epoch is kept, what stops it, and what it may write over."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.data import UnlabelledTexts
from fastlstm.errors import InputError, ModelNotFoundError, OptionError, TrainingError, WriteError
from fastlstm.kernel import KernelInfo
from fastlstm.language_model.inference import LanguageModel, Perplexity, load_language_model
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelState, LanguageModelStep
from fastlstm.language_model.run import (
    LanguageModelEvent,
    LanguageModelJob,
    LanguageModelResult,
    PerplexityMeasured,
    run,
)
from fastlstm.nn.runs import Note

GENERATOR = np.random.default_rng(0)
LEARNED = [" ".join(GENERATOR.choice(list("abcdefgh"), 6)) for _ in range(30)]
HELD_OUT = ["b c d", "a z", "h g"]


def make_job(out: Path, **options: Any) -> LanguageModelJob:
    job = LanguageModelJob(
        texts=UnlabelledTexts(LEARNED, "some"),
        held_out=UnlabelledTexts(HELD_OUT, "others"),
        model=LanguageModelConfig(vocabulary_size=100, embedding_size=4, hidden_sizes=(5,)),
        training=LanguageModelTrainingConfig(epochs=3, streams=2, window=5, learning_rate=0.05, warmup=0),
        out=out,
        preset="quick",
    )
    return dataclasses.replace(job, **options)


def finished(job: LanguageModelJob) -> tuple[list[LanguageModelEvent], LanguageModelResult]:
    events = list(run(job))
    assert isinstance(events[-1], LanguageModelResult)
    return events, events[-1]


def stopped_at(job: LanguageModelJob, kind: type, number: int = 1) -> None:
    """Runs until the event of that number and kind, and closes the run there."""
    events = run(job)
    for event in events:
        number -= isinstance(event, kind)
        if not number:
            break
    events.close()


def judge_by(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> list[dict[str, np.ndarray]]:
    """Each measurement is said to have come to the next of `losses`; returns the weights that were measured."""
    seen: list[dict[str, np.ndarray]] = []
    perplexity = LanguageModel.perplexity

    def told(self: LanguageModel, encoded: Any) -> Any:
        seen.append(dict(self.model.weights))
        return dataclasses.replace(perplexity(self, encoded), loss=[*losses, 0.0][len(seen) - 1])

    monkeypatch.setattr(LanguageModel, "perplexity", told)
    return seen


@pytest.mark.parametrize(
    ("losses", "kept", "told"),
    [
        ([3.0, 2.0, 1.0], 3, [True, True, True]),
        ([2.0, 1.0, 3.0], 2, [True, True, False]),
        ([1.0, 2.0, 1.0], 3, [True, False, True]),
    ],
)
def test_the_epoch_that_validation_likes_best_is_kept_and_the_later_of_equals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: list[float], kept: int, told: list[bool]
) -> None:
    seen = judge_by(monkeypatch, losses)
    events, result = finished(make_job(tmp_path / "lm"))
    assert [event.best for event in events if isinstance(event, PerplexityMeasured)] == told
    assert result.validation == tuple(losses)
    saved = load_language_model(tmp_path / "lm").model
    assert (saved.training["best_epoch"], saved.training["epochs"]) == (kept, 3)
    for name, array in saved.weights.items():
        np.testing.assert_array_equal(array, seen[kept - 1][name])
    history = json.loads((tmp_path / "lm" / "history.json").read_bytes())
    assert [epoch["validation_loss"] for epoch in history] == losses


def test_a_run_that_goes_on_keeps_the_best_epoch_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path / "lm")
    seen = judge_by(monkeypatch, [1.0, 2.0, 3.0])
    stopped_at(job, LanguageModelStep, 30)
    assert len(seen) == 1
    _, result = finished(dataclasses.replace(job, resume=True))
    assert result.validation == (1.0, 2.0, 3.0)
    for name, array in result.model.model.weights.items():
        np.testing.assert_array_equal(array, seen[0][name])


@pytest.mark.parametrize(
    ("kind", "number"),
    [(LanguageModelStep, 1), (LanguageModelEpoch, 1), (PerplexityMeasured, 2), (LanguageModelEpoch, 3)],
)
def test_a_run_may_be_stopped_at_any_event(tmp_path: Path, kind: type, number: int) -> None:
    whole = finished(make_job(tmp_path / "whole"))[1]
    job = make_job(tmp_path / "lm")
    stopped_at(job, kind, number)
    again = finished(dataclasses.replace(job, resume=True))[1]
    assert again.validation == whole.validation
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "lm" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_checkpoint_that_cannot_be_written_when_the_run_is_stopped_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = run(make_job(tmp_path / "lm"))
    while not isinstance(next(events), LanguageModelStep):
        pass

    def refuse(*_: object) -> None:
        raise WriteError("the disk is full")

    monkeypatch.setattr(LanguageModelState, "save", refuse)
    with pytest.raises(WriteError, match="the disk is full"):
        events.close()


def test_going_on_never_replaces_another_run_s_model(tmp_path: Path) -> None:
    job = make_job(tmp_path / "lm")
    other = dataclasses.replace(job, training=dataclasses.replace(job.training, seed=7))
    finished(other)
    stopped_at(job, LanguageModelStep)
    before = (tmp_path / "lm" / "config.json").read_bytes()
    with pytest.raises(InputError, match="holds another run's model; pass --overwrite"):
        finished(dataclasses.replace(job, resume=True))
    assert (tmp_path / "lm" / "config.json").read_bytes() == before
    finished(dataclasses.replace(job, resume=True, overwrite=True))
    assert load_language_model(tmp_path / "lm").model.training["config"]["seed"] == 0


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_the_figures_are_those_of_the_model_as_it_is_stored(tmp_path: Path, storage: str) -> None:
    model = LanguageModelConfig(vocabulary_size=100, embedding_size=16, hidden_sizes=(5,))
    _, result = finished(make_job(tmp_path / "lm", model=model, storage=storage))
    assert load_language_model(tmp_path / "lm").evaluate(HELD_OUT) == result.perplexity
    assert result.perplexity.loss != min(result.validation)


def test_what_deserves_a_word_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.nn.runs.find_kernel", lambda: KernelInfo(None, "it was not built", None))
    held_out = UnlabelledTexts([*HELD_OUT, LEARNED[0]], "others")
    training = LanguageModelTrainingConfig(epochs=1, streams=64, window=5)
    events, _ = finished(make_job(tmp_path / "lm", held_out=held_out, training=training, device="cpu"))
    notes = " / ".join(event.text for event in events if isinstance(event, Note))
    for words in (
        "no compiled kernel, PyTorch trains, slower: it was not built",
        "vocabulary: 10 words, all that the texts have",
        "180 tokens are few: they are read in 2 streams, not 64",
        "1 of the 4 held-out texts stand among those learned from too",
    ):
        assert words in notes


def test_an_unknown_storage_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown storage 'int9'; did you mean 'int8'"):
        fastlstm.train_language_model(tmp_path / "missing.txt", tmp_path / "lm", storage="int9")
    with pytest.raises(ModelNotFoundError):
        fastlstm.train_language_model(tmp_path / "missing.txt", tmp_path / "lm", begin=tmp_path / "nowhere")


def test_a_direction_is_learned_beside_the_one_that_is_there(tmp_path: Path) -> None:
    _, first = finished(make_job(tmp_path / "forward"))
    job = make_job(tmp_path / "both", begin=first.folder, direction="both")
    stopped_at(job, LanguageModelStep, 4)
    _, both = finished(dataclasses.replace(job, resume=True))
    _, at_once = finished(dataclasses.replace(job, out=tmp_path / "at once"))

    assert both.model.model.config.direction == "both"
    before, after = first.model.model.weights, both.model.model.weights
    for name, weight in before.items():
        np.testing.assert_array_equal(after[name], weight, err_msg=name)
    for name, weight in after.items():
        np.testing.assert_array_equal(at_once.model.model.weights[name], weight, err_msg=name)
    losses = [epoch.loss for epoch in both.history]
    assert losses[-1] < losses[0]
    assert {name for name in after if name not in before} == {
        f"{part}.backward.{kind}"
        for part, kinds in (("lstm.0", ("weight_ih", "weight_hh", "bias")), ("projection", ("weight",)))
        for kind in kinds
    }


def test_a_model_of_one_direction_does_not_turn_round(tmp_path: Path) -> None:
    _, first = finished(make_job(tmp_path / "forward"))
    with pytest.raises(OptionError, match="direction is backward, and the model to begin from is forward"):
        finished(make_job(tmp_path / "backward", begin=first.folder, direction="backward"))


def test_a_validation_loss_that_is_no_number_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ill = Perplexity(texts=1, tokens=1, loss=float("nan"), perplexity=1.0, vocabulary_size=9, unknown=0.0)
    monkeypatch.setattr(LanguageModel, "perplexity", lambda *_: ill)
    with pytest.raises(TrainingError, match="the validation loss is nan; pass a lower --learning-rate"):
        finished(make_job(tmp_path / "lm"))
