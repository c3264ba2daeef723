"""Training of tokenizers whose tokens are parts of words: characters, and subwords by BPE or Unigram."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, trainers

from fastlstm._typing import DoubleArray, IndexArray
from fastlstm.text.detokenizer import UNSPACED
from fastlstm.text.segmentation import CHARACTERS, SUBWORDS, WORD_START, Segmentation

MIN_FREQUENCY = 2
"""Rarer letters and subwords are left out of the vocabulary, so that `[UNK]` occurs in training."""
SEED_FACTOR = 2
"""Size of the BPE vocabulary that the Unigram vocabulary is selected from, as a multiple of its own size."""
PRUNING_STEPS = 4
"""Steps in which the rarest subwords are removed from that vocabulary."""
MAX_SUBWORD_LENGTH = 16
"""Maximum length of a subword in code points, as in SentencePiece."""

CHUNK = 1024
"""Texts or segments that are tokenized at a time."""
UNLIMITED = 2**31 - 1

Merges = list[tuple[str, str]]


def train_characters(texts: Iterable[str], limit: int, special: Sequence[str]) -> Tokenizer:
    """Return a tokenizer of the `limit` most frequent characters of `texts`, after the `special` tokens.

    A character is a letter with its marks, a symbol or an emoji. The first of a word begins with `WORD_START`.
    """
    tokenizer = _new_tokenizer(models.WordLevel(unk_token=special[-1]), CHARACTERS)
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=limit, show_progress=False))
    found = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    tokenizer.model = models.WordLevel(_numbered([*special, *found]), unk_token=special[-1])
    return tokenizer


def train_bpe(texts: Sequence[str], limit: int, special: Sequence[str]) -> Tokenizer:
    """Return a tokenizer of at most `limit` subwords of `texts`, after the `special` tokens, by byte pair encoding.

    The ids follow the frequency of the subwords in `texts`. Source: Sennrich et al. 2016.
    """
    counts = _count_segments(texts)
    subwords, merges = _learn_merges(counts, _frequent_letters(counts, limit), limit)
    ordered = _by_frequency(subwords, _bpe(subwords, merges, special), counts)
    return _new_tokenizer(_bpe(ordered, merges, special), SUBWORDS)


def train_unigram(texts: Sequence[str], limit: int, special: Sequence[str]) -> Tokenizer:
    """Return a tokenizer of at most `limit` subwords of `texts`, after the `special` tokens, by a unigram model.

    A segment is split into the most probable subwords. Candidates are those of a larger BPE vocabulary. They are
    counted in the best splits of all segments and the rarest are removed, step by step (Viterbi training). The trainer
    of `tokenizers` gives another vocabulary on each run. Source: Kudo 2018.
    """
    counts = _count_segments(texts)
    candidates, merges = _learn_merges(counts, _frequent_letters(counts, limit), SEED_FACTOR * limit)
    frequencies = _frequencies(candidates, _bpe(candidates, merges, special), counts)
    start = max(len(candidates), limit)
    for step in range(1, PRUNING_STEPS + 1):
        size = round(start * (limit / start) ** (step / PRUNING_STEPS))
        candidates = _most_frequent(candidates, frequencies, size)
        frequencies = _frequencies(candidates, _unigram(candidates, frequencies, special), counts)
    ordered = _most_frequent(candidates, frequencies, limit)
    return _new_tokenizer(_unigram(ordered, frequencies, special), SUBWORDS)


def join_subwords(tokens: Iterable[str]) -> Iterator[str]:
    """Yield the words and symbols that subwords or characters consist of, each as soon as it is complete."""
    word: str | None = None
    for token in tokens:
        if word is not None and continues_word(token):
            word += token
            continue
        if word:
            yield word
        word = token.removeprefix(WORD_START) if token.startswith(WORD_START) else None
        if word is None:
            yield token
    if word:
        yield word


def continues_word(token: str) -> bool:
    """Return whether a token continues a word: its letters are of a script with spaces, and no word begins there."""
    is_letter = unicodedata.category(token[0])[0] in "LMN" or token[0] in "_\u200c\u200d"
    return is_letter and not UNSPACED.match(token)


def truncate_model(tokenizer: Tokenizer, size: int) -> Any:
    """Return the model of a tokenizer with the first `size` entries of its vocabulary."""
    state = json.loads(tokenizer.to_str())["model"]
    kept = {word: i for word, i in tokenizer.get_vocab().items() if i < size}
    if state["type"] == "Unigram":
        return models.Unigram([(word, score) for word, score in state["vocab"][:size]], unk_id=state["unk_id"])
    if state["type"] == "BPE":
        return models.BPE(
            vocab=kept, merges=_possible(map(tuple, state["merges"]), kept), unk_token=state["unk_token"]
        )
    return models.WordLevel(kept, unk_token=state["unk_token"])


def _new_tokenizer(model: Any, segmentation: Segmentation) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = segmentation.normalizer
    tokenizer.pre_tokenizer = segmentation.pre_tokenizer
    return tokenizer


def _numbered(words: Iterable[str]) -> dict[str, int]:
    return {word: i for i, word in enumerate(words)}


def _count_segments(texts: Sequence[str]) -> dict[str, int]:
    """Return how often each segment occurs, in alphabetical order."""
    tokenizer = _new_tokenizer(models.WordLevel(unk_token=""), SUBWORDS)
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=UNLIMITED, show_progress=False))
    counts = _count_ids(tokenizer, texts, np.ones(len(texts), np.int64))
    vocabulary = tokenizer.get_vocab()
    return {segment: int(counts[vocabulary[segment]]) for segment in sorted(vocabulary)}


def _count_ids(tokenizer: Tokenizer, texts: Sequence[str], weights: IndexArray) -> DoubleArray:
    """Return how often each id occurs in texts, of which each counts as many times as its weight says."""
    totals = np.zeros(tokenizer.get_vocab_size())
    for start in range(0, len(texts), CHUNK):
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts[start : start + CHUNK])]
        repeated = np.repeat(weights[start : start + CHUNK], [len(text) for text in ids])
        totals += np.bincount(np.fromiter(itertools.chain(*ids), np.int64), repeated, len(totals))
    return totals


def _frequent_letters(counts: Mapping[str, int], limit: int) -> set[str]:
    """Return the most frequent letters, at most `limit`, without the rare ones."""
    letters: Counter[str] = Counter()
    for segment, count in counts.items():
        for letter in segment:
            letters[letter] += count
    ranked = sorted(letters, key=lambda letter: (-letters[letter], letter))
    frequent = [letter for letter in ranked if letters[letter] >= MIN_FREQUENCY]
    return set((frequent or ranked)[:limit])


def _learn_merges(counts: Mapping[str, int], letters: set[str], limit: int) -> tuple[list[str], Merges]:
    """Return the subwords of these letters, at most `limit`, and the merges of BPE."""
    dropped = len(set().union(*counts) - letters) if counts else 0
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=limit + dropped,
        min_frequency=MIN_FREQUENCY,
        max_token_length=MAX_SUBWORD_LENGTH,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    vocabulary = tokenizer.get_vocab()
    subwords = [word for word in sorted(vocabulary, key=vocabulary.__getitem__) if letters.issuperset(word)]
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    return subwords, _possible(merges, set(subwords))


def _repeated(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield each segment as often as it occurs, in lists, which `tokenizers` reads faster than strings."""
    for segment, count in counts.items():
        for start in range(0, count, CHUNK):
            yield [segment] * min(CHUNK, count - start)


def _possible(merges: Iterable[tuple[str, ...]], vocabulary: Any) -> Merges:
    """Return the merges whose parts and result are in the vocabulary."""
    return [(a, b) for a, b in merges if a in vocabulary and b in vocabulary and a + b in vocabulary]


def _bpe(subwords: Sequence[str], merges: Merges, special: Sequence[str]) -> models.BPE:
    return models.BPE(vocab=_numbered([*special, *subwords]), merges=merges, unk_token=special[-1])


def _unigram(subwords: Sequence[str], frequencies: Mapping[str, int], special: Sequence[str]) -> models.Unigram:
    total = sum(frequencies[word] + 1 for word in subwords)
    scores = [(word, float(np.log((frequencies[word] + 1) / total))) for word in subwords]
    return models.Unigram([*((name, 0.0) for name in special), *scores], unk_id=len(special) - 1)


def _frequencies(subwords: Sequence[str], model: Any, counts: Mapping[str, int]) -> dict[str, int]:
    """Return how often a model splits off each subword in the segments."""
    tokenizer = Tokenizer(model)
    totals = _count_ids(tokenizer, list(counts), np.fromiter(counts.values(), np.int64, len(counts)))
    return {word: int(totals[tokenizer.token_to_id(word)]) for word in subwords}


def _most_frequent(subwords: Sequence[str], frequencies: Mapping[str, int], size: int) -> list[str]:
    """Return `size` subwords by decreasing frequency, with all single letters."""
    ranked = sorted(subwords, key=lambda word: (-frequencies[word], word))
    letters = sum(len(word) == 1 for word in ranked)
    longer = set([word for word in ranked if len(word) > 1][: max(size - letters, 0)])
    return [word for word in ranked if len(word) == 1 or word in longer]


def _by_frequency(subwords: Sequence[str], model: Any, counts: Mapping[str, int]) -> list[str]:
    return _most_frequent(subwords, _frequencies(subwords, model, counts), len(subwords))
