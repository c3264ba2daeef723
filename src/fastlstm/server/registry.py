"""The served models by name, reloaded when their folders change."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastlstm._typing import DoubleArray, FloatArray
from fastlstm.config.classifier import Truncate
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.serialization.classifier import make_text_tokenizer
from fastlstm.serialization.folder import CONFIG
from fastlstm.server.batching import Batcher
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.schemas import Direction
from fastlstm.server.settings import Settings
from fastlstm.text.tokenizer import TextTokenizer, TokenizedTexts

LOG = logging.getLogger("fastlstm.server")
KEPT_PARTS: Mapping[Direction, Truncate] = {"left": "end", "right": "beginning"}
"""Side that truncation drops -> the part that it keeps, `ModelConfig.truncate`."""
CHARACTERS_PER_TOKEN = 6
"""Average length of a token of English text, with the space after it."""
READING_COST, TEXT_COST = 3.0, 100.0
"""Time to read a character by the LSTM, and to predict an empty text, relative to tokenizing a character."""
Signature = tuple[int, int, int] | None
"""Inode, modification time and size of a model's config.json; None if it does not exist."""


class QueuedText(NamedTuple):
    """A text to predict, and the side that truncation drops. None: as the model was trained."""

    text: str
    truncation_direction: Direction | None = None

    def cost(self, max_tokens: int) -> float:
        """Return the estimated time of its prediction, relative to tokenizing a character.

        All of a text is tokenized, and `max_tokens` of it are read.
        """
        characters = len(self.text)
        return TEXT_COST + characters + READING_COST * min(characters, CHARACTERS_PER_TOKEN * max_tokens)


@dataclass(frozen=True)
class LoadedModel:
    """A loaded classifier and its reload count, starting at 1."""

    classifier: Classifier
    version: int

    def tokenize(self, texts: Sequence[str], direction: Direction | None) -> TokenizedTexts:
        """Return the token ids of texts, truncated on the given side."""
        return self.classifier.tokenize(texts) if direction is None else self._tokenizers[direction](texts)

    @cached_property
    def _tokenizers(self) -> dict[Direction, TextTokenizer]:
        saved = self.classifier.saved
        return {
            direction: make_text_tokenizer(saved.tokenizer, dataclasses.replace(saved.config, truncate=part))
            for direction, part in KEPT_PARTS.items()
        }


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for the texts of a request.

    Attributes:
        model: The version of the model that predicted them.
        probabilities: float32 [n, classes].
        logits: float32 [n, classes]; NaN with early exit.
        known: float64 [n], as `TokenizedTexts.known`.
    """

    model: LoadedModel
    probabilities: FloatArray
    logits: FloatArray
    known: DoubleArray

    def labels(self, *, label_unknown: bool) -> list[str | None]:
        """Return the label of each text. None for a text without any known token, unless `label_unknown` is set."""
        classifier = self.model.classifier
        chosen = classifier.choose(self.probabilities)
        return [
            classifier.labels[k] if known or label_unknown else None
            for k, known in zip(chosen, self.known, strict=True)
        ]


@dataclass
class ServedModel:
    """A served model: its folder, the loaded version, and its queue.

    A reload replaces `current` at any time. To use one version consistently, read `current` once.
    """

    name: str
    folder: Path
    current: LoadedModel
    signature: Signature
    batcher: Batcher[QueuedText]
    missing: bool = False
    """Whether the last check found no model in the folder."""

    async def predict(self, texts: Sequence[QueuedText]) -> Predictions:
        """Return the predictions of texts, in batches with those of other requests. Errors as in `Batcher.submit`."""
        model, rows = await self.batcher.submit(texts)
        classes = len(model.classifier.labels)
        scores = rows[:, :-1].astype(np.float32)  # exact: they were float32 before
        return Predictions(model, scores[:, :classes], scores[:, classes:], rows[:, -1])


class ModelRegistry:
    """The served models. Call `start` and `stop` in the server's event loop."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Load all models. Raise the errors of `fastlstm.load`."""
        self._settings, self._metrics = settings, metrics
        self._models: dict[str, ServedModel] = {}
        self._watcher: asyncio.Task[None] | None = None
        for name, folder in settings.models.items():
            self._models[name] = self._add(name, folder)

    def _add(self, name: str, folder: Path) -> ServedModel:
        signature = _signature(folder)
        model = LoadedModel(self._load(folder), 1)
        self._metrics.versions.labels(name).set(model.version)
        batcher: Batcher[QueuedText] = Batcher(
            lambda texts: self._predict(name, texts),
            cost=lambda text: text.cost(self._models[name].current.classifier.saved.config.max_tokens),
            batch_texts=self._settings.batch_texts,
            queue_texts=self._settings.queue_texts,
            queue_seconds=self._settings.queue_seconds,
            on_batch=lambda texts: self._metrics.count_batch(name, texts),
            on_waiting=self._metrics.waiting.labels(name).set,
        )
        return ServedModel(name, folder, model, signature, batcher)

    def _load(self, folder: Path) -> Classifier:
        classifier = load(folder, precision=self._settings.precision)
        if self._settings.min_agreement is not None:
            classifier.predict_early(["warm"], self._settings.min_agreement)
        classifier.network.features.project_all()
        _ = classifier.network.fingerprint  # computed once here, because it is slow and streams need it
        return classifier

    def _predict(self, name: str, texts: Sequence[QueuedText]) -> tuple[LoadedModel, DoubleArray]:
        """Return float64 [n, 2 * classes + 1], see `Predictions`."""
        model = self._models[name].current
        rows = np.empty((len(texts), 2 * len(model.classifier.labels) + 1))
        for direction in {text.truncation_direction for text in texts}:
            members = [k for k, text in enumerate(texts) if text.truncation_direction == direction]
            tokenized = model.tokenize([texts[k].text for k in members], direction)
            rows[members, :-1] = self._scores(model.classifier, tokenized)
            rows[members, -1] = tokenized.known
        return model, rows

    def _scores(self, classifier: Classifier, tokenized: TokenizedTexts) -> FloatArray:
        """Return [n, 2 * classes]: the probability of each class, then the logits (NaN with early exit)."""
        if self._settings.min_agreement is not None:
            probabilities = classifier.predict_early(tokenized, self._settings.min_agreement).probabilities
            return np.concatenate([probabilities, np.full_like(probabilities, np.nan)], axis=1)
        network = classifier.network
        logits = network.logits(tokenized.ids, tokenized.untruncated)
        class_logits = np.concatenate([-logits, logits], axis=1) if logits.shape[1] == 1 else logits
        return np.concatenate([network.to_probabilities(logits), class_logits], axis=1)

    def start(self) -> None:
        """Start predicting and watching the model folders."""
        for served in self._models.values():
            served.batcher.start()
        if self._settings.reload_seconds > 0:
            self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching and predicting."""
        if self._watcher is not None:
            self._watcher.cancel()
        for served in self._models.values():
            await served.batcher.stop()

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def rejecting(self) -> bool:
        """Whether all models are rejecting requests because their queues are full."""
        return all(served.batcher.rejecting for served in self._models.values())

    @property
    def waiting_seconds(self) -> float:
        """Estimated time until the shortest queue is empty."""
        return min(served.batcher.waiting_seconds for served in self._models.values())

    def get(self, name: str | None) -> ServedModel:
        """Return the model of that name, or the first model for None. Raise `APIError` for an unknown name."""
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise APIError(
                404,
                "unknown_model",
                f"unknown model {name[:100]!r}; known: {', '.join(self._models)}",
                code="unknown-model",
                model=name,
            )
        return self._models[name]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            for served in self._models.values():
                await self._reload_if_changed(served)

    async def _reload_if_changed(self, served: ServedModel) -> None:
        """Reload the model if its folder changed; keep the loaded one if that fails."""
        loop = asyncio.get_running_loop()
        signature = await loop.run_in_executor(None, _signature, served.folder)
        if signature is None and not served.missing:
            LOG.warning("model folder missing; keeping the loaded model", extra={"model": served.name})
        served.missing = signature is None
        if signature is None or signature == served.signature:
            return
        served.signature = signature
        try:
            classifier = await loop.run_in_executor(None, self._load, served.folder)
        except Exception as error:  # noqa: BLE001 -- the watcher must survive any error
            LOG.error(
                "model reload failed; keeping the loaded model",
                extra={"model": served.name, "why": str(error) or repr(error)},
            )
            return
        served.current = LoadedModel(classifier, served.current.version + 1)
        self._metrics.versions.labels(served.name).set(served.current.version)
        LOG.info("model reloaded", extra={"model": served.name, "version": served.current.version})


def _signature(folder: Path) -> Signature:
    try:
        status = (folder / CONFIG).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
