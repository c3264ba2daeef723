"""A language model run: best epoch, checkpoints, existing models, notes, encoders."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.data import UnlabelledTexts
from fastlstm.errors import InputError, ModelNotFoundError, OptionError, TrainingError, WriteError
from fastlstm.kernel import KernelInfo
from fastlstm.language_model.inference import LanguageModel, load_language_model
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelState, LanguageModelStep
from fastlstm.language_model.perplexity import Perplexity
from fastlstm.language_model.run import LanguageModelEvent, LanguageModelResult, PerplexityMeasured, run
from fastlstm.language_model.settings import LanguageModelSettings
from fastlstm.notes import Note

GENERATOR = np.random.default_rng(0)
TRAINING_TEXTS = [" ".join(GENERATOR.choice(list("abcdefgh"), 6)) for _ in range(30)]
VALIDATION_TEXTS = ["b c d", "a z", "h g"]
SHAPE = {"embedding_size": 4, "hidden_sizes": (5,)}
OPTIONS = {"epochs": 3, "streams": 2, "window": 5, "learning_rate": 0.05, "warmup": 0}


def make_settings(out: Path, **options: Any) -> LanguageModelSettings:
    """Return the settings of a small run."""
    validation = UnlabelledTexts(VALIDATION_TEXTS, "others")
    shape = {} if "encoder" in options else SHAPE
    return LanguageModelSettings.create(
        UnlabelledTexts(TRAINING_TEXTS, "some"), out, {"validation": validation, **shape, **OPTIONS, **options}
    )


def run_all(settings: LanguageModelSettings) -> tuple[list[LanguageModelEvent], LanguageModelResult]:
    """Return all events of a run, and its result."""
    events = list(run(settings))
    assert isinstance(events[-1], LanguageModelResult)
    return events, events[-1]


def stop_at(settings: LanguageModelSettings, kind: type, number: int = 1) -> None:
    """Close a run at its event `number` of type `kind`."""
    events = run(settings)
    for event in events:
        number -= isinstance(event, kind)
        if not number:
            break
    events.close()


def fake_losses(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> list[dict[str, np.ndarray]]:
    """Replace the losses of evaluations by `losses`; return a list that receives the evaluated weights."""
    evaluated: list[dict[str, np.ndarray]] = []
    evaluate_ids = LanguageModel.evaluate_ids

    def fake(self: LanguageModel, encoded: Any) -> Any:
        evaluated.append(dict(self.saved.weights))
        return dataclasses.replace(evaluate_ids(self, encoded), loss=[*losses, 0.0][len(evaluated) - 1])

    monkeypatch.setattr(LanguageModel, "evaluate_ids", fake)
    return evaluated


@pytest.mark.parametrize(
    ("losses", "best_epoch", "best"),
    [
        ([3.0, 2.0, 1.0], 3, [True, True, True]),
        ([2.0, 1.0, 3.0], 2, [True, True, False]),
        ([1.0, 2.0, 1.0], 3, [True, False, True]),
    ],
)
def test_the_last_epoch_with_the_lowest_validation_loss_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: list[float], best_epoch: int, best: list[bool]
) -> None:
    evaluated = fake_losses(monkeypatch, losses)
    events, result = run_all(make_settings(tmp_path / "lm"))
    assert [event.best for event in events if isinstance(event, PerplexityMeasured)] == best
    assert result.validation_losses == tuple(losses)
    assert result.evaluated_on == "others"
    saved = load_language_model(tmp_path / "lm").saved
    assert (saved.training["best_epoch"], saved.training["epochs"]) == (best_epoch, 3)
    for name, array in saved.weights.items():
        np.testing.assert_array_equal(array, evaluated[best_epoch - 1][name])
    history = json.loads((tmp_path / "lm" / "history.json").read_bytes())
    assert [epoch["validation_loss"] for epoch in history] == losses


def test_a_resumed_run_keeps_the_best_epoch_of_its_first_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path / "lm")
    evaluated = fake_losses(monkeypatch, [1.0, 2.0, 3.0])
    stop_at(settings, LanguageModelStep, 30)
    assert len(evaluated) == 1
    _, result = run_all(dataclasses.replace(settings, resume=True))
    assert result.validation_losses == (1.0, 2.0, 3.0)
    for name, array in result.model.saved.weights.items():
        np.testing.assert_array_equal(array, evaluated[0][name])


@pytest.mark.parametrize(
    ("kind", "number"),
    [(LanguageModelStep, 1), (LanguageModelEpoch, 1), (PerplexityMeasured, 2), (LanguageModelEpoch, 3)],
)
def test_a_run_stopped_at_any_event_resumes_to_the_same_files(tmp_path: Path, kind: type, number: int) -> None:
    _, expected = run_all(make_settings(tmp_path / "expected"))
    settings = make_settings(tmp_path / "lm")
    stop_at(settings, kind, number)
    _, result = run_all(dataclasses.replace(settings, resume=True))
    assert result.validation_losses == expected.validation_losses
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "lm" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_a_resumed_run_keeps_the_precision_that_auto_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path / "lm", device="cpu")
    chosen = "bfloat16"
    monkeypatch.setattr("fastlstm.nn.kernel_lstm.fastest_precision", lambda *_, **__: chosen)
    monkeypatch.setattr("fastlstm.nn.runs.effective_precision", lambda precision, _: precision)
    stop_at(settings, LanguageModelEpoch)
    chosen = "float32"
    _, result = run_all(dataclasses.replace(settings, resume=True))
    record = result.model.saved.training
    assert (record["config"]["precision"], record["identity"]["precision"]) == ("auto", "bfloat16")


def test_a_failing_checkpoint_on_closing_raises_write_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = run(make_settings(tmp_path / "lm"))
    while not isinstance(next(events), LanguageModelStep):
        pass

    def fail(*_: object) -> None:
        raise WriteError("the disk is full", code="disk-full")

    monkeypatch.setattr(LanguageModelState, "save", fail)
    with pytest.raises(WriteError) as raised:
        events.close()
    assert raised.value.code == "disk-full"


def test_a_resumed_run_replaces_the_model_of_another_run_only_with_overwrite(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "lm")
    run_all(make_settings(tmp_path / "lm", seed=7))
    stop_at(dataclasses.replace(settings, overwrite=True), LanguageModelStep)
    config = (tmp_path / "lm" / "config.json").read_bytes()
    with pytest.raises(InputError) as raised:
        run_all(dataclasses.replace(settings, resume=True))
    assert (raised.value.code, raised.value.folder) == ("model-of-other-run", tmp_path / "lm")
    assert (tmp_path / "lm" / "config.json").read_bytes() == config
    run_all(dataclasses.replace(settings, resume=True, overwrite=True))
    assert load_language_model(tmp_path / "lm").saved.training["config"]["seed"] == 0


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_the_result_is_that_of_the_stored_weights(tmp_path: Path, storage: str) -> None:
    _, result = run_all(make_settings(tmp_path / "lm", embedding_size=16, storage=storage))
    assert load_language_model(tmp_path / "lm").evaluate(VALIDATION_TEXTS) == result.perplexity
    assert result.perplexity.loss != min(result.validation_losses)


def test_notes_report_missing_kernel_small_corpus_and_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.nn.runs.find_kernel", lambda: KernelInfo(None, "it was not built", None))
    validation = UnlabelledTexts([*VALIDATION_TEXTS, TRAINING_TEXTS[0]], "others")
    settings = make_settings(tmp_path / "lm", validation=validation, epochs=1, streams=64, device="cpu")
    notes = {event.code: event.text for event in run_all(settings)[0] if isinstance(event, Note)}
    assert {"kernel-unavailable", "vocabulary-capped", "streams-reduced", "texts-overlap"} <= notes.keys()
    assert notes["texts-overlap"].startswith("1 of the 4 ")


def test_options_are_checked_before_texts_are_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    with pytest.raises(OptionError):
        fastlstm.train_language_model(missing, tmp_path / "lm", storage="int9")
    with pytest.raises(ModelNotFoundError):
        fastlstm.train_language_model(missing, tmp_path / "lm", encoder=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_the_missing_direction_is_trained_and_the_encoder_is_unchanged(tmp_path: Path) -> None:
    _, forward = run_all(make_settings(tmp_path / "forward"))
    settings = make_settings(tmp_path / "both", encoder=forward.folder, direction="both")
    stop_at(settings, LanguageModelStep, 4)
    _, both = run_all(dataclasses.replace(settings, resume=True))
    _, uninterrupted = run_all(dataclasses.replace(settings, out=tmp_path / "uninterrupted"))

    assert both.model.saved.config.direction == "both"
    encoder_weights, weights = forward.model.saved.weights, both.model.saved.weights
    for name, weight in encoder_weights.items():
        np.testing.assert_array_equal(weights[name], weight, err_msg=name)
    for name, weight in weights.items():
        np.testing.assert_array_equal(uninterrupted.model.saved.weights[name], weight, err_msg=name)
    assert both.history[-1].loss < both.history[0].loss
    assert weights.keys() - encoder_weights.keys() == {
        f"{part}.backward.{kind}"
        for part, kinds in (("lstm.0", ("weight_ih", "weight_hh", "bias")), ("projection", ("weight",)))
        for kind in kinds
    }


def test_the_direction_opposite_to_the_encoder_raises_option_error(tmp_path: Path) -> None:
    _, forward = run_all(make_settings(tmp_path / "forward"))
    with pytest.raises(OptionError) as raised:
        make_settings(tmp_path / "backward", encoder=forward.folder, direction="backward")
    error = raised.value
    assert (error.code, error.direction, error.encoder_direction) == ("encoder-direction", "backward", "forward")


def test_a_non_finite_validation_loss_raises_training_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverged = Perplexity(texts=1, tokens=1, loss=float("nan"), perplexity=1.0, vocabulary_size=9, unknown=0.0)
    monkeypatch.setattr(LanguageModel, "evaluate_ids", lambda *_: diverged)
    with pytest.raises(TrainingError) as raised:
        run_all(make_settings(tmp_path / "lm"))
    assert raised.value.code == "diverged"
