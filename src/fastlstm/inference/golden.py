"""Golden texts: texts whose probabilities are saved with each model, so that every runtime can be checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastlstm._typing import FloatArray

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
"""Short, long and empty texts in several scripts."""


def golden_predictions(predict_proba: Callable[[Sequence[str]], FloatArray]) -> list[dict[str, Any]]:
    """Return the golden texts and their probabilities, as JSON values."""
    probabilities = predict_proba(GOLDEN_TEXTS)
    return [
        {"text": text, "probabilities": [float(p) for p in row]}
        for text, row in zip(GOLDEN_TEXTS, probabilities, strict=True)
    ]
