"""Notes: one line for the user about a run or a result, with a stable code. docs/errors.md lists the codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIN_KNOWN = 0.5
"""Mean fraction of known tokens per text below which a model or encoder is reported to know too few words."""


@dataclass(frozen=True)
class Note:
    """One line for the user.

    `code` identifies the kind of note, such as "precision-unavailable"; `text` may change.
    """

    text: str
    code: str = ""

    def to_json(self) -> dict[str, str]:
        """Return code and text as a JSON object."""
        return {"code": self.code, "text": self.text}


def training_data_note(training_record: Mapping[str, Any], source: str) -> Note | None:
    """Return a note if a file of texts has the name of the training data of a model; None otherwise.

    Args:
        training_record: The record of the training of the model.
        source: The name of the texts: "reviews.csv".
    """
    data = training_record.get("data")
    if not isinstance(data, Mapping) or data.get("train") != source or "." not in source:
        return None
    return Note(
        f"{source} is also the name of the training data; figures on texts that the model was trained on are too good: "
        "use other texts",
        "same-name-as-training-data",
    )


def known_words_note(known: float, reader: str, source: str) -> Note | None:
    """Return a note if texts consist mostly of unknown words; None otherwise.

    Args:
        known: The mean fraction of the tokens of a text that are in the vocabulary.
        reader: The owner of the vocabulary: "the model".
        source: The texts: "reviews.csv".
    """
    if known >= MIN_KNOWN:
        return None
    return Note(
        f"{reader} knows only {known:.1%} of the words of {source}: answers to such texts mean little; check the "
        "language of the texts and how they are split into words, or train on texts of this kind",
        "few-known-words",
    )
