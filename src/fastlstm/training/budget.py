"""The best model that can be had in a given time: rungs are climbed one after the other, from the cheapest up.

Each rung is a model of its own. The one that validation texts like best so far is kept and saved, so that there is
one from the first seconds on, never worse on them than the words alone.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fastlstm.config import PRESETS, ModelConfig, TrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.language_model.loop import make_state, train_steps
from fastlstm.nn.device import find_device
from fastlstm.nn.runs import Note
from fastlstm.pretrained import ENGLISH_ENCODER, bundled_model
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer
from fastlstm.training.evaluation import calibrate_model, prepared_event, save_so_far
from fastlstm.training.events import Calibrated, CandidateDone, TrainingEvent
from fastlstm.training.finetuning import config_from_encoder, language_model_config
from fastlstm.training.loop import LabelledIds, TrainingState, make_optimizer, train_epochs
from fastlstm.training.model import TextClassifier
from fastlstm.training.prepare import PreparedRun, prepare
from fastlstm.training.pretraining import pretraining_config
from fastlstm.training.settings import BUDGET_OPTIONS, TrainingJob

TIMED_STEPS = 3
TEXT_TOKENS = 200
"""Tokens of a text in the timed steps, about those of a review."""


@dataclass(frozen=True)
class Throughput:
    """Seconds a token: of pretraining, and of training on labels."""

    pretraining: float
    training: float

    def seconds(self, training: TrainingConfig, pretraining_tokens: int, training_tokens: int) -> float:
        """What a run takes with that many tokens in an epoch of each kind."""
        first = self.pretraining * training.pretraining_epochs * pretraining_tokens
        return first + self.training * training.epochs * training_tokens


def measure_throughput(
    model: ModelConfig, training: TrainingConfig, classes: int, device: torch.device
) -> Throughput:
    """Makes a few steps on random tokens."""
    generator = np.random.default_rng(0)
    length = min(TEXT_TOKENS, model.max_tokens)
    # As Zipf's law has it, most tokens are those of few words.
    ranks = generator.zipf(1.2, (training.batch_size * (TIMED_STEPS + 1), length))
    texts = list((ranks % (model.vocabulary_size - 1) + 1).astype(np.int32))
    labelled = LabelledIds(texts, np.arange(len(texts)) % classes)
    state = TrainingState(
        classifier := TextClassifier(model, classes, seed=0).to(device), make_optimizer(classifier, training)
    )
    steps = train_epochs(state, labelled, labelled, training)
    of_training = _timed(steps) / (training.batch_size * length)
    if not training.pretraining_epochs:
        return Throughput(0.0, of_training)
    config = pretraining_config(training, tokens=10**9)
    tokens = config.streams * config.window
    several = generator.zipf(1.2, tokens * (TIMED_STEPS + 2)) % (model.vocabulary_size - 1) + 1
    of = make_state(language_model_config(model), config, device)
    return Throughput(_timed(train_steps(of, [several.astype(np.int32)], config)) / tokens, of_training)


def _timed(steps: Iterator[object]) -> float:
    """The median seconds of a step, the first of which warms up."""
    next(steps)
    seconds = []
    for _ in range(TIMED_STEPS):
        started = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


FINISH_FRACTION = 0.05
"""Of the budget, kept for measuring and saving."""
SAFETY = 1.15
"""A rung is begun where this times what it is expected to take is left."""
CHARACTERS_PER_TOKEN = 4.5
"""About, in English, spaces included: enough to tell minutes from hours."""


MAX_UNKNOWN = 0.05
"""The share of tokens that the bundled encoder may lack, of texts that it is tried on unasked."""
SAMPLE_TEXTS = 1_000
SAMPLE_TOKENS = 200
"""Of how many texts, and of how many tokens of each, this share is."""


@dataclass(frozen=True)
class Candidate:
    """A model to try, and the folder and the language model that it begins from, if it does."""

    name: str
    model: ModelConfig
    training: TrainingConfig
    folder: Path | None = None
    encoder: SavedLanguageModel | None = None


@dataclass(frozen=True)
class FittedCandidate:
    """The best rung: the job as it was done there, what was fitted, and how its validation texts came out."""

    name: str
    job: TrainingJob
    fitting: PreparedRun
    outcome: Calibrated

    def is_better_than(self, other: FittedCandidate | None) -> bool:
        """More validation texts are right; of as many, they are found likelier."""
        if other is None:
            return True
        mine, theirs = self.outcome.after, other.outcome.after
        return (mine.accuracy, -mine.loss) > (theirs.accuracy, -theirs.loss)


def select_best(job: TrainingJob, budget: float) -> Generator[TrainingEvent, None, FittedCandidate]:
    """Climbs as far as the time goes, and returns the best.

    Args:
        job: what to learn from; of its configurations, what `BUDGET_OPTIONS` names is asked.
        budget: seconds.
    """
    end = time.monotonic() + budget * (1 - FINISH_FRACTION)
    best: FittedCandidate | None = None
    encoder = yield from _encoder(job)
    for rung in _candidates(job.training, encoder):
        fitted = rung if best is None else _fit_candidate(rung, job, end - time.monotonic())
        if fitted is None:
            yield Note(
                f"{rung.name}: would take longer than the {max(end - time.monotonic(), 0):.0f} s that are left"
            )
            continue
        try:
            climbed = yield from _climb_one(job, fitted, end)
        except TrainingError as error:
            if best is None:
                raise
            yield Note(f"{rung.name}: {error}")
            continue
        if climbed is None:
            yield Note(f"{rung.name}: the time was over before its first epoch was")
            break
        if climbed.is_better_than(best):
            save_so_far(climbed.job, climbed.fitting, climbed.outcome, first=best is None)
            best = climbed
    assert best is not None, "the first rung is climbed whatever it takes"
    return best


def _encoder(job: TrainingJob) -> Generator[Note, None, tuple[Path, SavedLanguageModel] | None]:
    """The job's and its folder; or the bundled one, where it knows the words of the texts."""
    if job.encoder is not None:
        return job.encoder, read_language_model(job.encoder)
    folder = bundled_model(ENGLISH_ENCODER)
    if folder is None:
        return None
    encoder = read_language_model(folder)
    some = job.data.training.texts[:: -(-len(job.data.training) // SAMPLE_TEXTS)]
    ids = TextTokenizer(encoder.tokenizer, max_tokens=SAMPLE_TOKENS, truncate="end")(some).ids
    unknown = sum(int((text == UNKNOWN_ID).sum()) for text in ids) / sum(map(len, ids))
    if unknown > MAX_UNKNOWN:
        yield Note(f"encoder: the bundled one is of English, and does not know {unknown:.0%} of the words here")
        return None
    return folder, encoder


def _candidates(given: TrainingConfig, encoder: tuple[Path, SavedLanguageModel] | None) -> Iterator[Candidate]:
    """`given`: has what a run with a budget leaves to its caller."""
    own = {name: getattr(given, name) for name in BUDGET_OPTIONS}
    small, accurate = PRESETS["small"], PRESETS["accurate"]
    alone = dataclasses.replace(
        small.model, embedding_size=1, hidden_sizes=(1,), bidirectional=False, pooling="last", max_tokens=1
    )
    yield Candidate("words", alone, TrainingConfig(epochs=1, **own))
    yield Candidate("small", small.model, dataclasses.replace(small.training, **own))
    training = dataclasses.replace(accurate.training, **own)
    if encoder is None:
        yield Candidate("accurate", accurate.model, training)
        return
    folder, begin = encoder
    model = config_from_encoder(begin.config, accurate.model)
    yield Candidate("encoder", model, dataclasses.replace(training, pretraining_epochs=0), folder, begin)
    yield Candidate("encoder, after reading these texts", model, training, folder, begin)


def _fit_candidate(rung: Candidate, job: TrainingJob, seconds: float) -> Candidate | None:
    """The rung with as many epochs as the time allows, those of the preset at most; None where not even one is."""
    data, model = job.data, rung.model
    labelled = data.training.texts
    whole = rung.training.for_texts(len(labelled))
    pace = measure_throughput(model, whole, len(data.training.class_names), find_device(job.device))
    lengths = [len(text) / CHARACTERS_PER_TOKEN for text in labelled]
    trained = int(sum(min(length, model.max_tokens) for length in lengths))
    read = int(sum(lengths) + sum(map(len, data.unlabelled)) / CHARACTERS_PER_TOKEN)
    for pretraining_epochs in range(whole.pretraining_epochs, 0, -1) or [0]:
        for epochs in range(whole.epochs, max(whole.epochs // 2, 1) - 1, -1):
            training = dataclasses.replace(whole, pretraining_epochs=pretraining_epochs, epochs=epochs, min_steps=0)
            if SAFETY * pace.seconds(training, read, trained) < seconds:
                return dataclasses.replace(rung, training=training)
    return None


def _climb_one(
    job: TrainingJob, rung: Candidate, end: float
) -> Generator[TrainingEvent, None, FittedCandidate | None]:
    started = time.perf_counter()
    data = job.data if rung.training.pretraining_epochs else dataclasses.replace(job.data, unlabelled=())
    fitting = prepare(
        data.training,
        data.validation,
        rung.model,
        rung.training,
        device=job.device,
        cap_vocabulary=True,
        unlabelled=data.unlabelled,
        encoder=rung.encoder,
    )
    yield Note(f"{rung.name}:")
    yield prepared_event(job, fitting)
    for event in fitting.epochs():
        yield event
        if time.monotonic() > end and fitting.state.history:
            fitting.state.model.assign(fitting.state.best)
            break
        if time.monotonic() > end and rung.name != "words":
            return None
    outcome = calibrate_model(fitting)
    yield CandidateDone(rung.name, time.perf_counter() - started, outcome.after)
    done = dataclasses.replace(job, data=data, preset=rung.name, encoder=rung.folder)
    return FittedCandidate(rung.name, done, fitting, outcome)
