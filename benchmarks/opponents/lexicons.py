"""Sentiment tools that need no training: VADER for English, SnowNLP for Chinese.

    pip install vaderSentiment snownlp

Hutto & Gilbert (2014), VADER, ICWSM. https://github.com/isnowfy/snownlp
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from opponents.alternative import Fitted, Task

LABELS = "negative", "positive"


def fit_vader(task: Task) -> Fitted:  # noqa: ARG001 - nothing is trained
    """Return VADER: positive if the compound score is not below 0."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()

    def predict(texts: Sequence[str]) -> list[str]:
        return [LABELS[analyzer.polarity_scores(text)["compound"] >= 0] for text in texts]

    return Fitted(predict, [_folder("vaderSentiment")])


def fit_snownlp(task: Task) -> Fitted:  # noqa: ARG001 - nothing is trained
    """Return SnowNLP: positive if its probability is at least one half."""
    from snownlp import SnowNLP

    def predict(texts: Sequence[str]) -> list[str]:
        return [LABELS[SnowNLP(text).sentiments >= 0.5] for text in texts]

    return Fitted(predict, [_folder("snownlp")])


def _folder(package: str) -> Path:
    """Return the folder of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
