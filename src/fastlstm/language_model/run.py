"""From plain texts to a saved language model, as a generator of events."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from fastlstm import __version__
from fastlstm.config import Direction, LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.data import UnlabelledTexts
from fastlstm.errors import OptionError
from fastlstm.language_model.corpus import fitting_streams
from fastlstm.language_model.inference import ALL_TOKENS, LanguageModel, Perplexity
from fastlstm.language_model.loop import (
    LanguageModelEpoch,
    LanguageModelState,
    LanguageModelStep,
    make_state,
    summed_losses,
    train_steps,
)
from fastlstm.nn.device import find_device
from fastlstm.nn.kernel_lstm import effective_precision
from fastlstm.nn.runs import Note, check_same_run, checkpoint_path, fingerprint, precision_notes, with_checkpoints
from fastlstm.serialization.folder import CONFIG, json_bytes
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model, write_language_model
from fastlstm.serialization.model_card import language_model_card
from fastlstm.serialization.quantization import round_weights
from fastlstm.text import tokenizer as tokens

CHECKPOINT_SECONDS = 60.0
"""How much work a crash may cost; these checkpoints are large."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelJob:
    """What is to be done. `held_out` texts measure perplexity and are not learned from; `begin` is the folder of a
    language model whose weights and vocabulary are taken; `direction` what it is widened to."""

    texts: UnlabelledTexts
    held_out: UnlabelledTexts
    model: LanguageModelConfig
    training: LanguageModelTrainingConfig
    out: Path
    preset: str
    cap_vocabulary: bool = True
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    storage: str = "float32"
    begin: Path | None = None
    direction: Direction | None = None


@dataclass(frozen=True)
class LanguageModelPrepared:
    """The texts are encoded and the model made; training comes next."""

    model: LanguageModelConfig
    training: LanguageModelTrainingConfig
    device: str
    texts: int
    tokens: int
    held_out_texts: int


@dataclass(frozen=True)
class PerplexityMeasured:
    """How well the model foretells the held-out texts after an epoch, and whether no epoch before did better."""

    epoch: int
    perplexity: Perplexity
    best: bool


@dataclass(frozen=True)
class LanguageModelResult:
    """A finished run: the model of the best epoch, where it is saved, and how well it foretells the held-out texts.

    `validation` has the loss (nats a token) on these after each epoch.
    """

    model: LanguageModel
    folder: Path
    perplexity: Perplexity
    history: tuple[LanguageModelEpoch, ...]
    validation: tuple[float, ...]


LanguageModelEvent = (
    Note | LanguageModelPrepared | LanguageModelStep | LanguageModelEpoch | PerplexityMeasured | LanguageModelResult
)


def run(job: LanguageModelJob) -> Generator[LanguageModelEvent, None, None]:
    """Trains, measures and saves; the last event is the `LanguageModelResult`.

    The state is saved in `checkpoint_of(job.out)` as training goes, and whenever the caller closes the generator;
    that file goes when the model is saved.

    Raises:
        InputError: something about the job is wrong; nothing was written.
        WriteError: the model or a checkpoint can't be written; an older model is untouched.
        TrainingError: the loss went astray, or there is too little text.
    """
    reading = _prepare(job)
    yield from _notes(job, reading)
    yield LanguageModelPrepared(
        model=reading.config,
        training=reading.training,
        device=reading.identity["device"],
        texts=len(reading.learned),
        tokens=reading.tokens,
        held_out_texts=len(reading.held_out),
    )
    yield from _begin(job, reading)

    def save() -> None:
        reading.state.save(checkpoint_path(job.out), reading.identity)

    yield from with_checkpoints(reading.epochs(), save, whole=LanguageModelEpoch, seconds=CHECKPOINT_SECONDS)
    yield _finish(job, reading)


@dataclass(frozen=True)
class _Reading:
    """A run that is ready to train: encoded texts, the model and the state of its training."""

    config: LanguageModelConfig
    training: LanguageModelTrainingConfig
    tokenizer: Tokenizer
    learned: list[npt.NDArray[np.int32]]
    held_out: list[npt.NDArray[np.int32]]
    state: LanguageModelState
    identity: dict[str, Any]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.learned))

    def model(self, weights: dict[str, npt.NDArray[np.float32]], record: dict[str, Any]) -> LanguageModel:
        return LanguageModel(SavedLanguageModel(self.config, self.tokenizer, weights, record))

    def perplexity(self, weights: dict[str, npt.NDArray[np.float32]] | None) -> Perplexity:
        """That of the held-out texts with these weights; with those in training if None.

        A GPU measures what is in training, so these weights take its place.
        """
        network = self.state.model
        if self.identity["device"] == "cpu":
            return self.model(network.arrays() if weights is None else weights, {}).perplexity(self.held_out)
        if weights is not None:
            network.assign(weights)
        return Perplexity.of(self.held_out, summed_losses(network, self.held_out), self.config.vocabulary_size)

    def epochs(self) -> Iterator[LanguageModelStep | LanguageModelEpoch | PerplexityMeasured]:
        """Trains from where the state is to the end. An epoch is told of once it is measured."""
        for event in train_steps(self.state, self.learned, self.training):
            if isinstance(event, LanguageModelEpoch):
                measured = self.perplexity(None)
                best = self.state.measured(measured.loss)
                yield event
                yield PerplexityMeasured(event.epoch, measured, best)
            else:
                yield event


def _prepare(job: LanguageModelJob) -> _Reading:
    place = find_device(job.device)
    begin = None if job.begin is None else read_language_model(job.begin)
    if begin is None:
        tokenizer = tokens.train_tokenizer(job.texts.texts, job.model.vocabulary_size)
        config = _capped(job, tokenizer.get_vocab_size())
    else:
        tokenizer = begin.tokenizer
        config = dataclasses.replace(begin.config, direction=widened(begin.config, job.direction))
    encode = tokens.TextTokenizer(tokenizer, max_tokens=ALL_TOKENS, truncate="end")
    learned, held_out = encode(job.texts.texts).ids, encode(job.held_out.texts).ids
    streams = fitting_streams(job.training.streams, job.training.window, sum(map(len, learned)) + len(learned))
    training = dataclasses.replace(job.training, streams=streams)
    state = make_state(config, training, place, None if begin is None else begin.weights)
    identity: dict[str, Any] = {
        **dataclasses.asdict(config) | {"hidden_sizes": list(config.hidden_sizes)},
        **dataclasses.asdict(training),
        "precision": effective_precision(training.precision, place),
        "device": place.type,
        "texts": fingerprint(learned),
        "held-out texts": fingerprint(held_out),
        "begin": None if begin is None else fingerprint(begin.weights.values()),
    }
    return _Reading(config, training, tokenizer, learned, held_out, state, identity)


def widened(begin: LanguageModelConfig, direction: Direction | None) -> Direction:
    """The direction of a model that begins from another. Raises `OptionError` for one that can't be had from it."""
    if direction not in (None, begin.direction, "both"):
        raise OptionError(
            f"direction is {direction}, and the model to begin from is {begin.direction}; expected that, or both, "
            "which keeps it as it is and learns the other direction beside it"
        )
    return direction or begin.direction


def _notes(job: LanguageModelJob, reading: _Reading) -> Iterator[Note]:
    yield from precision_notes(reading.training.precision, reading.identity)
    if job.begin is None and reading.config.vocabulary_size < job.model.vocabulary_size:
        yield Note(f"vocabulary: {reading.config.vocabulary_size:,} words, all that the texts have")
    if (streams := reading.training.streams) < job.training.streams:
        yield Note(
            f"{reading.tokens:,} tokens are few: they are read in {streams} streams, not {job.training.streams}"
        )
    known = set(job.texts.texts)
    if repeated := sum(text in known for text in job.held_out.texts):
        yield Note(f"{repeated:,} of the {len(job.held_out):,} held-out texts stand among those learned from too")


def _begin(job: LanguageModelJob, reading: _Reading) -> Iterator[Note]:
    """From here on there is a checkpoint to go on from."""
    state, checkpoint = reading.state, checkpoint_path(job.out)
    if job.resume:
        state.restore(checkpoint, reading.identity)
        if not job.overwrite and (job.out / CONFIG).exists():
            there = read_language_model(job.out).training.get("identity")
            check_same_run(job.out, there, reading.identity)
        yield Note(f"going on after {state.epoch} finished epochs and {state.step} steps of the next")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state.save(checkpoint, reading.identity)


def _finish(job: LanguageModelJob, reading: _Reading) -> LanguageModelResult:
    """Measures the best epoch's model as it will be read, and saves it."""
    state = reading.state
    best, losses = state.best_arrays(), state.validation
    best = round_weights(best, job.storage)
    measured = reading.perplexity(best)
    record = {
        "fastlstm_version": __version__,
        "preset": job.preset,
        "config": dataclasses.asdict(reading.training),
        "identity": reading.identity,
        "begin": None if job.begin is None else job.begin.name,
        "data": {"texts": job.texts.source, "count": len(reading.learned), "tokens": reading.tokens},
        "epochs": len(state.history),
        "best_epoch": max(i for i, loss in enumerate(losses, 1) if loss == min(losses)),
        "seconds": round(sum(epoch.seconds for epoch in state.history), 1),
        "storage": job.storage,
        "results": {"measured_on": job.held_out.source, **measured.to_json()},
    }
    history = [
        {**dataclasses.asdict(epoch), "validation_loss": loss}
        for epoch, loss in zip(state.history, losses, strict=True)
    ]
    model = reading.model(best, record)
    write_language_model(
        model.model,
        job.out,
        card=language_model_card(model.model),
        extras={"history.json": json_bytes(history)},
        storage=job.storage,
    )
    checkpoint_path(job.out).unlink(missing_ok=True)
    return LanguageModelResult(model, job.out, measured, tuple(state.history), tuple(losses))


def _capped(job: LanguageModelJob, words: int) -> LanguageModelConfig:
    """The shape, with as many words as there are. Raises `OptionError` where more were asked for."""
    if words == job.model.vocabulary_size:
        return job.model
    if not job.cap_vocabulary:
        raise OptionError(
            f"vocabulary-size is {job.model.vocabulary_size}, and the texts have {words} different words; "
            f"pass --vocabulary-size {words} or less"
        )
    return dataclasses.replace(job.model, vocabulary_size=words)
