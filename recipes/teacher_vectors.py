"""Word vectors from a transformer, before and after fine-tuning: the first embeddings of its student.

The vector of a word is the mean of the last hidden states for the word alone, reduced by principal components. After
fine-tuning, it also depends on the sentiment of the word. Words that are rare in the student's training texts start
with a useful vector. model2vec makes static embeddings in a similar way (Tulkens & van Dongen 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.text.tokenizer import UNKNOWN_ID, train_tokenizer
from opponents import transformer
from probes import LABELS

DEVIATION = 0.06
"""Standard deviation of the values, about twice that of random embeddings."""


def frequent_words(texts: Sequence[str], count: int) -> list[str]:
    """Return the words of a vocabulary of that size, which also has two special tokens."""
    vocabulary = train_tokenizer(texts, count).get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)[UNKNOWN_ID + 1 :]


def write_word_vectors(encoder: Path, teacher: Path, words: Sequence[str], size: int, out: Path) -> None:
    """Write the vectors of words as a text file that `fastlstm train --word-vectors` reads.

    Args:
        encoder: The transformer.
        teacher: The same, fine-tuned: a folder of `transformer.save`.
        words: The words.
        size: Dimensions of a vector.
        out: The file.
    """
    ids = transformer.TransformerTokenizer(encoder)(words)
    models = transformer.create(encoder, len(LABELS), seed=0), transformer.load(teacher)[0]
    write_vectors(words, principal_components([transformer.embeddings(model, ids) for model in models], size), out)


def write_vectors(words: Sequence[str], vectors: FloatArray, out: Path) -> None:
    """Write words and their vectors [words, size] as a text file."""
    temporary = out.with_name(out.name + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, vector in zip(words, vectors, strict=True):
            file.write(f"{word} {' '.join(f'{number:.5f}' for number in vector)}\n")
    temporary.replace(out)


def principal_components(parts: Sequence[FloatArray], size: int) -> FloatArray:
    """Return the first components [n, size] of several kinds of vectors [n, any], each with the same weight."""
    centered = [part.astype(np.float64) - part.mean(axis=0) for part in parts]
    joined = np.concatenate([part / np.sqrt((part**2).sum(axis=1).mean()) for part in centered], axis=1)
    _, axes = np.linalg.eigh(joined.T @ joined)
    components = joined @ axes[:, ::-1][:, :size]
    result: FloatArray = (components * (DEVIATION / components.std())).astype(np.float32)
    return result
