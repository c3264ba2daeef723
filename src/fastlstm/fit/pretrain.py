"""From plain texts to a saved language model, as a generator of events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm import __version__, model_folder, saved_language_model, tokens
from fastlstm.config import LanguageModelConfig, PretrainingConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.fit.events import Event, Note
from fastlstm.fit.job import checkpoint_of
from fastlstm.inference.language_card import language_card
from fastlstm.inference.language_model import ALL_TOKENS, LanguageModel, Perplexity
from fastlstm.records import Texts
from fastlstm.saved_language_model import SavedLanguageModel
from fastlstm.training.fitting import find_device, fingerprint
from fastlstm.training.language_model.corpus import fitting_streams
from fastlstm.training.language_model.loop import PretrainingStep, pretrain
from fastlstm.training.language_model.state import PretrainingEpoch, PretrainingState, make_state

CHECKPOINT_SECONDS = 60.0
"""How much work a crash may cost; these checkpoints are large."""
FEWEST_TEXTS = 2
VALIDATION_SEED = 0


@dataclass(frozen=True, kw_only=True)
class PretrainingJob:
    """What is to be done. `held_out` texts measure perplexity and are not learned from; `begin` is the folder of a
    language model whose weights and vocabulary are taken."""

    texts: Texts
    held_out: Texts
    model: LanguageModelConfig
    training: PretrainingConfig
    out: Path
    cap_vocabulary: bool = True
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    storage: str = "float32"
    begin: Path | None = None


@dataclass(frozen=True)
class PretrainingPrepared:
    """The texts are encoded and the model made; training comes next."""

    model: LanguageModelConfig
    training: PretrainingConfig
    device: str
    texts: int
    tokens: int
    held_out_texts: int


@dataclass(frozen=True)
class PerplexityMeasured:
    """How well the model foretells the held-out texts after an epoch."""

    epoch: int
    perplexity: Perplexity


@dataclass(frozen=True)
class PretrainingResult:
    """A finished run: the model, where it is saved, and how well it foretells the held-out texts."""

    model: LanguageModel
    folder: Path
    perplexity: Perplexity
    history: tuple[PretrainingEpoch, ...]


PretrainingEvent = Event | PretrainingPrepared | PerplexityMeasured | PretrainingResult


def hold_out(texts: Texts, fraction: float) -> tuple[Texts, Texts]:
    """The rest, and a random part of about `fraction`, at least one text.

    Raises `OptionError` for a fraction outside 0..1, `DataError` for fewer than two texts.
    """
    if not 0 < fraction < 1:
        raise OptionError(
            f"the fraction to hold out is {fraction}; expected a number between 0 and 1, such as 0.01"
        )
    if len(texts) < FEWEST_TEXTS:
        raise DataError(f"{texts.source} holds {len(texts)} text; expected {FEWEST_TEXTS} or more")
    order = np.random.default_rng(VALIDATION_SEED).permutation(len(texts))
    count = min(max(1, round(len(texts) * fraction)), len(texts) - 1)
    chosen = {int(i) for i in order[:count]}
    rest = [text for i, text in enumerate(texts.texts) if i not in chosen]
    return Texts(rest, texts.source), Texts([texts.texts[i] for i in order[:count]], f"{texts.source} (held out)")


def run_pretraining(job: PretrainingJob) -> Generator[PretrainingEvent, None, None]:
    """Trains, measures and saves; the last event is the `PretrainingResult`.

    The state is saved in `checkpoint_of(job.out)` as training goes, and whenever the caller closes the generator;
    that file goes when the model is saved.

    Raises:
        InputError: something about the job is wrong; nothing was written.
        WriteError: the model or a checkpoint can't be written; an older model is untouched.
        TrainingError: the loss went astray, or there is too little text.
    """
    place = find_device(job.device)
    begin = None if job.begin is None else saved_language_model.read(job.begin)
    if begin is None:
        tokenizer = tokens.train_tokenizer(job.texts.texts, job.model.vocabulary_size)
        config = _capped(job, tokenizer.get_vocab_size())
    else:
        tokenizer, config = begin.tokenizer, begin.config
    encode = tokens.Encoder(tokenizer, max_tokens=ALL_TOKENS, truncate="end")
    learned, held_out = encode(job.texts.texts).ids, encode(job.held_out.texts).ids
    count = sum(map(len, learned))
    streams = fitting_streams(job.training.streams, job.training.window, count + len(learned))
    if streams < job.training.streams:
        yield Note(f"{count:,} tokens are few: they are read in {streams} streams, not {job.training.streams}")
        job = dataclasses.replace(job, training=dataclasses.replace(job.training, streams=streams))
    state = make_state(config, job.training, place)
    identity: dict[str, Any] = {
        **dataclasses.asdict(config) | {"hidden_sizes": list(config.hidden_sizes)},
        **dataclasses.asdict(job.training),
        "device": place.type,
        "texts": fingerprint(learned),
        "held-out texts": fingerprint(held_out),
    }
    if begin is not None:
        state.model.assign(begin.weights)
        identity["begin"] = fingerprint(begin.weights.values())
    yield PretrainingPrepared(config, job.training, place.type, len(learned), count, len(held_out))
    checkpoint = checkpoint_of(job.out)
    if job.resume:
        state.restore(checkpoint, identity)
        yield Note(f"going on after {state.epoch} finished epochs and {state.step} steps of the next")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state.save(checkpoint, identity)

    def as_it_stands(training: dict[str, Any]) -> LanguageModel:
        return LanguageModel(SavedLanguageModel(config, tokenizer, state.model.arrays(), training))

    measured = None
    for event in _train(state, learned, job, identity):
        yield event
        if isinstance(event, PretrainingEpoch):
            measured = as_it_stands({}).perplexity(held_out)
            yield PerplexityMeasured(event.epoch, measured)
    if measured is None:  # resumed when all was done but this
        measured = as_it_stands({}).perplexity(held_out)
    record = {
        "fastlstm_version": __version__,
        "config": dataclasses.asdict(job.training),
        "data": {"texts": job.texts.source, "count": len(learned), "tokens": count},
        "epochs": len(state.history),
        "seconds": round(sum(epoch.seconds for epoch in state.history), 1),
        "results": {"measured_on": job.held_out.source, **measured.to_json()},
    }
    model = as_it_stands(record)
    saved_language_model.write(
        model.model,
        job.out,
        card=language_card(model.model),
        extras={"history.json": model_folder.json_bytes([dataclasses.asdict(epoch) for epoch in state.history])},
        storage=job.storage,
    )
    checkpoint.unlink(missing_ok=True)
    yield PretrainingResult(model, job.out, measured, tuple(state.history))


def _train(
    state: PretrainingState, texts: Sequence[npt.NDArray[np.int32]], job: PretrainingJob, identity: dict[str, Any]
) -> Iterator[PretrainingStep | PretrainingEpoch]:
    checkpoint, saved = checkpoint_of(job.out), time.monotonic()
    try:
        for event in pretrain(state, texts, job.training):
            if isinstance(event, PretrainingEpoch) or time.monotonic() - saved > CHECKPOINT_SECONDS:
                state.save(checkpoint, identity)
                saved = time.monotonic()
            yield event
    except GeneratorExit:  # the caller stops here, between two steps
        state.save(checkpoint, identity)
        raise


def _capped(job: PretrainingJob, words: int) -> LanguageModelConfig:
    """The shape, with as many words as there are. Raises `OptionError` where more were asked for."""
    if words == job.model.vocabulary_size:
        return job.model
    if not job.cap_vocabulary:
        raise OptionError(
            f"vocabulary-size is {job.model.vocabulary_size}, and the texts have {words} different words; "
            f"pass --vocabulary-size {words} or less"
        )
    return dataclasses.replace(job.model, vocabulary_size=words)
