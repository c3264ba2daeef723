"""How many texts each class has in each part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fastlstm.examination.pool import Pool


@dataclass(frozen=True)
class Part:
    """A part of the data: where it comes from, its texts, and how many of them each class of training has."""

    source: str
    texts: int
    classes: dict[str, int]


def count_classes(pool: Pool) -> dict[str, Part]:
    """Part by part, training first."""
    return {
        name: Part(records.source, len(records), _counted(records.labels, pool.classes))
        for name, records in pool.parts.items()
    }


def _counted(labels: list[str], classes: list[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[name] for name in classes}
