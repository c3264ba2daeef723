"""Unlabelled sentences for distillation, made from training sentences.

`augmented`: each word is dropped with probability 0.1, and one copy in four is reduced to an n-gram of 1 to 5 words.
The order of the words remains. The source also replaces words by others of the same part of speech, and masks words;
here they are removed, because an LSTM has no mask token.

`swapped`: one or two phrases of a sentence are replaced by phrases of other sentences with the same number of words.

Source of `augmented`: Tang et al. (2019), Distilling Task-Specific Knowledge from BERT into Simple Neural Networks,
arXiv:1903.12136.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

REMOVED_FRACTION = 0.1
"""Probability that a word is removed."""
NGRAM_FRACTION = 0.25
"""Probability that only an n-gram is kept."""
MAX_NGRAM = 5
MIN_PHRASE = 2
"""Smallest number of words of a phrase that is replaced."""
TWO_SWAPS_FRACTION = 0.5
"""Probability that two phrases are replaced, where a sentence has two that do not overlap."""


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


def swapped(
    sentences: Sequence[str], phrases: Sequence[str], count: int, *, known: Collection[str], seed: int
) -> list[str]:
    """Return distinct sentences with other phrases, without the known texts.

    Args:
        sentences: Whole sentences. Each has about the same number of results.
        phrases: Their phrases, in any order.
        count: Number of results before repetitions and known texts are left out.
        known: Texts that are left out.
        seed: Seed of the random choices.
    """
    generator, excluded = random.Random(seed), set(known)
    of_length: dict[int, list[list[str]]] = defaultdict(list)
    for phrase in phrases:
        words = phrase.split()
        if len(words) >= MIN_PHRASE:
            of_length[len(words)].append(words)
    found = set(phrases)
    candidates = [(words, spans) for words in map(str.split, sentences) if (spans := _spans(words, found))]
    chosen = itertools.islice(itertools.cycle(candidates), count)
    results = (_swap(words, spans, of_length, generator) for words, spans in chosen)
    return [text for text in dict.fromkeys(results) if text not in excluded]


def _spans(words: Sequence[str], phrases: Collection[str]) -> list[tuple[int, int]]:
    """Return the start and end of each proper part of a sentence that is a phrase."""
    size = len(words)
    pairs = ((start, end) for start in range(size) for end in range(start + MIN_PHRASE, size + 1))
    return [(start, end) for start, end in pairs if end - start < size and " ".join(words[start:end]) in phrases]


def _swap(
    words: Sequence[str],
    spans: Sequence[tuple[int, int]],
    of_length: Mapping[int, Sequence[Sequence[str]]],
    generator: random.Random,
) -> str:
    chosen = [generator.choice(spans)]
    start, end = chosen[0]
    others = [span for span in spans if span[1] <= start or span[0] >= end]
    if others and generator.random() < TWO_SWAPS_FRACTION:
        chosen.append(generator.choice(others))
    result = list(words)
    for start, end in chosen:
        result[start:end] = generator.choice(of_length[end - start])
    return " ".join(result)
