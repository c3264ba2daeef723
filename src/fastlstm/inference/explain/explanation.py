"""Text coloured token by token, as HTML that needs no style sheet and no script."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.text.tokenizer import Truncation


@dataclass(frozen=True)
class Span:
    """Tokens `first` to before `last`, as they stand in the text, and what they moved the logit together."""

    text: str
    first: int
    last: int
    moved: float


@dataclass(frozen=True)
class Explanation:
    """What moved the logit of one class, token by token.

    Attributes:
        text: as it was read: cleaned, as `fastlstm.text.tokenizer.clean` says.
        tokens: all of its tokens, as they stand there; `places` int64 [T, 2], from which character to before which.
        read: bool [T], which of them the LSTM read: of a text longer than the model reads, not all.
        label: whose logit it is; `probability`, the class's own.
        probabilities: of every class, by its name.
        method: "gradients", by which `words` sum to what the logit of the text is above that of word vectors of
            zero; or "occlusion", by which each is what the logit falls when the token is left out.
        words: float32 [T], what each token moved the logit by way of the LSTM, and for occlusion in all.
        evidence: float32 [T], what each added by way of the wide part, which is exact; zeros for occlusion.
        start: the logit from which `words` and `evidence` lead to `logit`; for occlusion `logit` itself.
        error: what their sum is off; for occlusion 0.
        spans: the text's clauses, cut at its punctuation, by `gradients` their tokens' sum.
    """

    text: str
    tokens: tuple[str, ...]
    places: npt.NDArray[np.int64]
    read: npt.NDArray[np.bool_]
    label: str
    probability: float
    probabilities: dict[str, float]
    method: str
    words: FloatArray
    evidence: FloatArray
    start: float
    logit: float
    error: float
    spans: tuple[Span, ...]

    @property
    def moved(self) -> FloatArray:
        """[T] what each token moved the logit in all: towards the class above zero, away from it below."""
        total: FloatArray = self.words + self.evidence
        return total

    def strongest(self, count: int = 10) -> list[int]:
        """The tokens that moved most, either way, the strongest first."""
        return [int(k) for k in np.argsort(-np.abs(self.moved), kind="stable")[:count]]

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return {
            "text": self.text,
            "label": self.label,
            "probability": self.probability,
            "probabilities": self.probabilities,
            "method": self.method,
            "logit": self.logit,
            "start": self.start,
            "error": self.error,
            "tokens": [
                {
                    "token": token,
                    "first": int(first),
                    "last": int(last),
                    "read": bool(read),
                    "moved": float(words + evidence),
                    "words": float(words),
                    "evidence": float(evidence),
                }
                for token, (first, last), read, words, evidence in zip(
                    self.tokens, self.places, self.read, self.words, self.evidence, strict=True
                )
            ],
            "spans": [
                {"text": of.text, "first": of.first, "last": of.last, "moved": of.moved} for of in self.spans
            ],
        }

    def _repr_html_(self) -> str:
        """In a notebook: the text, each token coloured by what it moved."""
        return explanation_html(
            self.text, self.places, self.moved, f"{self.label} {self.probability:.1%}", read=self.read
        )

    def __repr__(self) -> str:
        strongest = ", ".join(f"{self.tokens[k]} {self.moved[k]:+.2f}" for k in self.strongest(5))
        return f"Explanation({self.label} {self.probability:.1%}: {strongest})"


def clauses(cut: Truncation) -> list[tuple[int, int]]:
    """The first and the last token (excluded) of each clause; punctuation belongs to the clause that it ends."""
    ends = [k + 1 for k, token in enumerate(cut.tokens) if not any(character.isalnum() for character in token)]
    found: list[tuple[int, int]] = []
    first = 0
    for end in [*ends, len(cut.ids)]:
        if end <= first:
            continue
        if found and end - first == 1 and end in ends:  # a mark behind a mark
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
        first = end
    return found


TOWARDS_COLOR, AWAY_COLOR = (47, 109, 181), (217, 130, 43)
"""Red, green and blue of what moved the answer towards the class, and away from it."""


def explanation_html(
    text: str,
    places: npt.NDArray[np.int64],
    moved: npt.NDArray[np.float32],
    title: str,
    *,
    read: npt.NDArray[np.bool_],
) -> str:
    """The text, behind each token a colour as strong as what it moved; tokens that were not read are pale."""
    most = float(np.abs(moved).max(initial=0)) or 1.0
    parts, at = [], 0
    for (first, last), value, was_read in zip(places, moved, read, strict=True):
        parts.append(escape(text[at:first]))
        red, green, blue = TOWARDS_COLOR if value > 0 else AWAY_COLOR
        strength = abs(float(value)) / most
        style = f"background:rgba({red},{green},{blue},{strength:.2f});border-radius:3px"
        if not was_read:
            style += ";opacity:0.5"
        parts.append(f'<span style="{style}" title="{value:+.3f}">{escape(text[first:last])}</span>')
        at = last
    parts.append(escape(text[at:]))
    return (
        f'<div style="line-height:1.7"><b>{escape(title)}</b> '
        f'<span style="white-space:pre-wrap">{"".join(parts)}</span></div>'
    )
