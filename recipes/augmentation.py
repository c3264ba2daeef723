"""Unlabelled sentences for distillation, made from training sentences.

Each word is dropped with probability 0.1, and one copy in four is reduced to an n-gram of 1 to 5 words. The order of
the words remains. The source also replaces words by
others of the same part of speech, and masks words; here they are removed, because an LSTM has no mask token.

Source: Tang et al. (2019), Distilling Task-Specific Knowledge from BERT into Simple Neural Networks, arXiv:1903.12136.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

REMOVED_FRACTION = 0.1
"""Probability that a word is removed."""
NGRAM_FRACTION = 0.25
"""Probability that only an n-gram is kept."""
MAX_NGRAM = 5


def augment(sentence: str, generator: random.Random) -> str:
    """Return a part of the sentence of at least one word."""
    words = sentence.split()
    kept = [word for word in words if generator.random() >= REMOVED_FRACTION] or words[:1]
    if generator.random() < NGRAM_FRACTION:
        size = min(generator.randint(1, MAX_NGRAM), len(kept))
        start = generator.randrange(len(kept) - size + 1)
        kept = kept[start : start + size]
    return " ".join(kept)


def augmented(sentences: Sequence[str], copies: int, *, known: Collection[str], seed: int) -> list[str]:
    """Return the distinct results of augmenting each sentence `copies` times, without the known texts."""
    generator, excluded = random.Random(seed), set(known)
    results = (augment(sentence, generator) for sentence in sentences for _ in range(copies))
    return [text for text in dict.fromkeys(results) if text and text not in excluded]
