"""Early exit: the probability at which reading a text may stop, after a given number of tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastlstm.errors import OptionError

NEVER_EXIT = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True)
class ExitThreshold:
    """The probabilities at which reading stops, for one agreement with the predictions for whole texts.

    Attributes:
        agreement: The target fraction of predictions that equal those for whole texts.
        probabilities: For each stage, the probability of the predicted class at which reading stops, or
            `NEVER_EXIT`.
        saved_fraction: The fraction of the tokens of the fitting texts that are not read.
        disagreement: The fraction of the fitting texts whose predictions change.
    """

    agreement: float
    probabilities: tuple[float, ...]
    saved_fraction: float
    disagreement: float


@dataclass(frozen=True)
class EarlyExit:
    """Exit thresholds fitted on `text_count` texts.

    Attributes:
        stages: The numbers of tokens after which reading may stop, increasing.
        thresholds: One entry per agreement, increasing.
        text_count: The number of texts that they were fitted on.
    """

    stages: tuple[int, ...]
    thresholds: tuple[ExitThreshold, ...]
    text_count: int

    def threshold_for(self, agreement: float) -> ExitThreshold:
        """Return the first threshold with at least this agreement.

        Raises:
            OptionError: `agreement` is not in (0, 1], or above the highest fitted one.
        """
        if isinstance(agreement, bool | str) or not 0 < agreement <= 1:
            raise OptionError(
                f"min_agreement is {agreement!r}; expected a fraction above 0 and at most 1, such as 0.99",
                code="bad-option-value",
                option="min_agreement",
                value=agreement,
            )
        for threshold in self.thresholds:
            if threshold.agreement >= agreement:
                return threshold
        highest = self.thresholds[-1].agreement
        raise OptionError(
            f"min_agreement is {agreement}; expected at most {highest}, the highest agreement fitted for this model; "
            "without min_agreement, texts are read whole",
            code="agreement-too-high",
            agreement=agreement,
            highest=highest,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that config.json contains."""
        return {
            "stages": list(self.stages),
            "texts": self.text_count,
            "bars": [
                {
                    "agreement": threshold.agreement,
                    "probabilities": list(threshold.probabilities),
                    "saved": threshold.saved_fraction,
                    "disagreement": threshold.disagreement,
                }
                for threshold in self.thresholds
            ],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> EarlyExit:
        """Return the inverse of `to_json`. Raise `KeyError`, `TypeError` or `ValueError` for invalid fields."""
        stages = tuple(_parse_integer(stage) for stage in fields["stages"])
        thresholds = tuple(
            ExitThreshold(
                _parse_fraction(entry["agreement"]),
                tuple(_parse_number(probability) for probability in entry["probabilities"]),
                _parse_fraction(entry["saved"]),
                _parse_fraction(entry["disagreement"]),
            )
            for entry in fields["bars"]
        )
        agreements = [threshold.agreement for threshold in thresholds]
        if not stages or stages[0] < 1 or not _is_increasing(stages):
            raise ValueError("early_exit: stages are not increasing numbers of tokens")
        if not thresholds or not _is_increasing(agreements):
            raise ValueError("early_exit: agreements are not increasing")
        if any(len(t.probabilities) != len(stages) or min(t.probabilities) < 0 for t in thresholds):
            raise ValueError("early_exit: expected one probability per stage")
        return cls(stages, thresholds, _parse_integer(fields["texts"]))


def _is_increasing(values: tuple[int, ...] | list[float]) -> bool:
    return list(values) == sorted(set(values))


def _parse_integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("early_exit: expected a whole number")
    return value


def _parse_number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("early_exit: expected a finite number")
    return float(value)


def _parse_fraction(value: object) -> float:
    fraction = _parse_number(value)
    if not 0 <= fraction <= 1:
        raise ValueError("early_exit: expected a fraction from 0 to 1")
    return fraction
