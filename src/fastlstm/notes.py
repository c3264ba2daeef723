"""Notes: one line for the user about a run or a result, with a stable code. docs/training.md lists the codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def known_words_note(known: npt.NDArray[np.floating], reader: str, source: str) -> Note | None:
    """Return a note if the texts of `source` consist mostly of unknown words; None otherwise.

    Args:
        known: [n] fraction of the tokens of each text that are in the vocabulary.
        reader: The owner of the vocabulary: "the model".
        source: The texts: "reviews.csv".
    """
    mean = float(np.mean(known)) if len(known) else 1.0
    if mean >= MIN_KNOWN:
        return None
    return Note(
        f"{reader} knows only {mean:.1%} of the words of {source}: its answers to such texts mean little; check the "
        "language of the texts and how they are split into words, or train on texts of this kind",
        "few-known-words",
    )
