"""`Explanation`: the attributions of a text's tokens, as arrays, JSON and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from fastlstm._typing import BoolArray, FloatArray, IndexArray
from fastlstm.text.tokenizer import AlignedTokens

POSITIVE_COLOR, NEGATIVE_COLOR = (47, 109, 181), (217, 130, 43)
"""Red, green and blue for positive and negative attributions."""

FULL_COLOR_LOGIT = 2.0
"""Attributions of at least this size have the full color. It is the same for all texts, so that they compare."""


@dataclass(frozen=True)
class Clause:
    """A part of the text that ends at punctuation.

    Attributes:
        text: As spelled in the text.
        start: Index of its first token.
        end: Index after its last token.
        attribution: Gradients: the sum over its tokens. Occlusion: by how much the logit falls without it.
    """

    text: str
    start: int
    end: int
    attribution: float


@dataclass(frozen=True)
class Explanation:
    """How much each token contributes to the logit of one class.

    Attributes:
        text: The text, as it is written.
        tokens: All T tokens, as spelled in `text`.
        char_spans: int64 [T, 2], start and end of each token in `text`, in characters.
        used: bool [T], whether the LSTM reads the token. False for tokens that truncation drops.
        known: The fraction of known tokens, see `TokenizedTexts`. At 0.0, `Classifier.predict` returns no label.
        known_tokens: bool [T], whether the token is in the vocabulary. False for padding.
        label: The explained class; None for a text without any known token, unless a label was asked for.
        explained_label: The explained class, also for such a text.
        probability: The probability of the explained class.
        probabilities: Label -> probability.
        method: "gradients" or "occlusion".
        lstm: float32 [T], contributions through the LSTM. Occlusion: the decrease of the logit of the whole model when
            the token is left out.
        ngrams: float32 [T], contributions of n-grams, which are exact. Occlusion: zeros.
        baseline_logit: Gradients: the logit without the contributions of tokens. Occlusion: `logit`.
        logit: The logit of the class. Gradients: `baseline_logit` + sum of `attributions`, up to `error`.
        error: Error of that sum. Occlusion: 0.
        clauses: The clauses of the text.
    """

    text: str
    tokens: tuple[str, ...]
    char_spans: IndexArray
    used: BoolArray
    known: float
    known_tokens: BoolArray
    label: str | None
    explained_label: str
    probability: float
    probabilities: dict[str, float]
    method: str
    lstm: FloatArray
    ngrams: FloatArray
    baseline_logit: float
    logit: float
    error: float
    clauses: tuple[Clause, ...]

    @property
    def attributions(self) -> FloatArray:
        """Contribution of each token [T] to the logit. A positive one raises the explained class's probability."""
        total: FloatArray = self.lstm + self.ngrams
        return total

    def strongest(self, count: int = 10) -> list[int]:
        """Return the indices of the `count` tokens with the largest absolute attributions, largest first."""
        return [int(k) for k in np.argsort(-np.abs(self.attributions), kind="stable")[:count]]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as a JSON object."""
        return {
            "text": self.text,
            "known": self.known,
            "label": self.label,
            "explained_label": self.explained_label,
            "probability": self.probability,
            "probabilities": self.probabilities,
            "method": self.method,
            "logit": self.logit,
            "baseline_logit": self.baseline_logit,
            "error": self.error,
            "tokens": [
                {
                    "token": token,
                    "start": int(start),
                    "end": int(end),
                    "used": bool(used),
                    "known": bool(known),
                    "attribution": float(lstm + ngrams),
                    "lstm": float(lstm),
                    "ngrams": float(ngrams),
                }
                for token, (start, end), used, known, lstm, ngrams in zip(
                    self.tokens, self.char_spans, self.used, self.known_tokens, self.lstm, self.ngrams, strict=True
                )
            ],
            "clauses": [
                {
                    "text": clause.text,
                    "start": clause.start,
                    "end": clause.end,
                    "attribution": clause.attribution,
                }
                for clause in self.clauses
            ],
        }

    def _repr_html_(self) -> str:
        """Return the text for a notebook, each token colored by its attribution."""
        title = f"{self.explained_label} {self.probability:.1%}"
        if not self.known:
            title += " (no known words)"
        return explanation_html(self.text, self.char_spans, self.attributions, title, self.used, self.known_tokens)

    def __repr__(self) -> str:
        attributions = self.attributions
        strongest = ", ".join(f"{self.tokens[k]} {attributions[k]:+.2f}" for k in self.strongest(5))
        return f"Explanation({self.explained_label} {self.probability:.1%}: {strongest})"


def split_clauses(text: AlignedTokens) -> list[tuple[int, int]]:
    """Return the token range (start, end) of each clause. Punctuation belongs to the clause that it ends."""
    ends = [k + 1 for k, token in enumerate(text.tokens) if not any(character.isalnum() for character in token)]
    ranges: list[tuple[int, int]] = []
    start = 0
    for end in [*ends, len(text.ids)]:
        if end <= start:
            continue
        if ranges and end - start == 1 and end in ends:  # punctuation after punctuation
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
        start = end
    return ranges


def color_strength(attribution: float) -> float:
    """Return the strength of the color of an attribution, from 0 to 1."""
    return min(1.0, abs(attribution) / FULL_COLOR_LOGIT)


def explanation_html(
    text: str, char_spans: IndexArray, attributions: FloatArray, title: str, used: BoolArray, known: BoolArray
) -> str:
    """Return HTML without style sheet and script: the text, each token colored by its attribution.

    Tokens that are not `used` are pale; those that are not `known` have a dotted underline.
    """
    parts, position = [], 0
    for (start, end), value, is_used, is_known in zip(char_spans, attributions, used, known, strict=True):
        parts.append(escape(text[position:start]))
        red, green, blue = POSITIVE_COLOR if value > 0 else NEGATIVE_COLOR
        strength = color_strength(float(value))
        style = f"background:rgba({red},{green},{blue},{strength:.2f});border-radius:3px"
        if not is_used:
            style += ";opacity:0.5"
        note = ""
        if not is_known:
            style += ";text-decoration:underline dotted"
            note = ", unknown word"
        parts.append(f'<span style="{style}" title="{value:+.3f}{note}">{escape(text[start:end])}</span>')
        position = end
    parts.append(escape(text[position:]))
    return (
        f'<div style="line-height:1.7"><b>{escape(title)}</b> '
        f'<span style="white-space:pre-wrap">{"".join(parts)}</span></div>'
    )
