"""Texts whose probabilities are saved with every model, so that any machine can check that it agrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
