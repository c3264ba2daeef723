"""Small texts, and options for training a language model on them in less than a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WORDS = ("the", "a", "film", "was", "good", "bad", "very", "story", "it", "end")
FIELDS: dict[str, Any] = {
    "embedding_size": 6,
    "hidden_sizes": (7,),
    "streams": 3,
    "window": 8,
    "epochs": 3,
    "warmup": 0,
    "learning_rate": 0.02,
}
"""Fields of a small language model and its training."""
SMALL_LM = [
    *("--epochs", "3"),
    *("--set", "embedding_size=6", "--set", "hidden_sizes=7", "--set", "streams=3", "--set", "window=8"),
    *("--set", "warmup=0", "--set", "learning_rate=0.02"),
]
"""The same as options of `fastlstm lm train`."""


def random_texts() -> list[str]:
    """Return 60 texts of few words."""
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS, int(n))) + "." for n in generator.integers(3, 15, 60)]


def write_texts(path: Path) -> Path:
    """Write `random_texts`, one per line."""
    path.write_text("\n".join(random_texts()))
    return path


def write_labelled_texts(path: Path) -> Path:
    """Write 80 labelled texts as CSV; the last word of a text determines its label."""
    generator = np.random.default_rng(1)
    rows = [
        " ".join([*generator.choice(WORDS[:4], int(n)), ("good,positive", "bad,negative")[i % 2]])
        for i, n in enumerate(generator.integers(2, 9, 80))
    ]
    path.write_text("\n".join(["text,label", *rows]))
    return path
