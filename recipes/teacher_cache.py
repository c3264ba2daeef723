"""The labels and word vectors of the English teacher, in a file that is small enough for the repository.

Fine-tuning the transformer and labelling 570,000 sentences takes one to two hours on two cores. The file has the
results without the texts: logits in steps of 1/9, and word vectors in int8. A hash of the texts, which the recipe makes
from the same data, assigns each label to its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fastlstm.data.readers.word_vectors import read_word_vectors
from teacher_vectors import write_vectors
from transformer_teacher import read_logits, write_labels

CACHE = Path(__file__).with_name("english_teacher.npz")
LOGIT_STEPS = 9
"""Steps per unit of a logit; logits are at most 13.9."""
LARGEST = 127
"""Largest number of int8."""
WORDS, VECTORS, SCALE = "words", "vectors", "scale"
STAGES, SECONDS = "stages", "seconds"


def save(labels: Mapping[str, Path], vectors: Path, seconds: Mapping[str, float], out: Path) -> None:
    """Write the file.

    Args:
        labels: Files of `transformer_teacher.label`, by the kind of their texts.
        vectors: File of `teacher_vectors.write_vectors`.
        seconds: Time of each stage that made these files.
        out: The file.
    """
    words = [line.partition(" ")[0] for line in vectors.read_text(encoding="utf-8").splitlines()[1:]]
    vector_of = read_word_vectors(vectors, set(words))
    values = np.stack([vector_of[word] for word in words])
    scale = np.abs(values).max() / LARGEST
    arrays = {
        WORDS: np.array("\n".join(words)),
        VECTORS: np.rint(values / scale).astype(np.int8),
        SCALE: np.array(scale),
        STAGES: np.array("\n".join(seconds)),
        SECONDS: np.array(list(seconds.values())),
    }
    for kind, path in labels.items():
        texts, logits = read_logits(path)
        arrays[f"logits of {kind}"] = np.rint(np.asarray(logits) * LOGIT_STEPS).astype(np.int8)
        arrays[f"hash of {kind}"] = np.array(_hash(texts))
    np.savez_compressed(out, allow_pickle=False, **arrays)


def copy_labels(cache: Path, kind: str, texts: Sequence[str], out: Path) -> None:
    """Write the file that `transformer_teacher.label` would write for these texts.

    Raises:
        SystemExit: The file has the labels of other texts.
    """
    with np.load(cache) as arrays:
        if str(arrays[f"hash of {kind}"]) != _hash(texts):
            raise SystemExit(f"{cache} has labels of other {kind} than the data; pass --encoders to label these")
        write_labels(texts, arrays[f"logits of {kind}"] / LOGIT_STEPS, out)


def copy_vectors(cache: Path, out: Path) -> None:
    """Write the file of word vectors."""
    with np.load(cache) as arrays:
        words, vectors = str(arrays[WORDS]).split("\n"), arrays[VECTORS] * arrays[SCALE]
    write_vectors(words, vectors.astype(np.float32), out)


def load_seconds(cache: Path) -> dict[str, float]:
    """Return the time of each stage that made the labels and vectors."""
    with np.load(cache) as arrays:
        return dict(zip(str(arrays[STAGES]).split("\n"), arrays[SECONDS].tolist(), strict=True))


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
