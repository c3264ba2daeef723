"""Sentences as people type them into a demo of a sentiment model, with labels that are obvious to a reader.

They were written for this project, in English and simplified Chinese, independently of all training texts. Never train
on them, and choose nothing by them: neither settings, nor data, nor models. They only report, on the cards of the
bundled models and in `benchmarks/probe_accuracy.py`, what a model can and cannot read. A group of 20 sentences is too
small to rank models.

The sentences are in `probe_sentences/LANGUAGE.tsv`, one per line, with these columns:

- kind: what makes the sentence easy or hard, such as "negation" or "contrast";
- subject: films, products, places (restaurants, hotels, sights), services, or other;
- label: positive or negative; empty for facts and for mixed verdicts, whose honest probability is near one half;
- text.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "probe_sentences"
ENGLISH, CHINESE = "english", "chinese"
LANGUAGES = ENGLISH, CHINESE
POSITIVE, NEGATIVE = "positive", "negative"
LABELS = NEGATIVE, POSITIVE


@dataclass(frozen=True)
class Probe:
    """A sentence; its label is None if a reader would call it neither positive nor negative."""

    kind: str
    subject: str
    label: str | None
    text: str


def load_probes(language: str) -> tuple[Probe, ...]:
    """Return the sentences of "english" or "chinese", in the order of the file."""
    with (FOLDER / f"{language}.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple(Probe(row["kind"], row["subject"], row["label"] or None, row["text"]) for row in rows)
