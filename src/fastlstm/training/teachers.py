"""Teachers: anything that returns class probabilities of texts, as one kind of object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from fastlstm._typing import FloatArray
from fastlstm.data.labels import normalize_label
from fastlstm.data.soft_labels import are_probabilities, normalized, shown
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import DEFAULT_THRESHOLD
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel, make_text_tokenizer
from fastlstm.text.ngrams import NGRAM_KINDS, NGramLogits
from fastlstm.training.loop import compute_logits
from fastlstm.training.model import TextClassifier


class Teacher(Protocol):
    """A model that returns class probabilities: a `Classifier`, a `PyTorchTeacher` or an `ExternalTeacher`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names."""

    def predict_proba(self, texts: list[str], /) -> FloatArray:
        """Return the probabilities [n, classes], columns in the order of `labels`."""


class PyTorchTeacher:
    """A saved classifier that runs in PyTorch, for GPUs."""

    def __init__(self, model: SavedModel, device: torch.device) -> None:
        self.saved = model
        config = model.config
        self._network = TextClassifier(config, len(model.labels), seed=0).to(device)
        self._network.assign({name: torch.from_numpy(model.weights[name]) for name in self._network.named()})
        self._tokenize = make_text_tokenizer(model.tokenizer, config)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names."""
        return self.saved.labels

    def predict_proba(self, texts: list[str], /) -> FloatArray:
        """Return the probabilities [n, classes], columns in the order of `labels`; in float16 on a GPU."""
        model, tokenized = self.saved, self._tokenize(texts)
        logits = compute_logits(self._network, tokenized.ids, mixed_precision=True).numpy()
        if tokenized.untruncated is not None:
            kinds = NGRAM_KINDS[model.config.ngram_kinds]
            logits += NGramLogits(model.integer_arrays["wide.ngrams"], model.weights["wide.weight"], kinds)(
                tokenized.untruncated
            )
        sigmoid = weights.uses_sigmoid(model.config, len(model.labels))
        return probabilities_of(logits / np.float32(model.temperature), sigmoid)


def threshold_of(teacher: Teacher | None, labels: Sequence[str]) -> float:
    """Return the probability from which on a teacher predicts the second of two `labels`."""
    if not isinstance(teacher, Classifier | PyTorchTeacher) or len(labels) != 2:
        return DEFAULT_THRESHOLD
    threshold = teacher.saved.threshold
    return threshold if teacher.labels[1] == labels[1] else 1 - threshold


class ExternalTeacher:
    """A model of another library.

    Args:
        model: An object with `predict_proba`, such as one of scikit-learn, or a callable; each takes a list of texts.
            The result is an array [n, classes]; an array [n] or [n, 1], the probability of the second of two classes;
            or for each text a mapping of class names to probabilities, or a list of mappings with the keys "label"
            and "score", as a pipeline of Hugging Face with `top_k=None` returns them.
        labels: The class names of the columns of an array; or a mapping from the names that the model uses, such as
            "LABEL_0", to class names. None: the attribute `classes_`, `classes` or `labels` of the model.

    Raises:
        OptionError: It is neither callable nor has `predict_proba`.
    """

    def __init__(self, model: Any, labels: Sequence[str] | Mapping[Any, Any] | None = None) -> None:
        self.name = getattr(model, "__name__", None) or type(model).__name__
        self._renamed: Mapping[str, str] = {}
        compute = getattr(model, "predict_proba", None)
        self._compute: Callable[[list[str]], Any] = compute if callable(compute) else model
        if not callable(self._compute):
            raise OptionError(
                f"`teacher` is {self.name}; expected a folder, an object with the method predict_proba, or a "
                "callable that takes a list of texts",
                code="bad-option-value",
                option="teacher",
                value=self.name,
            )
        if isinstance(labels, Mapping):
            self._renamed = {
                normalize_label(old, keep_missing=True): normalize_label(new, keep_missing=True)
                for old, new in labels.items()
            }
            labels = None
        for attribute in ("classes_", "classes", "labels"):
            if labels is None and isinstance(found := getattr(model, attribute, None), list | tuple | np.ndarray):
                labels = list(found)
        self._labels = None if labels is None else tuple(map(self._class_name, labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names. A callable that returns mappings is asked for them, with one text."""
        if self._labels is None:
            row = next(self._rows(["a"]), None)
            if row is None:
                raise self._bad_output("0 rows for 1 text", "one row per text")
            if not isinstance(row, Mapping):
                given = "`teacher_labels` renames classes, but " if self._renamed else ""
                raise OptionError(
                    f"{given}the classes of the teacher {self.name} are not known; pass as `teacher_labels` the class "
                    "names in the order of its columns",
                    code="teacher-labels-unknown",
                )
            self._labels = tuple(row)
        return self._labels

    def predict_proba(self, texts: list[str], /) -> FloatArray:
        """Return the probabilities [n, classes], columns in the order of `labels`.

        Raises:
            DataError: The model returns something else than probabilities of these classes.
        """
        labels = self.labels
        rows = [self._in_order(row, labels) for row in self._rows(texts)]
        if len(rows) != len(texts):
            raise self._bad_output(f"{len(rows)} rows for {len(texts)} texts", "one row per text")
        result = np.array(rows, np.float64).reshape(len(texts), len(labels))
        bad = np.flatnonzero(~are_probabilities(result))
        if len(bad):
            row = int(bad[0])
            found = f"{np.round(result[row], 4).tolist()} for the text {shown(texts[row])}"
            raise self._bad_output(found, f"probabilities of {', '.join(labels)}, which sum to 1")
        return normalized(result)

    def _rows(self, texts: list[str]) -> Iterator[Sequence[float] | Mapping[str, float]]:
        """Yield the numbers of each text, or its mapping of normalized class names to numbers."""
        try:
            output = _plain(self._compute(list(texts)))
            rows = list(output) if isinstance(output, Iterable) and not isinstance(output, str | Mapping) else None
        except (Exception, SystemExit) as error:  # whatever the code of the user raises
            raise DataError(
                f"the teacher {self.name} failed on a list of {len(texts)} texts: {type(error).__name__}: {error}; "
                "expected a model that takes a list of any number of texts",
                code="teacher-failed",
                teacher=self.name,
                reason=str(error),
            ) from error
        if rows is None:
            raise self._bad_output(type(output).__name__, "an array, or a list with one item per text")
        for row in rows:
            pairs: list[tuple[Any, Any]] | None = None
            if isinstance(row, list | tuple) and row and all(isinstance(item, Mapping) for item in row):
                pairs = [(item.get("label"), item.get("score")) for item in row]
                row = row[0] if len(row) == 1 else row
            if isinstance(row, Mapping):
                if row.keys() == {"label", "score"}:
                    raise self._bad_output(
                        "one label with its score", "the scores of all classes; pass top_k=None to the pipeline"
                    )
                pairs = list(row.items())
            numbers = self._numbers(row if pairs is None else [value for _, value in pairs], row)
            if pairs is None:
                yield [1 - numbers[0], numbers[0]] if len(numbers) == 1 else numbers
                continue
            names = [self._class_name(name) for name, _ in pairs]
            if len(set(names)) < len(names):
                raise self._bad_output(f"the classes {', '.join(names)}", "each class once")
            yield dict(zip(names, numbers, strict=True))

    def _class_name(self, name: object) -> str:
        try:
            normalized = normalize_label(name, keep_missing=True)
        except DataError:
            raise self._bad_output(f"the class {shown(name)}", "class names") from None
        return self._renamed.get(normalized, normalized)

    def _numbers(self, values: Any, row: object) -> list[float]:
        try:
            numbers = np.atleast_1d(np.asarray(_plain(values), np.float64))
        except (TypeError, ValueError):
            numbers = np.empty((0, 0))
        if numbers.ndim != 1:
            raise self._bad_output(shown(row), "numbers, or a mapping of classes to numbers")
        result: list[float] = numbers.tolist()
        return result

    def _in_order(self, row: Sequence[float] | Mapping[str, float], labels: Sequence[str]) -> Sequence[float]:
        if isinstance(row, Mapping):
            if row.keys() != set(labels):
                raise self._bad_output(f"the classes {', '.join(map(str, row))}", ", ".join(labels))
            return [row[name] for name in labels]
        if len(row) != len(labels):
            raise self._bad_output(f"{len(row)} columns", f"{len(labels)} ({', '.join(labels)})")
        return row

    def _bad_output(self, found: str, expected: str) -> DataError:
        return DataError(
            f"the teacher {self.name} returned {found}; expected {expected}",
            code="bad-teacher-output",
            teacher=self.name,
            found=found,
            expected=expected,
        )


def _plain(values: Any) -> Any:
    """Return a tensor of PyTorch as an array, and a data frame with class names as mappings, otherwise as an array."""
    if hasattr(values, "detach"):
        return values.detach().cpu().float().numpy()
    if not hasattr(values, "to_numpy"):
        return values
    columns = list(getattr(values, "columns", ()))
    rows = values.to_numpy()
    return (
        [dict(zip(columns, row, strict=True)) for row in rows] if any(isinstance(c, str) for c in columns) else rows
    )
