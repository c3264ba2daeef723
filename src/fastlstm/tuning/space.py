"""The search space of hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastlstm.config import preset
from fastlstm.errors import OptionError

DIGITS = 3
"""Significant digits of what is tried, so that people can type it."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; where `log`, as many from each of 1..2, 2..4, 4..8."""

    name: str
    low: float
    high: float
    log: bool = False

    def including(self, value: Any) -> Range:
        """The range, wide enough for the preset's value."""
        return dataclasses.replace(self, low=min(self.low, value), high=max(self.high, value))

    def suggested(self, trial: BaseTrial) -> Any:
        """The value to try."""
        whole = isinstance(self.low, int)
        if whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def tried(self, value: Any, standing: Any) -> Any:
        """What is tried for a suggested value; the preset's own, `standing`, is left as it is."""
        return value if value == standing or isinstance(value, int) else float(f"{value:.{DIGITS}g}")

    def raw(self, value: Any) -> Any:
        """The value as the search knows it."""
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    name: str
    choices: tuple[Any, ...]

    def including(self, value: Any) -> Choice:
        """The choices, with the preset's value among them."""
        return self if value in self.choices else dataclasses.replace(self, choices=(*self.choices, value))

    def suggested(self, trial: BaseTrial) -> Any:
        """The value to try."""
        return trial.suggest_categorical(self.name, [self.raw(choice) for choice in self.choices])

    def tried(self, value: Any, standing: Any) -> Any:
        """What is tried for a suggested value."""
        del standing
        return next(choice for choice in self.choices if self.raw(choice) == value)

    def raw(self, value: Any) -> Any:
        """The value as the search knows it: sizes are text, for no study file holds tuples."""
        return ",".join(map(str, value)) if isinstance(value, tuple) else value


Field = Range | Choice


SPACE: tuple[Field, ...] = (
    Range("learning_rate", 3e-4, 1e-2, log=True),
    Range("epochs", 2, 8, log=True),
    Choice("batch_size", (16, 32, 64, 128)),
    Choice("max_tokens", (100, 200, 400)),
    Choice("embedding_size", (32, 64, 128, 192)),
    Choice("hidden_sizes", ((32,), (64,), (96,), (128,), (64, 32))),
    Choice("pooling", ("max", "mean", "concat")),
    Range("dropout", 0.0, 0.7),
    Range("word_dropout", 0.0, 0.4),
    Range("adversarial", 0.0, 0.1),
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial
"""What is searched where it is not given. A preset's value is always within."""


def search_space(preset_name: str, given: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields that are searched beside what is `given` (values of None are not).

    Raises `OptionError` where nothing is left to search, or for an unknown preset.
    """
    standing = sampled_values(preset_name)
    fields = tuple(field.including(standing[field.name]) for field in SPACE if given.get(field.name) is None)
    if not fields:
        names = ", ".join(field.name.replace("_", "-") for field in SPACE)
        raise OptionError(f"every option that could be searched is given; leave out one or more of: {names}")
    return fields


def sampled_values(preset_name: str) -> dict[str, Any]:
    """A preset's value of every field of the two configurations. Raises `OptionError` for an unknown one."""
    chosen = preset(preset_name)
    return {**vars(chosen.model), **vars(chosen.training)}
