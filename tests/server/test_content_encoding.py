"""Compressed request bodies."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.server_client import Serve

from fastlstm.server.content_encoding import decompress, parse_encoding
from fastlstm.server.errors import APIError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}
BODY = json.dumps({"inputs": ["a great film", "horrible"]}).encode()


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (None, None),
        (b"", None),
        (b"identity", None),
        (b"GZIP", "gzip"),
        (b" x-gzip", "x-gzip"),
        (b"deflate", "deflate"),
    ],
)
def test_known_encodings_are_recognised_in_any_case(header: bytes | None, encoding: str | None) -> None:
    assert parse_encoding(header) == encoding


@pytest.mark.parametrize("header", [b"br", b"zstd", b"gzip, gzip", b"\xff"])
def test_other_encodings_are_rejected_with_the_supported_ones(header: bytes) -> None:
    with pytest.raises(APIError) as raised:
        parse_encoding(header)
    assert (raised.value.status, raised.value.code) == (415, "unsupported-content-encoding")
    assert raised.value.headers["Accept-Encoding"] == "gzip, deflate, identity"


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_decompressed_body_is_the_original(encoding: str, size: int) -> None:
    content = bytes(range(256)) * 4
    assert decompress(COMPRESS[encoding](content[:size]), encoding, 1000) == content[:size]


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("size", [1001, 50_000_000])
def test_body_over_the_limit_after_decompression_is_rejected(encoding: str, size: int) -> None:
    with pytest.raises(APIError) as raised:
        decompress(COMPRESS[encoding](bytes(size)), encoding, 1000)
    assert (raised.value.status, raised.value.code, raised.value.maximum) == (413, "body-too-large", 1000)


@pytest.mark.parametrize("encoding", COMPRESS)
def test_incomplete_or_other_content_is_rejected(encoding: str) -> None:
    compressed = COMPRESS[encoding](b"some text")
    for body in (b"", compressed[:-1], compressed + b"more", b"some text", compressed * 2):
        with pytest.raises(APIError) as raised:
            decompress(body, encoding, 1000)
        assert (raised.value.status, raised.value.code) == (400, "invalid-compression")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(body=st.binary(max_size=80), encoding=st.sampled_from(sorted(COMPRESS)))
def test_arbitrary_bytes_are_decompressed_or_rejected(body: bytes, encoding: str) -> None:
    try:
        content = decompress(body, encoding, 1000)
    except APIError as error:
        assert error.code in ("invalid-compression", "body-too-large")  # noqa: PT017
    else:
        assert len(content) <= 1000


@pytest.mark.parametrize("encoding", COMPRESS)
def test_compressed_request_gets_the_response_of_the_plain_one(serve: Serve, encoding: str) -> None:
    client = serve()
    headers = {"content-type": "application/json", "content-encoding": encoding}
    response = client.post("/predict", content=COMPRESS[encoding](BODY), headers=headers)
    assert response.json() == client.post("/predict", json=json.loads(BODY)).json()


def test_compressed_requests_that_cannot_be_read_are_rejected(serve: Serve) -> None:
    client = serve(max_body_bytes=200)
    for encoding, body, status, code in (
        ("gzip", BODY, 400, "invalid-compression"),
        ("gzip", gzip.compress(b'{"inputs": "' + b"a" * 10_000 + b'"}'), 413, "body-too-large"),
        ("gzip", gzip.compress(b"{"), 422, "invalid-json"),
        ("br", BODY, 415, "unsupported-content-encoding"),
    ):
        headers = {"content-type": "application/json", "content-encoding": encoding}
        response = client.post("/predict", content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (status, code)
