"""The models that are served, by name, each as its folder stands now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.serialization.folder import CONFIG
from fastlstm.server.batching import Batcher
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class LoadedModel:
    """A classifier, and the how manieth of its name it is."""

    classifier: Classifier
    version: int


@dataclass
class ServedModel:
    """One model: its folder, the reader that answers now, and its queue.

    Between two looks at `reader` it may be another: who needs it twice keeps it.
    """

    name: str
    folder: Path
    reader: LoadedModel
    stamp: Stamp
    batcher: Batcher
    gone: bool = False
    """Whether there was no model in the folder when it was last looked at."""


class ModelRegistry:
    """`start` and `stop`, in the event loop that serves, are its lifespan."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Loads every model. Raises what `fastlstm.load` raises."""
        self._settings, self._metrics = settings, metrics
        self._served: dict[str, ServedModel] = {}
        self._watch: asyncio.Task[None] | None = None
        for name, folder in settings.models.items():
            self._served[name] = self._serve(name, folder)

    def _serve(self, name: str, folder: Path) -> ServedModel:
        stamp = _stamp(folder)
        batcher = Batcher(
            lambda texts: self._read(name, texts),
            batch_texts=self._settings.batch_texts,
            queue_texts=self._settings.queue_texts,
            on_batch=lambda texts: self._metrics.batch(name, texts),
            on_waiting=self._metrics.waiting.labels(name).set,
        )
        reader = LoadedModel(self._load(folder), 1)
        self._metrics.versions.labels(name).set(reader.version)
        return ServedModel(name, folder, reader, stamp, batcher)

    def _load(self, folder: Path) -> Classifier:
        classifier = load(folder, precision=self._settings.precision)
        if self._settings.early_exit is not None:
            classifier.read_early(["warm"], self._settings.early_exit)
        classifier.network.features.project_all()
        _ = classifier.network.fingerprint  # which takes a while, and streams ask for it
        return classifier

    def _read(self, name: str, texts: Sequence[str]) -> tuple[LoadedModel, npt.NDArray[np.float32]]:
        """[n, 2 classes] each class's probability, then each one's logit; NaN where texts are read early."""
        reader = self._served[name].reader
        classifier = reader.classifier
        if self._settings.early_exit is not None:
            probabilities = classifier.predict_proba(texts, early_exit=self._settings.early_exit)
            return reader, np.concatenate([probabilities, np.full_like(probabilities, np.nan)], axis=1)
        encoded, network = classifier.encode(texts), classifier.network
        logits = network.logits(encoded.ids, encoded.whole)
        of_each = np.concatenate([-logits, logits], axis=1) if logits.shape[1] == 1 else logits
        return reader, np.concatenate([network.likely(logits), of_each], axis=1)

    def start(self) -> None:
        """From here on texts are read, and folders watched."""
        for served in self._served.values():
            served.batcher.start()
        if self._settings.reload_seconds > 0:
            self._watch = asyncio.create_task(self._watching())

    async def stop(self) -> None:
        """Ends both."""
        if self._watch is not None:
            self._watch.cancel()
        for served in self._served.values():
            await served.batcher.stop()

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._served.values())

    @property
    def refusing(self) -> bool:
        """Whether no model takes texts for the moment."""
        return all(served.batcher.refusing for served in self._served.values())

    def get(self, name: str | None) -> ServedModel:
        """The model of that name, the first where none is given. Raises `APIError` for an unknown one."""
        if name is None:
            return next(iter(self._served.values()))
        if name not in self._served:
            raise APIError(404, "unknown_model", f"no model {name[:100]!r}; there are: {', '.join(self._served)}")
        return self._served[name]

    async def _watching(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            for served in self._served.values():
                await self._look(served)

    async def _look(self, served: ServedModel) -> None:
        """Takes a folder that is another than before; where it is none that can be read, the old model goes on."""
        loop = asyncio.get_running_loop()
        stamp = await loop.run_in_executor(None, _stamp, served.folder)
        if stamp is None and not served.gone:
            LOG.warning("model folder gone; what was read goes on", extra={"model": served.name})
        served.gone = stamp is None
        if stamp == served.stamp or stamp is None:
            return
        served.stamp = stamp
        try:
            classifier = await loop.run_in_executor(None, self._load, served.folder)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the old model goes on, and is watched on
            LOG.error("model not reloaded", extra={"model": served.name, "why": str(error) or repr(error)})
            return
        served.reader = LoadedModel(classifier, served.reader.version + 1)
        self._metrics.versions.labels(served.name).set(served.reader.version)
        LOG.info("model reloaded", extra={"model": served.name, "version": served.reader.version})


def _stamp(folder: Path) -> Stamp:
    """What tells a folder from what stood there before; None where there is none for the moment."""
    try:
        found = (folder / CONFIG).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
