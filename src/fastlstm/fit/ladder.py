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

from fastlstm import models, saved_language_model, tokens
from fastlstm.config import PRESETS, ModelConfig, TrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.fit.beginning import BESIDE_A_BUDGET
from fastlstm.fit.events import Calibrated, Event, Note, RungDone
from fastlstm.fit.job import Job
from fastlstm.fit.outcome import calibrated, prepared, save_so_far
from fastlstm.fit.pace import measure_pace
from fastlstm.models import ENGLISH_ENCODER
from fastlstm.saved_language_model import SavedLanguageModel
from fastlstm.training.encoder import beginning_from
from fastlstm.training.fitting import Fitting, find_device, prepare

SHARE_FOR_THE_END = 0.05
"""Of the budget, kept for measuring and saving."""
SAFETY = 1.15
"""A rung is begun where this times what it is expected to take is left."""
CHARACTERS_A_TOKEN = 4.5
"""About, in English, spaces included: enough to tell minutes from hours."""


MOST_UNKNOWN = 0.05
"""The share of tokens that the bundled encoder may lack, of texts that it is tried on unasked."""
SOME_TEXTS = 1_000
TOKENS_LOOKED_AT = 200
"""Of how many texts, and of how many tokens of each, this share is."""


@dataclass(frozen=True)
class Rung:
    """A model to try, and the folder and the language model that it begins from, if it does."""

    name: str
    model: ModelConfig
    training: TrainingConfig
    folder: Path | None = None
    encoder: SavedLanguageModel | None = None


@dataclass(frozen=True)
class Climbed:
    """The best rung: the job as it was done there, what was fitted, and how its validation texts came out."""

    name: str
    job: Job
    fitting: Fitting
    outcome: Calibrated

    def is_better_than(self, other: Climbed | None) -> bool:
        """More validation texts are right; of as many, they are found likelier."""
        if other is None:
            return True
        mine, theirs = self.outcome.after, other.outcome.after
        return (mine.accuracy, -mine.loss) > (theirs.accuracy, -theirs.loss)


def climb(job: Job, budget: float) -> Generator[Event, None, Climbed]:
    """Climbs as far as the time goes, and returns the best.

    Args:
        job: what to learn from; of its configurations, what `BESIDE_A_BUDGET` names is asked.
        budget: seconds.
    """
    end = time.monotonic() + budget * (1 - SHARE_FOR_THE_END)
    best: Climbed | None = None
    encoder = yield from _encoder(job)
    for rung in _rungs(job.training, encoder):
        fitted = rung if best is None else _fitted(rung, job, end - time.monotonic())
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


def _encoder(job: Job) -> Generator[Note, None, tuple[Path, SavedLanguageModel] | None]:
    """The job's and its folder; or the bundled one, where it knows the words of the texts."""
    if job.encoder is not None:
        return job.encoder, saved_language_model.read(job.encoder)
    folder = models.bundled(ENGLISH_ENCODER)
    if folder is None:
        return None
    encoder = saved_language_model.read(folder)
    some = job.data.training.texts[:: -(-len(job.data.training) // SOME_TEXTS)]
    ids = tokens.Encoder(encoder.tokenizer, max_tokens=TOKENS_LOOKED_AT, truncate="end")(some).ids
    unknown = sum(int((text == tokens.UNKNOWN_ID).sum()) for text in ids) / sum(map(len, ids))
    if unknown > MOST_UNKNOWN:
        yield Note(f"encoder: the bundled one is of English, and does not know {unknown:.0%} of the words here")
        return None
    return folder, encoder


def _rungs(given: TrainingConfig, encoder: tuple[Path, SavedLanguageModel] | None) -> Iterator[Rung]:
    """`given`: has what a run with a budget leaves to its caller."""
    own = {name: getattr(given, name) for name in BESIDE_A_BUDGET}
    small, accurate = PRESETS["small"], PRESETS["accurate"]
    alone = dataclasses.replace(
        small.model, embedding_size=1, hidden_sizes=(1,), bidirectional=False, pooling="last", max_tokens=1
    )
    yield Rung("words", alone, TrainingConfig(epochs=1, **own))
    yield Rung("small", small.model, dataclasses.replace(small.training, **own))
    training = dataclasses.replace(accurate.training, **own)
    if encoder is None:
        yield Rung("accurate", accurate.model, training)
        return
    folder, begin = encoder
    model = beginning_from(begin.config, accurate.model)
    yield Rung("encoder", model, dataclasses.replace(training, pretraining_epochs=0), folder, begin)
    yield Rung("encoder, after reading these texts", model, training, folder, begin)


def _fitted(rung: Rung, job: Job, seconds: float) -> Rung | None:
    """The rung with as many epochs as the time allows, those of the preset at most; None where not even one is."""
    data, model = job.data, rung.model
    labelled = data.training.texts
    whole = rung.training.for_texts(len(labelled))
    pace = measure_pace(model, whole, len(data.training.class_names), find_device(job.device))
    lengths = [len(text) / CHARACTERS_A_TOKEN for text in labelled]
    trained = int(sum(min(length, model.max_tokens) for length in lengths))
    read = int(sum(lengths) + sum(map(len, data.unlabelled)) / CHARACTERS_A_TOKEN)
    for pretraining_epochs in range(whole.pretraining_epochs, 0, -1) or [0]:
        for epochs in range(whole.epochs, max(whole.epochs // 2, 1) - 1, -1):
            training = dataclasses.replace(whole, pretraining_epochs=pretraining_epochs, epochs=epochs, min_steps=0)
            if SAFETY * pace.seconds(training, read, trained) < seconds:
                return dataclasses.replace(rung, training=training)
    return None


def _climb_one(job: Job, rung: Rung, end: float) -> Generator[Event, None, Climbed | None]:
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
    yield prepared(job, fitting)
    for event in fitting.epochs():
        yield event
        if time.monotonic() > end and fitting.state.history:
            fitting.state.model.assign(fitting.state.best)
            break
        if time.monotonic() > end and rung.name != "words":
            return None
    outcome = calibrated(fitting)
    yield RungDone(rung.name, time.perf_counter() - started, outcome.after)
    done = dataclasses.replace(job, data=data, preset=rung.name, encoder=rung.folder)
    return Climbed(rung.name, done, fitting, outcome)
