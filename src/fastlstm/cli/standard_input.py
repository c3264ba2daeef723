"""Standard input: one whole text, lines in batches, or pieces as they arrive."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from fastlstm.errors import DataError, OptionError

READ_BYTES = 1 << 16


def standard_input() -> BinaryIO:
    """Return standard input. Raise `OptionError` if the process has none."""
    if sys.stdin is None:
        raise OptionError("there is no standard input; pipe a text or a file in", code="no-standard-input")
    return sys.stdin.buffer


def read_text(stream: BinaryIO) -> str:
    """Return the whole text. Raise `DataError` if it is not UTF-8."""
    try:
        return stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(error.start) from None


def read_lines(stream: BinaryIO) -> Iterator[list[str]]:
    """Yield batches of the lines that have arrived. Raise `DataError` for a line that is not UTF-8."""
    count, incomplete = 0, io.BytesIO()
    read_block = getattr(stream, "read1", stream.read)
    while block := read_block(READ_BYTES):
        end = block.rfind(b"\n") + 1
        incomplete.write(block[:end])
        if end:
            lines = incomplete.getvalue().split(b"\n")[:-1]
            yield from _decode_lines(lines, count)
            count, incomplete = count + len(lines), io.BytesIO()
        incomplete.write(block[end:])
    if last := incomplete.getvalue():
        yield from _decode_lines([last], count)


def _decode_lines(lines: list[bytes], count: int) -> Iterator[list[str]]:
    """Yield the lines as one batch; if one is not UTF-8, yield those before it, then raise `DataError`.

    `count` is the number of earlier lines.
    """
    batch: list[str] = []
    for number, line in enumerate(lines, count + 1):
        try:
            batch.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield batch
            raise DataError(
                f"line {number} of standard input is not UTF-8; convert it to UTF-8", code="not-utf8", line=number
            ) from None
    yield batch


def read_pieces(stream: BinaryIO) -> Iterator[str]:
    """Yield one text in pieces as it arrives. Raise `DataError` if it is not UTF-8."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    read_block, position = getattr(stream, "read1", stream.read), 0
    while block := read_block(READ_BYTES):
        yield _decode_piece(decode, block, position)
        position += len(block)
    yield _decode_piece(decode, b"", position, final=True)


def _decode_piece(decode: Any, block: bytes, position: int, *, final: bool = False) -> str:
    try:
        piece: str = decode(block, final)
    except UnicodeDecodeError as error:
        raise _not_utf8(position + error.start) from None
    return piece


def _not_utf8(byte: int) -> DataError:
    return DataError(
        f"standard input is not UTF-8 (near byte {byte}); convert it to UTF-8", code="not-utf8", byte=byte
    )
