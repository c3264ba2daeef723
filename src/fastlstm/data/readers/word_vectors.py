"""Read pretrained word vectors from text files, as word2vec, GloVe and fastText write them.

Each line has a word and the values of its vector, separated by spaces or tabs; the first line may have the number of
words and the number of dimensions instead.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.data.readers.encodings import open_bytes
from fastlstm.data.readers.files import display_name, require_path, wrap_read_errors
from fastlstm.data.validation import excerpt
from fastlstm.errors import DataError

FORMATS = "text files of word2vec, GloVe and fastText, such as .txt or .vec, also with .gz"
MAX_SIZE = 65536

_SEPARATORS = re.compile(r"[ \t]+")


def vector_size(path: Path) -> int:
    """Return the number of dimensions of the vectors in a file.

    Raises:
        DataError: The file does not exist, cannot be read, or does not begin with a vector.
    """
    with _open(path) as (lines, source):
        size, _ = _size(next(lines, ""), source)
        return size


def read_word_vectors(path: Path, words: Collection[str]) -> dict[str, FloatArray]:
    """Return the vectors float32 [size] of those `words` that the file contains; the first one of a repeated word.

    Raises:
        DataError: The file cannot be read, a vector is not a list of `size` finite numbers, or the file has none of the
            words.
    """
    result: dict[str, FloatArray] = {}
    with _open(path) as (lines, source):
        first = next(lines, "")
        size, is_header = _size(first, source)
        if not is_header:
            _add(result, first, words, size, source, 1)
        for number, line in enumerate(lines, start=2):
            _add(result, line, words, size, source, number)
    if not result:
        raise DataError(
            f"{source} has no word of the training texts; expected vectors of words in their language and spelling: "
            "most vocabularies are in lower case",
            code="no-known-vectors",
            source=source,
        )
    return result


@contextmanager
def _open(path: Path) -> Iterator[tuple[TextIO, str]]:
    """Open a file as UTF-8; invalid bytes become other characters, as such files may contain broken words."""
    require_path(path, FORMATS)
    source = display_name(path)
    with wrap_read_errors(source), open_bytes(path) as file:
        yield io.TextIOWrapper(file, "utf-8-sig", "replace", newline="\n"), source


def _size(first: str, source: str) -> tuple[int, bool]:
    """Return the number of dimensions, and whether the first line is a header."""
    parts = _parts(first)
    is_header = len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts)
    size = int(parts[1]) if is_header else len(parts) - 1
    if not 1 <= size <= MAX_SIZE or (not is_header and _vector(first, size) is None):
        raise _bad_line(source, 1, first)
    return size, is_header


def _add(
    result: dict[str, FloatArray], line: str, words: Collection[str], size: int, source: str, number: int
) -> None:
    word = _SEPARATORS.split(line, 1)[0]
    if word not in words or word in result or len(_parts(line)) > size + 1:
        return  # with more parts, it is a word that contains spaces
    vector = _vector(line, size)
    if vector is None:
        raise _bad_line(source, number, line)
    result[word] = vector


def _vector(line: str, size: int) -> FloatArray | None:
    """Return the vector float32 [size] of a line; None if its values are not `size` finite numbers."""
    try:
        vector = np.array(_parts(line)[1:], np.float32)
    except ValueError:
        return None
    return vector if vector.shape == (size,) and np.isfinite(vector).all() else None


def _parts(line: str) -> list[str]:
    return _SEPARATORS.split(line.rstrip())


def _bad_line(source: str, number: int, line: str) -> DataError:
    return DataError(
        f"line {number} of {source} is {excerpt(line.rstrip())}; expected a word and the values of its vector, "
        f"separated by spaces or tabs ({FORMATS})",
        code="bad-word-vectors",
        source=source,
        location=number,
    )
