"""Validation of texts: what is one text, what is a batch of texts, and which containers are neither."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, MappingView, Sequence, Set
from typing import Any

from fastlstm.errors import DataError
from fastlstm.tables import column_keys

MAX_COLUMNS_SHOWN = 10
"""Columns of a table that a message lists."""


def as_text(value: object) -> str | None:
    """Return the value if it is one text, None otherwise.

    A text is a `str`, which includes `numpy.str_`, or a scalar of PyArrow that contains one.
    """
    if isinstance(value, str):
        return value
    content = value.as_py() if hasattr(value, "as_py") else None
    return content if isinstance(content, str) else None


def validate_text(text: object, argument: str = "text") -> str:
    """Return the text.

    Args:
        text: One text, see `as_text`.
        argument: Its name in messages.

    Raises:
        DataError: It is not one text, or not valid Unicode.
    """
    value = as_text(text)
    if value is None:
        raise DataError(
            f"{argument} is {_kind(text)}; expected one text (str)",
            code="not-a-text",
            argument=argument,
            type=type(text).__name__,
        )
    if not value.isascii() and not _is_unicode(value):
        raise DataError(
            f"{argument} is not valid Unicode: it contains a lone surrogate",
            code="invalid-unicode",
            argument=argument,
        )
    return value


def validate_texts(texts: Iterable[Any], argument: str = "texts") -> list[str]:
    """Return a batch of texts as a list.

    A batch is a list, a tuple, another sequence, an iterator, or a column: a NumPy array of one dimension, or a
    column of pandas, Polars or PyArrow. A table, a mapping or one of its views, a set, a file, an array of another
    dimension and one text are not.

    Args:
        texts: The batch.
        argument: Its name in messages.

    Raises:
        DataError: It is not a batch, or one of its elements is missing, not a text or not valid Unicode.
    """
    batch = texts if type(texts) is list else _elements(texts, argument)
    for position, text in enumerate(batch):
        if type(text) is str and (text.isascii() or _is_unicode(text)):
            continue
        return _converted(batch, position, argument)
    return batch


def _converted(batch: Sequence[Any], first: int, argument: str) -> list[str]:
    """Return the batch with elements from `first` on validated and converted to `str`."""
    result = list(batch[:first])
    for position in range(first, len(batch)):
        text = as_text(batch[position])
        if text is None:
            raise _element_error(batch[position], position, argument)
        if not _is_unicode(text):
            raise DataError(
                f"{argument}[{position}] is not valid Unicode: it contains a lone surrogate",
                code="invalid-unicode",
                position=position,
            )
        result.append(str(text))
    return result


def _element_error(value: object, position: int, argument: str) -> DataError:
    kind = type(value).__name__
    if _is_missing(value):
        return DataError(
            f"{argument}[{position}] is missing ({value}); expected a text (str); drop it or replace it by ''",
            code="missing-text",
            position=position,
            type=kind,
        )
    remedy = "; decode it first" if isinstance(value, bytes | bytearray) else ""
    return DataError(
        f"{argument}[{position}] is {_kind(value)}; expected a text (str){remedy}",
        code="not-a-text",
        position=position,
        type=kind,
    )


def _elements(texts: Any, argument: str) -> list[Any]:
    """Return the elements of a batch that is not a list. Raise `DataError` if it is not a batch."""
    if type(texts) is tuple:
        return list(texts)
    if as_text(texts) is not None:
        raise _not_a_batch(texts, argument, f"one text; expected a batch: pass [{argument}]")
    columns = column_names(texts)
    if columns is not None:
        raise _table_error(texts, columns, argument)
    if isinstance(texts, bytes | bytearray | memoryview):
        raise _not_a_text(texts, argument)
    if isinstance(texts, Set | MappingView):
        raise _not_a_batch(texts, argument, f"{_kind(texts)}, which has no order; pass a list")
    if isinstance(texts, io.IOBase) or (hasattr(texts, "readline") and hasattr(texts, "read")):
        remedy = f"pass its lines: {argument}.read().splitlines()"
        raise _not_a_batch(texts, argument, f"a file ({type(texts).__name__}); {remedy}")
    shape = getattr(texts, "shape", None)
    if isinstance(shape, tuple) and len(shape) != 1:
        remedy = "pass one column, such as [:, 0]" if len(shape) > 1 else "pass [text]"
        raise _not_a_batch(
            texts, argument, f"{_kind(texts)} with {len(shape)} dimensions; expected one dimension; {remedy}"
        )
    for method in ("to_pylist", "tolist", "to_list"):  # PyArrow; NumPy and pandas; Polars
        if hasattr(texts, method):
            return list(getattr(texts, method)())
    if not isinstance(texts, Iterable):
        if isinstance(getattr(texts, "texts", None), list):
            raise _not_a_batch(texts, argument, f"{_kind(texts)}; pass its texts: {argument}.texts")
        raise _not_a_text(texts, argument)
    return list(texts)


def column_names(table: Any) -> list[str] | None:
    """Return the names of the columns of a table or mapping; None for anything else."""
    keys = column_keys(table)
    return None if keys is None else [str(key) for key in keys]


def _table_error(table: Any, columns: list[str], argument: str) -> DataError:
    text_columns = [name for name in columns if _has_texts(table, name)]
    column = text_columns[0] if len(text_columns) == 1 else None
    example = column or (text_columns or columns or ["text"])[0]
    shown = ", ".join(columns[:MAX_COLUMNS_SHOWN]) + (", ..." if len(columns) > MAX_COLUMNS_SHOWN else "")
    noun = "keys" if isinstance(table, Mapping) else "columns"
    collect = ".collect()" if hasattr(type(table), "collect_schema") and hasattr(type(table), "collect") else ""
    return DataError(
        f"{argument} is {_kind(table)} with the {noun} {shown or '(none)'}; expected texts: pass its text column, "
        f"{'' if column else 'such as '}{argument}{collect}[{example!r}]",
        code="not-a-batch",
        argument=argument,
        type=type(table).__name__,
        columns=columns,
        column=column,
    )


def _has_texts(table: Any, name: str) -> bool:
    """Return whether the first value of a column is a text."""
    try:
        column = table[name]
        return not isinstance(column, str) and as_text(next(iter(column))) is not None
    except Exception:  # noqa: BLE001 -- any table of any library; the answer only improves a message
        return False


def _not_a_batch(value: object, argument: str, problem: str) -> DataError:
    return DataError(f"{argument} is {problem}", code="not-a-batch", argument=argument, type=type(value).__name__)


def _not_a_text(value: object, argument: str) -> DataError:
    return DataError(
        f"{argument} is {_kind(value)}; expected a text or a list of texts (str)",
        code="not-a-text",
        argument=argument,
        type=type(value).__name__,
    )


def _kind(value: object) -> str:
    """Return the type of a value with its article, such as "a DataFrame"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _is_missing(value: object) -> bool:
    """Return whether a value is None, NaN, or the missing value of pandas (NA, NaT) or PyArrow."""
    if value is None:
        return True
    if hasattr(value, "as_py"):
        return value.as_py() is None
    try:
        return bool(value != value)  # true for NaN and NaT only
    except (TypeError, ValueError):  # pandas.NA has no truth value; an array has several
        return type(value).__name__ == "NAType"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
