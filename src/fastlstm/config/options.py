"""Configuration fields: help text, allowed values, validation, and parsing from strings and JSON."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from fastlstm.errors import OptionError, suggest

Tokens = Literal["auto", "words", "characters", "bpe", "unigram"]
Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["auto", "float32", "bfloat16"]
PRECISION_HELP = "operands of matrix products on a CPU; auto: the fastest"

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


def option(help: str, *, minimum: float | None = None, maximum: float | None = None, default: Any) -> Any:
    """Return a dataclass field with a help text and, for numbers, a closed range of values."""
    return field(default=default, metadata={"help": help, "minimum": minimum, "maximum": maximum})


def option_fields(kind: type[DataclassInstance]) -> list[dataclasses.Field[Any]]:
    """Return the fields of a configuration that a user may set."""
    return [f for f in dataclasses.fields(kind) if "help" in f.metadata]


def from_json(
    kind: type[Config],
    values: object,
    *,
    required: Collection[str] | None = None,
    known: Collection[str] | None = None,
) -> Config:
    """Return a configuration from the JSON form of `dataclasses.asdict`.

    Args:
        kind: The configuration class.
        values: The JSON object.
        required: The fields that must be present; other missing fields take their defaults. None: all fields of `kind`.
        known: The fields that may be present. None: all fields of `kind`.

    Raises:
        OptionError: `values` is not such an object.
    """
    names = {f.name for f in dataclasses.fields(kind)} if known is None else set(known)
    needed = names if required is None else set(required)
    if not isinstance(values, dict) or not needed <= set(values) <= names:
        actual = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise OptionError(
            f"{kind.__name__} has {actual}; expected the fields {sorted(names)}",
            code="bad-config-fields",
            expected=sorted(names),
        )
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return kind(**fields)


def validate(config: DataclassInstance) -> None:
    """Raise `OptionError` for the first field whose value has the wrong type or is out of range."""
    hints = get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, hint = getattr(config, f.name), hints[f.name]
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise OptionError(
                    f"{f.name} is {value!r}; {suggest(str(value), get_args(hint))}",
                    code="bad-option-value",
                    option=f.name,
                    value=value,
                )
            continue
        if get_origin(hint) is tuple:
            if "help" not in f.metadata:
                continue  # not a user option: checked by its class
            if not isinstance(value, tuple) or not value:
                raise _bad_value(f.name, value, "one whole number per layer, such as 64,32")
            numbers, hint = value, int
        else:
            numbers = (value,)
        for number in numbers:
            _check_number(f.name, number, hint, f.metadata["minimum"], f.metadata["maximum"])


def plain_value(value: Any) -> Any:
    """Return the value as plain Python: NumPy scalars as numbers, lists and arrays as tuples.

    Grid searches pass such values.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(plain_value(item) for item in value) if isinstance(value, list | tuple) else value


def parse_value(name: str, text: str, *kinds: type[Any]) -> Any:
    """Return the value of a configuration field that is written as a string, such as "64,32" or "true".

    Args:
        name: The field, with underscores or hyphens.
        text: The value.
        kinds: The configuration classes that may have the field.

    Raises:
        OptionError: No class has the field, or the string is not of its type. Ranges are checked by the class.
    """
    hint = field_type(name, *kinds)
    try:
        if hint is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if get_origin(hint) is tuple:
            return tuple(int(part) for part in text.split(","))
        return hint(text) if hint in (int, float) else text
    except (ValueError, KeyError):
        expected = "true or false" if hint is bool else "whole numbers such as 64,32"
        if hint in (int, float):
            expected = "a whole number" if hint is int else "a number"
        raise _bad_value(name, text, expected) from None


def field_type(name: str, *kinds: type[Any]) -> Any:
    """Return the type of a configuration field. Raise `OptionError` if none of the classes has it."""
    for kind in kinds:
        if name in {f.name for f in option_fields(kind)}:
            return get_type_hints(kind)[name]
    raise unknown_option(name, {f.name for kind in kinds for f in option_fields(kind)})


def split_values(values: Mapping[str, Any], *kinds: type[Any]) -> list[dict[str, Any]]:
    """Return, for each configuration class, those of `values` that are its fields and not None.

    Raises:
        OptionError: No class has a field of some name.
    """
    fields = [{f.name for f in option_fields(kind)} for kind in kinds]
    for name in values:
        if not any(name in names for names in fields):
            raise unknown_option(name, set().union(*fields))
    chosen = {name: plain_value(value) for name, value in values.items() if value is not None}
    return [{name: value for name, value in chosen.items() if name in names} for names in fields]


def _check_number(name: str, value: object, kind: type, minimum: float | None, maximum: float | None) -> None:
    if kind is bool:
        if not isinstance(value, bool):
            raise _bad_value(name, value, "true or false")
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (kind is float and isinstance(value, float) and value == value)):
        raise _bad_value(name, value, f"a {'whole number' if kind is int else 'number'}")
    assert isinstance(value, int | float)
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"a value from {minimum} to {maximum}"
        raise _bad_value(name, value, limits)


def _bad_value(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name} is {value!r}; expected {expected}", code="bad-option-value", option=name, value=value
    )


def unknown_option(name: str, known: Collection[str]) -> OptionError:
    """Return the error for an option that is not one of `known`."""
    return OptionError(f"unknown option {name!r}; {suggest(name, known)}", code="unknown-option", option=name)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")


def check_workers(workers: object) -> None:
    """Raise `OptionError` unless `workers` is a number of processes."""
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise OptionError(
            f"`workers` is {workers!r}; expected a number from 1",
            code="bad-option-value",
            option="workers",
            value=workers,
        )


def parse_duration(duration: str | float, name: str = "budget") -> float:
    """Return the seconds of a duration: a number of seconds, or a string such as "90s", "10m" or "1h30m".

    Raises:
        OptionError: Not a duration, or not above zero. `name` is the option in the message.
    """
    if isinstance(duration, str):
        match = _DURATION.fullmatch(duration.strip().lower())
        seconds = (
            math.nan if match is None else sum(_UNITS[unit] * float(n) for unit, n in match.groupdict("0").items())
        )
    else:
        seconds = float(duration)
    if not 0 < seconds < math.inf:
        raise OptionError(
            f"{name} is {duration!r}; expected a duration above zero, such as 90s, 10m or 1h30m",
            code="bad-option-value",
            option=name,
            value=duration,
        )
    return seconds
