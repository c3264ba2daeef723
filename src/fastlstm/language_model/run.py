"""One language model run, from settings to a saved model, as a generator of events."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from fastlstm import __version__
from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.errors import OptionError
from fastlstm.kernel.fast_tokens import compile_tokens
from fastlstm.language_model.corpus import CorpusSplits, limit_streams, load_corpus
from fastlstm.language_model.inference import MAX_TOKENS, LanguageModel
from fastlstm.language_model.loop import (
    LanguageModelEpoch,
    LanguageModelState,
    LanguageModelStep,
    make_state,
    train_steps,
)
from fastlstm.language_model.perplexity import Perplexity
from fastlstm.language_model.settings import LanguageModelSettings
from fastlstm.nn.device import find_device
from fastlstm.nn.parallel import process_group
from fastlstm.nn.runs import (
    check_output,
    check_same_run,
    checkpoint_path,
    fingerprint,
    precision_notes,
    run_precision,
    with_checkpoints,
)
from fastlstm.nn.threads import on_one_thread
from fastlstm.nn.tokens import resolve_tokens, vocabulary_notes
from fastlstm.notes import Note
from fastlstm.serialization.folder import CONFIG, HISTORY, LANGUAGE_MODEL_FORMAT, json_bytes
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model, write_language_model
from fastlstm.serialization.model_card import language_model_card
from fastlstm.serialization.quantization import round_weights
from fastlstm.text.tokenizer import TextTokenizer, require_words, train_tokenizer

CHECKPOINT_SECONDS = 60.0
"""Seconds between two checkpoints: the maximum work that a crash loses. These checkpoints are large."""


@dataclass(frozen=True)
class LanguageModelPrepared:
    """The texts are tokenized and the model is created; training starts next."""

    model: LanguageModelConfig
    training: LanguageModelTrainingConfig
    device: str
    texts: int
    tokens: int
    validation_texts: int


@dataclass(frozen=True)
class PerplexityMeasured:
    """The perplexity of the validation texts after an epoch. `best`: no earlier epoch has a lower one."""

    epoch: int
    perplexity: Perplexity
    best: bool


@dataclass(frozen=True)
class LanguageModelResult:
    """The result of a run.

    Attributes:
        model: The model of the best epoch, as it is stored.
        folder: Where it is saved.
        perplexity: Its perplexity on the validation texts.
        history: The epochs.
        validation_losses: The loss (nats per token) on the validation texts after each epoch.
        evaluated_on: The source of the validation texts.
    """

    model: LanguageModel
    folder: Path
    perplexity: Perplexity
    history: tuple[LanguageModelEpoch, ...]
    validation_losses: tuple[float, ...]
    evaluated_on: str


LanguageModelEvent = (
    Note | LanguageModelPrepared | LanguageModelStep | LanguageModelEpoch | PerplexityMeasured | LanguageModelResult
)


@on_one_thread
def run(
    settings: LanguageModelSettings,
    *,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> Generator[LanguageModelEvent, None, None]:
    """Read the texts, train, evaluate and save; the last event is the `LanguageModelResult`.

    The state is saved at `checkpoint_path(settings.out)` during training and when the caller closes the generator.
    That file is removed when the model is saved.

    Args:
        settings: The settings of the run.
        log, progress: Called while data is downloaded and read, as by `load_imdb`.

    Raises:
        InputError: The settings or the texts are wrong; nothing was written.
        WriteError: The model or a checkpoint cannot be written; an existing model is unchanged.
        TrainingError: Training diverged, or there are too few tokens.
    """
    check_output(
        settings.out,
        overwrite=settings.overwrite,
        resume=settings.resume,
        device=settings.device,
        model_format=LANGUAGE_MODEL_FORMAT,
    )
    if settings.workers > 1 and process_group().size == 1:
        cluster = importlib.import_module("fastlstm.integrations.ray.training")
        yield from cluster.events(run, settings, log=log, progress=progress)
        return
    corpus = load_corpus(
        settings.texts,
        settings.validation,
        reading=settings.reading,
        data_dir=settings.data_dir,
        log=log,
        progress=progress,
    )
    yield Note(f"texts: {corpus.training.source}", code="data")
    yield from dict.fromkeys((*corpus.training.notes, *corpus.validation.notes))
    prepared = _prepare(settings, corpus)
    yield from _notes(settings, corpus, prepared)
    yield LanguageModelPrepared(
        model=prepared.config,
        training=prepared.training_config,
        device=prepared.identity["device"],
        texts=len(prepared.training),
        tokens=prepared.tokens,
        validation_texts=len(prepared.validation),
    )
    yield from _start(settings, prepared)
    checkpoint = checkpoint_path(settings.out)
    yield from with_checkpoints(
        prepared.epochs(),
        lambda: prepared.state.save(checkpoint, prepared.identity),
        save_after=LanguageModelEpoch,
        seconds=CHECKPOINT_SECONDS,
    )
    yield _finish(settings, corpus, prepared)


@dataclass(frozen=True)
class _PreparedRun:
    """A run that is ready to train.

    Attributes:
        config, training_config: The configurations, adapted to the texts.
        tokenizer: The tokenizer.
        training, validation: Token ids of the texts.
        state: The network and the state of its training.
        identity: Settings and data that a resumed run must share with the interrupted one. Its precision is the
            actual one; that of `training_config` may be "auto".
    """

    config: LanguageModelConfig
    training_config: LanguageModelTrainingConfig
    tokenizer: Tokenizer
    training: list[TokenIds]
    validation: list[TokenIds]
    state: LanguageModelState
    identity: dict[str, Any]

    @property
    def tokens(self) -> int:
        """The number of training tokens."""
        return sum(map(len, self.training))

    def model(self, weights: dict[str, FloatArray], record: dict[str, Any]) -> LanguageModel:
        """Return the language model with these weights and this training record."""
        return LanguageModel(SavedLanguageModel(self.config, self.tokenizer, weights, record))

    def evaluate(self, weights: dict[str, FloatArray] | None = None) -> Perplexity:
        """Return the perplexity of the validation texts, with these weights or with the current ones.

        On a GPU, given weights replace the current ones.
        """
        network = self.state.model
        if self.identity["device"] == "cpu":
            return self.model(network.arrays() if weights is None else weights, {}).evaluate_ids(self.validation)
        if weights is not None:
            network.assign(weights)
        losses = network.sum_losses(self.validation)
        return Perplexity.from_losses(self.validation, losses, self.config.vocabulary_size)

    def epochs(self) -> Iterator[LanguageModelStep | LanguageModelEpoch | PerplexityMeasured]:
        """Train from the current state to the last epoch. The event of an epoch follows its evaluation."""
        config = dataclasses.replace(self.training_config, precision=self.identity["precision"])
        for event in train_steps(self.state, self.training, config):
            if isinstance(event, LanguageModelEpoch):
                perplexity = self.evaluate()
                best = self.state.record_validation_loss(perplexity.loss)
                yield event
                yield PerplexityMeasured(event.epoch, perplexity, best)
            else:
                yield event


def _prepare(settings: LanguageModelSettings, corpus: CorpusSplits) -> _PreparedRun:
    """Tokenize the texts and create the model."""
    device = find_device(settings.device)
    encoder = None if settings.encoder is None else read_language_model(settings.encoder)
    config = settings.model
    if encoder is None:
        config = resolve_tokens(config, corpus.training.texts, is_size_given=not settings.cap_vocabulary)
        tokenizer = train_tokenizer(corpus.training.texts, config.vocabulary_size, config.tokens)
        require_words(tokenizer, corpus.training.source)
        config = _cap_vocabulary(config, tokenizer.get_vocab_size(), cap=settings.cap_vocabulary)
    else:
        tokenizer = encoder.tokenizer
    tokenize = TextTokenizer(tokenizer, max_tokens=MAX_TOKENS, truncate="end", compile_tokens=compile_tokens)
    training, validation = tokenize(corpus.training.texts).ids, tokenize(corpus.validation.texts).ids
    streams = limit_streams(
        settings.training.streams, settings.training.window, sum(map(len, training)) + len(training)
    )
    training_config = dataclasses.replace(settings.training, streams=streams)
    state = make_state(config, training_config, device, None if encoder is None else encoder.weights)
    identity: dict[str, Any] = {
        **dataclasses.asdict(config) | {"hidden_sizes": list(config.hidden_sizes)},
        **dataclasses.asdict(training_config),
        "precision": run_precision(
            training_config.precision,
            config.hidden_sizes,
            streams,
            device,
            checkpoint_path(settings.out) if settings.resume else None,
        ),
        "device": device.type,
        "texts": fingerprint(training),
        "held-out texts": fingerprint(validation),
        "begin": None if encoder is None else fingerprint(encoder.weights.values()),
    }
    return _PreparedRun(config, training_config, tokenizer, training, validation, state, identity)


def _cap_vocabulary(config: LanguageModelConfig, words: int, *, cap: bool) -> LanguageModelConfig:
    """Return the configuration with the vocabulary size reduced to the number of words.

    Raise `OptionError` without `cap` if the vocabulary size is larger.
    """
    size = config.vocabulary_size
    if words < size and not cap:
        raise OptionError(
            f"`vocabulary_size` is {size}, but the texts have {words} distinct tokens ({config.tokens}); set it to "
            f"{words} or less",
            code="vocabulary-too-large",
            vocabulary_size=size,
            words=words,
        )
    return dataclasses.replace(config, vocabulary_size=words)


def _notes(settings: LanguageModelSettings, corpus: CorpusSplits, prepared: _PreparedRun) -> Iterator[Note]:
    yield from precision_notes(prepared.training_config.precision, prepared.identity)
    if settings.encoder is None:
        yield from vocabulary_notes(settings.model, prepared.config, corpus.training.texts)
    streams = prepared.training_config.streams
    if streams < settings.training.streams:
        yield Note(
            f"few training tokens ({prepared.tokens:,}): using {streams} streams instead of "
            f"{settings.training.streams}",
            code="streams-reduced",
        )
    if overlap := corpus.overlap:
        yield Note(
            f"{overlap:,} of the {len(corpus.validation):,} validation texts are also training texts",
            code="texts-overlap",
        )


def _start(settings: LanguageModelSettings, prepared: _PreparedRun) -> Iterator[Note]:
    """Restore the checkpoint of a resumed run, or write the first one."""
    state, checkpoint = prepared.state, checkpoint_path(settings.out)
    if settings.resume:
        state.restore(checkpoint, prepared.identity)
        if not settings.overwrite and (settings.out / CONFIG).exists():
            check_same_run(
                settings.out, read_language_model(settings.out).training.get("identity"), prepared.identity
            )
        yield Note(f"resuming after epoch {state.epoch}, step {state.step} of the next", code="resumed")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state.save(checkpoint, prepared.identity)


def _finish(settings: LanguageModelSettings, corpus: CorpusSplits, prepared: _PreparedRun) -> LanguageModelResult:
    """Evaluate the model of the best epoch as it will be stored, and save it."""
    state = prepared.state
    losses = state.validation_losses
    weights = round_weights(state.best_arrays(), settings.storage)
    perplexity = prepared.evaluate(weights)
    record = {
        "fastlstm_version": __version__,
        "preset": settings.preset,
        "config": dataclasses.asdict(prepared.training_config),
        "identity": prepared.identity,
        "begin": None if settings.encoder is None else settings.encoder.name,
        "data": {
            "texts": corpus.training.source,
            "count": len(prepared.training),
            "tokens": prepared.tokens,
        },
        "epochs": len(state.history),
        "best_epoch": max(i for i, loss in enumerate(losses, 1) if loss == min(losses)),
        "seconds": round(sum(epoch.seconds for epoch in state.history), 1),
        "storage": settings.storage,
        "results": {"evaluated_on": corpus.validation.source, **perplexity.to_json()},
    }
    history = [
        {**dataclasses.asdict(epoch), "validation_loss": loss}
        for epoch, loss in zip(state.history, losses, strict=True)
    ]
    model = prepared.model(weights, record)
    write_language_model(
        model.saved,
        settings.out,
        card=language_model_card(model.saved),
        extras={HISTORY: json_bytes(history)},
        storage=settings.storage,
    )
    checkpoint_path(settings.out).unlink(missing_ok=True)
    return LanguageModelResult(
        model=model,
        folder=settings.out,
        perplexity=perplexity,
        history=tuple(state.history),
        validation_losses=tuple(losses),
        evaluated_on=corpus.validation.source,
    )
