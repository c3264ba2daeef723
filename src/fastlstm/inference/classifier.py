"""A trained classifier: texts -> labels and probabilities."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from fastlstm.data import Dataset, read_dataset
from fastlstm.errors import DataError, ModelNotFoundError, OptionError, suggest
from fastlstm.inference.network import Network
from fastlstm.metrics import Report, evaluate, predicted_classes
from fastlstm.pretrained import DEFAULT_CLASSIFIER, bundled_model, find_model
from fastlstm.serialization.classifier import SavedModel, check_classifier_target, read_classifier, write_classifier
from fastlstm.serialization.model_card import model_card
from fastlstm.serialization.quantization import round_weights
from fastlstm.text.tokenizer import TextTokenizer, TokenizedTexts

GOLDEN_TEXTS = (
    "This movie was fantastic! I really enjoyed it.",
    "Horrible film, don't waste your time.",
    "Not bad at all.",
    "",
    "?!",
    "Ein schöner Film, très émouvant, 很好看的电影。",
    "A line break<br />and an accent in two code points: e\u0301.",
    "The first hour drags and the second does not, and yet " * 60 + "I would see it again.",
)
"""Nobody's data: short, long, empty, in several scripts."""


def golden(predict_proba: Callable[[Sequence[str]], npt.NDArray[np.float32]]) -> list[dict[str, Any]]:
    """The golden texts and the probabilities given for them, as JSON takes them."""
    probabilities = predict_proba(GOLDEN_TEXTS)
    return [
        {"text": text, "probabilities": [float(p) for p in row]}
        for text, row in zip(GOLDEN_TEXTS, probabilities, strict=True)
    ]


def validate_texts(texts: Iterable[str]) -> list[str]:
    """A batch as a list. Raises `DataError` for what is no batch, and for the first text in it that is none."""
    if isinstance(texts, bytes | bytearray | Mapping) or not isinstance(texts, Iterable):
        raise DataError(f"got {type(texts).__name__}; expected a text or a list of texts (str)")
    batch = list(texts)
    for position, text in enumerate(batch):
        if not isinstance(text, str):
            raise DataError(f"text {position} of the batch is {type(text).__name__}; expected str")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"text {position} of the batch is not valid Unicode (half a surrogate pair); expected text"
            ) from None
    return batch


if TYPE_CHECKING:
    from fastlstm.inference.early_exit import EarlyPredictions
    from fastlstm.inference.explain.attribution import Explainer
    from fastlstm.inference.explain.explanation import Explanation
    from fastlstm.inference.explain.gates import Gates
    from fastlstm.inference.explain.layers import Layers
    from fastlstm.inference.streaming import Stream

CHUNK_TEXTS = 1024
"""Texts read together. It does not change their results."""


class Classifier:
    """Predicts the class of a text. Made by `load`, `train` or from a `SavedModel`.

    A string is one text, a list is a batch, always. The prediction for a text does not depend on what
    else is in the batch, to the last bit.
    """

    def __init__(self, model: SavedModel, precision: str = "float32") -> None:
        """`precision`: as `load` takes it. Raises `OptionError` for one that can't be had."""
        self.model = model
        config = model.config
        self._encode = TextTokenizer(
            model.tokenizer,
            max_tokens=config.max_tokens,
            truncate=config.truncate,
            padding=config.padding,
            whole=config.ngrams > 0,
        )
        self.network = Network(
            config, len(model.labels), model.weights, model.temperature, precision, model.numbers
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of `predict_proba`'s columns."""
        return self.model.labels

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is one text
        self, texts: str, *, threshold: float | None = None, early_exit: float | None = None
    ) -> str: ...
    @overload
    def predict(
        self, texts: Iterable[str], *, threshold: float | None = None, early_exit: float | None = None
    ) -> list[str]: ...
    def predict(
        self, texts: str | Iterable[str], *, threshold: float | None = None, early_exit: float | None = None
    ) -> str | list[str]:
        """The most likely class of one text, or of each text of a batch; of two classes, by the threshold.

        Args:
            texts: what to read.
            threshold: of two classes, the probability of the second from which it is predicted, instead of the
                saved one.
            early_exit: the share of answers that should be those of the whole texts, such as 0.99: texts are read
                no further than that needs. For models that have learned it (`early_exit` in `train`).

        Raises:
            DataError: for anything that is not text.
            OptionError: for a threshold outside 0..1, or with more than two classes; for an agreement that the
                model has not learned.
        """
        if isinstance(texts, str):
            return self.predict([texts], threshold=threshold, early_exit=early_exit)[0]
        if threshold is not None and early_exit is not None:
            raise OptionError("early-exit was learned for the model's own threshold; give one of the two")
        limit = self._threshold(threshold)
        return [self.labels[k] for k in predicted_classes(self.predict_proba(texts, early_exit=early_exit), limit)]

    def choose(
        self, probabilities: npt.NDArray[np.float32], *, threshold: float | None = None
    ) -> npt.NDArray[np.int64]:
        """[n] the index among `labels` of the class that `predict` names, for rows of `predict_proba`.

        Raises `OptionError` for a threshold outside 0..1, or with more than two classes.
        """
        return predicted_classes(probabilities, self._threshold(threshold))

    def _threshold(self, asked: float | None) -> float:
        if asked is None:
            return self.model.threshold
        number = not isinstance(asked, bool | np.bool_) and isinstance(asked, int | float | np.number)
        if not number or not 0 <= asked <= 1:
            raise OptionError(f"threshold is {asked!r}; expected a number from 0 to 1")
        if len(self.labels) != 2:
            raise OptionError(
                f"threshold is {asked!r}, and the model has {len(self.labels)} classes; only a model of two has one"
            )
        return float(asked)

    def predict_proba(
        self, texts: str | Iterable[str], *, early_exit: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Probabilities, float32: [classes] for one text, [n, classes] for a batch; rows sum to 1.

        `early_exit`: as `predict` takes it; the probabilities are then those where reading stopped.

        Raises `DataError` for anything that is not text, and `OptionError` as `predict`.
        """
        if isinstance(texts, str):
            row: npt.NDArray[np.float32] = self.predict_proba([texts], early_exit=early_exit)[0]
            return row
        if early_exit is not None:
            return self.read_early(texts, early_exit).probabilities
        batch = validate_texts(texts)
        result = np.empty((len(batch), len(self.labels)), np.float32)
        chunks = range(0, len(batch), CHUNK_TEXTS)
        if len(chunks) == 1:
            encoded = self.encode(batch)
            return self.network.probabilities(encoded.ids, encoded.whole)
        # The kernel reads one chunk while Python cuts the next into tokens.
        with ThreadPoolExecutor(max_workers=1) as thread:
            reading: list[Future[npt.NDArray[np.float32]]] = []
            for start in chunks:
                encoded = self.encode(batch[start : start + CHUNK_TEXTS])
                if reading:
                    result[start - CHUNK_TEXTS : start] = reading.pop().result()
                reading.append(thread.submit(self.network.probabilities, encoded.ids, encoded.whole))
            for last in reading:
                result[chunks[-1] :] = last.result()
        return result

    def read_early(self, texts: Iterable[str], agreement: float) -> EarlyPredictions:
        """Probabilities of a batch where texts are read no further than needed, and how far each was read.

        `agreement`: as `early_exit` of `predict`, and the errors are its.
        """
        from fastlstm.inference.early_exit import EarlyPredictions, group_by_threshold, predict_in_stages

        learned = self.model.early_exit
        if learned is None:
            way = "train one with --no-bidirectional --early-exit, or distill it so"
            if not self.model.config.bidirectional:
                way = "train it with --early-exit, or run fastlstm calibrate --early-exit"
            raise OptionError(f"the model has not learned when a text need not be read on; {way}")
        settled = group_by_threshold(learned.bar(agreement), self.choose)
        batch = validate_texts(texts)
        parts = [
            predict_in_stages(self.network, self.encode(batch[at : at + CHUNK_TEXTS]), learned.stages, settled)
            for at in range(0, len(batch), CHUNK_TEXTS)
        ]
        nothing = np.empty(0, np.int64)
        return EarlyPredictions(
            np.concatenate([np.empty((0, len(self.labels)), np.float32), *(part.probabilities for part in parts)]),
            np.concatenate([nothing, *(part.read for part in parts)]),
            np.concatenate([nothing, *(part.tokens for part in parts)]),
        )

    def encode(self, texts: Sequence[str]) -> TokenizedTexts:
        """The token ids that the model reads of each text."""
        return self._encode(texts)

    def tokens(self, text: str) -> tuple[str, ...]:
        """All tokens of a text, as they stand there. Raises `DataError` for what is not text."""
        return self._encode.cut(_one(text)).tokens

    def gates(self, text: str) -> Gates:
        """The gates, cell and hidden state of every layer, token and unit, computed in float32.

        Of a text longer than the model reads, the tokens that it reads. Raises `DataError` for what is not text.
        """
        from fastlstm.inference.explain.gates import gates_of

        cut = self._encode.cut(_one(text))
        tokens = tuple(token for token, read in zip(cut.tokens, cut.read, strict=True) if read)
        return gates_of(self._layers, cut.ids[cut.read], tokens)

    def explain(self, text: str, *, label: str | None = None, method: str = "gradients") -> Explanation:
        """How much each token moved the answer.

        Args:
            text: one text.
            label: the class whose logit is explained; the most likely one where None.
            method: "gradients", integrated gradients (Sundararajan et al. 2017) of the LSTM and the wide part's own
                evidence; or "occlusion", the text read again without each token, and without each clause.

        Raises:
            DataError: for anything that is not text.
            OptionError: for an unknown label or method.
        """
        from fastlstm.inference.explain.attribution import METHODS

        if method not in METHODS:
            raise OptionError(f"unknown method {method!r}; {suggest(str(method), METHODS)}")
        if label is not None and label not in self.labels:
            raise OptionError(f"unknown label {label!r}; {suggest(str(label), self.labels)}")
        return self._explainer(
            self._encode.cut(_one(text)), None if label is None else self.labels.index(label), method
        )

    def trajectory(self, text: str) -> npt.NDArray[np.float32]:
        """[tokens, classes] the probabilities after each token: `predict_proba` of the text up to there.

        Raises `DataError` for anything that is not text.
        """
        ids = self._encode.cut(_one(text)).ids
        rows = []
        for start in range(0, len(ids), CHUNK_TEXTS):
            texts = [ids[: end + 1] for end in range(start, min(start + CHUNK_TEXTS, len(ids)))]
            rows.append(self.network.probabilities([self._encode.kept(of) for of in texts], texts))
        return np.concatenate(rows)

    @property
    def streams(self) -> bool:
        """Whether the model can read a text that comes in pieces."""
        from fastlstm.inference.streaming import unsupported_reason

        return unsupported_reason(self.model.config, self._encode) is None

    def stream(self, state: bytes | None = None) -> Stream:
        """One text that comes in pieces: `feed` reads on, `probabilities` is what it says so far.

        `state`: that of another stream of this model, to go on from.

        Raises:
            OptionError: the model reads in both directions.
            DataError: the state is damaged, or another model's.
        """
        from fastlstm.inference.streaming import Stream

        return Stream(self.model, self.network, self._encode, state)

    @cached_property
    def _layers(self) -> Layers:
        from fastlstm.inference.explain.layers import Layers

        return Layers(self.model.config, self.model.weights)

    @cached_property
    def _explainer(self) -> Explainer:
        from fastlstm.inference.explain.attribution import Explainer

        network = self.network
        if network.precision != "float32":
            of = self.model
            network = Network(of.config, len(of.labels), of.weights, of.temperature, "float32", of.numbers)
        return Explainer(self.model, network, self._layers, self._encode.kept)

    def evaluate(self, data: Dataset | str | os.PathLike[str], *, threshold: float | None = None) -> Report:
        """How good the model is on labelled texts: records, or a file or folder of them.

        Args:
            data: what to measure on.
            threshold: as `predict` takes it.

        Raises:
            DataError: for a file that can't be read, for no records, and for a label the model does not know.
            OptionError: for a threshold that `predict` would not take.
        """
        limit = self._threshold(threshold)
        records = data if isinstance(data, Dataset) else read_dataset(data)
        if not len(records):
            raise DataError(f"{records.source} holds no texts; expected one or more, each with its label")
        truth = records.label_indices(self.labels)
        return evaluate(self.predict_proba(records.texts), truth, self.labels, limit)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        storage: str = "float32",
        extras: Mapping[str, bytes] | None = None,
    ) -> None:
        """Writes the model as a folder, whole or not at all.

        Args:
            folder: where; must be free, or with `overwrite` an older fastlstm model.
            overwrite: replace an older model there.
            storage: what weights are kept as: "float32"; or rounded to "float16" or "int8", in a half or a
                quarter of the space. What is saved then answers a little otherwise than this model does.
            extras: further files, name -> content.

        Raises:
            InputError: the folder is taken; or weights are too large for the storage.
            WriteError: it can't be written; what stood there is untouched.
        """
        folder = Path(folder)
        check_classifier_target(folder, overwrite=overwrite)
        saved = self
        if storage != "float32":
            saved = Classifier(dataclasses.replace(self.model, weights=round_weights(self.model.weights, storage)))
        write_classifier(
            saved.model,
            folder,
            card=model_card(saved.model),
            golden=golden(saved.predict_proba),
            extras=extras or {},
            storage=storage,
        )

    def __repr__(self) -> str:
        return f"Classifier(labels={list(self.labels)}, {self.model.config})"


def _one(text: str) -> str:
    """The text. Raises `DataError` for what is none."""
    if not isinstance(text, str):
        raise DataError(f"got {type(text).__name__}; expected one text (str)")
    return validate_texts([text])[0]


def load(folder: str | os.PathLike[str] | None = None, *, precision: str = "float32") -> Classifier:
    """The classifier saved in `folder`; without one, the English sentiment model that comes with the package.

    Args:
        folder: where `save` or `fastlstm train` wrote it; or the name of a bundled model, where no such folder is.
        precision: what the LSTM's products are taken of: "float32"; or rounded weights and states, "bfloat16" or
            "int8", in about two thirds or half the time (docs/kernel.md says what it costs), on processors that
            have instructions for it. The saved model stays as it is.

    Raises:
        OptionError: a precision that this machine lacks.
        ModelNotFoundError, NotAModelError, CorruptModelError, ModelTooNewError: what is wrong with the folder.
    """
    return Classifier(read_classifier(_found(folder)), precision)


def _found(folder: str | os.PathLike[str] | None) -> Path:
    """The folder, or the bundled model of that name. Raises `ModelNotFoundError` where the default is not there."""
    if folder is None and bundled_model(DEFAULT_CLASSIFIER) is None:
        raise ModelNotFoundError("no model given, and none is bundled; pass the folder that fastlstm train wrote")
    return find_model(folder)
