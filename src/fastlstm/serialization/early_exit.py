"""When a text need not be read on: how sure an answer must be after so many tokens to be the whole text's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastlstm.errors import OptionError

NEVER_EXIT = 2.0
"""A probability that no answer reaches."""


@dataclass(frozen=True)
class ExitThreshold:
    """How sure an answer must be for one agreement with the whole texts' answers.

    Attributes:
        agreement: the share of answers that should be those of the whole texts.
        probabilities: the predicted class's from which reading stops, one a stage; `NEVER_EXIT`: it does not.
        saved: the share of tokens that were not read of the texts that it was learned on.
        disagreement: the share of these whose answer was another one.
    """

    agreement: float
    probabilities: tuple[float, ...]
    saved: float
    disagreement: float


@dataclass(frozen=True)
class EarlyExit:
    """What was learned on `texts` texts: `bars` by rising agreement, for `stages`, rising numbers of tokens."""

    stages: tuple[int, ...]
    bars: tuple[ExitThreshold, ...]
    texts: int

    def bar(self, agreement: float) -> ExitThreshold:
        """The first bar that promises at least this agreement.

        Raises `OptionError` for no share, and for more agreement than was learned.
        """
        if isinstance(agreement, bool | str) or not 0 < agreement <= 1:
            raise OptionError(
                f"early-exit is {agreement!r}; expected an agreement above 0 and at most 1, such as 0.99"
            )
        for bar in self.bars:
            if bar.agreement >= agreement:
                return bar
        raise OptionError(
            f"early-exit is {agreement}, and the model has learned up to {self.bars[-1].agreement}; give that, or "
            "leave it out to read texts whole"
        )

    def to_json(self) -> dict[str, Any]:
        """As config.json keeps it; `from_json` reads it."""
        return {
            "stages": list(self.stages),
            "texts": self.texts,
            "bars": [
                {
                    "agreement": bar.agreement,
                    "probabilities": list(bar.probabilities),
                    "saved": bar.saved,
                    "disagreement": bar.disagreement,
                }
                for bar in self.bars
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EarlyExit:
        """Raises `KeyError`, `TypeError` or `ValueError` for what `to_json` did not give."""
        stages = tuple(_whole(stage) for stage in value["stages"])
        bars = tuple(
            ExitThreshold(
                _share(bar["agreement"]),
                tuple(_finite(probability) for probability in bar["probabilities"]),
                _share(bar["saved"]),
                _share(bar["disagreement"]),
            )
            for bar in value["bars"]
        )
        agreements = [bar.agreement for bar in bars]
        if not stages or not bars or list(stages) != sorted(set(stages)) or agreements != sorted(set(agreements)):
            raise ValueError("early_exit")
        if stages[0] < 1 or any(
            len(bar.probabilities) != len(stages) or min(bar.probabilities) < 0 for bar in bars
        ):
            raise ValueError("early_exit")
        return cls(stages, bars, _whole(value["texts"]))


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("early_exit")
    return value


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("early_exit")
    return float(value)


def _share(value: object) -> float:
    share = _finite(value)
    if not 0 <= share <= 1:
        raise ValueError("early_exit")
    return share
