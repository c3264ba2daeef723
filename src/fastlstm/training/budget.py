"""The best model within a time limit: candidates are trained one after the other.

The first candidate is the default preset if the time is enough for it, otherwise a linear model of the n-grams alone.
Another candidate replaces the best one so far only if it is more accurate on the validation texts by more than two
standard errors; otherwise more candidates would mean more chances of a lucky one. The best candidate so far is saved at
once. Time is kept free to train it again on training and validation texts, with the choices made on the latter. Few
texts are cross-validated instead, with each candidate.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fastlstm._typing import BoolArray
from fastlstm.config import PRESETS, ModelConfig, TrainingConfig
from fastlstm.data.splits import DataSplits
from fastlstm.errors import TrainingError
from fastlstm.inference import Classifier
from fastlstm.language_model.loop import make_state, train_steps
from fastlstm.nn.device import find_device
from fastlstm.notes import Note
from fastlstm.pretrained import ENGLISH_ENCODER, bundled_model
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer
from fastlstm.training.comparison import is_better
from fastlstm.training.cross_validation import cross_validate
from fastlstm.training.evaluation import (
    BUDGET_DESCRIPTION,
    calibrate_and_predict,
    check_parity,
    prepared_event,
    training_record,
)
from fastlstm.training.events import Calibrated, CandidateDone, TrainingEvent
from fastlstm.training.finetuning import config_from_encoder, language_model_config
from fastlstm.training.loop import LabelledIds, TrainingState, make_optimizer, train_epochs
from fastlstm.training.model import TextClassifier
from fastlstm.training.prepare import OutOfFold, PreparedRun, prepare
from fastlstm.training.pretraining import pretraining_config
from fastlstm.training.settings import BUDGET_FIELDS, TrainingSettings

NGRAMS_ONLY = "n-grams"
"""Name of the candidate without an LSTM."""
STANDARD_ERRORS = 2.0
"""A candidate replaces the best one so far if it is more accurate by more than this many standard errors."""
TIMED_STEPS = 3
TEXT_TOKENS = 200
"""Tokens per text in the timed steps, about the length of a review."""
FINISH_FRACTION = 0.05
"""Fraction of the budget reserved for evaluating and saving."""
SAFETY_FACTOR = 1.15
"""A candidate is started if this multiple of its estimated duration is left."""
CHARACTERS_PER_TOKEN = 4.5
"""Average of English with spaces; accurate enough to distinguish minutes from hours."""
MAX_UNKNOWN = 0.05
"""Largest fraction of unknown tokens for which the bundled encoder is a candidate."""
SAMPLE_TEXTS = 1_000
SAMPLE_TOKENS = 200
"""Number of texts, and of tokens per text, in which unknown tokens are counted."""


@dataclass(frozen=True)
class Throughput:
    """Seconds per token of pretraining, and of training on labels."""

    pretraining: float
    training: float

    def seconds(self, training: TrainingConfig, pretraining_tokens: int, training_tokens: int) -> float:
        """Return the duration of a run with that many tokens per epoch of each kind."""
        first = self.pretraining * training.pretraining_epochs * pretraining_tokens
        return first + self.training * training.epochs * training_tokens


def measure_throughput(
    model: ModelConfig, training: TrainingConfig, classes: int, device: torch.device
) -> Throughput:
    """Time a few steps on random tokens, distributed by Zipf's law."""
    generator = np.random.default_rng(0)
    length = min(TEXT_TOKENS, model.max_tokens)
    ranks = generator.zipf(1.2, (training.batch_size * (TIMED_STEPS + 1), length))
    texts = list((ranks % (model.vocabulary_size - 1) + 1).astype(np.int32))
    labelled = LabelledIds(texts, np.arange(len(texts)) % classes)
    state = TrainingState(
        classifier := TextClassifier(model, classes, seed=0).to(device), make_optimizer(classifier, training)
    )
    training_seconds = _median_seconds(train_epochs(state, labelled, labelled, training))
    per_token = training_seconds / (training.batch_size * length)
    if not training.pretraining_epochs:
        return Throughput(0.0, per_token)
    config = pretraining_config(training, tokens=10**9)
    tokens = config.streams * config.window
    stream = generator.zipf(1.2, tokens * (TIMED_STEPS + 2)) % (model.vocabulary_size - 1) + 1
    language_model = make_state(language_model_config(model), config, device)
    seconds = _median_seconds(train_steps(language_model, [stream.astype(np.int32)], config))
    return Throughput(seconds / tokens, per_token)


def _median_seconds(steps: Iterator[object]) -> float:
    """Return the median duration of a step, after one step of warm-up."""
    next(steps)
    seconds = []
    for _ in range(TIMED_STEPS):
        started = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


@dataclass(frozen=True)
class Candidate:
    """A model to try; `encoder`, read from `folder`, is the language model that it starts from, if any."""

    name: str
    model: ModelConfig
    training: TrainingConfig
    folder: Path | None = None
    encoder: SavedLanguageModel | None = None

    @property
    def is_linear(self) -> bool:
        """Whether the n-grams alone decide."""
        return self.name == NGRAMS_ONLY


@dataclass(frozen=True)
class FittedCandidate:
    """A trained candidate, with the settings and the data of its run.

    `correct` [n] is for each validation text, `seconds` the time of its training.
    """

    name: str
    settings: TrainingSettings
    data: DataSplits
    prepared: PreparedRun
    calibrated: Calibrated
    correct: BoolArray
    seconds: float

    @property
    def seconds_on_all(self) -> float:
        """The estimated time of `train_on_all`, which is kept free; 0 if it is not possible.

        Early exit is fitted on validation texts, which must not be training texts.
        """
        prepared = self.prepared
        if self.data.folds:
            return 0.0  # it is trained on all texts
        if prepared.starts_from_language_model or prepared.is_linear or self.settings.early_exit:
            return 0.0
        count = len(self.data.training) + len(self.data.validation)
        return SAFETY_FACTOR * self.seconds * count / len(self.data.training)

    def is_better_than(self, other: FittedCandidate | None) -> bool:
        """Return whether it is right on more validation texts, by more than `STANDARD_ERRORS`."""
        return other is None or is_better(self.correct, other.correct, standard_errors=STANDARD_ERRORS)


def select_best(
    settings: TrainingSettings, data: DataSplits, budget: float
) -> Generator[TrainingEvent, None, FittedCandidate]:
    """Train candidates until the time is used up, save each new best one, and return the best.

    Args:
        settings: The run; of its configurations only `BUDGET_FIELDS` are used.
        data: The texts.
        budget: Time limit in seconds.
    """
    end = time.monotonic() + budget * (1 - FINISH_FRACTION)
    best: FittedCandidate | None = None
    encoder = yield from find_encoder_candidate(settings, data)
    small, *others = list_candidates(settings.training, encoder, pretraining=not data.folds)
    ngrams_only, *larger = others
    is_first = fits(small, settings, data, end - time.monotonic())
    for listed in [small, ngrams_only, *larger] if is_first else [ngrams_only, small, *larger]:
        last = end - (0.0 if best is None else best.seconds_on_all)
        remaining = max(last - time.monotonic(), 0)
        candidate: Candidate | None = listed
        if best is not None and not remaining:
            candidate = None
        elif not listed.is_linear and not (is_first and listed is small):
            candidate = limit_epochs(listed, settings, data, remaining)
        if candidate is None:
            yield Note(
                f"{listed.name}: skipped, needs more than the remaining {remaining:.0f} s", "candidate-skipped"
            )
            continue
        try:
            fitted = yield from _train_candidate(settings, data, candidate, last)
        except TrainingError as error:
            if best is None and candidate.is_linear:
                raise
            yield Note(f"{candidate.name}: {error}", "candidate-failed")
            continue
        if fitted is None:
            yield Note(
                f"{candidate.name}: the time was used up before its training was finished", "budget-exhausted"
            )
            continue
        if fitted.is_better_than(best):
            _save(fitted, overwrite=settings.overwrite or best is not None)
            best = fitted
    assert best is not None, "the linear model is always trained"
    if (on_all := (yield from train_on_all(best, end - time.monotonic()))) is not None:
        _save(on_all, overwrite=True)
        return on_all
    return best


def train_on_all(best: FittedCandidate, remaining: float) -> Generator[TrainingEvent, None, FittedCandidate | None]:
    """Train a candidate again on training and validation texts, with the choices made on the latter.

    Its figures are those of the model that did not see the validation texts. None if the remaining seconds are too few
    or if it is not possible.
    """
    old, data = best.prepared, best.data
    if not best.seconds_on_all:
        return None
    if best.seconds_on_all > remaining:
        yield Note(
            f"{best.name}: not trained again on all texts, which needs {best.seconds_on_all:.0f} s; only "
            f"{max(remaining, 0):.0f} s remain",
            code="not-trained-on-all",
        )
        return None
    texts = data.all_texts
    yield Note(f"{best.name}: trained again on all {len(texts):,} texts, with these choices", code="trained-on-all")
    history = old.state.history
    config = dataclasses.replace(old.training_config, min_steps=0, epochs=len(history), patience=len(history))
    prepared = prepare(
        texts,
        data.validation,
        best.settings.model,
        config,
        device=best.settings.device,
        cap_vocabulary=True,
    )
    logits = old.validation_logits()
    prepared = prepared.with_out_of_fold(
        OutOfFold(
            dataclasses.replace(old.validation, texts=[]),
            np.broadcast_to(logits, (len(history), *logits.shape)),  # those of the best epoch, the only ones used
            [(result.validation_loss, result.validation_accuracy) for result in history],
            old.wide_choice,
        )
    )
    data = dataclasses.replace(data, training=texts)
    yield prepared_event(data, prepared)
    started = time.perf_counter()
    yield from prepared.epochs()
    return dataclasses.replace(best, data=data, prepared=prepared, seconds=time.perf_counter() - started)


def find_encoder_candidate(
    settings: TrainingSettings, data: DataSplits
) -> Generator[Note, None, tuple[Path, SavedLanguageModel] | None]:
    """Return the encoder of the settings, or the bundled one if it knows the words of the texts."""
    if settings.encoder is not None:
        return settings.encoder, read_language_model(settings.encoder)
    folder = bundled_model(ENGLISH_ENCODER)
    if folder is None:
        return None
    encoder = read_language_model(folder)
    sample = data.training.texts[:: -(-len(data.training) // SAMPLE_TEXTS)]
    ids = TextTokenizer(encoder.tokenizer, max_tokens=SAMPLE_TOKENS, truncate="end")(sample).ids
    unknown = sum(int((text == UNKNOWN_ID).sum()) for text in ids) / sum(map(len, ids))
    if unknown > MAX_UNKNOWN:
        yield Note(
            f"encoder: skipped, {unknown:.0%} of the tokens are unknown to the bundled English encoder",
            "encoder-skipped",
        )
        return None
    return folder, encoder


def list_candidates(
    training: TrainingConfig, encoder: tuple[Path, SavedLanguageModel] | None, *, pretraining: bool = True
) -> Iterator[Candidate]:
    """Yield the candidates, the default preset first, with the `BUDGET_FIELDS` of `training`.

    Without `pretraining`, none is pretrained on the texts: those that a fold leaves out must not be read.
    """
    own = {name: getattr(training, name) for name in BUDGET_FIELDS}
    small, accurate = PRESETS["small"], PRESETS["accurate"]
    ngrams_only = dataclasses.replace(
        small.model, embedding_size=1, hidden_sizes=(1,), bidirectional=False, pooling="last", max_tokens=1
    )
    yield Candidate("small", small.model, dataclasses.replace(small.training, **own))
    yield Candidate(NGRAMS_ONLY, ngrams_only, TrainingConfig(epochs=1, **own))
    accurate_training = dataclasses.replace(accurate.training, **own)
    if encoder is None:
        if pretraining:
            yield Candidate("accurate", accurate.model, accurate_training)
        return
    folder, language_model = encoder
    model = config_from_encoder(language_model.config, accurate.model)
    without = dataclasses.replace(accurate_training, pretraining_epochs=0)
    yield Candidate("encoder", model, without, folder, language_model)
    if pretraining:
        yield Candidate("encoder with pretraining", model, accurate_training, folder, language_model)


def fits(candidate: Candidate, settings: TrainingSettings, data: DataSplits, seconds: float) -> bool:
    """Return whether the time is enough for all epochs of the candidate."""
    limited = limit_epochs(candidate, settings, data, seconds)
    full = candidate.training.for_texts(len(data.training))
    return limited is not None and limited.training.epochs == full.epochs


def limit_epochs(
    candidate: Candidate, settings: TrainingSettings, data: DataSplits, seconds: float
) -> Candidate | None:
    """Return the candidate with as many epochs as the time allows, at most those of its preset.

    None: there is not enough time for half of its epochs.
    """
    model, texts = candidate.model, data.training.texts
    full = candidate.training.for_texts(len(texts))
    throughput = measure_throughput(model, full, len(data.training.class_names), find_device(settings.device))
    seconds /= max(data.folds, 1)  # each fold leaves out its part, and the final model trains on all texts
    lengths = [len(text) / CHARACTERS_PER_TOKEN for text in texts]
    training_tokens = int(sum(min(length, model.max_tokens) for length in lengths))
    pretraining_tokens = int(sum(lengths) + sum(map(len, data.unlabelled)) / CHARACTERS_PER_TOKEN)
    for pretraining_epochs in range(full.pretraining_epochs, 0, -1) or [0]:
        for epochs in range(full.epochs, max(full.epochs // 2, 1) - 1, -1):
            training = dataclasses.replace(full, pretraining_epochs=pretraining_epochs, epochs=epochs, min_steps=0)
            if SAFETY_FACTOR * throughput.seconds(training, pretraining_tokens, training_tokens) < seconds:
                return dataclasses.replace(candidate, training=training)
    return None


def _train_candidate(
    settings: TrainingSettings, data: DataSplits, candidate: Candidate, end: float
) -> Generator[TrainingEvent, None, FittedCandidate | None]:
    started = time.perf_counter()
    if not candidate.training.pretraining_epochs:
        data = dataclasses.replace(data, unlabelled=())
    prepared = prepare(
        data.training,
        data.validation,
        candidate.model,
        candidate.training,
        device=settings.device,
        cap_vocabulary=True,
        unlabelled=data.unlabelled,
        encoder=candidate.encoder,
    )
    if candidate.is_linear:
        prepared = dataclasses.replace(prepared, is_linear=True)
        end = math.inf  # it is always trained
    yield Note(f"{candidate.name}:", "candidate-started")
    if data.folds:
        each = time.perf_counter() - started  # a fold prepares nearly as many texts
        if time.monotonic() + data.folds * each > end:
            return None
        folds = cross_validate(
            data.training,
            data.folds,
            candidate.model,
            candidate.training,
            device=settings.device,
            encoder=candidate.encoder,
            is_linear=candidate.is_linear,
        )
        out_of_fold = yield from _until(end, folds)
        if out_of_fold is None:
            return None
        prepared = prepared.with_out_of_fold(out_of_fold)
        end = math.inf  # its epochs are those that the folds chose
    yield prepared_event(data, prepared)
    for event in prepared.epochs():
        yield event
        if time.monotonic() > end and prepared.state.history:
            prepared.state.model.assign(prepared.state.best)
            break
        if time.monotonic() > end:
            return None
    calibrated, predicted = calibrate_and_predict(prepared)
    yield CandidateDone(candidate.name, time.perf_counter() - started, calibrated.after)
    settings = dataclasses.replace(settings, preset=candidate.name, encoder=candidate.folder, model=candidate.model)
    correct = predicted == prepared.validation.classes
    seconds = time.perf_counter() - started
    return FittedCandidate(candidate.name, settings, data, prepared, calibrated, correct, seconds)


def _until(end: float, folds: Generator[Note, None, OutOfFold]) -> Generator[Note, None, OutOfFold | None]:
    """Return the result of `cross_validate`, or None if a fold ends later than `end`."""
    while time.monotonic() <= end:
        try:
            yield next(folds)
        except StopIteration as finished:
            result: OutOfFold = finished.value
            return result
    return None


def describe_evaluation(data: DataSplits) -> DataSplits:
    """Return the splits; if held-out validation texts are evaluated, `evaluated_on` says that they chose the model."""
    if data.test is not None or data.folds:
        return data
    return dataclasses.replace(data, evaluated_on=BUDGET_DESCRIPTION)


def _save(fitted: FittedCandidate, *, overwrite: bool) -> None:
    """Save a candidate, evaluated on its validation texts alone."""
    prepared, calibrated, settings = fitted.prepared, fitted.calibrated, fitted.settings
    data = describe_evaluation(dataclasses.replace(fitted.data, test=None))
    record = training_record(settings, data, prepared, calibrated, calibrated.after, None)
    classifier = Classifier(prepared.saved_model(record, calibrated.calibration))
    check_parity(classifier, prepared, data.validation, calibrated.calibration)
    classifier.save(settings.out, overwrite=overwrite)
