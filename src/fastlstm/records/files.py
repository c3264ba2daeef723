"""Opening text files, plain or gzipped, and one error for all that the system can object."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fastlstm.errors import DataError


def open_text(path: Path, newline: str) -> TextIO:
    """The file's text, decompressed where its name ends in .gz; a byte order mark is dropped.

    Bytes that are not UTF-8 become lone surrogates, which `checks.is_unicode` finds.
    """
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=newline)
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turns what goes wrong while `what` is read, by the system or in a .gz, into `DataError`."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{what} is not an intact gzip file ({error}); compress it again, or drop the ending .gz"
        ) from error
    except OSError as error:
        raise DataError(f"{what} can't be read: {error.strerror or error}; expected a readable file") from error
