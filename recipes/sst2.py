"""The Stanford Sentiment Treebank's phrases, with a tenth of the whole sentences held out.

The data has phrases cut from sentences, in random order, and the official sentences of GLUE's test are not among them.
A whole sentence is a phrase that is no part of another phrase. A hash of the text holds out a tenth of the whole
sentences; a phrase is removed from the training texts if it only occurs in sentences that are held out.

Source: Socher et al. (2013), Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank, EMNLP.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

MIN_SENTENCE_TOKENS = 5
"""Shorter phrases are never counted as whole sentences."""
HELD_OUT_PARTS = 10
"""One of this many parts of the whole sentences is held out."""
FILES = "train.parquet", "dev.parquet"


@dataclass(frozen=True)
class Phrases:
    """Texts and their labels, "negative" or "positive"."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Treebank:
    """The phrases to train on, and the whole sentences that are held out."""

    training: Phrases
    held_out: Phrases


def load_treebank(folder: Path) -> Treebank:
    """Read the parquet files of `folder`, columns text and label, and split them."""
    texts: list[str] = []
    labels: list[str] = []
    for name in FILES:
        table = pq.read_table(folder / name, columns=["text", "label"])
        texts += [str(text).strip() for text in table["text"].to_pylist()]
        labels += [str(label) for label in table["label"].to_pylist()]
    return split_treebank(texts, labels)


def split_treebank(texts: Sequence[str], labels: Sequence[str], part: int = 0) -> Treebank:
    """Split phrases into training phrases and held-out sentences. Repeated phrases are kept once.

    Other numbers than 0 as the part split training phrases again, to choose settings.
    """
    label_of = dict(zip(texts, labels, strict=True))
    sentences = whole_sentences(label_of)
    held_out = [sentence for sentence in sentences if is_held_out(sentence, part)]
    held_out_set = set(held_out)
    remaining = _parts([sentence for sentence in sentences if sentence not in held_out_set], label_of)
    forbidden = (_parts(held_out, label_of) | held_out_set) - remaining
    training = [text for text in label_of if text not in forbidden]
    return Treebank(
        Phrases(training, [label_of[text] for text in training]),
        Phrases(held_out, [label_of[text] for text in held_out]),
    )


def whole_sentences(texts: Iterable[str]) -> list[str]:
    """Return the texts of at least `MIN_SENTENCE_TOKENS` words that are no part of another text."""
    known = dict.fromkeys(texts)
    parts = _parts(known, known)
    return [text for text in known if text not in parts and len(text.split()) >= MIN_SENTENCE_TOKENS]


def is_held_out(text: str, part: int = 0) -> bool:
    """Return whether a whole sentence belongs to that tenth: by its hash, so that it never changes."""
    return zlib.crc32(text.encode()) % HELD_OUT_PARTS == part


def _parts(texts: Iterable[str], known: Iterable[str]) -> set[str]:
    """Return the members of `known` that are a proper part of one of the texts, word by word."""
    members = known if isinstance(known, set | dict) else set(known)
    found: set[str] = set()
    for text in texts:
        words = text.split()
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                if end - start == len(words):
                    continue
                part = " ".join(words[start:end])
                if part in members:
                    found.add(part)
    return found
