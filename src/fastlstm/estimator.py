"""`LSTMClassifier`: a scikit-learn estimator."""

from __future__ import annotations

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra

# isort: split

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastlstm.config import DEFAULT_PRESET, configure
from fastlstm.data import split_dataset
from fastlstm.data.labels import normalize_label
from fastlstm.data.options import ReadOptions
from fastlstm.data.validation import collect_dataset
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.nn.threads import one_thread
from fastlstm.serialization.language_model import read_language_model
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import prepare
from fastlstm.training.settings import find_encoder, with_encoder_defaults

_OWN_PARAMETERS = ("preset", "encoder", "validation_fraction", "device", "random_state")


class LSTMClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """An LSTM text classifier with the interface of scikit-learn.

    Args:
        preset: Named configuration to start from.
        encoder: Folder of a language model to start from, or the name of a bundled one.
        validation_fraction: Fraction of the texts, between 0 and 1, held out to select the best epoch and to calibrate
            the probabilities.
        device: "auto", "cpu" or "cuda".
        random_state: An int makes `fit` reproducible; None draws a new seed each time.
        Others: Fields of `ModelConfig` and `TrainingConfig`; None keeps the value of the preset. A vocabulary larger
            than that of the texts is reduced to it. `threshold_metric` "f1" refers to the second class in
            `classifier_.labels`.

    Attributes:
        classes_: [classes] the labels passed to `fit`, sorted.
        classifier_: The fitted `Classifier`.
        history_: One `EpochResult` per epoch.
    """

    def __init__(
        self,
        preset: str = DEFAULT_PRESET,
        *,
        encoder: str | os.PathLike[str] | None = None,
        vocabulary_size: int | None = None,
        max_tokens: int | None = None,
        truncate: str | None = None,
        embedding_size: int | None = None,
        hidden_sizes: Sequence[int] | None = None,
        bidirectional: bool | None = None,
        pooling: str | None = None,
        dropout: float | None = None,
        activation: str | None = None,
        ngrams: int | None = None,
        ngram_kinds: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        min_steps: int | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        clip_norm: float | None = None,
        class_weights: str | None = None,
        virtual_texts: int | None = None,
        pretraining_epochs: int | None = None,
        output_first: bool | None = None,
        adversarial: float | None = None,
        word_dropout: float | None = None,
        patience: int | None = None,
        monitor: str | None = None,
        calibration: str | None = None,
        threshold_metric: str | None = None,
        precision: str | None = None,
        validation_fraction: float = 0.2,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.preset = preset
        self.encoder = encoder
        self.vocabulary_size = vocabulary_size
        self.max_tokens = max_tokens
        self.truncate = truncate
        self.embedding_size = embedding_size
        self.hidden_sizes = hidden_sizes
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.activation = activation
        self.ngrams = ngrams
        self.ngram_kinds = ngram_kinds
        self.epochs = epochs
        self.batch_size = batch_size
        self.min_steps = min_steps
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.class_weights = class_weights
        self.virtual_texts = virtual_texts
        self.pretraining_epochs = pretraining_epochs
        self.output_first = output_first
        self.adversarial = adversarial
        self.word_dropout = word_dropout
        self.patience = patience
        self.monitor = monitor
        self.calibration = calibration
        self.threshold_metric = threshold_metric
        self.precision = precision
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state

    @one_thread()
    def fit(self, X: Iterable[str], y: Iterable[Any]) -> LSTMClassifier:  # noqa: N803 -- scikit-learn's name
        """Train on texts [n] and labels [n], strings or integers with at least two distinct values.

        Raises:
            InputError: Texts, labels or options are invalid (a `ValueError`).
        """
        if y is None:
            raise DataError(
                "requires y to be passed, but the target y is None; pass one label per text", code="no-labels"
            )
        texts, labels = list(_texts(X)), np.asarray(y if hasattr(y, "__array__") else list(y))
        if len(texts) != len(labels):
            raise DataError(
                f"got {len(texts)} texts and {len(labels)} labels; expected one label per text",
                code="length-mismatch",
                texts=len(texts),
                labels=len(labels),
            )
        classes = np.unique(labels)
        names = [normalize_label(label) for label in classes]
        if len(set(names)) < len(names):
            raise DataError(
                f"y contains labels that differ only in white space or type: {classes.tolist()}; use one spelling",
                code="ambiguous-labels",
                labels=classes.tolist(),
            )
        dataset = collect_dataset(
            zip(range(len(texts)), texts, labels, strict=True), "X", ReadOptions(on_bad_rows="stop")
        )
        options = {name: value for name, value in self.get_params().items() if name not in _OWN_PARAMETERS}
        seed = int(check_random_state(self.random_state).randint(2**31))
        options = with_encoder_defaults({**options, "seed": seed}, self.encoder is not None)
        model_config, training_config = configure(self.preset, options)
        encoder = find_encoder(self.encoder)
        training, validation = split_dataset(dataset, self.validation_fraction, seed)
        prepared = prepare(
            training,
            validation,
            model_config,
            training_config,
            device=self.device,
            cap_vocabulary=True,
            encoder=None if encoder is None else read_language_model(encoder),
        )
        self.history_ = [event for event in prepared.epochs() if isinstance(event, EpochResult)]
        calibration = prepared.calibrate(prepared.validation_logits())
        self.classifier_ = Classifier(prepared.saved_model({}, calibration))
        self.classes_ = classes
        self._columns = [prepared.labels.index(name) for name in names]
        return self

    def predict(self, X: Iterable[str]) -> npt.NDArray[Any]:  # noqa: N803
        """Return the predicted labels [n], as passed to `fit`. Two classes use the decision threshold."""
        check_is_fitted(self, "classifier_")
        indices = self.classifier_.choose(self.classifier_.predict_proba(_texts(X)))
        result: npt.NDArray[Any] = self.classes_[np.argsort(self._columns)[indices]]
        return result

    def predict_proba(self, X: Iterable[str]) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the probabilities [n, classes], columns in the order of `classes_`."""
        check_is_fitted(self, "classifier_")
        probabilities: npt.NDArray[np.float32] = self.classifier_.predict_proba(_texts(X))
        return probabilities[:, self._columns]

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Save the fitted model for `fastlstm.load` and the command line; see `Classifier.save`."""
        check_is_fitted(self, "classifier_")
        self.classifier_.save(folder, overwrite=overwrite)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _texts(values: Iterable[str]) -> Iterable[str]:
    """Return the texts. Raise `DataError` for a single string or a table."""
    if isinstance(values, str) or getattr(values, "ndim", 1) != 1:
        raise DataError(
            "expected a list of texts; for one text pass [text], for a table pass its text column",
            code="not-a-batch",
        )
    return values
