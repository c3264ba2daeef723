"""`Classifier`: labels and probabilities of texts; explanations, streams, evaluation and saving."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastlstm._typing import DoubleArray, FloatArray, IndexArray
from fastlstm.errors import DataError, ModelNotFoundError, OptionError, suggest
from fastlstm.inference.features import EMPTY_TEXT_ID
from fastlstm.inference.golden import golden_predictions
from fastlstm.inference.network import Network, supported_precisions
from fastlstm.kernel import find_kernel
from fastlstm.metrics import Report, evaluate, predicted_classes
from fastlstm.notes import training_data_note
from fastlstm.precision import AUTO
from fastlstm.pretrained import DEFAULT_CLASSIFIER, bundled_model, find_model
from fastlstm.serialization.classifier import (
    SavedModel,
    make_text_tokenizer,
    read_classifier,
    unsupported_reason,
    write_classifier,
)
from fastlstm.serialization.folder import CLASSIFIER_FORMAT, check_target
from fastlstm.serialization.model_card import model_card
from fastlstm.serialization.quantization import round_weights
from fastlstm.text.tokenizer import TokenizedTexts
from fastlstm.text.validation import as_text, validate_text, validate_texts

if TYPE_CHECKING:
    from fastlstm.inference.early_exit import EarlyPredictions
    from fastlstm.inference.explain.attribution import Explainer
    from fastlstm.inference.explain.explanation import Explanation
    from fastlstm.inference.explain.gates import Gates
    from fastlstm.inference.explain.layers import Layers
    from fastlstm.inference.streaming import Stream

Batch = Iterable[str] | TokenizedTexts
CHUNK_TEXTS = 1024
"""Texts per call of the network. It does not change the results."""


class Classifier:
    """A trained text classifier. Created by `load`, by `train`, or from a `SavedModel`.

    A string is one text, a list is a batch, always. The prediction for a text does not depend on the other texts of
    its batch, to the last bit.

    Attributes:
        saved: The model's configuration, labels, tokenizer, weights and training record.
        network: The forward pass: token ids -> probabilities. `network.precision` is the actual precision.
    """

    def __init__(self, saved: SavedModel, precision: str = "float32") -> None:
        """Prepare the model for inference. `precision` and `OptionError` as in `load`."""
        self.saved, self._requested_precision = saved, precision
        self._tokenizer = make_text_tokenizer(saved.tokenizer, saved.config)
        self.network = self._network(precision)

    def _network(self, precision: str) -> Network:
        saved = self.saved
        return Network(
            saved.config, len(saved.labels), saved.weights, saved.temperature, precision, saved.integer_arrays
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the saved model and the precision; the rest is prepared again.

        If "auto" chose a precision that another machine does not support, it chooses again there.
        """
        return type(self)._restore, (self.saved, self._requested_precision, self.network.precision)

    @classmethod
    def _restore(cls, saved: SavedModel, requested: str, actual: str) -> Classifier:
        chooses_again = requested == AUTO and actual not in supported_precisions(find_kernel())
        classifier = cls(saved, requested if chooses_again else actual)
        classifier._requested_precision = requested
        return classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the columns of `predict_proba`."""
        return self.saved.labels

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is one text
        self,
        texts: str,
        *,
        threshold: float | None = None,
        min_agreement: float | None = None,
        label_unknown: Literal[True],
    ) -> str: ...
    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is one text
        self,
        texts: str,
        *,
        threshold: float | None = None,
        min_agreement: float | None = None,
        label_unknown: bool = False,
    ) -> str | None: ...
    @overload
    def predict(
        self,
        texts: Batch,
        *,
        threshold: float | None = None,
        min_agreement: float | None = None,
        label_unknown: Literal[True],
    ) -> list[str]: ...
    @overload
    def predict(
        self,
        texts: Batch,
        *,
        threshold: float | None = None,
        min_agreement: float | None = None,
        label_unknown: bool = False,
    ) -> list[str | None]: ...
    def predict(
        self,
        texts: str | Batch,
        *,
        threshold: float | None = None,
        min_agreement: float | None = None,
        label_unknown: bool = False,
    ) -> str | list[str] | list[str | None] | None:
        """Return the label of one text, or a list with the label of each text of a batch.

        The label of a text without any known token is None: its probabilities do not depend on what it says.

        Args:
            texts: A text, a batch of texts, or the result of `tokenize`.
            threshold: For two classes: predict the second one if its probability is at least this. Default: the
                saved threshold.
            min_agreement: Early exit: stop reading each text as soon as at least this fraction of predictions, such
                as 0.99, is expected to equal those for whole texts. The model must have been trained or calibrated
                with `early_exit`.
            label_unknown: Also label texts without any known token.

        Raises:
            DataError: `texts` is neither a text nor a batch of texts.
            OptionError: `threshold` is not in 0..1 or there are more than two classes; `min_agreement` is not
                available; both are given.
        """
        text = as_text(texts)
        if text is not None:
            return self.predict(
                [text], threshold=threshold, min_agreement=min_agreement, label_unknown=label_unknown
            )[0]
        check_early_exit_threshold(threshold, min_agreement)
        decision_threshold = self._decision_threshold(threshold)
        probabilities, known = self._predict(texts, min_agreement)
        classes = predicted_classes(probabilities, decision_threshold)
        if label_unknown or known.all():
            return [self.labels[k] for k in classes]
        return [self.labels[k] if fraction else None for k, fraction in zip(classes, known, strict=True)]

    def predict_proba(self, texts: str | Batch, *, min_agreement: float | None = None) -> FloatArray:
        """Return the class probabilities, float32: [classes] for one text, [n, classes] for a batch. Rows sum to 1.

        A text without any known token has probabilities too; `known` tells which texts these are. Arguments and
        errors as in `predict`.
        """
        text = as_text(texts)
        if text is not None:
            row: FloatArray = self.predict_proba([text], min_agreement=min_agreement)[0]
            return row
        return self._predict(texts, min_agreement)[0]

    def _predict(self, texts: Batch, min_agreement: float | None) -> tuple[FloatArray, DoubleArray]:
        """Return the probabilities [n, classes] of a batch, and `TokenizedTexts.known` [n]."""
        if min_agreement is not None:
            early = self.predict_early(texts, min_agreement)
            return early.probabilities, early.known
        if isinstance(texts, TokenizedTexts):
            return self._probabilities(texts), texts.known
        batch = validate_texts(texts)
        if len(batch) <= CHUNK_TEXTS:
            tokenized = self._tokenizer(batch)
            return self._probabilities(tokenized), tokenized.known
        chunks = list(self._overlapped_predictions(batch))
        return np.concatenate([rows for rows, _ in chunks]), np.concatenate([known for _, known in chunks])

    def _probabilities(self, texts: TokenizedTexts) -> FloatArray:
        if not texts.ids:
            return np.empty((0, len(self.labels)), np.float32)
        return self.network.probabilities(texts.ids, texts.untruncated)

    def _overlapped_predictions(self, batch: Sequence[str]) -> Iterator[tuple[FloatArray, DoubleArray]]:
        """Yield the result of `_predict` for each chunk; the next chunk is tokenized while the kernel runs."""
        with ThreadPoolExecutor(max_workers=1) as executor:
            previous: tuple[Future[FloatArray], DoubleArray] | None = None
            for start in range(0, len(batch), CHUNK_TEXTS):
                tokenized = self._tokenizer(batch[start : start + CHUNK_TEXTS])
                if previous is not None:
                    yield previous[0].result(), previous[1]
                previous = executor.submit(self._probabilities, tokenized), tokenized.known
            if previous is not None:
                yield previous[0].result(), previous[1]

    def predict_early(self, texts: Batch, min_agreement: float) -> EarlyPredictions:
        """Return the probabilities of a batch with early exit, and how many tokens of each text were read.

        Arguments and errors as in `predict`.
        """
        from fastlstm.inference.early_exit import EarlyPredictions, predict_in_stages, stop_at

        early_exit = self.saved.early_exit
        if early_exit is None:
            remedy = "calibrate it, or train one, with `early_exit=True`"
            if self.saved.config.bidirectional:
                remedy = "train or distill one with `bidirectional=False` and `early_exit=True`"
            raise OptionError(f"the model has no exit thresholds; {remedy}", code="no-early-exit")
        rule = stop_at(early_exit.threshold_for(min_agreement), self.choose)
        if isinstance(texts, TokenizedTexts):
            chunks = [texts] if texts.ids else []
        else:
            batch = validate_texts(texts)
            starts = range(0, len(batch), CHUNK_TEXTS)
            chunks = [self._tokenizer(batch[start : start + CHUNK_TEXTS]) for start in starts]
        parts = [predict_in_stages(self.network, chunk, early_exit.stages, rule) for chunk in chunks]
        empty = np.empty(0, np.int64)
        return EarlyPredictions(
            np.concatenate([np.empty((0, len(self.labels)), np.float32), *(part.probabilities for part in parts)]),
            np.concatenate([empty, *(part.tokens_read for part in parts)]),
            np.concatenate([empty, *(part.token_counts for part in parts)]),
            np.concatenate([np.empty(0, np.float64), *(part.known for part in parts)]),
        )

    def choose(self, probabilities: FloatArray, *, threshold: float | None = None) -> IndexArray:
        """Return the index in `labels` [n] of the class that `predict` returns, given rows of `predict_proba`.

        Raise `OptionError` if `threshold` is not in 0..1 or there are more than two classes.
        """
        return predicted_classes(probabilities, self._decision_threshold(threshold))

    def check_threshold(self, threshold: float | None) -> None:
        """Raise `OptionError` if `threshold` is not in 0..1 or there are more than two classes. None is valid."""
        self._decision_threshold(threshold)

    def _decision_threshold(self, threshold: float | None) -> float:
        """Return the threshold, validated; the saved one if it is None."""
        if threshold is None:
            return self.saved.threshold
        is_number = not isinstance(threshold, bool | np.bool_) and isinstance(threshold, int | float | np.number)
        if not is_number or not 0 <= threshold <= 1:
            raise OptionError(
                f"`threshold` is {threshold!r}; expected a number from 0 to 1",
                code="bad-option-value",
                option="threshold",
                value=threshold,
            )
        if len(self.labels) != 2:
            raise OptionError(
                f"`threshold` applies to two classes only; the model has {len(self.labels)}",
                code="threshold-needs-two-classes",
                classes=len(self.labels),
            )
        return float(threshold)

    def tokenize(self, texts: Iterable[str]) -> TokenizedTexts:
        """Return the token ids of a batch. `predict` and `predict_proba` accept them in place of the texts.

        Raise `DataError` if `texts` is not a batch of texts; for one text, pass a list.
        """
        return self._tokenizer(validate_texts(texts))

    @overload
    def known(self, texts: str) -> float: ...  # type: ignore[overload-overlap]  # a str is one text
    @overload
    def known(self, texts: Batch) -> DoubleArray: ...
    def known(self, texts: str | Batch) -> float | DoubleArray:
        """Return the fraction of known tokens: a float for one text, float64 [n] for a batch.

        See `TokenizedTexts.known`. Raise `DataError` if `texts` is neither a text nor a batch of texts.
        """
        text = as_text(texts)
        if text is not None:
            return float(self.tokenize([text]).known[0])
        return (texts if isinstance(texts, TokenizedTexts) else self.tokenize(texts)).known

    def tokens(self, text: str) -> tuple[str, ...]:
        """Return the tokens of a text as they are spelled in it. Raise `DataError` if it is not a text."""
        return self._tokenizer.align(validate_text(text)).tokens

    def explain(
        self, text: str, *, label: str | None = None, method: str = "gradients", label_unknown: bool = False
    ) -> Explanation:
        """Return how much each token contributes to the logit of a class.

        Args:
            text: One text.
            label: The class to explain; default: the one that `predict` returns with `label_unknown=True`.
            method: "gradients": integrated gradients (Sundararajan et al. 2017) for the LSTM, and the exact
                contributions of n-grams. "occlusion": the change when each token, or each clause, is left out.
            label_unknown: Also label a text without any known token. Otherwise the explanation's `label` is None for
                such a text, as in `predict`, unless `label` is given.

        Raises:
            DataError: `text` is not a text.
            OptionError: `label` or `method` is unknown.
        """
        from fastlstm.inference.explain.attribution import METHODS

        for option, value, known in (("method", method, METHODS), ("label", label, self.labels)):
            if value is not None and value not in known:
                raise OptionError(
                    f"unknown {option} {value!r}; {suggest(str(value), known)}",
                    code="bad-option-value",
                    option=option,
                    value=value,
                    known=tuple(known),
                )
        text = validate_text(text)
        tokenized = self.tokenize([text])
        known_fraction = float(tokenized.known[0])
        has_label = label is not None or label_unknown or known_fraction > 0

        def choose(probabilities: FloatArray) -> int:
            if label is not None:
                return self.labels.index(label)
            if self.network.precision != "float32":
                probabilities = self.predict_proba(tokenized)
            return int(self.choose(probabilities)[0])

        return self._explainer(self._tokenizer.align(text), known_fraction, choose, method, has_label=has_label)

    def gates(self, text: str) -> Gates:
        """Return the gates, cell and hidden state of every layer, token and unit, computed in float32.

        For a truncated text, these are the tokens that the LSTM reads. Raise `DataError` if `text` is not a text.
        """
        from fastlstm.inference.explain.gates import compute_gates

        aligned = self._tokenizer.align(validate_text(text))
        tokens = tuple(token for token, used in zip(aligned.tokens, aligned.used, strict=True) if used)
        return compute_gates(self._layers, aligned.ids[aligned.used], tokens)

    def trajectory(self, text: str) -> FloatArray:
        """Return the probabilities [tokens, classes] after each token: `predict_proba` of the text up to there.

        Raise `DataError` if `text` is not a text.
        """
        from fastlstm.inference.explain.trajectory import trajectory

        ids = self._tokenizer.align(validate_text(text)).ids
        reads_once = self.network.precision == "float32" and self.can_stream and ids[0] != EMPTY_TEXT_ID
        return trajectory(self.network, self._layers if reads_once else None, ids, self._tokenizer.truncate)

    @property
    def can_stream(self) -> bool:
        """Whether the model can read streams. See `fastlstm.serialization.classifier.unsupported_reason`."""
        return unsupported_reason(self.saved.config, self._tokenizer) is None

    def stream(self, state: bytes | None = None) -> Stream:
        """Return a new stream: a text that arrives in pieces.

        Args:
            state: The `state` of another stream of the same model, to continue from.

        Raises:
            OptionError: The model is bidirectional, or cannot read streams for another reason.
            DataError: `state` is invalid or belongs to another model.
        """
        from fastlstm.inference.streaming import Stream

        return Stream(self.saved, self.network, self._tokenizer, state)

    @cached_property
    def _layers(self) -> Layers:
        from fastlstm.inference.explain.layers import Layers

        return Layers(self.saved.config, self.saved.weights)

    @cached_property
    def _explainer(self) -> Explainer:
        from fastlstm.inference.explain.attribution import Explainer

        network = self.network if self.network.precision == "float32" else self._network("float32")
        return Explainer(self.saved, network, self._layers, self._tokenizer.truncate)

    def evaluate(self, data: object, *, threshold: float | None = None) -> Report:
        """Return accuracy, F1, log loss, calibration error and confusion matrix on labelled texts.

        Every text is labelled, also those without any known token. The report counts these as `unknown_texts`.

        Args:
            data: A dataset, a file or folder, a table, or pairs of text and label, as `fastlstm.data.as_dataset` takes
                them.
            threshold: As in `predict`.

        Raises:
            DataError: The data cannot be read, is empty, or has a label that the model does not know.
            OptionError: As in `predict`.
        """
        from fastlstm.data.dataset import Dataset  # here and not above: predictions need no dataset
        from fastlstm.data.memory import as_dataset
        from fastlstm.data.options import ReadOptions

        decision_threshold = self._decision_threshold(threshold)
        dataset = data if isinstance(data, Dataset) else as_dataset(data, ReadOptions(class_names=self.labels))
        if not len(dataset):
            raise DataError(
                f"{dataset.source} is empty; expected one or more labelled texts",
                code="empty-dataset",
                source=dataset.source,
            )
        truth = dataset.label_indices(self.labels)
        probabilities, known = self._predict(dataset.texts, None)
        seen = training_data_note(self.saved.training, dataset.source)
        report = evaluate(probabilities, truth, self.labels, decision_threshold)
        return dataclasses.replace(
            report,
            known=float(known.mean()),
            unknown_texts=len(known) - int(np.count_nonzero(known)),
            reading=dataset.notes if seen is None else (*dataset.notes, seen),
        )

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        storage: str = "float32",
        extras: Mapping[str, bytes] | None = None,
    ) -> None:
        """Save the model to a folder, completely or not at all.

        Args:
            folder: The folder, which must be new or empty.
            overwrite: Replace a fastlstm model in this folder.
            storage: Data type of the saved weights: "float32", or rounded to "float16" or "int8", which takes half
                or a quarter of the space and changes the probabilities slightly.
            extras: File name -> content of additional files.

        Raises:
            InputError: The folder is in use, or the weights exceed the range of `storage`.
            WriteError: The folder cannot be written; an older model there is unchanged.
        """
        folder = Path(folder)
        check_target(folder, CLASSIFIER_FORMAT, overwrite=overwrite)
        classifier = self
        if storage != "float32":
            rounded = round_weights(self.saved.weights, storage)
            classifier = Classifier(dataclasses.replace(self.saved, weights=rounded))
        write_classifier(
            classifier.saved,
            folder,
            card=model_card(classifier.saved),
            golden=golden_predictions(classifier.predict_proba),
            extras=extras or {},
            storage=storage,
        )

    def __repr__(self) -> str:
        return f"Classifier(labels={list(self.labels)}, {self.saved.config})"


def check_early_exit_threshold(threshold: float | None, min_agreement: float | None) -> None:
    """Raise `OptionError` if a decision threshold is given together with early exit."""
    if threshold is not None and min_agreement is not None:
        raise OptionError(
            "`threshold` and `min_agreement` exclude each other: early exit is fitted for the saved threshold",
            code="conflicting-options",
            options=("threshold", "min_agreement"),
        )


def load(folder: str | os.PathLike[str] | None = None, *, precision: str = "float32") -> Classifier:
    """Load a classifier from a folder, or a bundled one by name. Default: the bundled English sentiment model.

    Args:
        folder: The folder that `Classifier.save` or `fastlstm train` wrote, or the name of a bundled model, such as
            "chinese-sentiment".
        precision: Data type of the LSTM's matrix products: "float32"; "bfloat16" or "int8", which change the
            probabilities slightly and need a processor that supports them (see docs/kernel.md); or "auto", the
            fastest of these on this machine, which is measured once. The answers of "float32" alone do not depend
            on the processor. The saved weights do not change.

    Raises:
        OptionError: `precision` is unknown or not supported on this machine.
        ModelNotFoundError, NotAModelError, CorruptModelError, ModelTooNewError: The folder cannot be loaded.
    """
    if folder is None and bundled_model(DEFAULT_CLASSIFIER) is None:
        raise ModelNotFoundError(
            "no model given, and the default model is not installed; pass the folder of a trained model",
            folder=None,
        )
    return Classifier(read_classifier(find_model(folder)), precision)


def as_classifier(model: Classifier | str | os.PathLike[str] | None) -> Classifier:
    """Return a classifier as it is; load a folder, a bundled name, or the default model. Errors as in `load`."""
    return model if isinstance(model, Classifier) else load(model)
