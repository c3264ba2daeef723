"""fastlstm with its default preset, as one of the methods that benchmarks compare."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import fastlstm
from fastlstm.data import Dataset
from opponents.alternative import Fitted, Task


def fit(task: Task) -> Fitted:
    """Train the default preset."""
    folder = task.folder / "model"
    data = Dataset(list(task.texts), list(task.labels))
    result = fastlstm.train(data, folder, seed=task.seed, baseline=False)
    return Fitted(partial(answers, result.classifier), [folder])


def answers(model: fastlstm.Classifier, texts: Sequence[str]) -> list[str]:
    """Return a label for each text."""
    return [str(label) for label in model.predict(list(texts), label_unknown=True)]
