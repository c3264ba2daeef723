"""The search space of hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from fastlstm.config import preset
from fastlstm.errors import OptionError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Metric = Literal["loss", "accuracy"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""Validation metrics that a search can optimize."""
DIGITS = 3
"""Significant digits of suggested values."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, uniform or log-uniform."""

    name: str
    low: float
    high: float
    log: bool = False

    def including(self, value: Any) -> Range:
        """Return the range, extended to include `value`."""
        return dataclasses.replace(self, low=min(self.low, value), high=max(self.high, value))

    def suggest(self, trial: BaseTrial) -> Any:
        """Return the value that Optuna suggests."""
        whole = isinstance(self.low, int)
        if whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def decode(self, value: Any, default: Any) -> Any:
        """Return the option for a suggested value, rounded; the value of the preset, `default`, is kept exactly."""
        return value if value == default or isinstance(value, int) else float(f"{value:.{DIGITS}g}")

    def encode(self, value: Any) -> Any:
        """Return the option as Optuna stores it."""
        return value


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    name: str
    choices: tuple[Any, ...]

    def including(self, value: Any) -> Choice:
        """Return the choices, extended to include `value`."""
        return self if value in self.choices else dataclasses.replace(self, choices=(*self.choices, value))

    def suggest(self, trial: BaseTrial) -> Any:
        """Return the value that Optuna suggests."""
        return trial.suggest_categorical(self.name, [self.encode(choice) for choice in self.choices])

    def decode(self, value: Any, default: Any) -> Any:
        """Return the option for a suggested value."""
        del default
        return next(choice for choice in self.choices if self.encode(choice) == value)

    def encode(self, value: Any) -> Any:
        """Return the option as Optuna stores it: tuples as strings."""
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
"""The searched fields; the value of the preset is always included."""


def search_space(preset_name: str, fixed: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields to search: those without a value in `fixed`.

    Raises:
        OptionError: Nothing is left to search, or unknown preset.
    """
    defaults = preset_values(preset_name)
    fields = tuple(field.including(defaults[field.name]) for field in SPACE if fixed.get(field.name) is None)
    if not fields:
        names = tuple(field.name for field in SPACE)
        raise OptionError(
            f"all searchable options are set; leave out at least one of {', '.join(names)}",
            code="nothing-to-search",
            options=names,
        )
    return fields


def preset_values(preset_name: str) -> dict[str, Any]:
    """Return all fields of both configurations of a preset. Raise `OptionError` for an unknown one."""
    chosen = preset(preset_name)
    return {**vars(chosen.model), **vars(chosen.training)}
