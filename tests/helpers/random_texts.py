"""Texts of words that tiny models know, and of some that they don't."""

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
    "unseen",
]


def random_texts(texts: int, longest: int = 50, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(0, longest))) for _ in range(texts)]
