"""Compressed request bodies: the header Content-Encoding."""

from __future__ import annotations

import zlib

from fastlstm.server.errors import APIError

ENCODINGS = {"gzip": zlib.MAX_WBITS + 16, "x-gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}
"""Supported encodings -> zlib's window bits, which select the container format."""


def parse_encoding(header: bytes | None) -> str | None:
    """Return the key of `ENCODINGS` that a Content-Encoding header names, or None for a plain body.

    Raise `APIError` for any other encoding.
    """
    encoding = (header or b"").decode("latin-1").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ENCODINGS:
        quoted = encoding.encode("ascii", "replace").decode()[:50]
        raise APIError(
            415,
            "validation",
            f"the content encoding is {quoted}; expected gzip, deflate, or a plain body",
            code="unsupported-content-encoding",
            headers={"Accept-Encoding": "gzip, deflate, identity"},
            encoding=quoted,
        )
    return encoding


def decompress(body: bytes, encoding: str, maximum: int) -> bytes:
    """Return the decompressed body. Never holds more than about `maximum` bytes of it.

    Raise `APIError` if it has more than `maximum` bytes, or is not one complete stream in the encoding.
    """
    try:
        stream = zlib.decompressobj(ENCODINGS[encoding])
        content = stream.decompress(body, maximum + 1)
        if len(content) > maximum:
            raise APIError(
                413,
                "validation",
                f"the decompressed body has more than {maximum} bytes; send fewer or shorter texts",
                code="body-too-large",
                maximum=maximum,
            )
        if not stream.eof or stream.unused_data:
            raise zlib.error("not one complete stream")
    except zlib.error:
        raise APIError(
            400,
            "validation",
            f"the body is not one complete {encoding} stream; compress it, or omit the header Content-Encoding",
            code="invalid-compression",
            encoding=encoding,
        ) from None
    return content
