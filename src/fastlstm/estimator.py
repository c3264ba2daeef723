"""`LSTMClassifier`: a scikit-learn estimator."""

from __future__ import annotations

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra

# isort: split

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastlstm.config import DEFAULT_PRESET, configure
from fastlstm.config.options import plain_value
from fastlstm.data import split_dataset
from fastlstm.data.classes import require_repeated_classes
from fastlstm.data.dataset import column_values
from fastlstm.data.labels import normalize_label
from fastlstm.data.options import ReadOptions
from fastlstm.data.splits import ENCODER_FOLDS, FOLDS, MAX_CROSS_VALIDATED, VALIDATION_FRACTION
from fastlstm.data.validation import collect_dataset
from fastlstm.errors import DataError, OptionError, UnknownTextsWarning
from fastlstm.inference import Classifier
from fastlstm.nn.threads import one_thread
from fastlstm.serialization.language_model import read_language_model
from fastlstm.text.validation import validate_texts
from fastlstm.training.cross_validation import collect_out_of_fold, cross_validate
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import prepare
from fastlstm.training.settings import find_encoder, find_word_vectors, with_encoder_defaults

_OWN_PARAMETERS = ("preset", "encoder", "word_vectors", "validation_fraction", "device", "random_state")


class LSTMClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """An LSTM text classifier with the interface of scikit-learn.

    Args:
        preset: Named configuration to start from.
        encoder: Folder of a language model to start from, or the name of a bundled one.
        word_vectors: File of word vectors that the embeddings start from, see `fastlstm.train`.
        validation_fraction: Fraction of the texts, between 0 and 1, held out to select the best epoch and to calibrate
            the probabilities. None: 0.2. Fewer than 1,000 texts are cross-validated instead, unless a language model
            is pretrained on them. N-grams are fitted on all texts afterwards, up to 100,000.
        device: "auto", "cpu" or "cuda".
        random_state: An int makes `fit` reproducible; None draws a new seed each time, from NumPy's global generator.
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
        word_vectors: str | os.PathLike[str] | None = None,
        tokens: str | None = None,
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
        validation_fraction: float | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.preset = preset
        self.encoder = encoder
        self.word_vectors = word_vectors
        self.tokens = tokens
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
        """Train on texts [n] and labels [n].

        Args:
            X: A batch of texts, see `fastlstm.text.validation.validate_texts`.
            y: Strings, numbers, booleans or dates with at least two distinct values: a list, an array of shape [n] or
                [n, 1], or a column of pandas, Polars or PyArrow.

        Raises:
            InputError: Texts, labels or options are invalid (a `ValueError`).
        """
        if y is None:
            raise DataError(
                "requires y to be passed, but the target y is None; pass one label per text", code="no-labels"
            )
        texts, target = validate_texts(X, "X"), _Target.read(y)
        if len(texts) != len(target.names):
            raise DataError(
                f"got {len(texts)} texts and {len(target.names)} labels; expected one label per text",
                code="length-mismatch",
                texts=len(texts),
                labels=len(target.names),
            )
        dataset = collect_dataset(
            zip(range(len(texts)), texts, target.names, strict=True), "X", ReadOptions(on_bad_rows="stop")
        )
        require_repeated_classes(dataset)
        options = {name: value for name, value in self.get_params().items() if name not in _OWN_PARAMETERS}
        seed, fraction = self._seed(), self._fraction()
        word_vectors, options = find_word_vectors(self.word_vectors, options, encoder=self.encoder)
        options = with_encoder_defaults({**options, "seed": seed}, self.encoder is not None)
        model_config, training_config = configure(self.preset, options)
        folder = find_encoder(self.encoder)
        encoder = None if folder is None else read_language_model(folder)
        is_few = len(dataset) < MAX_CROSS_VALIDATED and not training_config.pretraining_epochs
        is_cross_validated = fraction is None and is_few
        training = validation = dataset
        if not is_cross_validated:
            training, validation = split_dataset(
                dataset, VALIDATION_FRACTION if fraction is None else fraction, seed
            )
        prepared = prepare(
            training,
            validation,
            model_config,
            training_config,
            device=self.device,
            cap_vocabulary=True,
            is_size_given=self.vocabulary_size is not None,
            encoder=encoder,
            word_vectors=word_vectors,
        )
        if is_cross_validated:
            folds = cross_validate(
                training,
                FOLDS if encoder is None else ENCODER_FOLDS,
                model_config,
                training_config,
                is_size_given=self.vocabulary_size is not None,
                device=self.device,
                encoder=encoder,
                word_vectors=prepared.word_vectors,
            )
            prepared = prepared.with_out_of_fold(collect_out_of_fold(folds))
        self.history_ = [event for event in prepared.epochs() if isinstance(event, EpochResult)]
        calibration = prepared.calibrate(prepared.validation_logits())
        if not is_cross_validated and prepared.should_refit_ngrams(calibration, len(dataset)):
            prepared = prepared.refit_ngrams(dataset, model_config.ngrams)
        self.classifier_ = Classifier(prepared.saved_model({}, calibration))
        self.classes_ = target.classes
        self._columns = [prepared.labels.index(name) for name in target.class_names]
        return self

    def _seed(self) -> int:
        try:
            return int(check_random_state(self.random_state).randint(2**31))
        except ValueError as error:
            raise _bad_parameter("random_state", self.random_state, str(error)) from None

    def _fraction(self) -> float | None:
        fraction = plain_value(self.validation_fraction)
        if fraction is None:
            return None
        if isinstance(fraction, bool) or not isinstance(fraction, int | float):
            raise _bad_parameter("validation_fraction", fraction, "expected a number between 0 and 1")
        return fraction

    def predict(self, X: Iterable[str]) -> npt.NDArray[Any]:  # noqa: N803
        """Return the predicted labels [n], as passed to `fit`. Two classes use the decision threshold.

        Every text has a label, as scikit-learn expects. An `UnknownTextsWarning` says if some of them contain no token
        that the model knows; `classifier_.known` tells which.
        """
        check_is_fitted(self, "classifier_")
        texts = validate_texts(X, "X")
        labels = self.classifier_.predict(texts)
        unknown = [k for k, label in enumerate(labels) if label is None]
        if unknown:
            warnings.warn(
                f"{len(unknown)} of {len(texts)} texts contain no known word (the first is X[{unknown[0]}]); their "
                "labels do not depend on what they say",
                UnknownTextsWarning,
                stacklevel=2,
            )
            guesses = self.classifier_.predict([texts[k] for k in unknown], label_unknown=True)
            for k, label in zip(unknown, guesses, strict=True):
                labels[k] = label
        class_index = {self.classifier_.labels[column]: k for k, column in enumerate(self._columns)}
        result: npt.NDArray[Any] = self.classes_[[class_index[str(label)] for label in labels]]
        return result

    def predict_proba(self, X: Iterable[str]) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the probabilities [n, classes], columns in the order of `classes_`."""
        check_is_fitted(self, "classifier_")
        probabilities: npt.NDArray[np.float32] = self.classifier_.predict_proba(validate_texts(X, "X"))
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


@dataclass(frozen=True)
class _Target:
    """Labels passed to `fit`.

    Attributes:
        names: The class name of each text, as readers normalize labels.
        classes: [classes], the distinct labels as they were passed, sorted.
        class_names: The class name of each of `classes`.
    """

    names: list[str]
    classes: npt.NDArray[Any]
    class_names: list[str]

    @classmethod
    def read(cls, y: Any) -> _Target:
        """Read labels. Raise `DataError` if one is missing or not a label, or if spellings are ambiguous."""
        dtype, shape = getattr(y, "dtype", None), getattr(y, "shape", ())
        if isinstance(shape, tuple) and len(shape) == 2 and shape[1] == 1:
            warnings.warn(
                f"y has the shape {shape}; a column vector is read as labels of shape ({shape[0]},)",
                DataConversionWarning,
                stacklevel=4,
            )
            y = np.asarray(y).ravel()
        names: list[str] = []
        known: dict[tuple[type, Any], str] = {}
        for position, label in enumerate(column_values(y, "labels y")):
            try:
                name = known.get((type(label), label))
                if name is None:
                    name = known[type(label), label] = normalize_label(label)
            except (DataError, TypeError) as error:
                raise _label_error(error, label, position) from None
            names.append(name)
        labels = list(dict.fromkeys(label for _, label in known))
        first = {name: label for (_, label), name in reversed(known.items())}
        if len(labels) != len(first):
            raise DataError(
                f"y contains labels that differ only in white space or type: {labels}; use one spelling",
                code="ambiguous-labels",
                labels=labels,
            )
        is_mixed = len({isinstance(label, str) for label in labels}) > 1
        plain_dtype = dtype if isinstance(dtype, np.dtype) and dtype.kind != "O" else None
        array = np.array(list(first.values()), object if is_mixed else plain_dtype)
        try:
            order = np.argsort(array, kind="stable").tolist()
        except TypeError:  # labels of several types have no order: sort their names
            order = sorted(range(len(first)), key=list(first).__getitem__)
        class_names = list(first)
        return cls(names, array[order], [class_names[k] for k in order])


def _label_error(error: Exception, label: object, position: int) -> DataError:
    """Return the error about one label, with its position. `TypeError` means that it is not hashable."""
    if isinstance(error, DataError):
        values = {**error.values, "location": position}
        return DataError(f"y[{position}]: {error}", code=error.code, **values)
    kind = type(label).__name__
    return DataError(
        f"y[{position}] has type {kind}; expected a label", code="bad-label", location=position, type=kind
    )


def _bad_parameter(name: str, value: object, problem: str) -> OptionError:
    return OptionError(f"{name} is {value!r}; {problem}", code="bad-option-value", option=name, value=value)
