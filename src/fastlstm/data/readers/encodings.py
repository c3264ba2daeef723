"""Encodings of text files: byte order marks, and proposals for files that are not UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol, TextIO, cast

from fastlstm.errors import DataError
from fastlstm.notes import Note

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE_AS_CSV = "save it as CSV in UTF-8, with the program that made it"
BINARY_FORMATS = (
    (b"PK\x03\x04", "a zip archive, such as a workbook of Excel", SAVE_AS_CSV),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office, such as a workbook of Excel", SAVE_AS_CSV),
    (b"PAR1\x15", "a Parquet file", "rename it to end in .parquet"),
    (b"\x1f\x8b", "compressed by gzip", "rename it to end in .gz"),
)
"""Formats that are not text: their first bytes, what they are, and what to do."""
CANDIDATES = (
    "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1252", "cp1251", "koi8_r", "cp1250", "cp1253", "cp1254", "cp1255",
    "cp1256", "cp874",
)  # fmt: skip
"""Encodings that are proposed for a file that is not UTF-8."""
MAX_PROPOSALS = 3
SAMPLE_BYTES = 1 << 18
DECODED_BYTES = 1 << 16
"""Bytes decoded at a time. The default of 8,192 makes reading CSV 4% slower."""
MIN_NUL_SHARE = 0.1
"""Fraction of NUL bytes from which a file without byte order mark is UTF-16 or UTF-32."""


class RemoteFile(Protocol):
    """A file that is not on a local disk, such as an object of a store."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        ...

    def open_bytes(self) -> IO[bytes]:
        """Open it in binary mode, decompressed if its name ends in .gz."""
        ...


def open_text(path: Path | RemoteFile, newline: str | None, encoding: str | None = None) -> TextIO:
    """Open a text file, decompressed if its name ends in .gz.

    Bytes that are not valid become lone surrogates, which `labels.is_unicode` detects; in UTF-16 and UTF-32 they
    raise `UnicodeDecodeError`.

    Args:
        path: The file.
        newline: As for `open`.
        encoding: The encoding. None: that of the byte order mark, or UTF-8.

    Raises:
        DataError: The file has no byte order mark and seems to be UTF-16 or UTF-32, or it is not text.
    """
    beginning = b""
    if not isinstance(path, Path) or path.stat().st_size:
        with open_bytes(path) as file:
            beginning = file.read(4096)
    for magic, found, remedy in BINARY_FORMATS:
        if beginning.startswith(magic):
            raise DataError(
                f"{path.name} is {found}, not text; {remedy}", code="binary-file", source=path.name, found=found
            )
    marked = next((name for mark, name in BYTE_ORDER_MARKS if beginning.startswith(mark)), None)
    if encoding is None:
        if marked is None and _may_be_utf_16(beginning):
            raise _not_utf8(
                path, f"many of its bytes are NUL; pass `encoding`, such as {_wide_encoding(beginning)}"
            )
        encoding = marked or "utf-8-sig"
    else:
        name = codecs.lookup(encoding).name
        if name == "utf-8" or (marked is not None and name.startswith(("utf-16", "utf-32"))):
            encoding = marked or "utf-8-sig"
    errors = "strict" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    text_file = io.TextIOWrapper(open_bytes(path), encoding=encoding, errors=errors, newline=newline)
    text_file._CHUNK_SIZE = DECODED_BYTES  # type: ignore[attr-defined]  # of CPython; others ignore it
    return text_file


def open_bytes(path: Path | RemoteFile) -> IO[bytes]:
    """Open a file in binary mode, decompressed if its name ends in .gz."""
    if not isinstance(path, Path):
        return path.open_bytes()
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def is_gzip(path: Path | RemoteFile) -> bool:
    """Return whether the name of the file ends in .gz."""
    return path.name.lower().endswith(".gz")


def marked_encoding(path: Path | RemoteFile) -> str | None:
    """Return the encoding of the byte order mark of a file; None if it has none."""
    with open_bytes(path) as file:
        beginning = file.read(4)
    return next((name for mark, name in BYTE_ORDER_MARKS if beginning.startswith(mark)), None)


def propose_encodings(path: Path | RemoteFile) -> Sequence[str]:
    """Return the encodings that a file which is not UTF-8 may have, the most plausible first."""
    from charset_normalizer import from_bytes

    with open_bytes(path) as file:
        sample = b""
        while block := file.read(SAMPLE_BYTES):
            lines = [line for line in block.splitlines(keepends=True) if not _is_valid(line, "utf-8")]
            sample += b"".join(lines)
            if len(sample) >= SAMPLE_BYTES:
                break
    if not sample:
        return ()
    sample = sample[:SAMPLE_BYTES]
    sample = sample[: sample.rfind(b"\n") + 1] or sample
    matches = from_bytes(sample, cp_isolation=list(CANDIDATES), threshold=0.9)
    names: dict[str, None] = {}
    for match in matches:
        if match.encoding == "cp1250" and _is_valid(sample, "cp1252"):
            names.setdefault("cp1252")  # hard to distinguish, and far more frequent
        names.setdefault(match.encoding)
    return list(names)[:MAX_PROPOSALS]


def with_proposals(error: DataError, path: Path | RemoteFile) -> DataError:
    """Return an error about text that is not UTF-8 with the encodings that the file may have."""
    proposals = [] if "encodings" in error.values else propose_encodings(path)
    if not proposals:
        return error
    return DataError(
        f"{error}; `encoding` may be {', '.join(proposals)}",
        code=error.code,
        **{**error.values, "encodings": tuple(proposals)},
    )


def encoding_notes(path: Path | RemoteFile, source: str) -> Iterator[Note]:
    """Yield a note with the encodings that the rows of a file which are not UTF-8 may have."""
    proposals = propose_encodings(path)
    if proposals:
        yield Note(
            f"{source}: the rows that are not UTF-8 may be {', '.join(proposals)}: convert the file to UTF-8, or pass "
            "`encoding` if all of it has this encoding",
            "encoding-proposed",
        )


def _may_be_utf_16(beginning: bytes) -> bool:
    """Return whether text has many NUL bytes, as ASCII in UTF-16 and UTF-32, or NUL bytes beside line breaks."""
    if beginning.count(0) > MIN_NUL_SHARE * len(beginning):
        return True
    return any(mark in beginning for mark in (b"\n\0", b"\0\n")) and not _is_valid(beginning[:-3], "utf-8")


def _wide_encoding(beginning: bytes) -> str:
    """Return the encoding of text in which many bytes are NUL, from the positions of these."""
    even, odd = beginning[0::2].count(0), beginning[1::2].count(0)
    if min(even, odd) > MIN_NUL_SHARE * len(beginning):
        return "utf-32-le" if beginning[0] else "utf-32-be"
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_valid(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(path: Path | RemoteFile, reason: str) -> DataError:
    name = path.name
    return DataError(f"{name} is not UTF-8: {reason}", code="not-utf8", source=name, encodings=())
