"""Labels: one spelling for equal values, missing values, and labels that look alike."""

from __future__ import annotations

import datetime
import decimal
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from fastlstm.errors import DataError

MISSING_LABELS = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null")
)  # fmt: skip
"""Spellings of a missing value: those that `pandas.read_csv` recognizes. "none" in lower case is a label."""

MAX_EXACT_INTEGER = 2**53
"""Integers up to this size are exact as floats. Larger floats keep Python's notation, such as 1e+22."""

_DECIMAL = re.compile(r"[-+]?[0-9]+\.[0-9]*")
_MIDNIGHT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]00:00:00(?:\.0+)?")
_SPACES = re.compile(r"\s+")
_UNDECODED_BYTES = frozenset(map(chr, range(0xDC80, 0xDD00)))
_BOOLEANS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "-0": "0"}


def normalize_label(label: object, *, keep_missing: bool = False) -> str:
    """Return the class name of a label, the same for every source.

    Surrounding white space is dropped. 1, 1.0, "1" and "1.0" are "1"; True, "True" and "TRUE" are "true"; dates are
    written as Python
    writes them, without the time at midnight.

    Args:
        label: A string, number, boolean or date; a NumPy scalar of these.
        keep_missing: Whether the strings in `MISSING_LABELS` other than "" are class names.

    Raises:
        DataError: The label is missing or has another type. The message has no location.
    """
    if type(label) is not str:
        label = _as_string(label)
    name = label.strip().lstrip("\ufeff")
    if name in MISSING_LABELS and not (keep_missing and name):
        found = f"missing ({name})" if name else "missing"
        remedy = "; pass `keep_missing=True` if it is one" if name else ""
        raise DataError(f"the label is {found}; expected a class name{remedy}", code="missing-label", label=name)
    if not name.isascii():
        require_unicode(name, "label")
    if _DECIMAL.fullmatch(name):
        return _number_name(float(name))
    if date := _MIDNIGHT.fullmatch(name):
        return date[1]
    return _BOOLEANS.get(name, name)


def is_missing(value: object) -> bool:
    """Return whether `value` is None, NaN, or the missing value of pandas (NA, NaT)."""
    if value is None or isinstance(value, str):
        return value is None
    try:
        return bool(value != value)  # true for NaN and NaT only
    except (TypeError, ValueError):  # pandas.NA has no truth value; an array has several
        return type(value).__name__ == "NAType"


def is_unicode(text: str) -> bool:
    """Return whether `text` can be encoded as UTF-8, which means that it has no lone surrogates.

    Files are decoded with "surrogateescape": bytes that are not valid become lone surrogates, so that the message
    about them can name the row.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_unicode(value: str, kind: str) -> None:
    """Raise `DataError` if a text or label cannot be encoded as UTF-8. The message has no location.

    Args:
        value: The text or label.
        kind: What it is, for the message.
    """
    if is_unicode(value):
        return
    surrogate = next(character for character in value if not is_unicode(character))
    if surrogate in _UNDECODED_BYTES:
        reason = f"the {kind} is not valid UTF-8; save the file as UTF-8, or pass `encoding`"
        raise DataError(reason, code="not-utf8")
    raise DataError(
        f"the {kind} contains the lone surrogate U+{ord(surrogate):X}, half of a UTF-16 pair; write the whole pair, or "
        "remove it",
        code="invalid-unicode",
    )


def look_alikes(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of labels that differ only in case, white space, or characters that look the same or not at all.

    Each group lists its labels from the most to the least frequent.
    """
    counts = Counter(labels)
    groups: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups.setdefault(appearance(name), []).append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def merged_names(labels: Iterable[str], names: Iterable[str] = ()) -> Mapping[str, str]:
    """Return the name that replaces each label: of those that look alike, the one in `names`, or the most frequent.

    `names` are class names that must be kept, such as those of a model.
    """
    labels, kept = list(labels), list(names)
    chosen: dict[str, str] = {}
    for name in (*kept, *(name for name, _ in Counter(labels).most_common())):
        chosen.setdefault(appearance(name), name)
    return {name: name if name in kept else chosen[appearance(name)] for name in set(labels)}


def appearance(name: str) -> str:
    """Return what a reader sees of a label: without case, invisible characters and kinds of white space."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return _SPACES.sub(" ", visible).strip().casefold()


def _as_string(label: object) -> str:
    """Return a label that is not exactly a `str` as one."""
    if isinstance(label, np.datetime64):
        label = label.astype("datetime64[us]")
    if isinstance(label, np.floating):
        label = float(str(label))  # float32 0.1 is 0.1
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str):
        return str(label)
    if is_missing(label):
        raise DataError("the label is missing; expected a class name", code="missing-label", label=None)
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, int):
        return str(label)
    if isinstance(label, float):
        return _number_name(label)
    if isinstance(label, datetime.date | datetime.time | decimal.Decimal):
        return str(label)
    kind = type(label).__name__
    several = ": one per text" if isinstance(label, list | tuple | set | frozenset | np.ndarray) else ""
    raise DataError(
        f"the label has type {kind}; expected a class name or a number{several}",
        code="bad-label",
        type=kind,
        label=label,
    )


def _number_name(number: float) -> str:
    if number.is_integer() and abs(number) < MAX_EXACT_INTEGER:
        return str(int(number))
    return repr(number)
