"""Fields that check their values and say what they are for: what every configuration is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from fastlstm.errors import OptionError, suggest

Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["float32", "bfloat16"]
PRECISION_HELP = (
    "what a CPU multiplies in training; bfloat16: less exact, faster, float32 where the processor lacks it"
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


def option(help: str, *, minimum: float | None = None, maximum: float | None = None, default: Any) -> Any:
    """A field with its help text and, for numbers, the closed range of values it takes."""
    return field(default=default, metadata={"help": help, "minimum": minimum, "maximum": maximum})


def option_fields(kind: type[DataclassInstance]) -> list[dataclasses.Field[Any]]:
    """The fields that a user may choose."""
    return [f for f in dataclasses.fields(kind) if "help" in f.metadata]


def from_json(
    kind: type[Config],
    values: object,
    *,
    required: Collection[str] | None = None,
    known: Collection[str] | None = None,
) -> Config:
    """A configuration from what `dataclasses.asdict` gave and JSON brought back.

    Args:
        kind: which configuration.
        values: an object with exactly the fields of `kind`, unless the next two say otherwise.
        required: the fields that must be there; others that are missing have their defaults.
        known: the fields that may be there.

    Raises `OptionError` for anything else.
    """
    names = {f.name for f in dataclasses.fields(kind)} if known is None else set(known)
    needed = names if required is None else set(required)
    if not isinstance(values, dict) or not needed <= set(values) <= names:
        came = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise OptionError(f"{kind.__name__} has {came}; expected the fields {sorted(names)}")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return kind(**fields)


def check(config: DataclassInstance) -> None:
    """Raises `OptionError` for the first field whose value is of the wrong type or out of range."""
    hints = get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, hint, name = getattr(config, f.name), hints[f.name], f.name.replace("_", "-")
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise OptionError(f"unknown {name} {value!r}; {suggest(str(value), get_args(hint))}")
            continue
        if get_origin(hint) is tuple:
            if not isinstance(value, tuple) or not value:
                raise OptionError(f"{name} is {value!r}; expected one whole number a layer, such as 64,32")
            numbers, hint = value, int
        else:
            numbers = (value,)
        for number in numbers:
            _check_number(name, number, hint, f.metadata["minimum"], f.metadata["maximum"])


def plain_value(value: Any) -> Any:
    """The value without NumPy's or a list's wrapping, which grid searches and notebooks bring along."""
    if isinstance(value, list | tuple):
        return tuple(plain_value(item) for item in value)
    return value.item() if hasattr(value, "item") else value


def _check_number(name: str, value: object, kind: type, minimum: float | None, maximum: float | None) -> None:
    if kind is bool:
        if not isinstance(value, bool):
            raise OptionError(f"{name} is {value!r}; expected true or false")
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (kind is float and isinstance(value, float) and value == value)):
        raise OptionError(f"{name} is {value!r}; expected a {'whole number' if kind is int else 'number'}")
    assert isinstance(value, int | float)
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise OptionError(f"{name} is {value!r}; expected {limits}")


def split_values(values: Mapping[str, Any], *kinds: type[Any]) -> list[dict[str, Any]]:
    """Those of `values` that are not None, each with the one of `kinds` that has it.

    Raises `OptionError` for a name that none has.
    """
    fields = [{f.name for f in option_fields(kind)} for kind in kinds]
    for name in values:
        if not any(name in of for of in fields):
            raise OptionError(f"unknown option {name!r}; {suggest(name, set().union(*fields))}")
    chosen = {name: plain_value(value) for name, value in values.items() if value is not None}
    return [{name: value for name, value in chosen.items() if name in of} for of in fields]
