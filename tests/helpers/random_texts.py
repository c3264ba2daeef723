"""Random texts of words that tiny models know, and of some that they do not know."""

from __future__ import annotations

import numpy as np

WORDS = [
    "this",
    "movie",
    "film",
    "was",
    "really",
    "not",
    "bad",
    "good",
    "horrible",
    ",",
    ".",
    "!",
    "fantastic",
    "很",
]
WORDS += ["unseen"]


def random_texts(texts: int, longest: int = 50, seed: int = 0) -> list[str]:
    """Return texts of 0 to `longest` - 1 words."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(0, longest))) for _ in range(texts)]
